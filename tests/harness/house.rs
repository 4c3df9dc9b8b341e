//! The whole house: the dissertation's two regions, each with the real function, the proxy, the viewer.
//!
//! It is the demo's own: the files are those of `config/demo/`. The demo runs them on the ports they name, a test
//! ([`House`]) on leased ones.
//!
//! ```text
//! DIRECTORY/virginia.yaml ohio.yaml aorta.yaml viewer.yaml    config/demo/, with the ports and edits of a Plan
//! DIRECTORY/ca/                                               certificates, made once
//! DIRECTORY/bin/                                              where the function's program is
//! DIRECTORY/records.db                                        the records of both regions
//! ```

mod region;

pub use region::Region;

use crate::client::Target;
use crate::eventually;
use crate::port::Lease;
use crate::program::{Program, find};
use crate::proxy::Proxy;
use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The hosts that the regions' certificates are for.
pub const HOSTS: [&str; 2] =
    ["y18va6f6rc.execute-api.us-east-1.amazonaws.com", "unbf0byjdc.execute-api.us-east-2.amazonaws.com"];

/// One program of the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first region.
    Virginia,
    /// The second region.
    Ohio,
    /// The proxy.
    Proxy,
    /// The viewer.
    Viewer,
    /// Prometheus, which watches the proxy; no program of Aorta's.
    Prometheus,
}

impl Part {
    /// Aorta's own, in the order in which they start; they stop in the opposite order.
    pub const ALL: [Self; 4] = [Self::Virginia, Self::Ohio, Self::Proxy, Self::Viewer];
    /// The same, watched.
    pub const WATCHED: [Self; 5] = [Self::Virginia, Self::Ohio, Self::Proxy, Self::Viewer, Self::Prometheus];

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Virginia => "virginia",
            Self::Ohio => "ohio",
            Self::Proxy => "proxy",
            Self::Viewer => "viewer",
            Self::Prometheus => "prometheus",
        }
    }

    /// Its program.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Virginia | Self::Ohio => "aorta-gateway-sim",
            Self::Proxy => "aorta-proxy",
            Self::Viewer => "aorta-viewer",
            Self::Prometheus => "prometheus",
        }
    }

    /// Where its program is; Prometheus is the system's.
    #[must_use]
    pub fn executable(self) -> PathBuf {
        if self == Self::Prometheus { PathBuf::from(self.program()) } else { find(self.program()) }
    }

    /// Its file in `config/demo/` and in the house's directory.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Virginia => "virginia.yaml",
            Self::Ohio => "ohio.yaml",
            Self::Proxy => "aorta.yaml",
            Self::Viewer => "viewer.yaml",
            Self::Prometheus => "prometheus/prometheus.yml",
        }
    }

    /// Its arguments, when it runs in the house's directory.
    #[must_use]
    pub fn arguments(self, plan: &Plan) -> Vec<String> {
        let arguments: &[&str] = match self {
            Self::Virginia => &["--config", "virginia.yaml"],
            Self::Ohio => &["--config", "ohio.yaml"],
            Self::Proxy => &["run", "--config", "aorta.yaml"],
            Self::Viewer => &["run", "--config", "viewer.yaml"],
            Self::Prometheus => &[
                "--config.file=prometheus/prometheus.yml",
                "--storage.tsdb.path=prometheus/data",
                "--web.listen-address=127.0.0.1:9090",
            ],
        };
        arguments.iter().map(|argument| plan.moved(argument)).collect()
    }

    const fn shipped(self) -> &'static str {
        match self {
            Self::Virginia => include_str!("../../config/demo/virginia.yaml"),
            Self::Ohio => include_str!("../../config/demo/ohio.yaml"),
            Self::Proxy => include_str!("../../config/demo/aorta.yaml"),
            Self::Viewer => include_str!("../../config/demo/viewer.yaml"),
            Self::Prometheus => include_str!("../../config/prometheus/prometheus.yml"),
        }
    }
}

/// What differs from the shipped files: ports, and whatever a test wants otherwise.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    ports: Vec<(u16, u16)>,
    edits: Vec<(Part, String, String)>,
}

impl Plan {
    /// The shipped files as they are.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves a port of the shipped files, in all of them.
    #[must_use]
    pub fn port(mut self, shipped: u16, used: u16) -> Self {
        self.ports.push((shipped, used));
        self
    }

    /// Replaces a piece of a part's file; `from` must stand there when the file is written.
    #[must_use]
    pub fn edit(mut self, part: Part, from: &str, to: &str) -> Self {
        self.edits.push((part, from.to_owned(), to.to_owned()));
        self
    }

    /// The port in use for one of the shipped files.
    #[must_use]
    pub fn used(&self, shipped: u16) -> u16 {
        self.ports.iter().find(|(from, _)| *from == shipped).map_or(shipped, |(_, to)| *to)
    }

    /// A text with its ports moved.
    fn moved(&self, text: &str) -> String {
        let mut pieces = text.split("127.0.0.1:");
        let mut moved = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let digits = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
            let shipped = piece[..digits].parse().expect("a port follows the address");
            moved.push_str(&format!("127.0.0.1:{}{}", self.used(shipped), &piece[digits..]));
        }
        moved
    }

    /// A part's file.
    ///
    /// # Panics
    /// When an edit does not find its place.
    #[must_use]
    pub fn text(&self, part: Part) -> String {
        let mut text = self.moved(part.shipped());
        for (_, from, to) in self.edits.iter().filter(|(edited, ..)| *edited == part) {
            assert!(text.contains(from), "`{from}` is not in {}:\n{text}", part.file());
            text = text.replace(from, to);
        }
        text
    }
}

