//! One program of the demo: started with its log in a file, watched, stopped by its own number.

use crate::ports::{Ports, local};
use anyhow::Context as _;
use harness::house::Part;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{interval, timeout};

/// A program that does not listen by then will not.
const START_MAX: Duration = Duration::from_secs(30);
/// The proxy finishes what is in flight for at most 30 s, the viewer for 40 s.
const STOP_MAX: Duration = Duration::from_secs(45);
const PERIOD: Duration = Duration::from_millis(20);

/// A running program.
pub(crate) struct Child {
    /// Which.
    pub(crate) part: Part,
    process: tokio::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts a program and waits until it listens.
    pub(crate) async fn start(part: Part, directory: &Path, ports: &Ports) -> anyhow::Result<Self> {
        let log = log(part, directory);
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| log.display().to_string())?;
        let mut command = Command::new(part.executable());
        command.args(part.arguments(&ports.plan())).current_dir(directory).stdin(Stdio::null());
        command.stdout(out.try_clone()?).stderr(out).kill_on_drop(true);
        // A group of its own: Ctrl-C reaches the demo alone, which then stops everything in order.
        command.process_group(0);
        let process = command.spawn().with_context(|| format!("{} does not start", part.program()))?;
        let mut child = Self { part, process, log };
        let listening = async {
            for port in ports.of(part) {
                listens(port).await;
            }
        };
        tokio::select! {
            listening = timeout(START_MAX, listening) => {
                listening.with_context(|| format!("{} does not listen\n{}", part.name(), child.last_words()))?;
            }
            status = child.process.wait() => {
                anyhow::bail!("{} ended ({})\n{}", part.name(), status?, child.last_words());
            }
        }
        Ok(child)
    }

    /// Its number; none once it has ended.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        format!("{}\n  (from {})", last.join("\n"), self.log.display())
    }

    /// Ends it in order. A frozen one is woken up for it; one that does not end is killed.
    pub(crate) async fn stop(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        self.signal(Signal::SIGCONT);
        match timeout(STOP_MAX, self.process.wait()).await {
            Ok(status) => status,
            Err(_) => {
                self.process.start_kill()?;
                self.process.wait().await
            }
        }
    }

    /// Only to a process that was not yet waited for: the number is still its own.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// Where a program's output goes.
pub(crate) fn log(part: Part, directory: &Path) -> PathBuf {
    directory.join(format!("{}.log", part.name()))
}

async fn listens(port: u16) {
    let mut ticks = interval(PERIOD);
    while TcpStream::connect(local(port)).await.is_err() {
        ticks.tick().await;
    }
}
