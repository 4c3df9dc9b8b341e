//! What systemd is told: ready, a fed watchdog, who the service is, and its end.

use harness::authority::Authority;
use harness::eventually;
use harness::proxy::Proxy;
use harness::setup::Setup;
use harness::upstream::{Speech, Upstream};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

/// The service manager's patience.
const WATCHDOG: Duration = Duration::from_millis(400);

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

    /// Asserts that the watchdog goes hungry from the moment on at which the proxy says so.
    async fn hears_no_more(&self, proxy: &Proxy) {
        let look = || proxy.program.err().iter().any(|line| line.contains("goes hungry")).then_some(());
        eventually::found("the proxy says that it does not serve", look).await;
        self.forget();
        // It would have been fed four times, and the service manager's patience would have ended twice.
        let fed = tokio::time::timeout(2 * WATCHDOG, self.hears("WATCHDOG=1")).await;
        assert!(fed.is_err(), "fed although it does not serve: {:?}", self.heard());
    }

    /// A proxy that is told to feed a watchdog.
    async fn start(&self) -> (Proxy, (Upstream, Authority)) {
        let authority = Authority::new();
        let upstream = Upstream::start("virginia", Speech::Http1, &authority);
        let yaml = Setup::new(&[&upstream]).yaml();
        let told =
            [("NOTIFY_SOCKET", self.path.as_str()), ("WATCHDOG_USEC", &WATCHDOG.as_micros().to_string())];
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

/// The socket of another process that listens at this address, by what the system tells of it (proc(5)).
fn listening_socket(process: i32, address: SocketAddr) -> OwnedFd {
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let (port, listens) = (format!(":{:04X}", address.port()), "0A");
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let inode = fields.filter(|fields| fields[1].ends_with(&port) && fields[3] == listens);
    let link = inode.map(|fields| format!("socket:[{}]", fields[9])).next().expect("it listens");
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().map(Result::unwrap);
    let mut its =
        files.filter(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &*link));
    let number = its.next().expect("it has it open").file_name().to_string_lossy().parse().unwrap();
    let process = pidfd_open(rustix::process::Pid::from_raw(process).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_getfd(process, number, PidfdGetfdFlags::empty()).unwrap()
}

/// A thread of another process, by the beginning of its name.
fn thread_of(process: i32, name: &str) -> Pid {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().map(Result::unwrap);
    let is_named =
        |path: &Path| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.starts_with(name));
    let mut named = threads.filter(|thread| is_named(&thread.path()));
    let thread = named.next().expect("there is such a thread").file_name();
    Pid::from_raw(thread.to_string_lossy().parse().unwrap())
}

#[tokio::test]
async fn the_watchdog_of_a_proxy_whose_listener_takes_nobody_is_not_fed() {
    let manager = Manager::new();
    let (proxy, _region) = manager.start().await;
    manager.hears("WATCHDOG=1").await;
    let socket = listening_socket(proxy.program.pid(), proxy.address());
    rustix::net::shutdown(&socket, rustix::net::Shutdown::Read).unwrap();
    manager.hears_no_more(&proxy).await;
}

#[tokio::test]
async fn the_watchdog_of_a_proxy_with_a_thread_that_does_not_run_is_not_fed() {
    let manager = Manager::new();
    let (proxy, _region) = manager.start().await;
    manager.hears("WATCHDOG=1").await;
    // As a debugger does, which is the only way to stop one thread of another process.
    let thread = thread_of(proxy.program.pid(), "listener");
    ptrace::seize(thread, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(thread).unwrap();
    nix::sys::wait::waitpid(thread, Some(nix::sys::wait::WaitPidFlag::__WALL)).unwrap();
    manager.hears_no_more(&proxy).await;
    ptrace::detach(thread, None).unwrap();
    manager.hears("WATCHDOG=1").await;
}
