//! The two regions of a damage run: simulated API Gateway endpoints that fail on command.

use crate::child::{Child, Output, Program};
use crate::peers::own;
use crate::proxy::filled;
use crate::stage::{Payload, Stage};
use anyhow::{Context as _, ensure};
use bytes::Bytes;
use harness::client::{Client, Target};
use harness::port::Lease;
use http::Request;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A region's process and the ports that it keeps when it is killed.
pub(crate) struct Region {
    child: Child,
    address: Lease,
    control: Lease,
    directory: PathBuf,
    /// Requests it had seen when it was killed.
    seen_before: u64,
}

impl Region {
    /// Starts one that answers with a body; both regions of a run write into one ledger.
    pub(crate) async fn start(
        name: &str,
        stage: &Stage,
        payload: Payload,
        ledger: &str,
    ) -> anyhow::Result<Self> {
        let (address, control) = (Lease::take(), Lease::take());
        let directory = stage.directory(name)?;
        let values = [
            ("REGION", name.to_owned()),
            ("ADDRESS", address.address().to_string()),
            ("CONTROL", control.address().to_string()),
            ("CERTIFICATE", stage.files.certificate.display().to_string()),
            ("PRIVATE_KEY", stage.files.private_key.display().to_string()),
            ("PROGRAM", std::env::current_exe()?.display().to_string()),
            ("BODY", stage.file(payload).display().to_string()),
            ("LEDGER", ledger.to_owned()),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value));
        let text = filled(include_str!("peers/region.yaml"), &values)?;
        std::fs::write(directory.join("region.yaml"), text)?;
        let child = launch(&directory).await?;
        Ok(Self { child, address, control, directory, seen_before: 0 })
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.address()
    }

    /// Puts a fault in force.
    pub(crate) async fn fault(&self, kind: &str, millis: u64) -> anyhow::Result<()> {
        self.ask("PUT", "/fault", &json!({"kind": kind, "millis": millis}).to_string()).await.map(drop)
    }

    /// Ends it.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        self.ask("DELETE", "/fault", "").await.map(drop)
    }

    /// Stops its process, as a machine does that hangs.
    pub(crate) fn freeze(&self) {
        self.child.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.child.signal(Signal::SIGCONT);
    }

    /// Kills its process: connecting is refused from now on.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.seen_before = self.seen().await?;
        self.child.kill();
        Ok(())
    }

    /// Starts it again on its ports.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        self.child = launch(&self.directory).await?;
        Ok(())
    }

    /// How many requests it has seen.
    pub(crate) async fn seen(&self) -> anyhow::Result<u64> {
        let counters = self.ask("GET", "/counters", "").await?;
        Ok(self.seen_before + counters["requests"].as_u64().context("a region counts its requests")?)
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let control = self.control.address();
        let target = Target { host: control.to_string(), ..Target::plain(control) };
        let request = Request::builder().method(method).uri(path).body(Bytes::from(body.to_owned()))?;
        let reply = Client::new(target).send(request).await.map_err(anyhow::Error::msg)?;
        let said = String::from_utf8_lossy(&reply.body);
        ensure!(reply.status == 200, "{method} {path}: {said}");
        Ok(serde_json::from_str(&said)?)
    }
}

async fn launch(directory: &std::path::Path) -> anyhow::Result<Child> {
    let arguments = ["--config".to_owned(), directory.join("region.yaml").display().to_string()];
    let program = Program::new(own("aorta-gateway-sim")?).arguments(&arguments);
    let mut child = Child::start("region", &program, directory, Output::Kept)?;
    child.says("ready ").await?;
    Ok(child)
}
