//! What a run is given.

use super::weather::Weather;
use crate::bounds::Ratio;
use crate::exchange::Terms;
use crate::fhir_safety::Safety;
use crate::pool::PoolSpec;
use crate::time::Timestamp;
use fastrand::Rng;
use std::sync::Arc;
use std::time::Duration;

/// A pool, the traffic it gets, and the sky over each of its upstreams.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The pool, as configured.
    pub pool: Arc<PoolSpec>,
    /// Who asks.
    pub traffic: Traffic,
    /// One for each upstream, in the pool's order; an upstream without a sky is always fine.
    pub skies: Vec<Sky>,
    /// Requests arrive this long.
    pub span: Duration,
}

/// Who asks, how often, and for what.
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
    pub(super) fn gap(&self, now: Timestamp, rng: &mut Rng) -> Duration {
        let burst = self.bursts.iter().find(|burst| burst.from <= now && now < burst.until);
        let rate = burst.map_or(self.rate, |burst| burst.rate).max(1e-3);
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
        Request {
            id,
            arrived: now,
            terms: Terms { safety, client, key: Some(client), replayable: !unkept },
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

/// The weather over one upstream.
#[derive(Clone, Debug)]
pub struct Sky {
    /// What an answer usually takes.
    pub latency: Duration,
    /// When the weather is anything but fine; the first spell that covers a moment rules it.
    pub spells: Vec<Spell>,
}

impl Default for Sky {
    fn default() -> Self {
        Self { latency: Duration::from_millis(20), spells: Vec::new() }
    }
}

/// A spell of one weather.
#[derive(Clone, Copy, Debug)]
pub struct Spell {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// What it brings.
    pub weather: Weather,
    /// The share of requests it hits.
    pub share: Ratio,
}

impl Sky {
    /// Everything is fine from `from` to `until`.
    #[must_use]
    pub fn is_clear(&self, from: Timestamp, until: Timestamp) -> bool {
        self.spells.iter().all(|spell| spell.until <= from || until < spell.from)
    }

    pub(super) fn strike(&self, now: Timestamp, rng: &mut Rng) -> Weather {
        let chance = rng.f64();
        match self.spells.iter().find(|spell| spell.from <= now && now < spell.until) {
            Some(spell) if chance < spell.share.get() => spell.weather,
            _ => Weather::Fine,
        }
    }

    /// Half to one and a half times the usual; one in a hundred takes five times as long.
    pub(super) fn takes(&self, rng: &mut Rng) -> Duration {
        let factor = 0.5 + rng.f64();
        let straggles = rng.u8(0..100) == 0;
        self.latency.mul_f64(if straggles { factor * 5.0 } else { factor })
    }
}
