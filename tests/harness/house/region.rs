//! One simulated region: its process, and its control port.

use super::{Part, spawn};
use crate::client::{Client, Target};
use crate::eventually;
use crate::program::Program;
use bytes::Bytes;
use http::Request;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A region that can be broken.
pub struct Region {
    /// Its process.
    pub program: Program,
    part: Part,
    control: SocketAddr,
    directory: PathBuf,
}

impl Region {
    pub(super) async fn start(part: Part, directory: &Path, control: SocketAddr) -> Self {
        Self { program: started(part, directory).await, part, control, directory: directory.to_owned() }
    }

    /// Puts a fault in force, as `PUT /fault` takes it: `{"kind": "disabled"}`.
    pub async fn fault(&self, order: &str) {
        self.ask("PUT", "/fault", order).await;
    }

    /// Ends it.
    pub async fn heal(&self) {
        self.ask("DELETE", "/fault", "").await;
    }

    /// Adds this to every answer.
    pub async fn latency_ms(&self, millis: u64) {
        self.ask("PUT", "/latency", &json!({ "millis": millis }).to_string()).await;
    }

    /// Lets only requests pass that are signed with this key, as `PUT /iam` takes it.
    pub async fn demand_signatures(&self, keys: &Value) {
        self.ask("PUT", "/iam", &keys.to_string()).await;
    }

    /// Puts its clock ahead of the machine's, or behind it.
    pub async fn clock_ahead(&self, seconds: i64) {
        self.ask("PUT", "/clock", &json!({ "ahead_seconds": seconds }).to_string()).await;
    }

    /// What it has counted.
    pub async fn counters(&self) -> Value {
        self.ask("GET", "/counters", "").await
    }

    /// Stops its process in the middle of whatever it does.
    pub fn freeze(&self) {
        self.program.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.program.signal(Signal::SIGCONT);
    }

    /// Kills its process. The function's processes end by themselves.
    ///
    /// # Panics
    /// When it does not end.
    pub fn kill(&self) {
        self.program.signal(Signal::SIGKILL);
        assert!(self.program.wait(Duration::from_secs(5)).is_some(), "SIGKILL ends a process");
    }

    /// Starts it again after [`Self::kill`].
    pub async fn restart(&mut self) {
        self.program = started(self.part, &self.directory).await;
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let target = Target { host: self.control.to_string(), ..Target::plain(self.control) };
        let request = Request::builder().method(method).uri(path).body(Bytes::from(body.to_owned()));
        let reply = Client::new(target).send(request.expect("a request")).await.expect("the region obeys");
        assert_eq!(reply.status, 200, "{method} {path}: {}", String::from_utf8_lossy(&reply.body));
        reply.json()
    }
}

async fn started(part: Part, directory: &Path) -> Program {
    let program = spawn(part, directory);
    let ready = || {
        let ended = program.ended();
        assert!(ended.is_none(), "{} ended with {ended:?}\n{}", part.name(), program.said());
        program.out().into_iter().find(|line| line.starts_with("ready "))
    };
    eventually::found(&format!("{} says ready", part.name()), ready).await;
    program
}
