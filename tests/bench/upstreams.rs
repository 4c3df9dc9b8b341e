//! The two upstreams of the cost rounds, plain and TLS, in one process; and the load that is put on what stands before
//! them, in another.

use crate::child::{Child, Output, Program};
use crate::closed_loop::Outcome;
use crate::stage::{Payload, Stage};
use anyhow::ensure;
use harness::port::Lease;
use std::net::SocketAddr;

/// The running upstreams.
pub(crate) struct Upstreams {
    pub(crate) child: Child,
    plain: [Lease; 2],
    tls: [Lease; 2],
}

impl Upstreams {
    /// Starts them.
    pub(crate) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let (plain, tls) = ([Lease::take(), Lease::take()], [Lease::take(), Lease::take()]);
        let mut arguments = vec!["respond".to_owned()];
        let mut tell = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
        plain.iter().for_each(|lease| tell("--plain", lease.address().to_string()));
        tls.iter().for_each(|lease| tell("--tls", lease.address().to_string()));
        tell("--certificate", stage.files.certificate.display().to_string());
        tell("--private-key", stage.files.private_key.display().to_string());
        tell("--record", stage.file(Payload::Record).display().to_string());
        tell("--page", stage.file(Payload::Page).display().to_string());
        let directory = stage.directory("upstreams")?;
        let program = Program::new(std::env::current_exe()?).arguments(&arguments);
        let mut child = Child::start("upstreams", &program, &directory, Output::Dropped)?;
        for lease in plain.iter().chain(&tls) {
            child.accepts(lease.address()).await?;
        }
        Ok(Self { child, plain, tls })
    }

    /// Where the two listen.
    pub(crate) fn addresses(&self, tls: bool) -> [SocketAddr; 2] {
        if tls { self.tls.each_ref().map(Lease::address) } else { self.plain.each_ref().map(Lease::address) }
    }
}

/// What clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// A create of the payload; otherwise it is read.
    pub(crate) create: bool,
    /// What is sent or answered.
    pub(crate) payload: Payload,
}

impl Ask {
    /// The path that is asked.
    pub(crate) fn path(self) -> String {
        let path = self.payload.path();
        if self.create { path.to_owned() } else { format!("{path}/1") }
    }

    /// In words.
    pub(crate) fn name(self) -> String {
        format!("{} {}", if self.create { "POST" } else { "GET" }, self.payload.name())
    }
}

/// How much is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) millis: u64,
    pub(crate) requests: u64,
}

impl Load {
    /// Puts it on whoever listens there, and waits for its end.
    pub(crate) async fn put(self, address: SocketAddr, ask: Ask, stage: &Stage) -> anyhow::Result<Outcome> {
        let mut command = tokio::process::Command::new(std::env::current_exe()?);
        command.arg("load").args(["--path", &ask.path()]).args(["--address", &address.to_string()]);
        command.args(["--connections", &self.connections.to_string()]);
        command.args(["--millis", &self.millis.to_string(), "--requests", &self.requests.to_string()]);
        command.arg("--body").arg(stage.file(ask.payload));
        if ask.create {
            command.arg("--create");
        }
        let output = command.kill_on_drop(true).output().await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
