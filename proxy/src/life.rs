//! The life of the process: who accepts, who is still connected, and what is told to end.
//!
//! It ends in three steps: the listeners take no new connection; each idle connection is kept for one more request;
//! what is idle even then is closed. So a client that sends just as the process ends is served.

use crate::{clock, last_call};
use aorta_core::time::Timestamp;
use parking_lot::Mutex;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// A thread that showed no sign of life for so long does not serve: ten of its beats.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// Where the process stands between its start and its end.
#[derive(Default)]
pub struct Life {
    /// Client connections that are open.
    pub connections: AtomicUsize,
    /// Threads that accept clients.
    accepting: AtomicUsize,
    beats: Mutex<Vec<Arc<Beat>>>,
    /// The sockets that clients connect to, for whoever takes over.
    sockets: Mutex<Vec<Kept>>,
    /// Another process may have them too.
    handed_over: AtomicBool,
    closes: watch::Sender<bool>,
    admin_closes: watch::Sender<bool>,
    idle_ends: watch::Sender<bool>,
    replaced: Notify,
}

impl Life {
    /// Keeps a socket that clients connect to, so that it can be handed over.
    pub fn keep(&self, address: SocketAddr, socket: TcpListener) {
        self.sockets.lock().push(Kept { address, socket, of_clients: true });
    }

    /// The same with the admin port's.
    pub fn keep_admin(&self, address: SocketAddr, socket: TcpListener) {
        self.sockets.lock().push(Kept { address, socket, of_clients: false });
    }

    /// No more clients begin to connect; false when it is not for this process alone to say so, or the system does not
    /// allow it.
    pub fn last_call(&self) -> bool {
        let sockets = self.sockets.lock();
        let made = |kept: &Kept| last_call::make(&kept.socket);
        let mut of_clients = sockets.iter().filter(|kept| kept.of_clients);
        !self.handed_over.load(Ordering::Relaxed) && of_clients.all(|kept| made(kept).is_ok())
    }

    /// The sockets that can be handed over; none once the process is about to end.
    ///
    /// # Errors
    /// When the process may open no more files.
    pub fn sockets(&self) -> std::io::Result<Vec<(SocketAddr, TcpListener)>> {
        self.handed_over.store(true, Ordering::Relaxed);
        let again = |kept: &Kept| Ok((kept.address, kept.socket.try_clone()?));
        self.sockets.lock().iter().map(again).collect()
    }

    /// One more thread is to accept: it tells its beats here.
    #[must_use]
    pub fn thread(&self) -> Arc<Beat> {
        let beat = Arc::new(Beat::default());
        self.beats.lock().push(Arc::clone(&beat));
        beat
    }

    /// Every thread that is to accept has run within the last two seconds, and every listener that was started takes
    /// connections still, unless the process closes them itself.
    #[must_use]
    pub fn is_serving(&self, now: Timestamp) -> bool {
        let beats = self.beats.lock();
        let runs = !beats.is_empty() && beats.iter().all(|beat| beat.is_recent(now));
        let takes =
            || beats.iter().all(|beat| !beat.is_deaf()) && self.sockets.lock().iter().all(Kept::listens);
        runs && (*self.closes.borrow() || takes())
    }

