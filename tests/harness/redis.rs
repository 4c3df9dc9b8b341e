//! A real Redis on a leased port: it keeps nothing on disk, listens on loopback, and ends with the test.

use crate::authority::Files;
use crate::eventually;
use crate::port::Lease;
use crate::program::Program;
use nix::sys::signal::Signal;
use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that is killed is gone within this.
const END: Duration = Duration::from_secs(5);

/// How one is told to listen.
#[derive(Clone, Debug, Default)]
struct Manner {
    /// A password it wants, and the files of its certificate.
    locked: Option<(String, Files)>,
}

/// A running Redis, or a place where one ran.
pub struct Redis {
    manner: Manner,
    program: Program,
    lease: Lease,
    directory: tempfile::TempDir,
}

impl Redis {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When it does not: `.ci/setup test` installs it.
    pub async fn start() -> Self {
        Self::start_as(Manner::default()).await
    }

    /// Starts one that speaks TLS only, with this certificate, and wants this password.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn locked(password: &str, files: Files) -> Self {
        Self::start_as(Manner { locked: Some((password.to_owned(), files)) }).await
    }

    async fn start_as(manner: Manner) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let lease = Lease::take();
        let program = run(&lease, &directory, &manner);
        let redis = Self { manner, program, lease, directory };
        redis.answers().await;
        redis
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.lease.address()
    }

    /// Kills it: it forgets everything, and connections to it are refused.
    pub fn kill(&self) {
        self.program.signal(Signal::SIGKILL);
        let _ = self.program.wait(END);
    }

    /// Starts a new one in the same place.
    pub async fn revive(&mut self) {
        self.program = run(&self.lease, &self.directory, &self.manner);
        self.answers().await;
    }

    /// It accepts connections, reads nothing and answers nothing.
    pub fn freeze(&self) {
        self.program.signal(Signal::SIGSTOP);
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.program.signal(Signal::SIGCONT);
    }

    /// The answer to one command, as it comes over the wire; none when it does not come.
    #[must_use]
    pub fn command(&self, command: &str) -> Option<String> {
        let mut tcp = TcpStream::connect(self.address()).ok()?;
        tcp.set_read_timeout(Some(END)).ok()?;
        tcp.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).ok()?;
        let mut said = String::new();
        tcp.read_to_string(&mut said).ok()?;
        Some(said)
    }

    async fn answers(&self) {
        let pong = || match self.manner.locked {
            None => self.command("PING").filter(|said| said.contains("PONG")).is_some().then_some(()),
            Some(_) => TcpStream::connect(self.address()).ok().map(drop),
        };
        eventually::found(&format!("redis-server answers\n{}", self.program.said()), pong).await;
    }
}

fn run(lease: &Lease, directory: &tempfile::TempDir, manner: &Manner) -> Program {
    let port = lease.port().to_string();
    let mut arguments = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]
        .map(OsStr::new)
        .to_vec();
    match &manner.locked {
        None => arguments.extend(["--port", &port].map(OsStr::new)),
        Some((password, files)) => {
            let tls =
                ["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no", "--requirepass", password];
            arguments.extend(tls.map(OsStr::new));
            let certificate = files.certificate.as_os_str();
            arguments.extend([OsStr::new("--tls-cert-file"), certificate]);
            arguments.extend([OsStr::new("--tls-key-file"), files.private_key.as_os_str()]);
            // It wants some; nobody is judged by them.
            arguments.extend([OsStr::new("--tls-ca-cert-file"), certificate]);
        }
    }
    Program::start(OsStr::new("redis-server"), &arguments, &[], Some(directory.path()))
}
