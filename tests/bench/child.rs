//! One process that the benchmark starts and ends: where its output goes, whether it accepts, how it is signalled.

use anyhow::{Context as _, bail};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program inside an emulator takes its time.
const START_MAX: Duration = Duration::from_secs(60);
const END_MAX: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// Where standard output goes; standard error always goes to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Into a file that [`Child::says`] reads.
    Kept,
    /// To /dev/null.
    Dropped,
}

/// What is started.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    /// A program without arguments.
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, arguments: Vec::new() }
    }

    /// More arguments, behind those it has.
    pub(crate) fn arguments(mut self, more: &[String]) -> Self {
        self.arguments.extend_from_slice(more);
        self
    }
}

/// A running process. It is ended when this is dropped.
pub(crate) struct Child {
    name: String,
    process: std::process::Child,
    out: PathBuf,
    err: PathBuf,
}

impl Child {
    /// Starts a program; its output files lie in `directory` under `name`.
    pub(crate) fn start(
        name: &str,
        program: &Program,
        directory: &Path,
        output: Output,
    ) -> anyhow::Result<Self> {
        let (out, err) = (directory.join(format!("{name}.out")), directory.join(format!("{name}.err")));
        let stdout = match output {
            Output::Kept => Stdio::from(File::create(&out)?),
            Output::Dropped => Stdio::from(File::options().write(true).open("/dev/null")?),
        };
        let process = Command::new(&program.path)
            .args(&program.arguments)
            .current_dir(directory)
            // Whatever a program keeps for its user is kept here.
            .env("HOME", directory)
            .env("XDG_CONFIG_HOME", directory)
            .env("XDG_DATA_HOME", directory)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::from(File::create(&err)?))
            .spawn()
            .with_context(|| format!("{} does not start", program.path.display()))?;
        Ok(Self { name: name.to_owned(), process, out, err })
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it has written to standard error.
    pub(crate) fn complaints(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap_or_default()
    }

    /// Waits until its standard output holds `text`.
    pub(crate) async fn says(&mut self, text: &str) -> anyhow::Result<()> {
        let out = self.out.clone();
        self.until(|| std::fs::read_to_string(&out).is_ok_and(|said| said.contains(text))).await
    }

    /// Waits until it accepts connections.
    pub(crate) async fn accepts(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        self.until(|| TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_ok()).await
    }

    async fn until(&mut self, is_so: impl Fn() -> bool) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            if is_so() {
                return Ok(());
            }
            let ended = self.process.try_wait()?;
            if ended.is_some() || start.elapsed() > START_MAX {
                bail!("{} did not come up ({ended:?}): {}", self.name, self.complaints());
            }
        }
    }

    /// Sends a signal. Its number is its own until it was waited for, which only [`Self::end`] does.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.process.id()) {
            let _ = signal::kill(Pid::from_raw(pid), signal);
        }
    }

    /// Kills it and returns when it has ended.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Asks it to end, so that it can end its own children; kills it when it does not.
    fn end(&mut self) {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        self.signal(Signal::SIGCONT);
        self.signal(Signal::SIGTERM);
        let asked = Instant::now();
        while asked.elapsed() < END_MAX {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::park_timeout(LOOK);
        }
        self.kill();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}
