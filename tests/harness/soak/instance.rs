//! One proxy of a soak: it writes its access lines to a file, and can be replaced, restarted, reloaded and starved.

use crate::authority::{Authority, Files};
use crate::client::{Client, Target};
use crate::eventually;
use crate::metrics::{Scrape, get};
use crate::port::Lease;
use crate::program::{Program, find};
use bytes::Bytes;
use http::Request;
use nix::sys::signal::Signal;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An end under load takes as long as idle callers are waited for, and a little more.
const END: Duration = Duration::from_secs(40);

/// What a proxy takes of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory.
    pub rss_kib: u64,
    /// Open files.
    pub files: usize,
}

/// A running proxy.
pub struct Instance {
    name: &'static str,
    program: Program,
    /// Those that it took over from; they end with it.
    forebears: Vec<Program>,
    leases: [Lease; 3],
    directory: tempfile::TempDir,
    yaml: String,
}

impl Instance {
    /// Starts one in front of the upstreams of this text: a configuration with one listener, one admin port, and
    /// `127.0.0.1:0` for each.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start(name: &'static str, yaml: &str, files: &Files) -> Self {
        let leases = [Lease::take(), Lease::take(), Lease::take()];
        let [plain, tls, admin] = leases.each_ref().map(|lease| lease.address().to_string());
        let (certificate, key) = (files.certificate.display(), files.private_key.display());
        let secure = format!(
            "listeners:\n  - address: {tls}\n    tls: {{certificate: {certificate}, private_key: {key}}}\n"
        );
        let yaml = yaml.replacen("listeners:\n", &secure, 1);
        let yaml = yaml.replacen("127.0.0.1:0", &plain, 1).replacen("127.0.0.1:0", &admin, 1);
        let directory = tempfile::tempdir().expect("a directory can be made");
        std::fs::write(directory.path().join("aorta.yaml"), &yaml).expect("a configuration can be written");
        let program = launch(directory.path());
        let instance = Self { name, program, forebears: Vec::new(), leases, directory, yaml };
        instance.is_ready().await;
        instance
    }

    /// HTTP/1.1 in the clear.
    #[must_use]
    pub fn plain(&self) -> Target {
        Target::plain(self.leases[0].address())
    }

    /// TLS, with a certificate of this authority.
    #[must_use]
    pub fn secure(&self, authority: &Authority, http2: bool) -> Target {
        let protocol: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
        let target = Target::plain(self.leases[1].address());
        Target { tls: Some(authority.client(&[protocol])), http2, ..target }
    }

    /// Its metrics now.
    ///
    /// # Panics
    /// When it does not tell them.
    #[must_use]
    pub fn metrics(&self) -> Scrape {
        Scrape::take(self.leases[2].address()).expect("the proxy tells its metrics")
    }

    /// What it takes of the machine.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let of = |file: &str| format!("/proc/{}/{file}", self.program.pid());
        let status = std::fs::read_to_string(of("status")).unwrap_or_default();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok());
        let files = std::fs::read_dir(of("fd")).map_or(0, Iterator::count);
        Usage { rss_kib: rss.unwrap_or_default(), files }
    }

    /// Lets a new process take over, and waits until the old one is gone.
    ///
    /// # Panics
    /// When it does not, or the old one's end is not orderly.
    pub fn upgrade(&mut self) {
        Program::adopt_orphans();
        let mut command = Command::new(find("aorta-proxy"));
        let output = command.arg("upgrade").arg("--config").arg(self.file("aorta.yaml")).output();
        let output = output.expect("the proxy's program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}\n{}", self.name, self.said());
        let told: Value = serde_json::from_slice(&output.stdout).expect("it tells the new process");
        let number = told["process"].as_u64().and_then(|number| u32::try_from(number).ok());
        let left = self.program.leaves(END);
        let left = left.unwrap_or_else(|| panic!("the old process stays\n{}", self.said()));
        assert_eq!(left.code(), Some(0), "{}", self.said());
        let heir = self.program.heir(number.expect("a number"));
        self.forebears.push(std::mem::replace(&mut self.program, heir));
    }

    /// Starts it again after [`Self::end`].
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_again(&mut self) {
        self.program = launch(self.directory.path());
        self.forebears.clear();
        self.is_ready().await;
    }

    /// Ends it as a service manager does.
    ///
    /// # Panics
    /// When its end is not orderly, or something panicked in its life.
    pub fn end(&self) {
        self.program.signal(Signal::SIGTERM);
        let left = self.program.leaves(END);
        let left = left.unwrap_or_else(|| panic!("{} does not end\n{}", self.name, self.said()));
        assert_eq!(left.code(), Some(0), "{}: {}", self.name, self.said());
        let said = std::fs::read_to_string(self.file("error.log")).unwrap_or_default();
        assert!(!said.contains("panicked at"), "something panicked\n{said}");
    }

    /// Asks it to read its file anew, and returns the status of its answer.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn reload(&self) -> u16 {
        let admin = Target { host: "localhost".to_owned(), ..Target::plain(self.leases[2].address()) };
        let post = Request::post("/api/reload").body(Bytes::new()).expect("a request");
        Client::new(admin).send(post).await.expect("the admin port answers").status
    }

    /// The next handshake shows the certificate of this file.
    ///
    /// # Panics
    /// When nobody answers, or the file holds none.
    pub async fn bears(&self, authority: &Authority, files: &Files) -> bool {
        let tcp = TcpStream::connect(self.leases[1].address()).await.expect("the proxy accepts");
        let name = ServerName::try_from("aorta.test").expect("a name");
        let tls = TlsConnector::from(authority.client(&[b"http/1.1"])).connect(name, tcp).await;
        let tls = tls.expect("a handshake");
        let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
        shown == Some(CertificateDer::from_pem_file(&files.certificate).expect("a certificate"))
    }

    /// Writes what becomes of its good file; `str::to_owned` puts that back.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write(&self, change: impl FnOnce(&str) -> String) {
        std::fs::write(self.file("aorta.yaml"), change(&self.yaml)).expect("a configuration can be written");
    }

    /// From now on no file of its grows: what it would write to one fails, as on a full disk.
    ///
    /// # Panics
    /// When the system does not allow it.
    pub fn fill_disk(&self) {
        self.program.limit_files(Some(1));
    }

    /// There is room again.
    ///
    /// # Panics
    /// When the system does not allow it.
    pub fn clear_disk(&self) {
        self.program.limit_files(None);
    }

    /// Every entry of its audit file is as it was written, and none is missing between two.
    ///
    /// # Errors
    /// What the proxy's own judge says otherwise.
    ///
    /// # Panics
    /// When that cannot be run.
    pub fn judge_audit(&self) -> Result<(), String> {
        let mut judge = Command::new(find("aorta-proxy"));
        let judge = judge.args(["audit", "verify"]).arg(self.file("audit.jsonl")).output();
        let judge = judge.expect("the proxy's program runs");
        let said = String::from_utf8_lossy(&[judge.stdout, judge.stderr].concat()).into_owned();
        if judge.status.success() { Ok(()) } else { Err(said) }
    }

    /// How long the file with its access lines is.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        std::fs::metadata(self.file("access.log")).map_or(0, |file| file.len())
    }

    /// The last of what it wrote to its log.
    fn said(&self) -> String {
        let said = std::fs::read_to_string(self.file("error.log")).unwrap_or_default();
        said.lines().rev().take(40).collect::<Vec<_>>().join("\n")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn is_ready(&self) {
        let admin = self.leases[2].address();
        let look = || {
            let ended = self.program.ended();
            assert!(ended.is_none(), "{} ended with {ended:?}\n{}", self.name, self.said());
            get(admin, "/readyz").map(drop)
        };
        eventually::found(&format!("{} is ready", self.name), look).await;
    }
}

/// Its standard output is a file, as under a service manager that keeps logs.
fn launch(directory: &std::path::Path) -> Program {
    let script = "exec \"$0\" run --config aorta.yaml >>access.log 2>>error.log";
    let proxy = find("aorta-proxy").canonicalize().expect("the program is there");
    let arguments = [OsStr::new("-c"), OsStr::new(script), proxy.as_os_str()];
    Program::start(OsStr::new("/bin/sh"), &arguments, &[], Some(directory))
}
