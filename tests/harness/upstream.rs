//! A scripted upstream: a regional endpoint that does what a test says, and remembers what it saw.
//!
//! Each one has a thread of its own, so that it can be frozen like a stopped process, and so that a test which
//! waits for a child does not stop its upstreams.

pub mod answer;
mod http1;
mod http2;
pub mod ledger;
pub mod script;
mod wire;

use crate::authority::Authority;
use crate::eventually::BOUND;
use crate::port::Lease;
use answer::served;
use ledger::{Ledger, Seen};
use script::{Answer, Behaviour, Door, Order};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, yield_now};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use wire::Io;

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// HTTP/1.1 in the clear.
    Plain,
    /// HTTP/1.1 over TLS.
    Http1,
    /// HTTP/2 over TLS.
    Http2,
}

/// What the connections of one upstream share.
struct Shared {
    orders: Mutex<Vec<Order>>,
    door: Mutex<Door>,
    ledger: Mutex<Ledger>,
    tls: Option<TlsAcceptor>,
}

/// What is to be done with one request.
struct Plan {
    behaviour: Behaviour,
    answer: Answer,
}

impl Shared {
    /// How much of its body is read before it is answered; none: all.
    fn read_of_body(&self, seen: &Seen) -> Option<usize> {
        let orders = lock(&self.orders);
        let order = orders.iter().find(|order| order.hits(seen))?;
        if let Behaviour::Early(bytes) = order.behaviour { Some(bytes) } else { None }
    }

    fn receive(&self, seen: Seen) -> Plan {
        let order = lock(&self.orders).iter().find(|order| order.hits(&seen)).cloned();
        let order = order.unwrap_or_else(|| Order::after(Behaviour::Serve));
        let mut ledger = lock(&self.ledger);
        if order.executed || matches!(order.behaviour, Behaviour::Serve | Behaviour::Slow(_)) {
            ledger.execute(&seen);
        }
        let answer = match (&order.behaviour, order.answer) {
            (Behaviour::Say(answer), _) => answer.clone(),
            (_, Some(answer)) => answer,
            (_, None) => served(&seen),
        };
        ledger.seen.push(seen);
        Plan { behaviour: order.behaviour, answer }
    }
}

/// A running scripted upstream.
pub struct Upstream {
    name: String,
    speech: Speech,
    ca: Option<PathBuf>,
    lease: Lease,
    shared: Arc<Shared>,
    runtime: Handle,
    accepting: Mutex<Option<JoinHandle<()>>>,
    frozen: Mutex<Option<Sender<()>>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Upstream {
    /// Starts one that serves; under TLS it bears a certificate for `NAME.fhir.test`.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start(name: &str, speech: Speech, authority: &Authority) -> Self {
        Self::start_as(name, speech, authority, &format!("{name}.fhir.test"))
    }

