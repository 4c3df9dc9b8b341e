//! An upstream as the adapter holds it: where it is, its connections, and its series.

use crate::config::{PoolConfig, UpstreamConfig};
use crate::line::Line;
use crate::metrics::UpstreamSeries;
use crate::sign::Signer;
use crate::translate;
use aorta_core::classify::{AnswerFacts, GatewayErrorType};
use aorta_core::time::Timestamp;
use aorta_core::upstream::UpstreamKey;
use arc_swap::ArcSwap;
use http::HeaderMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// An upstream of one generation of the configuration.
#[derive(Debug)]
pub struct LiveUpstream {
    /// Which it is, for the core.
    pub key: UpstreamKey,
    /// As configured.
    pub config: Arc<UpstreamConfig>,
    /// What marks a page link that it made; none where any upstream continues what another began.
    pub mark: Option<String>,
    /// Where it is: the same in the next generation, if it did not move.
    pub site: Arc<Site>,
    /// What its attempts move.
    pub series: Arc<UpstreamSeries>,
    /// Signs what goes there, where that is asked for.
    pub signer: Option<Arc<Signer>>,
    /// Wakes who waits for its answer when it is ejected; all generations share it.
    pub(super) ejected: Arc<Notify>,
}

impl LiveUpstream {
    /// An upstream of a pool, with all that stays of the one that bore its key before.
    pub(super) fn new(
        key: UpstreamKey,
        (pool, index): (&PoolConfig, usize),
        series: Arc<UpstreamSeries>,
        before: Option<&Self>,
    ) -> Self {
        let config = Arc::clone(&pool.upstreams[index]);
        let stays = before.filter(|before| before.config.is_at_same_site(&config));
        let site = stays.map_or_else(
            || Arc::new(Site::new(&pool.spec.name, Arc::clone(&config), before.map(|before| &*before.site))),
            |before| Arc::clone(&before.site),
        );
        let ejected = before.map_or_else(Arc::default, |before| Arc::clone(&before.ejected));
        let signed_before = before.and_then(|before| before.signer.as_deref());
        let signer = config.sigv4.as_ref().map(|sigv4| Signer::new(&config.name, sigv4, signed_before));
        Self { key, mark: pool.page_marks.get(index).cloned(), config, site, series, signer, ejected }
    }

    /// Who signed what its gateway refused by this answer, if that is what it means.
    #[must_use]
    pub fn refused_signer(&self, facts: &AnswerFacts, answer: &HeaderMap) -> Option<Arc<Signer>> {
        let refused = facts.gateway_spoke() && facts.error_type == Some(GatewayErrorType::Signature);
        let signer = self.signer.as_ref().filter(|_| refused)?;
        signer.refused(answer);
        Some(Arc::clone(signer))
    }
}

/// The upstreams of a pool, in the order of the configuration.
#[derive(Debug, Default)]
pub struct Members {
    list: Vec<Arc<LiveUpstream>>,
    /// Sorted by key, those too that are configured no more and still have attempts out.
    by_key: Vec<Arc<LiveUpstream>>,
}

impl Members {
    pub(super) fn new(list: Vec<Arc<LiveUpstream>>) -> Self {
        let mut by_key = list.clone();
        by_key.sort_unstable_by_key(|live| live.key);
        Self { list, by_key }
    }

    /// These, and beside them those of before that are wanted.
    pub(super) fn beside(self: &Arc<Self>, before: &Self, wanted: impl Fn(UpstreamKey) -> bool) -> Arc<Self> {
        let gone = before.by_key.iter().filter(|live| self.find(live.key).is_none() && wanted(live.key));
        let gone: Vec<_> = gone.cloned().collect();
        if gone.is_empty() {
            return Arc::clone(self);
        }
        let mut by_key = [self.by_key.as_slice(), &gone].concat();
        by_key.sort_unstable_by_key(|live| live.key);
        Arc::new(Self { list: self.list.clone(), by_key })
    }

    /// Somebody is among them who is configured no more.
    pub(super) fn has_gone(&self) -> bool {
        self.by_key.len() > self.list.len()
    }

    /// The upstream of this key.
    #[must_use]
    pub fn find(&self, key: UpstreamKey) -> Option<&Arc<LiveUpstream>> {
        let place = self.by_key.binary_search_by_key(&key, |live| live.key).ok()?;
        self.by_key.get(place)
    }
}

impl Deref for Members {
    type Target = [Arc<LiveUpstream>];

    fn deref(&self) -> &Self::Target {
        &self.list
    }
}

/// A number for each site that ever was: connections are shared within one, never across.
static SITES: AtomicU64 = AtomicU64::new(0);

/// Where an upstream is: its addresses, which the resolver replaces, and the connections to them.
#[derive(Debug)]
pub struct Site {
    config: Arc<UpstreamConfig>,
    peers: ArcSwap<Vec<Arc<Peer>>>,
    turn: AtomicUsize,
    number: u64,
    group: u64,
    stale: AtomicBool,
    resolved: AtomicU64,
}

impl Site {
    /// A site nobody has connected to; what another one of the same host resolved to is a beginning.
    fn new(pool: &str, config: Arc<UpstreamConfig>, before: Option<&Self>) -> Self {
        let number = SITES.fetch_add(1, Ordering::Relaxed);
        let group = translate::group(pool, &config.name, number);
        let site = Self {
            peers: ArcSwap::default(),
            turn: AtomicUsize::new(0),
            number,
            group,
            stale: AtomicBool::new(false),
            resolved: AtomicU64::new(0),
            config,
        };
        site.replace(&site.config.addresses);
        let same_name = |before: &&Self| {
            let (old, new) = (&before.config, &site.config);
            new.addresses.is_empty() && (&old.host, old.port) == (&new.host, new.port)
        };
        if let Some(before) = before.filter(same_name) {
            let known = before.peers.load();
            site.replace(&known.iter().filter_map(|peer| peer.socket()).collect::<Vec<_>>());
        }
        site
    }

    /// Which it is; no other site of the process has its number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// What is connected to, as configured.
    #[must_use]
    pub fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// Puts these addresses in force; an empty list changes nothing, so the last good answer stays. An address
    /// that stays keeps its connections.
    pub fn replace(&self, addresses: &[SocketAddr]) {
        if addresses.is_empty() {
            return;
        }
        let known = self.peers.load();
        let peer = |address: &SocketAddr| {
            let same = known.iter().find(|peer| peer.socket() == Some(*address));
            same.map_or_else(|| Arc::new(translate::peer(&self.config, *address, self.group)), Arc::clone)
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

    fn socket(&self) -> Option<SocketAddr> {
        self.shared.peer._address.as_inet().copied()
    }

    /// No connection came about.
    pub fn failed(&self, now: Timestamp) {
        self.avoided.store((now + AVOID).as_micros(), Ordering::Relaxed);
    }
}
