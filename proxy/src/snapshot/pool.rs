//! A pool as the adapter holds it: one generation of its configuration, over the state that all generations share.

use super::upstream::{LiveUpstream, Members};
use crate::admission::Places;
use crate::clock;
use crate::config::PoolConfig;
use crate::explain::{History, Told};
use crate::metrics::{Metrics, PoolSeries};
use crate::tape::{Beginning, Recorder, Tape};
use aorta_core::pool::{Pool, PoolEvent, PoolSpec};
use aorta_core::tape::{Question, told};
use aorta_core::time::Timestamp;
use aorta_core::upstream::UpstreamKey;
use aorta_core::verdict::Refusal;
use arc_swap::ArcSwap;
use fastrand::Rng;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A pool with its live state.
#[derive(Debug)]
pub struct LivePool {
    /// As configured.
    pub config: PoolConfig,
    /// In the order of the configuration.
    pub upstreams: Arc<Members>,
    /// What its requests move.
    pub series: Arc<PoolSeries>,
    /// What lives on under another configuration.
    pub state: Arc<PoolState>,
}

/// What every generation of a pool shares: a request that began under an earlier one settles where the next request
/// chooses.
#[derive(Debug)]
pub struct PoolState {
    /// No other pool of the process, not even one of the same name that comes later, has it.
    pub number: u64,
    /// The pool's name.
    pub name: String,
    /// What happened to it lately.
    pub history: History<Told>,
    /// How many requests it carries.
    pub places: Places,
    /// Those that the core may send to, whatever the generation of the request.
    newest: ArcSwap<Members>,
    decisions: Mutex<Decisions>,
    /// Exchanges that were opened, while they are recorded.
    exchanges: AtomicU64,
    recorded: AtomicBool,
}

/// Pools that there were.
static POOLS: AtomicU64 = AtomicU64::new(0);

/// The core's pool and the dice it is given.
#[derive(Debug)]
struct Decisions {
    /// The core's pool.
    pool: Pool,
    /// Seeded once at start.
    rng: Rng,
    /// Writes down what is asked and said; mostly there is none.
    recorder: Option<Box<Recorder>>,
}

impl LivePool {
    pub(super) fn new(config: PoolConfig, metrics: &Metrics, now: Timestamp, seed: u64) -> Self {
        let pool = Pool::new(Arc::clone(&config.spec), now);
        let upstreams = members(&config, &pool, &Members::default(), metrics);
        let state = PoolState {
            number: POOLS.fetch_add(1, Ordering::Relaxed),
            name: config.spec.name.clone(),
            history: History::of_events(),
            places: Places::new(config.spec.concurrency),
            newest: ArcSwap::new(Arc::clone(&upstreams)),
            decisions: Mutex::new(Decisions { pool, rng: Rng::with_seed(seed), recorder: None }),
            exchanges: AtomicU64::new(0),
            recorded: AtomicBool::new(false),
        };
        Self { series: metrics.pool(&config), config, upstreams, state: Arc::new(state) }
    }

    /// The next generation of this pool. From here on the core decides by it, for requests of this one too.
    pub(super) fn succeed(
        &self,
        config: PoolConfig,
        metrics: &Metrics,
        now: Timestamp,
    ) -> (Self, Vec<PoolEvent>) {
        let state = Arc::clone(&self.state);
        let before = state.newest.load_full();
        let upstreams = state.read(|pool| members(&config, pool, &before, metrics));
        // Known before anybody is sent there, and for as long as anybody is.
        state.newest.store(upstreams.beside(&before, |_| true));
        let events = state.reconfigure(Arc::clone(&config.spec), now);
        let retired = state.read(Pool::retired);
        state.newest.store(upstreams.beside(&before, |key| retired.contains(&key)));
        state.places.reconfigure(config.spec.concurrency);
        (Self { series: metrics.pool(&config), config, upstreams, state }, events)
    }

    /// Lets go of upstreams that are configured no more, once the last attempt at them is over.
    pub fn let_go(&self) {
        let held = self.state.newest.load();
        if held.has_gone() {
            let retired = self.read(Pool::retired);
            let without = self.upstreams.beside(&held, |key| retired.contains(&key));
            self.state.newest.compare_and_swap(&held, without);
        }
    }

    /// The pool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// The upstream of this key: of this generation, or of a later one that the core sends requests of this one to.
    #[must_use]
    pub fn upstream(&self, key: UpstreamKey) -> Option<Arc<LiveUpstream>> {
        self.upstreams.find(key).cloned().or_else(|| self.state.upstream(key))
    }

    /// The upstream that made the link with this mark; none where any upstream continues what another began.
    ///
    /// # Errors
    /// When no upstream of this pool made it, or none that is still there.
    pub fn page_maker(&self, mark: &str) -> Result<Option<UpstreamKey>, Refusal> {
        if self.config.page_marks.is_empty() {
            return Ok(None);
        }
        let maker = self.upstreams.iter().find(|live| live.mark.as_deref() == Some(mark));
        maker.map(|live| Some(live.key)).ok_or(Refusal::PageGone)
    }

