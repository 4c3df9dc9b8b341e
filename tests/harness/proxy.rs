//! The real proxy as a child process.
//!
//! When it is dropped it must have nothing in flight, end by itself on SIGTERM with exit code 0, and have told of
//! no panic: every end-to-end test checks that without saying so.

use crate::authority::Authority;
use crate::client::Target;
use crate::eventually;
use crate::log;
use crate::metrics::Scrape;
use crate::port::Lease;
use crate::program::{Program, find};
use crate::setup::Setup;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Stands for an address with a port of its own in a test's configuration.
const ANY_PORT: &str = "127.0.0.1:0";
/// An orderly end takes no longer, with nothing in flight.
const END: Duration = Duration::from_secs(10);
/// A process that was replaced serves its clients to the end, which takes the time its clients take.
const LEAVE: Duration = Duration::from_secs(40);
/// Attempts that are out; must be zero at the end.
const IN_FLIGHT: &str = "aorta_upstream_attempts_in_flight";
/// Requests that are not booked yet.
const REQUESTS: &str = "aorta_requests_in_flight";

/// A running proxy.
pub struct Proxy {
    /// Its process.
    pub program: Program,
    listeners: Vec<SocketAddr>,
    admin: SocketAddr,
    ended: bool,
    /// Those that it took over from; they hold the pipes that it writes to.
    forebears: Vec<Program>,
    file: Written,
}

