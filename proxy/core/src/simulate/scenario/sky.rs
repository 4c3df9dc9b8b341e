//! The sky over an upstream: how fast it answers, how much it bears, and when it does neither.

use crate::bounds::Ratio;
use crate::simulate::weather::Weather;
use crate::time::Timestamp;
use fastrand::Rng;
use std::time::Duration;

/// The weather over one upstream.
#[derive(Clone, Debug)]
pub struct Sky {
    /// What half of its answers take at most.
    pub latency: Duration,
    /// What all but one in a hundred take at most, as a multiple of that; 1 is always the same.
    pub tail: f64,
    /// What all proxies together may ask of it.
    pub capacity: Capacity,
    /// When the weather is anything but fine; the first spell that covers a moment rules it.
    pub spells: Vec<Spell>,
}

impl Default for Sky {
    fn default() -> Self {
        let latency = Duration::from_millis(20);
        Self { latency, tail: 5.0, capacity: Capacity::default(), spells: Vec::new() }
    }
}

/// What an upstream bears; by default anything.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Capacity {
    /// The gateway answers 429 beyond this.
    pub throttle: Option<Throttle>,
    /// Requests at once that are served in the usual time: with twice as many each takes twice as long.
    pub at_once: Option<u32>,
}

/// A token bucket (AWS, "Throttle requests to your REST APIs": rate and burst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Requests each second.
    pub per_second: u32,
    /// Requests that may come at once.
    pub burst: u32,
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
    /// How many times slower than usual [`Weather::Slow`] is.
    pub slowness: u32,
    /// It comes and goes; none is without a break.
    pub rhythm: Option<Rhythm>,
}

/// How a spell comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// From one beginning to the next.
    pub every: Duration,
    /// How long it stays each time.
    pub lasting: Duration,
}

/// How many times slower than usual slow weather is where nothing else is said.
pub const SLOWNESS: u32 = 50;
/// What is rarer than this many deviations is a fault, and stands among the spells.
const DEVIATIONS_MAX: f64 = 3.0;
/// All but one in a hundred of a normal distribution lie below this many deviations.
const DEVIATIONS_99: f64 = 2.326;

impl Spell {
    /// One that hits every request, without a break.
    #[must_use]
    pub fn new(weather: Weather, from: Timestamp, until: Timestamp) -> Self {
        Self { from, until, weather, share: Ratio::percent(100), slowness: SLOWNESS, rhythm: None }
    }

    /// It rules this moment.
    #[must_use]
    pub fn covers(&self, now: Timestamp) -> bool {
        let comes = |rhythm: Rhythm| {
            let into = now.since(self.from).as_micros() % rhythm.every.as_micros().max(1);
            into < rhythm.lasting.as_micros()
        };
        self.from <= now && now < self.until && self.rhythm.is_none_or(comes)
    }
}

impl Sky {
    /// Everything is fine from `from` to `until`.
    #[must_use]
    pub fn is_clear(&self, from: Timestamp, until: Timestamp) -> bool {
        self.spells.iter().all(|spell| spell.until <= from || until < spell.from)
    }

    /// What hits a request that comes now, and how many times slower than usual it is.
    pub(in crate::simulate) fn strike(&self, now: Timestamp, rng: &mut Rng) -> (Weather, u32) {
        let chance = rng.f64();
        match self.spells.iter().find(|spell| spell.covers(now)) {
            Some(spell) if chance < spell.share.get() => (spell.weather, spell.slowness),
            _ => (Weather::Fine, 1),
        }
    }

    /// What one answer takes: log-normal between its median and its tail, as latencies are.
    pub(in crate::simulate) fn takes(&self, rng: &mut Rng) -> Duration {
        let deviation = self.tail.max(1.0).ln() / DEVIATIONS_99;
        let factor = (deviation * normal(rng).clamp(-DEVIATIONS_MAX, DEVIATIONS_MAX)).exp();
        Duration::try_from_secs_f64(self.latency.as_secs_f64() * factor).unwrap_or(Duration::MAX)
    }
}

/// A standard normal number (Box and Muller, 1958).
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_have_their_median_and_their_tail() {
        let (sky, mut rng) = (Sky::default(), Rng::with_seed(1));
        let mut took: Vec<_> = (0..20_000).map(|_| sky.takes(&mut rng).as_micros()).collect();
        took.sort_unstable();
        assert!((19_000..=21_000).contains(&took[10_000]), "{}", took[10_000]);
        assert!((90_000..=110_000).contains(&took[19_800]), "{}", took[19_800]);
        let same = Sky { tail: 1.0, ..Sky::default() };
        assert_eq!(same.takes(&mut rng), same.latency);
    }

    #[test]
    fn a_spell_with_a_rhythm_comes_and_goes() {
        let second = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        let rhythm = Rhythm { every: Duration::from_secs(10), lasting: Duration::from_secs(3) };
        let spell = Spell { rhythm: Some(rhythm), ..Spell::new(Weather::Refuse, second(5), second(30)) };
        let ruled: Vec<_> = (0..40).filter(|&at| spell.covers(second(at))).collect();
        assert_eq!(ruled, [5, 6, 7, 15, 16, 17, 25, 26, 27]);
    }
}
