//! A listener's threads. Each accepts from the listener's one socket and serves what it accepted to the end, so
//! that no connection of a client, and none it causes to an upstream, wakes another thread.
//!
//! Pingora's own service accepts on one thread and serves on all: every piece that arrives for a connection then
//! wakes the accepting thread, which wakes the serving one.

use crate::admin::Admin;
use crate::clock;
use crate::config::Listener;
use crate::door::Gate;
use crate::handover::Inherited;
use crate::life::Beat;
use crate::service::Proxy;
use crate::tls;
use anyhow::Context as _;
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::apps::ServerApp;
use pingora::apps::http_app::HttpServer;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::protocols::Stream;
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::Service as Runs;
use pingora::services::listening::Service;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd as _;
use std::sync::Arc;
use std::time::Duration;

/// Shorter than any ordinary time limit, and seldom enough to cost an idle process nothing.
const BEAT: Duration = Duration::from_millis(200);

/// One thread that accepts.
pub struct Worker<A> {
    service: Service<A>,
    /// The socket, already bound, in the form in which Pingora takes one over.
    sockets: ListenFds,
    closing: ShutdownWatch,
    beat: Arc<Beat>,
    /// Counts as accepting while it does.
    of: Option<Arc<Proxy>>,
}

/// A bound socket: one that was handed over for this address, or a new one.
///
/// # Errors
/// When the address cannot be bound.
pub fn socket(address: SocketAddr, inherited: &mut Inherited) -> anyhow::Result<TcpListener> {
    let bind = || TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"));
    let socket = inherited.take(address).map_or_else(bind, Ok)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The threads of one listener, which accept from this socket when they start.
///
/// # Errors
/// When the certificate cannot be used, or too many files are open.
pub fn workers(
    proxy: &Arc<Proxy>,
    listener: &Listener,
    socket: TcpListener,
    threads: usize,
) -> anyhow::Result<Vec<Worker<Entrance>>> {
    let gate = Arc::new(Gate::new(Arc::clone(proxy), proxy.conditions.of(listener), listener.tls.is_some()));
    let worker = |_| {
        let address = listener.address.to_string();
        let entrance = Service::new(format!("listener {address}"), Entrance(Arc::clone(&gate)));
        // A connection would keep its buffers while it is idle. Reading has one for each thread, and what is
        // written at once is put together before.
        let buffers = L4BufferSettings::unbuffered();
        let endpoint = ListenerConfig::tcp(address).l4_buffer(buffers);
        let endpoint = match proxy.certificates.of(listener.address) {
            None => endpoint,
            Some(certificate) => endpoint.tls(tls::settings(certificate)?),
        };
        let socket = (listener.address, socket.try_clone()?);
        let worker = Worker::new(proxy, entrance, endpoint, socket, proxy.life.closing());
        Ok(Worker { of: Some(Arc::clone(proxy)), ..worker })
    };
    let workers = (0..threads).map(worker).collect();
    proxy.life.keep(listener.address, socket);
    workers
}

/// The one thread of the admin port.
///
/// # Errors
/// When too many files are open.
pub fn admin(
    proxy: &Arc<Proxy>,
    admin: Admin,
    (address, socket): (SocketAddr, TcpListener),
) -> anyhow::Result<Worker<HttpServer<Admin>>> {
    let service = Service::new("admin".to_owned(), HttpServer::new_app(admin));
    let endpoint = ListenerConfig::tcp(address.to_string());
    proxy.life.keep_admin(address, socket.try_clone()?);
    Ok(Worker::new(proxy, service, endpoint, (address, socket), proxy.life.admin_closing()))
}

impl<A> Worker<A> {
    fn new(
        proxy: &Arc<Proxy>,
        mut service: Service<A>,
        endpoint: ListenerConfig,
        (address, socket): (SocketAddr, TcpListener),
        closing: ShutdownWatch,
    ) -> Self {
        service.threads = Some(1);
        service.add_listener(endpoint);
        let mut sockets = Fds::new();
        sockets.add(address.to_string(), socket.into_raw_fd());
        let (sockets, beat) = (Arc::new(Mutex::new(sockets)), proxy.life.thread());
        Self { service, sockets, closing, beat, of: None }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> Runs for Worker<A> {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, listeners_per_fd: usize) {
        let (sockets, closing) = (Arc::clone(&self.sockets), self.closing.clone());
        let accepts = self.of.as_ref().map(|proxy| proxy.life.accepts());
        let serving = Runs::start_service(&mut self.service, Some(sockets), closing, listeners_per_fd);
        tokio::select! {
            () = serving => {}
            () = keep_beat(&self.beat) => {}
        }
        drop(accepts);
        self.beat.accepts_no_more();
        // Connections live on after the listener.
        keep_beat(&self.beat).await;
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
/// this one every second request did so. It also shows that the thread runs.
async fn keep_beat(beat: &Beat) {
    let mut turns = tokio::time::interval(BEAT);
    loop {
        turns.tick().await;
        beat.strike(clock::now());
    }
}

/// One thread's way to the gate that all threads of the listener share, with its limits.
pub struct Entrance(Arc<Gate>);

#[async_trait]
impl ServerApp for Entrance {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        self.0.take_in(stream, shutdown.clone());
        None
    }
}