    /// Starts one whose certificate is for another host, to be mistrusted.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start_as(name: &str, speech: Speech, authority: &Authority, certified: &str) -> Self {
        let tls = match speech {
            Speech::Plain => None,
            Speech::Http1 => Some(authority.server(certified, &[b"http/1.1"])),
            Speech::Http2 => Some(authority.server(certified, &[b"h2"])),
        };
        let shared = Arc::new(Shared {
            orders: Mutex::default(),
            door: Mutex::default(),
            ledger: Mutex::default(),
            tls: tls.map(TlsAcceptor::from),
        });
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be built");
            let _ = tell.send(runtime.handle().clone());
            let _ = runtime.block_on(stopped);
        });
        let upstream = Self {
            name: name.to_owned(),
            speech,
            ca: (speech != Speech::Plain).then(|| authority.ca()),
            lease: Lease::take(),
            shared,
            runtime: told.recv().expect("the upstream's thread runs"),
            accepting: Mutex::default(),
            frozen: Mutex::default(),
            stop: Some(stop),
        };
        upstream.accept();
        upstream
    }

    /// Its name in the proxy's configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.lease.address()
    }

    /// Its host as the proxy should send it.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}.fhir.test:{}", self.name, self.lease.port())
    }

    /// Its URL, with this base path.
    #[must_use]
    pub fn url(&self, base_path: &str) -> String {
        let scheme = if self.speech == Speech::Plain { "http" } else { "https" };
        format!("{scheme}://{}{base_path}", self.authority())
    }

    /// The root that its certificate can be trusted by.
    #[must_use]
    pub const fn ca(&self) -> Option<&PathBuf> {
        self.ca.as_ref()
    }

    /// Puts this order in force, in place of all others.
    pub fn obey(&self, order: Order) {
        *lock(&self.shared.orders) = vec![order];
    }

    /// Lets the listener itself misbehave; open connections stay as they are.
    pub fn door(&self, door: Door) {
        *lock(&self.shared.door) = door;
    }

    /// Serves again, whatever was ordered; a frozen one is thawed, a closed listener opened.
    pub fn heal(&self) {
        lock(&self.shared.orders).clear();
        *lock(&self.shared.door) = Door::Open;
        *lock(&self.frozen) = None;
        self.listen();
    }

    /// Opens the listener again, if it is closed.
    pub fn listen(&self) {
        if lock(&self.accepting).is_none() {
            self.accept();
        }
    }

    /// Closes the listener and every connection: connecting is refused until [`Self::heal`].
    pub async fn refuse(&self) {
        let accepting = lock(&self.accepting).take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // Its end is what counts: by then the listener is closed.
            let _ = accepting.await;
        }
    }

    /// Stops as a process does that got SIGSTOP: the system still accepts, nobody reads, until [`Self::heal`].
    pub fn freeze(&self) {
        let (thaw, thawed) = channel();
        let (stand_still, stands_still) = channel();
        *lock(&self.frozen) = Some(thaw);
        self.runtime.spawn(async move {
            let _ = stand_still.send(());
            // Blocks the only thread of this runtime on purpose.
            let _ = thawed.recv();
        });
        // Not before that thread stands still: a request could slip through.
        let _ = stands_still.recv();
    }

    /// What it remembers.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.shared.ledger)
    }

    /// How many requests of clients it has seen.
    #[must_use]
    pub fn count(&self) -> usize {
        self.ledger().seen.iter().filter(|seen| !seen.is_check()).count()
    }

    /// The last request of a client it has seen.
    ///
    /// # Panics
    /// When it has seen none.
    #[must_use]
    pub fn last(&self) -> Seen {
        let ledger = self.ledger();
        ledger.seen.iter().rfind(|seen| !seen.is_check()).cloned().expect("a request was seen")
    }

    fn accept(&self) {
        let listener = bind(self.address());
        listener.set_nonblocking(true).expect("a listener need not block");
        let shared = Arc::clone(&self.shared);
        let accepting = self.runtime.spawn(accept(listener, shared));
        *lock(&self.accepting) = Some(accepting);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        *lock(&self.frozen) = None;
        drop(self.stop.take());
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("inside a runtime");
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        let connection = {
            let mut ledger = lock(&shared.ledger);
            ledger.connections += 1;
            ledger.connections
        };
        // How a connection ended shows at the other side; here it only matters that it did.
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let ended = serve(tcp, Arc::clone(&shared), connection).await;
            lock(&shared.ledger).closed += 1;
            ended
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(tcp: TcpStream, shared: Arc<Shared>, connection: usize) -> std::io::Result<()> {
    let door = *lock(&shared.door);
    let _ = tcp.set_nodelay(true);
    let mut io = match &shared.tls {
        _ if door == Door::Mute => Io::Plain(tcp),
        None => Io::Plain(tcp),
        Some(tls) => Io::Tls(Box::new(tls.accept(tcp).await?)),
    };
    match door {
        Door::Open if io.is_http2() => http2::serve(io, shared, connection).await,
        Door::Open => http1::serve(io, shared, connection).await,
        Door::Mute | Door::Deaf => http1::read_to_the_end(&mut io).await,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that another test starts in this very moment has a copy of the listener that tried the leased port, until
/// its program begins.
fn bind(address: SocketAddr) -> TcpListener {
    let began = Instant::now();
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && began.elapsed() < BOUND => yield_now(),
            bound => return bound.expect("a leased port can be bound"),
        }
    }
}

#[cfg(test)]
mod tests;
