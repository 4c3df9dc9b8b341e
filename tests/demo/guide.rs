//! What the demo prints for its reader.

use crate::ports::Ports;
use harness::house::Part;
use std::path::Path;
use std::process::ExitStatus;

/// Where everything is and what to try.
pub(crate) fn text(ports: &Ports, children: &[(Part, Option<u32>)], directory: &Path) -> String {
    let pid = |part: Part| {
        let child = children.iter().find(|(known, _)| *known == part);
        child.and_then(|(_, pid)| *pid).unwrap_or_default()
    };
    let (viewer, proxy, admin) = (ports.viewer, ports.proxy, ports.admin);
    let (ohio, control) = (pid(Part::Ohio), ports.ohio_control);
    let watched = children.iter().any(|(part, _)| *part == Part::Prometheus);
    let watch = if watched {
        format!("\n  watch      http://127.0.0.1:{}/   a guided hour: config/README.md", ports.prometheus)
    } else {
        String::new()
    };
    format!(
        "
Aorta is running; its files and logs are in {directory}/.

  page       http://127.0.0.1:{viewer}/   press \"Fetch Patient Data\", again and again
  proxy      http://127.0.0.1:{proxy}/
  state      http://127.0.0.1:{admin}/   http://127.0.0.1:{admin}/metrics{watch}

Try in another terminal:
  curl -i http://127.0.0.1:{proxy}/
  curl -s 'http://127.0.0.1:{proxy}/Patient?_id=P123456'
  curl -s http://127.0.0.1:{admin}/api/pools

Break Ohio (Virginia: control port {virginia_control}, process {virginia}) and go on fetching:
  disable    curl -X PUT http://127.0.0.1:{control}/fault -d '{{\"kind\": \"disabled\"}}'
  mend       curl -X DELETE http://127.0.0.1:{control}/fault
  slow down  curl -X PUT http://127.0.0.1:{control}/latency -d '{{\"millis\": 80}}'
  freeze     kill -STOP {ohio}      and on again: kill -CONT {ohio}
  kill       kill -KILL {ohio}      Enter, here, starts it again

Ctrl-C stops everything.",
        directory = directory.display(),
        virginia_control = ports.virginia_control,
        virginia = pid(Part::Virginia),
    )
}

/// A program has ended; the demo goes on.
pub(crate) fn gone(part: Part, status: ExitStatus, log: &Path) -> String {
    let (name, log) = (part.name(), log.display());
    format!("{name} has ended ({status}); the rest goes on. Enter starts it again. Its log: {log}")
}