/// Writes the files, links the programs and makes the certificates; keeps certificates that are still valid.
///
/// # Errors
/// When something cannot be written, or the certificates cannot be made.
pub fn furnish(directory: &Path, programs: &Path, plan: &Plan) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for part in Part::ALL {
        std::fs::write(directory.join(part.file()), plan.text(part))?;
    }
    let link = directory.join("bin");
    match std::fs::remove_file(&link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => std::os::unix::fs::symlink(programs, link)?,
    }
    let mut command = Command::new(find("aorta-gateway-sim"));
    command.args(["certificates", "--directory"]).arg(directory.join("ca"));
    for host in HOSTS {
        command.args(["--host", host]);
    }
    let made = command.output()?;
    if made.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("no certificates: {}", String::from_utf8_lossy(&made.stderr))))
}

/// Writes Prometheus' file and the rules beside it.
///
/// # Errors
/// When something cannot be written.
pub fn furnish_prometheus(directory: &Path, plan: &Plan) -> io::Result<()> {
    let rules = directory.join("prometheus/rules");
    std::fs::create_dir_all(&rules)?;
    std::fs::write(directory.join(Part::Prometheus.file()), plan.text(Part::Prometheus))?;
    std::fs::write(rules.join("slo.yaml"), include_str!("../../config/prometheus/rules/slo.yaml"))?;
    std::fs::write(rules.join("causes.yaml"), include_str!("../../config/prometheus/rules/causes.yaml"))
}

/// The running house. When it is dropped, the proxy must have come to rest in order ([`Proxy`]).
pub struct House {
    /// The viewer.
    pub viewer: Program,
    /// The proxy.
    pub proxy: Proxy,
    /// N. Virginia.
    pub virginia: Region,
    /// Ohio.
    pub ohio: Region,
    viewer_address: SocketAddr,
    _leases: Vec<Lease>,
    directory: tempfile::TempDir,
}

impl House {
    /// Starts the house of the demo on leased ports.
    pub async fn start() -> Self {
        Self::start_with(Plan::new()).await
    }

    /// Starts it with these edits.
    ///
    /// # Panics
    /// When a part does not come up.
    pub async fn start_with(mut plan: Plan) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let leases: Vec<Lease> = (0..7).map(|_| Lease::take()).collect();
        for (shipped, lease) in [8080, 9901, 8088, 9443, 9543, 9444, 9544].into_iter().zip(&leases) {
            plan = plan.port(shipped, lease.port());
        }
        let programs = find("aorta-fhir").parent().expect("a program is in a directory").to_owned();
        // A program that ran from a relative directory would not be found from the house's own.
        let programs = programs.canonicalize().expect("the directory is there");
        let ca = directory.path().join("ca/ca.pem");
        let plan = plan.edit(Part::Proxy, "ca/ca.pem", &ca.display().to_string());
        furnish(directory.path(), &programs, &plan).expect("the house can be furnished");
        let region = async |part: Part, control: u16| {
            Region::start(part, directory.path(), local(plan.used(control))).await
        };
        let (virginia, ohio) = (region(Part::Virginia, 9543).await, region(Part::Ohio, 9544).await);
        let proxy = Proxy::start_with(&plan.text(Part::Proxy), &[]).await;
        let viewer = spawn(Part::Viewer, directory.path());
        let viewer_address = local(plan.used(8088));
        eventually::found("the viewer accepts", || TcpStream::connect(viewer_address).ok()).await;
        Self { viewer, proxy, virginia, ohio, viewer_address, _leases: leases, directory }
    }

    /// Where the pages are.
    #[must_use]
    pub const fn viewer_address(&self) -> SocketAddr {
        self.viewer_address
    }

    /// The viewer, as a client asks for it.
    #[must_use]
    pub fn viewer_target(&self) -> Target {
        Target { host: self.viewer_address.to_string(), ..Target::plain(self.viewer_address) }
    }

    /// The record store of both regions.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.directory.path().join("records.db")
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn spawn(part: Part, directory: &Path) -> Program {
    let arguments = part.arguments(&Plan::new());
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    Program::start(part.executable().as_os_str(), &arguments, &[], Some(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_move_in_every_file_and_edits_are_made() {
        let plan = Plan::new().port(8080, 8088).port(8088, 8080).edit(
            Part::Viewer,
            "record: /",
            "record: /Patient/1",
        );
        assert!(plan.text(Part::Proxy).contains("address: 127.0.0.1:8088\n"));
        let viewer = plan.text(Part::Viewer);
        assert!(
            viewer.contains("listen: 127.0.0.1:8080\n") && viewer.contains("http://127.0.0.1:8088}"),
            "{viewer}"
        );
        assert!(viewer.contains("record: /Patient/1\n"), "{viewer}");
    }

    #[tokio::test]
    async fn the_whole_house_answers_and_its_regions_obey() {
        let house = House::start().await;
        let mut client = crate::client::Client::new(house.proxy.target());
        let (first, second) = (client.get("/").await, client.get("/").await);
        assert_eq!((first.status, second.status), (200, 200));
        assert_ne!(first.upstream(), second.upstream());
        house.ohio.fault(r#"{"kind": "disabled"}"#).await;
        for _ in 0..4 {
            assert!(client.get("/").await.upstream().contains("us-east-1"));
        }
        assert_eq!(
            house.virginia.counters().await["executed"]["GET"].as_u64().map(|count| count >= 5),
            Some(true)
        );
    }
}
