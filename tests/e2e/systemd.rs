//! What systemd is told: ready, a fed watchdog, who the service is, and its end.

use harness::authority::Authority;
use harness::eventually;
use harness::proxy::Proxy;
use harness::setup::Setup;
use harness::upstream::{Speech, Upstream};
use nix::sys::signal::Signal;
use std::cell::RefCell;
use std::os::unix::net::UnixDatagram;

/// Stands for systemd: hears what a service says.
struct Manager {
    socket: UnixDatagram,
    heard: RefCell<Vec<String>>,
    _directory: tempfile::TempDir,
    path: String,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify").display().to_string();
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, heard: RefCell::default(), _directory: directory, path }
    }

    fn heard(&self) -> Vec<String> {
        let mut bytes = [0; 1024];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            let said = String::from_utf8_lossy(&bytes[..length]).into_owned();
            self.heard.borrow_mut().extend(said.lines().map(ToOwned::to_owned));
        }
        self.heard.borrow().clone()
    }

    async fn hears(&self, what: &str) {
        let look = || self.heard().iter().any(|line| line.starts_with(what)).then_some(());
        eventually::found(&format!("systemd hears {what}"), look).await;
    }

    fn forget(&self) {
        let _ = self.heard();
        self.heard.borrow_mut().clear();
    }

    /// A proxy that is told to feed a watchdog.
    async fn start(&self) -> (Proxy, (Upstream, Authority)) {
        let authority = Authority::new();
        let upstream = Upstream::start("virginia", Speech::Http1, &authority);
        let yaml = Setup::new(&[&upstream]).yaml();
        let told = [("NOTIFY_SOCKET", self.path.as_str()), ("WATCHDOG_USEC", "400000")];
        (Proxy::start_with(&yaml, &told).await, (upstream, authority))
    }
}

#[tokio::test]
async fn systemd_hears_that_the_proxy_is_ready_that_it_lives_and_that_it_ends() {
    let manager = Manager::new();
    let (mut proxy, _region) = manager.start().await;
    manager.hears("READY=1").await;
    manager.hears("WATCHDOG=1").await;
    manager.forget();
    manager.hears("WATCHDOG=1").await;
    proxy.program.signal(Signal::SIGTERM);
    manager.hears("STOPPING=1").await;
    assert_eq!(proxy.end(), 0);
}

#[tokio::test]
async fn systemd_hears_that_the_proxy_reloads_and_why_it_did_not() {
    let manager = Manager::new();
    let (proxy, _region) = manager.start().await;
    manager.hears("READY=1").await;
    manager.forget();
    proxy.program.signal(Signal::SIGHUP);
    manager.hears("STATUS=configuration 2 is in force").await;
    manager.hears("READY=1").await;
    let heard = manager.heard();
    let at = |what: &str| heard.iter().position(|line| line.starts_with(what));
    let (reloading, ready) = (at("RELOADING=1"), at("READY=1"));
    assert!(reloading.is_some() && reloading < ready && at("MONOTONIC_USEC=") < ready, "{heard:?}");
    manager.forget();
    std::fs::write(proxy.file(), "listeners: 1\n").unwrap();
    proxy.program.signal(Signal::SIGHUP);
    manager.hears("STATUS=configuration 2 stays in force, the last reload failed: ").await;
    manager.hears("READY=1").await;
}

#[tokio::test]
async fn systemd_hears_who_the_service_is_after_an_upgrade() {
    let manager = Manager::new();
    let (mut proxy, _region) = manager.start().await;
    manager.hears("READY=1").await;
    manager.forget();
    proxy.upgrade();
    manager.hears(&format!("MAINPID={}", proxy.program.pid())).await;
    let heard = manager.heard();
    let told = heard.iter().position(|line| line.starts_with("MAINPID="));
    assert!(!heard.contains(&"STOPPING=1".to_owned()), "the service does not stop: {heard:?}");
    manager.hears("READY=1").await;
    let ready = manager.heard().iter().position(|line| line == "READY=1");
    assert!(told < ready, "systemd believes only whom it knows: {:?}", manager.heard());
    manager.forget();
    manager.hears("WATCHDOG=1").await;
}
