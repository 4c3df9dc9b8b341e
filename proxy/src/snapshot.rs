//! What is in force: the configuration joined with live state. A request holds one snapshot from its first
//! byte to its last.

use crate::admission::Places;
use crate::clock;
use crate::config::access::Access;
use crate::config::{AccessLog, Config, PoolConfig, RouteSettings, UpstreamConfig};
use crate::explain::History;
use crate::line::Line;
use crate::translate;
use aorta_core::pool::{Pool, PoolEvent};
use aorta_core::route::RouteTable;
use aorta_core::time::Timestamp;
use arc_swap::ArcSwap;
use fastrand::Rng;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Routes and pools in force.
#[derive(Debug)]
pub struct Snapshot {
    /// Which request belongs where.
    pub routes: RouteTable,
    /// Beside each route of the table.
    pub route_settings: Vec<RouteSettings>,
    /// Whom it asks.
    pub pools: Vec<Arc<LivePool>>,
    /// Which requests leave an access line.
    pub access: AccessLog,
    /// Who may ask the admin port for what.
    pub admin: Access,
    /// Which configuration it is.
    pub loaded: Loaded,
}

/// Which configuration is in force.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// How many there have been, this one included.
    pub generation: u64,
    /// A hash of the file's text.
    pub hash: u64,
    /// When it was brought into force, since the Unix epoch.
    pub unix: Duration,
}

impl Snapshot {
    /// Brings a configuration into force.
    #[must_use]
    pub fn new(config: Config, now: Timestamp, seed: u64) -> Self {
        let pools = config
            .pools
            .into_iter()
            .enumerate()
            .map(|(index, pool)| Arc::new(LivePool::new(pool, now, seed.wrapping_add(index as u64))))
            .collect();
        Self {
            routes: config.routes,
            route_settings: config.route_settings,
            pools,
            access: config.log.access,
            admin: config.access,
            loaded: Loaded { generation: 1, hash: config.hash, unix: clock::unix() },
        }
    }
}

/// A pool with its live state.
#[derive(Debug)]
pub struct LivePool {
    /// As configured.
    pub config: PoolConfig,
    /// In the order of the configuration.
    pub upstreams: Vec<LiveUpstream>,
    /// What happened to it lately.
    pub history: History<(Timestamp, PoolEvent)>,
    /// How many requests it carries.
    pub places: Places,
    decisions: Mutex<Decisions>,
}

/// The core's pool and the dice it is given.
#[derive(Debug)]
pub struct Decisions {
    /// The core's pool.
    pub pool: Pool,
    /// Seeded once at start.
    pub rng: Rng,
}

impl LivePool {
    fn new(config: PoolConfig, now: Timestamp, seed: u64) -> Self {
        let pool = Pool::new(Arc::clone(&config.spec), now);
        let decisions = Mutex::new(Decisions { pool, rng: Rng::with_seed(seed) });
        let upstreams =
            config.upstreams.iter().map(|upstream| LiveUpstream::new(&config, upstream)).collect();
        let places = Places::new(config.spec.concurrency);
        Self { config, upstreams, places, history: History::of_events(), decisions }
    }

    /// The pool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.spec.name
    }

    /// Asks the core, and returns what it wants told besides.
    pub fn decide<T>(&self, ask: impl FnOnce(&mut Pool, &mut Rng) -> T) -> (T, Vec<PoolEvent>) {
        let mut held = self.lock();
        let Decisions { pool, rng } = &mut *held;
        let answer = ask(pool, rng);
        let events = pool.take_events();
        (answer, events)
    }

    /// Wakes who waits for an answer of this upstream, because it was ejected.
    pub fn ejected(&self, upstream: usize) {
        if let Some(live) = self.upstreams.get(upstream) {
            live.ejected.notify_waiters();
        }
    }

    /// Waits for an ejection of this upstream.
    pub async fn ejection(&self, upstream: usize) {
        match self.upstreams.get(upstream) {
            Some(live) => live.ejected.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Reads the core's state.
    pub fn read<T>(&self, look: impl FnOnce(&Pool) -> T) -> T {
        look(&self.lock().pool)
    }

    // A decision that panicked left counters that are at worst off by one: serving on is better than dying.
    fn lock(&self) -> MutexGuard<'_, Decisions> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One address of an upstream, ready to be connected to.
#[derive(Debug)]
pub struct Peer {
    /// For requests that may be repeated: any idle connection will do.
    pub shared: Line,
    /// For requests that may not: connections of their own that are fresh or were just used, because a stale
    /// one would fail a request that cannot be tried again.
    pub fresh: Line,
    /// For the proxy's own checks, which try whether a connection stands: it is never kept.
    pub own: Line,
    /// Until then it is asked last; microseconds on the core's scale.
    pub avoided: AtomicU64,
}

/// An address that could not be connected to is asked last for this long.
const AVOID: Duration = Duration::from_secs(10);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A request that may be repeated.
    Repeatable,
    /// A request that may not.
    Once,
    /// A check of the proxy's own.
    Own,
}

/// Which address is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Another one.
    Next,
    /// The one that was.
    Same,
}