    /// Asks the core a question of this exchange, and returns what it wants told besides.
    pub fn decide<T: Debug>(
        &self,
        question: (u64, Question),
        ask: impl FnOnce(&mut Pool, Timestamp, &mut Rng) -> T,
    ) -> (T, Vec<PoolEvent>) {
        self.state.decide(question, ask)
    }

    /// Asks the core what no tape holds: if that changes anything, the tape ends.
    pub fn decide_untaped<T>(&self, ask: impl FnOnce(&mut Pool, &mut Rng) -> T) -> (T, Vec<PoolEvent>) {
        self.state.decide_untaped(ask)
    }

    /// Wakes who waits for an answer of this upstream, because it was ejected.
    pub fn ejected(&self, upstream: UpstreamKey) {
        if let Some(live) = self.upstream(upstream) {
            live.ejected.notify_waiters();
        }
    }

    /// Waits for an ejection of this upstream.
    pub async fn ejection(&self, upstream: UpstreamKey) {
        match self.upstream(upstream) {
            Some(live) => live.ejected.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Reads the core's state.
    pub fn read<T>(&self, look: impl FnOnce(&Pool) -> T) -> T {
        self.state.read(look)
    }
}

impl PoolState {
    /// The upstream of this key, as it is configured now.
    #[must_use]
    pub fn upstream(&self, key: UpstreamKey) -> Option<Arc<LiveUpstream>> {
        self.newest.load().find(key).cloned()
    }

    fn decide<T: Debug>(
        &self,
        (exchange, question): (u64, Question),
        ask: impl FnOnce(&mut Pool, Timestamp, &mut Rng) -> T,
    ) -> (T, Vec<PoolEvent>) {
        let mut held = self.lock();
        let Decisions { pool, rng, recorder } = &mut *held;
        let now = clock::now();
        let answer = ask(pool, now, rng);
        let events = pool.take_events();
        if let Some(recorder) = recorder {
            recorder.note(exchange, &question, now, &told(&answer, &events));
        }
        (answer, events)
    }

    fn decide_untaped<T>(&self, ask: impl FnOnce(&mut Pool, &mut Rng) -> T) -> (T, Vec<PoolEvent>) {
        let mut held = self.lock();
        let Decisions { pool, rng, recorder } = &mut *held;
        let answer = ask(pool, rng);
        let events = pool.take_events();
        if let Some(recorder) = recorder.as_mut().filter(|_| !events.is_empty()) {
            recorder.end("an order that is not recorded", clock::now());
        }
        (answer, events)
    }

    /// Another specification from now on; a tape holds decisions under one only.
    fn reconfigure(&self, spec: Arc<PoolSpec>, now: Timestamp) -> Vec<PoolEvent> {
        let mut held = self.lock();
        let Decisions { pool, rng, recorder } = &mut *held;
        pool.reconfigure(spec, now, rng);
        if let Some(recorder) = recorder {
            recorder.end("a reload", now);
        }
        pool.take_events()
    }

    /// Writes down from now on what is asked and said; the dice are thrown anew.
    pub(super) fn record(&self, tape: &Arc<Tape>, beginning: &Beginning<'_>) {
        let mut held = self.lock();
        held.rng = Rng::with_seed(beginning.seed);
        held.recorder = Some(Box::new(Recorder::begin(Arc::clone(tape), beginning)));
        self.recorded.store(true, Ordering::Relaxed);
    }

    /// A number for an exchange that opens; all are 0 while nothing is recorded.
    pub fn exchange_number(&self) -> u64 {
        let recorded = self.recorded.load(Ordering::Relaxed);
        if recorded { self.exchanges.fetch_add(1, Ordering::Relaxed) + 1 } else { 0 }
    }

    fn read<T>(&self, look: impl FnOnce(&Pool) -> T) -> T {
        look(&self.lock().pool)
    }

    // A decision that panicked left counters that are at worst off by one: serving on is better than dying.
    fn lock(&self) -> MutexGuard<'_, Decisions> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The upstreams of a configuration, with all that stays of those before them.
fn members(config: &PoolConfig, pool: &Pool, before: &Members, metrics: &Metrics) -> Arc<Members> {
    let live = |(index, key): (usize, UpstreamKey)| {
        let before = before.find(key).map(|before| &**before);
        let series = before.map(|before| &before.series);
        let series = metrics.upstream(config, &config.upstreams[index].name, series);
        Arc::new(LiveUpstream::new(key, (config, index), series, before))
    };
    Arc::new(Members::new(pool.keys(&config.spec).into_iter().enumerate().map(live).collect()))
}
