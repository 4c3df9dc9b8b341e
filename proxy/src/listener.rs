//! A listener's threads. Each accepts from the listener's one socket and serves what it accepted to the end, so
//! that no connection of a client, and none it causes to an upstream, wakes another thread.
//!
//! Pingora's own service accepts on one thread and serves on all: every piece that arrives for a connection then
//! wakes the accepting thread, which wakes the serving one.

use crate::config::Listener;
use crate::door::Gate;
use crate::service::Proxy;
use crate::tls;
use anyhow::Context as _;
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::apps::ServerApp;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::protocols::Stream;
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::Service as Runs;
use pingora::services::listening::Service;
use std::net::TcpListener;
use std::os::fd::IntoRawFd as _;
use std::sync::Arc;
use std::time::Duration;

/// Each client connection keeps its buffers while it is idle, so they are small: Pingora's 64 KiB for reading
/// are for bulk. An ordinary resource fits into what is written at once, head and body together.
const READ_BUFFER: usize = 4 * 1024;
const WRITE_BUFFER: usize = 4 * 1024;

/// Shorter than any ordinary time limit, and seldom enough to cost an idle process nothing.
const BEAT: Duration = Duration::from_millis(200);

/// One thread of a listener.
pub struct Worker {
    service: Service<Entrance>,
    /// The socket, already bound, in the form in which Pingora takes one over.
    sockets: ListenFds,
}

/// The threads of one listener, which is bound here and accepts when they start.
///
/// # Errors
/// When the address cannot be bound, or the certificate cannot be used.
pub fn workers(proxy: &Arc<Proxy>, listener: &Listener, threads: usize) -> anyhow::Result<Vec<Worker>> {
    let address = listener.address;
    let socket = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    socket.set_nonblocking(true)?;
    let gate = Arc::new(Gate::new(Arc::clone(proxy), listener.limits, listener.tls.is_some()));
    let worker = |_| Worker::new(&gate, listener, socket.try_clone()?);
    (0..threads).map(worker).collect()
}

impl Worker {
    fn new(gate: &Arc<Gate>, listener: &Listener, socket: TcpListener) -> anyhow::Result<Self> {
        let address = listener.address.to_string();
        let mut service = Service::new(format!("listener {address}"), Entrance(Arc::clone(gate)));
        service.threads = Some(1);
        let endpoint =
            ListenerConfig::tcp(address.clone()).l4_buffer(L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER));
        service.add_listener(match &listener.tls {
            None => endpoint,
            Some(files) => endpoint.tls(tls::settings(files)?),
        });
        let mut sockets = Fds::new();
        sockets.add(address, socket.into_raw_fd());
        Ok(Self { service, sockets: Arc::new(Mutex::new(sockets)) })
    }
}

#[async_trait]
impl Runs for Worker {
    async fn start_service(
        &mut self,
        _: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        let sockets = Arc::clone(&self.sockets);
        let serving = Runs::start_service(&mut self.service, Some(sockets), shutdown, listeners_per_fd);
        tokio::select! {
            () = serving => {}
            () = keep_beat() => {}
        }
    }

    fn name(&self) -> &str {
        Runs::name(&self.service)
    }

    fn threads(&self) -> Option<usize> {
        Runs::threads(&self.service)
    }
}

/// Keeps a timer that is due before those of requests.
///
/// Tokio interrupts its own sleep, with a system call, whenever a timer becomes the first of its thread; without
/// this one every second request did so.
async fn keep_beat() {
    let mut beat = tokio::time::interval(BEAT);
    loop {
        beat.tick().await;
    }
}

/// One thread's way to the gate that all threads of the listener share, with its limits.
struct Entrance(Arc<Gate>);

#[async_trait]
impl ServerApp for Entrance {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        self.0.process_new(stream, shutdown).await
    }
}