impl Proxy {
    /// Starts one with this configuration and waits until it accepts.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start(setup: &Setup) -> Self {
        Self::start_with(&setup.yaml(), &[]).await
    }

    /// Starts one with this text as configuration and these variables in its environment.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_with(yaml: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_as(yaml, environment, &[]).await
    }

    /// Starts one with these arguments more.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_as(yaml: &str, environment: &[(&str, &str)], more: &[&OsStr]) -> Self {
        // What outlives a proxy is no other test's, whatever it runs by.
        let own = if yaml.contains("state_dir:") { "" } else { "\nstate_dir: state\n" };
        let file = Written::new(&format!("{yaml}{own}"));
        let program = find("aorta-proxy");
        let arguments = [OsStr::new("run"), OsStr::new("--config"), file.path.as_os_str()];
        let arguments = [&arguments, more].concat();
        let program = Program::start(program.as_os_str(), &arguments, environment, None);
        let ready = program.ready().await;
        let address = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
        let listeners = ready["listeners"].as_array().map(Vec::as_slice).unwrap_or_default();
        let listeners = listeners.iter().filter_map(address).collect();
        let admin = address(&ready["admin"]).expect("the ready line names the admin address");
        Self { program, listeners, admin, ended: false, forebears: Vec::new(), file }
    }

    /// Where its first listener accepts.
    ///
    /// # Panics
    /// When the ready line named none.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        *self.listeners.first().expect("the ready line names the listeners")
    }

    /// Where its metrics are.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its first listener, for HTTP/1.1 in the clear.
    #[must_use]
    pub fn target(&self) -> Target {
        Target::plain(self.address())
    }

    /// Its first listener, for TLS with a certificate of this authority for `aorta.test`.
    #[must_use]
    pub fn tls_target(&self, authority: &Authority, http2: bool) -> Target {
        let protocol: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
        Target { tls: Some(authority.client(&[protocol])), http2, ..self.target() }
    }

    /// Its metrics now.
    ///
    /// # Panics
    /// When it does not tell them.
    #[must_use]
    pub fn metrics(&self) -> Scrape {
        Scrape::take(self.admin).expect("the proxy tells its metrics")
    }

    /// Its metrics once nothing is under way any more. A request is booked when its answer has gone out, so that a
    /// client may have it before: what was asked stands in these for sure.
    pub async fn at_rest(&self) -> Scrape {
        let rests = |metrics: &Scrape| {
            let under_way = |name| metrics.has(name, &[]) && metrics.count(name, &[]) > 0;
            !under_way(REQUESTS) && !under_way(IN_FLIGHT)
        };
        eventually::found("nothing is under way", || Some(self.metrics()).filter(rests)).await
    }

    /// Waits until it has written so many access lines, and returns them.
    pub async fn access(&self, count: usize) -> Vec<Value> {
        let look = || Some(log::access(self.program.out_values())).filter(|lines| lines.len() >= count);
        eventually::found(&format!("{count} access lines"), look).await
    }

    /// What `explain` says with its configuration and these arguments.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn explain(&self, arguments: &[&str]) -> Output {
        self.command("explain", arguments)
    }

    /// What a command says with its configuration and these arguments.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn command(&self, command: &str, arguments: &[&str]) -> Output {
        let mut program = Command::new(find("aorta-proxy"));
        let command = program.args([command, "--config"]).arg(&self.file.path).args(arguments);
        command.output().expect("the proxy's program runs")
    }

    /// How an upstream stands, by its one-hot state series.
    #[must_use]
    pub fn state_of(&self, upstream: &str) -> String {
        let metrics = self.metrics();
        let is = |state: &&str| {
            metrics.sum("aorta_upstream_state", &[("upstream", upstream), ("state", state)]) > 0.0
        };
        let states = ["healthy", "degraded", "ejected", "probing", "draining", "warming"];
        states.iter().find(|state| is(state)).map_or("unknown", |state| *state).to_owned()
    }

    /// How many ejections there were, of all upstreams.
    #[must_use]
    pub fn ejections(&self) -> u64 {
        self.metrics().count("aorta_upstream_ejections_total", &[])
    }

    /// Where its configuration is.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file.path
    }

    /// Lets a new process take over, by its own command, and waits until the old one is gone.
    ///
    /// # Panics
    /// When it does not, or the old one's end is not orderly.
    pub fn upgrade(&mut self) {
        Program::adopt_orphans();
        let mut command = Command::new(find("aorta-proxy"));
        let output = command.arg("upgrade").arg("--config").arg(&self.file.path).output();
        let output = output.expect("the proxy's program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", self.program.said());
        let told: Value = serde_json::from_slice(&output.stdout).expect("it tells the new process");
        let number = told["process"].as_u64().and_then(|number| u32::try_from(number).ok());
        let left = self.program.leaves(LEAVE);
        let left = left.unwrap_or_else(|| panic!("the old process stays\n{}", self.program.said()));
        assert_eq!(left.code(), Some(0), "{}", self.program.said());
        let heir = self.program.heir(number.expect("a number"));
        self.forebears.push(std::mem::replace(&mut self.program, heir));
    }

    /// Sends SIGTERM, waits for the end, and returns its exit code.
    ///
    /// # Panics
    /// When it does not end, or was ended by a signal.
    pub fn stop(&mut self) -> i32 {
        self.program.signal(Signal::SIGTERM);
        self.end()
    }

    /// Waits for the end and returns the exit code; the caller has seen to it that it comes.
    ///
    /// # Panics
    /// When it does not end, or was ended by a signal.
    pub fn end(&mut self) -> i32 {
        let end = self.program.wait(END);
        self.ended = true;
        let end =
            end.unwrap_or_else(|| panic!("still running {END:?} after SIGTERM\n{}", self.program.said()));
        end.code().unwrap_or_else(|| panic!("ended with {end}\n{}", self.program.said()))
    }

    /// Kills it, unless that was done, and starts it anew by the same file.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_again(&mut self) {
        if !self.ended {
            self.kill();
        }
        let program = find("aorta-proxy");
        let arguments = [OsStr::new("run"), OsStr::new("--config"), self.file.path.as_os_str()];
        self.program = Program::start(program.as_os_str(), &arguments, &[], None);
        self.program.ready().await;
        self.ended = false;
    }

    /// Kills it: what follows is not its fault.
    pub fn kill(&mut self) {
        self.program.signal(Signal::SIGKILL);
        let _ = self.program.wait(END);
        self.ended = true;
    }

    fn in_flight(&self) -> f64 {
        let metrics = self.metrics();
        assert!(metrics.has(IN_FLIGHT, &[]), "there is no {IN_FLIGHT}");
        metrics.sum(IN_FLIGHT, &[])
    }

    fn must_come_to_rest(&self) {
        let start = Instant::now();
        while self.in_flight() > 0.0 {
            assert!(start.elapsed() < END, "{} attempts still in flight", self.in_flight());
            // A wait without the async runtime: a child that ends meanwhile ends the wait.
            let _ = self.program.wait(Duration::from_millis(20));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if !self.ended {
            let early = self.program.ended();
            assert!(early.is_none(), "the proxy ended by itself: {early:?}\n{}", self.program.said());
            self.must_come_to_rest();
            let code = self.stop();
            assert_eq!(code, 0, "an orderly end has exit code 0\n{}", self.program.said());
        }
        let panicked = self.program.err().iter().any(|line| line.contains("panicked at"));
        assert!(!panicked, "something panicked\n{}", self.program.said());
    }
}

/// Runs `aorta-proxy COMMAND --config FILE` to its end on this text.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn command(command: &str, yaml: &str) -> Output {
    command_with(command, yaml, &[])
}

/// The same with more arguments.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn command_with(command: &str, yaml: &str, more: &[&OsStr]) -> Output {
    let file = Written::new(yaml);
    let mut proxy = Command::new(find("aorta-proxy"));
    let output = proxy.args([command, "--config"]).arg(&file.path).args(more).output();
    output.expect("the proxy runs")
}

/// A configuration file; each `127.0.0.1:0` in the text became an address with a leased port.
struct Written {
    path: PathBuf,
    _leases: Vec<Lease>,
    _directory: tempfile::TempDir,
}

impl Written {
    fn new(yaml: &str) -> Self {
        let (mut text, mut leases) = (yaml.to_owned(), Vec::new());
        while text.contains(ANY_PORT) {
            let lease = Lease::take();
            text = text.replacen(ANY_PORT, &lease.address().to_string(), 1);
            leases.push(lease);
        }
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("aorta.yaml");
        std::fs::write(&path, text).expect("a configuration can be written");
        Self { path, _leases: leases, _directory: directory }
    }
}