impl Peer {
    /// Its connections for this purpose.
    #[must_use]
    pub const fn line(&self, purpose: Purpose) -> &Line {
        match purpose {
            Purpose::Repeatable => &self.shared,
            Purpose::Once => &self.fresh,
            Purpose::Own => &self.own,
        }
    }

    fn is_v6(&self) -> bool {
        self.shared.peer._address.as_inet().is_some_and(SocketAddr::is_ipv6)
    }

    /// Its address, in words.
    #[must_use]
    pub fn address(&self) -> String {
        self.shared.peer._address.to_string()
    }

    fn is_at(&self, address: &SocketAddr) -> bool {
        self.shared.peer._address.as_inet() == Some(address)
    }

    /// No connection came about.
    pub fn failed(&self, now: Timestamp) {
        self.avoided.store((now + AVOID).as_micros(), Ordering::Relaxed);
    }
}

/// An upstream's addresses, which the resolver replaces.
#[derive(Debug)]
pub struct LiveUpstream {
    peers: ArcSwap<Vec<Arc<Peer>>>,
    turn: AtomicUsize,
    /// Wakes who waits for its answer when it is ejected.
    ejected: Notify,
    group: u64,
    stale: AtomicBool,
    resolved: AtomicU64,
}

impl LiveUpstream {
    fn new(pool: &PoolConfig, config: &UpstreamConfig) -> Self {
        let group = translate::group(&pool.spec.name, &config.name);
        let live = Self {
            peers: ArcSwap::default(),
            turn: AtomicUsize::new(0),
            ejected: Notify::new(),
            group,
            stale: AtomicBool::new(false),
            resolved: AtomicU64::new(0),
        };
        live.replace(config, &config.addresses);
        live
    }

    /// Puts these addresses in force; an empty list changes nothing, so the last good answer stays. An address
    /// that stays keeps its connections.
    pub fn replace(&self, config: &UpstreamConfig, addresses: &[SocketAddr]) {
        if addresses.is_empty() {
            return;
        }
        let known = self.peers.load();
        let peer = |address: &SocketAddr| {
            let same = known.iter().find(|peer| peer.is_at(address));
            same.map_or_else(|| Arc::new(translate::peer(config, *address, self.group)), Arc::clone)
        };
        self.peers.store(Arc::new(addresses.iter().map(peer).collect()));
    }

    /// Closes idle connections whose time is over, or that their upstream has closed.
    pub fn sweep(&self) {
        for peer in self.peers.load().iter() {
            peer.shared.sweep();
            peer.fresh.sweep();
        }
    }

    /// Its address, when it has one only.
    #[must_use]
    pub fn only_peer(&self) -> Option<Arc<Peer>> {
        match &self.peers.load()[..] {
            [only] => Some(Arc::clone(only)),
            _ => None,
        }
    }

    /// All addresses: IPv6 and IPv4 in turn (RFC 8305 section 4), of each another one first with each turn, and
    /// those that just failed last.
    pub fn peers(&self, turn: Turn, now: Timestamp) -> Vec<Arc<Peer>> {
        let mut order = self.peers.load().to_vec();
        if order.len() > 1 {
            let turn = match turn {
                Turn::Next => self.turn.fetch_add(1, Ordering::Relaxed),
                Turn::Same => self.turn.load(Ordering::Relaxed).wrapping_sub(1),
            };
            let first = turn % order.len();
            order.rotate_left(first);
            order = interleaved(order);
            order.sort_by_key(|peer| peer.avoided.load(Ordering::Relaxed) > now.as_micros());
        }
        order
    }

    /// The name was just looked up, with success.
    pub fn resolved(&self, unix: Duration) {
        self.stale.store(false, Ordering::Relaxed);
        self.resolved.store(unix.as_secs(), Ordering::Relaxed);
    }

    /// The name was just looked up in vain: the addresses in force are the last good ones.
    pub fn lookup_failed(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// The last lookup failed.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// When the name last resolved, in Unix seconds; 0 for never.
    #[must_use]
    pub fn resolved_unix(&self) -> f64 {
        self.resolved.load(Ordering::Relaxed) as f64
    }

    /// The addresses in force.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.peers.load().iter().map(|peer| peer.address()).collect()
    }
}

fn interleaved(peers: Vec<Arc<Peer>>) -> Vec<Arc<Peer>> {
    let (six, four): (Vec<_>, Vec<_>) = peers.into_iter().partition(|peer| peer.is_v6());
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut order = Vec::with_capacity(six.len() + four.len());
    while six.len() + four.len() > 0 {
        order.extend(six.next());
        order.extend(four.next());
    }
    order
}
