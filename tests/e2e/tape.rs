//! A tape of the real proxy in trouble: the core decides the same again, and what was changed is found.

use bytes::Bytes;
use harness::authority::Authority;
use harness::load::{self, Plan, Progress};
use harness::program::find;
use harness::proxy::Proxy;
use harness::setup::Setup;
use harness::upstream::answer::{forbidden, outcome, throttled};
use harness::upstream::script::{Behaviour, Order};
use harness::upstream::{Speech, Upstream};
use http::Request;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// What a proxy recorded while its regions failed in turn, and the configuration it had.
struct Recorded {
    _folder: TempDir,
    /// Its root is a file that the configuration names.
    _authority: Authority,
    config: PathBuf,
    tape: PathBuf,
}

impl Recorded {
    async fn in_trouble() -> Self {
        let folder = tempfile::tempdir().expect("a directory can be made");
        let (config, tape) = (folder.path().join("aorta.yaml"), folder.path().join("tape.jsonl"));
        let authority = Authority::new();
        let regions =
            ["virginia", "ohio", "oregon"].map(|name| Upstream::start(name, Speech::Http1, &authority));
        let setup = Setup::new(&regions.iter().collect::<Vec<_>>())
            .pool("hedge", "{enabled: true}")
            .pool("active_health", "{path: /metadata, timeout: 300ms, interval: 300ms}");
        let more = [OsStr::new("--tape"), tape.as_os_str()];
        let proxy = Proxy::start_as(&setup.yaml(), &[], &more).await;
        let [virginia, ohio, _] = &regions;
        serve(&proxy).await;
        virginia.obey(Order::before(Behaviour::Slow(Duration::from_millis(150))));
        serve(&proxy).await;
        virginia.refuse().await;
        ohio.obey(Order::before(Behaviour::Say(outcome(503, "transient"))));
        serve(&proxy).await;
        virginia.heal();
        ohio.obey(Order::before(Behaviour::Say(forbidden())));
        serve(&proxy).await;
        ohio.obey(Order::before(Behaviour::Say(throttled())));
        serve(&proxy).await;
        fs::copy(proxy.file(), &config).expect("the configuration can be copied");
        drop(proxy);
        Self { _folder: folder, _authority: authority, config, tape }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.tape).expect("the tape can be read")
    }
}

/// Reads, and a create now and then.
async fn serve(proxy: &Proxy) {
    let make = |index| match index % 10 {
        9 => Request::post("/Patient").body(Bytes::from(r#"{"id":"canary-body"}"#)),
        _ => Request::get(format!("/Patient/canary-{index}"))
            .header("x-api-key", "canary-key")
            .body(Bytes::new()),
    };
    let make = move |index| make(index).expect("a request");
    let plan = Plan { requests: 150, rate: 150, connections: 8, make: Arc::new(make) };
    load::run(&proxy.target(), &plan, &Progress::default()).await;
}

fn replay(config: &Path, tape: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(find("aorta-proxy"));
    let command = command.args(["simulate", "--config"]).arg(config).arg("--replay").arg(tape);
    let Output { status, stdout, stderr } = command.output().expect("the proxy's program runs");
    let told = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code(), told)
}

#[tokio::test]
async fn what_a_proxy_in_trouble_decided_is_decided_again_and_whatever_was_changed_is_found() {
    let recorded = Recorded::in_trouble().await;
    let text = recorded.text();
    for word in ["hedge", "late", "failed", "verified", "checked", "Ejected", "Readmitted", "Retry"] {
        assert!(text.contains(word), "nothing on the tape says {word}");
    }
    assert!(
        !text.contains("canary") && !text.contains("Patient"),
        "a tape holds nothing of a request itself"
    );
    let (code, told) = replay(&recorded.config, &recorded.tape);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("every decision is the same") && !told.contains("not the one"), "{told}");

    let forged = recorded.tape.with_extension("forged");
    let lines: Vec<_> = text.lines().collect();
    let ejection = lines.iter().position(|line| line.contains("Ejected")).expect("somebody was ejected");
    let blame = lines[..ejection].iter().rposition(|line| line.contains(r#""ask":"failed""#));
    let blame = blame.expect("somebody was blamed for it");
    fs::write(&forged, [&lines[..blame], &lines[blame + 1..]].concat().join("\n"))
        .expect("a file can be written");
    let (code, told) = replay(&recorded.config, &forged);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("the decision differs") && told.contains("then ") && told.contains("now "),
        "{told}"
    );

    fs::write(&forged, text.split_at(text.len() - 20).0).expect("a file can be written");
    let (code, told) = replay(&recorded.config, &forged);
    assert_eq!(code, Some(0), "a killed process leaves half a line: {told}");
    fs::write(&forged, "{\"ask\":\"choose\"}\n").expect("a file can be written");
    let (code, told) = replay(&recorded.config, &forged);
    assert!(code == Some(78) && told.contains("forged:1: "), "{code:?} {told}");

    let other = fs::read_to_string(&recorded.config).expect("a file can be read");
    let other = other.replace("attempt: 1s", "attempt: 900ms");
    fs::write(&recorded.config, other).expect("a file can be written");
    let (code, told) = replay(&recorded.config, &recorded.tape);
    assert_eq!(code, Some(1), "another configuration decides otherwise: {told}");
    assert!(told.contains("the configuration is not the one that was recorded"), "{told}");
}