    /// Counts a thread that accepts, until it is dropped.
    #[must_use]
    pub fn accepts(&self) -> Counted<'_> {
        Counted::new(&self.accepting)
    }

    /// Some thread still accepts clients.
    #[must_use]
    pub fn is_accepting(&self) -> bool {
        self.accepting.load(Ordering::Relaxed) > 0
    }

    /// The listeners take no new connection, and this process holds their sockets no longer.
    pub fn close(&self) {
        self.closes.send_replace(true);
        self.sockets.lock().clear();
    }

    /// Nor does the admin port.
    pub fn close_admin(&self) {
        self.admin_closes.send_replace(true);
    }

    /// Idle connections are closed.
    pub fn end_idle(&self) {
        self.idle_ends.send_replace(true);
    }

    /// Another process serves from now on.
    pub fn replace(&self) {
        self.replaced.notify_one();
    }

    /// Waits until another process serves.
    pub async fn replaced(&self) {
        self.replaced.notified().await;
    }

    /// Becomes true when the listeners are to close.
    #[must_use]
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closes.subscribe()
    }

    /// Becomes true when the admin port is to close.
    #[must_use]
    pub fn admin_closing(&self) -> watch::Receiver<bool> {
        self.admin_closes.subscribe()
    }

    /// Becomes true when idle connections are to be closed.
    #[must_use]
    pub fn idle_ending(&self) -> watch::Receiver<bool> {
        self.idle_ends.subscribe()
    }
}

/// A listening socket.
struct Kept {
    address: SocketAddr,
    socket: TcpListener,
    of_clients: bool,
}

impl Kept {
    /// The system lets clients connect to it.
    fn listens(&self) -> bool {
        rustix::net::sockopt::socket_acceptconn(&self.socket).unwrap_or(false)
    }
}

/// The life of a thread that is to accept.
#[derive(Debug, Default)]
pub struct Beat {
    /// When it last showed that it runs: microseconds on the core's scale, and zero before the first time.
    last: AtomicU64,
    deaf: AtomicBool,
}

impl Beat {
    /// The thread runs.
    pub fn strike(&self, now: Timestamp) {
        self.last.store(now.as_micros().max(1), Ordering::Relaxed);
    }

    /// The thread accepts no more, although it may run on for those it has accepted.
    pub fn accepts_no_more(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    fn is_recent(&self, now: Timestamp) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        last > 0 && now.since(Timestamp::from_micros(last)) <= SILENCE_MAX
    }
}

/// Counts up now and down when dropped.
pub struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    /// One more.
    pub fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until this is so, looking often enough that nobody waits for it noticeably.
pub async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(LOOK).await;
    }
}

const LOOK: Duration = Duration::from_millis(5);

/// The process serves, by the clock.
#[must_use]
pub fn serves(life: &Life) -> bool {
    life.is_serving(clock::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    #[test]
    fn who_has_no_thread_or_a_silent_one_does_not_serve() {
        let life = Life::default();
        assert!(!life.is_serving(at(1)), "nobody accepts");
        let (one, other) = (life.thread(), life.thread());
        one.strike(at(0));
        assert!(!life.is_serving(at(1)), "one has not begun");
        other.strike(at(1000));
        assert!(life.is_serving(at(2000)));
        assert!(!life.is_serving(at(2001)), "one has been silent for two seconds");
        one.strike(at(2001));
        assert!(life.is_serving(at(2001)));
    }

    /// A process with one thread, which has shown that it runs.
    fn alive() -> (Life, Arc<Beat>) {
        let life = Life::default();
        let beat = life.thread();
        beat.strike(at(0));
        (life, beat)
    }

    #[test]
    fn a_thread_that_runs_and_accepts_no_more_does_not_serve_unless_the_process_closes() {
        let (life, beat) = alive();
        assert!(life.is_serving(at(1)));
        beat.accepts_no_more();
        assert!(!life.is_serving(at(1)), "it runs for nobody");
        life.close();
        assert!(life.is_serving(at(1)), "it is told to");
    }

    #[test]
    fn a_listener_that_lets_nobody_connect_does_not_serve_unless_the_process_closes() {
        let (life, _beat) = alive();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, thread) = (socket.local_addr().unwrap(), socket.try_clone().unwrap());
        life.keep(address, socket);
        assert!(life.is_serving(at(1)));
        rustix::net::shutdown(&thread, rustix::net::Shutdown::Read).unwrap();
        assert!(!life.is_serving(at(1)));
        life.close();
        assert!(life.is_serving(at(1)));
    }
}
