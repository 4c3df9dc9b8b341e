//! What a run is given.

mod sky;

pub use sky::{Capacity, Rhythm, SLOWNESS, Sky, Spell, Throttle};

use crate::bounds::Ratio;
use crate::exchange::Terms;
use crate::fhir_safety::Safety;
use crate::order::Order;
use crate::pool::PoolSpec;
use crate::time::Timestamp;
use fastrand::Rng;
use std::sync::Arc;
use std::time::Duration;

/// A fleet of proxies with one pool each, the traffic they get, and the sky over the upstreams they share.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The pool, as configured at every proxy; each has its own live state, budget and dice.
    pub pool: Arc<PoolSpec>,
    /// How many proxies there are; none is taken for one.
    pub proxies: u32,
    /// Who asks each proxy.
    pub traffic: Traffic,
    /// One for each upstream, in the pool's order; an upstream without a sky is always fine.
    pub skies: Vec<Sky>,
    /// Requests arrive this long.
    pub span: Duration,
    /// What operators order, at every proxy at the same moment.
    pub orders: Vec<OrderAt>,
}

/// An order and its moment.
#[derive(Clone, Copy, Debug)]
pub struct OrderAt {
    /// When it is given.
    pub at: Timestamp,
    /// Of which upstream.
    pub upstream: usize,
    /// What.
    pub order: Order,
    /// It is not kept from leaving too few.
    pub forced: bool,
}

/// Who asks a proxy, how often, and for what.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Requests each second, on average.
    pub rate: f64,
    /// Times at which the rate is another.
    pub bursts: Vec<Burst>,
    /// The share that reads.
    pub safe: Ratio,
    /// The share, among what does not read, that may be executed twice.
    pub idempotent: Ratio,
    /// The share, among what may be executed twice, that may be so in one record store only.
    pub conditional: Ratio,
    /// How many clients there are.
    pub clients: u64,
    /// How many of them have a key that no gateway accepts.
    pub bad_keys: u64,
    /// The share whose body is too large to keep.
    pub unkept: Ratio,
    /// The share whose answer streams.
    pub streamed: Ratio,
    /// The share whose client leaves within a second.
    pub leaving: Ratio,
    /// The share whose client sets a deadline within two seconds.
    pub hurried: Ratio,
}

impl Default for Traffic {
    /// A hundred reads a second by well-behaved clients.
    fn default() -> Self {
        let none = Ratio::percent(0);
        Self {
            rate: 100.0,
            bursts: Vec::new(),
            safe: Ratio::percent(100),
            idempotent: none,
            conditional: none,
            clients: 10,
            bad_keys: 0,
            unkept: none,
            streamed: none,
            leaving: none,
            hurried: none,
        }
    }
}

/// A time of more, or less, traffic.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// Requests each second.
    pub rate: f64,
}

/// One request, as its client made it.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Its number.
    pub id: u64,
    /// When it came.
    pub arrived: Timestamp,
    /// What the core is told of it.
    pub terms: Terms,
    /// Its client's key is refused everywhere.
    pub bad_key: bool,
    /// Its answer streams.
    pub streams: bool,
}

impl Traffic {
    /// How long it is until the next request at any of the proxies.
    pub(super) fn gap(&self, proxies: u32, now: Timestamp, rng: &mut Rng) -> Duration {
        let burst = self.bursts.iter().find(|burst| burst.from <= now && now < burst.until);
        let rate = burst.map_or(self.rate, |burst| burst.rate).max(1e-3) * f64::from(proxies);
        Duration::from_secs_f64(-(1.0 - rng.f64()).ln() / rate)
    }

    pub(super) fn request(&self, id: u64, now: Timestamp, rng: &mut Rng) -> Request {
        let mut chance = |share: Ratio| rng.f64() < share.get();
        let safety = match (chance(self.safe), chance(self.idempotent), chance(self.conditional)) {
            (true, ..) => Safety::Safe,
            (false, true, false) => Safety::Idempotent,
            (false, true, true) => Safety::Conditional,
            (false, false, _) => Safety::Unsafe,
        };
        let (unkept, streams) = (chance(self.unkept), chance(self.streamed));
        let client = rng.u64(0..self.clients.max(1));
        let hurries = rng.f64() < self.hurried.get();
        let deadline = now + Duration::from_micros(rng.u64(0..2_000_000));
        Request {
            id,
            arrived: now,
            terms: Terms {
                safety,
                client,
                key: Some(client),
                replayable: !unkept,
                deadline: hurries.then_some(deadline),
                page: None,
            },
            bad_key: client < self.bad_keys,
            streams,
        }
    }

    pub(super) fn patience(&self, rng: &mut Rng) -> Option<Duration> {
        let leaves = rng.f64() < self.leaving.get();
        let patience = Duration::from_micros(rng.u64(0..1_000_000));
        leaves.then_some(patience)
    }
}
