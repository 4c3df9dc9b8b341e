//! One region as all proxies of the fleet meet it: its weather, and what the sum of their requests does to it.

use super::scenario::Sky;
use super::weather::{Comes, Effect, Pace, Weather};
use crate::time::Timestamp;
use fastrand::Rng;
use std::time::Duration;

pub(super) struct Region {
    sky: Sky,
    in_flight: u32,
    tokens: f64,
    flowed: Timestamp,
}

/// What becomes of one request.
pub(super) struct Fate {
    pub(super) effect: Effect,
    slowness: u32,
}

impl Region {
    pub(super) fn new(sky: Sky) -> Self {
        let tokens = sky.capacity.throttle.map_or(0.0, |throttle| f64::from(throttle.burst));
        Self { sky, in_flight: 0, tokens, flowed: Timestamp::ZERO }
    }

    pub(super) const fn sky(&self) -> &Sky {
        &self.sky
    }

    pub(super) const fn enter(&mut self) {
        self.in_flight += 1;
    }

    pub(super) const fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A gateway that answers at all refuses a bad key before anything else happens, and throttles next.
    pub(super) fn fate(&mut self, bad_key: bool, now: Timestamp, rng: &mut Rng) -> Fate {
        let (weather, slowness) = self.sky.strike(now, rng);
        let effect = weather.effect();
        let effect = match effect.comes {
            Comes::Answer(_) | Comes::Part if bad_key => Weather::Denied.effect(),
            Comes::Answer(_) | Comes::Part if !self.admits(now) => Weather::Throttled.effect(),
            _ => effect,
        };
        Fate { effect, slowness }
    }

    /// How long it is until something comes; `connect` is the longest a connection may take to stand.
    pub(super) fn takes(&self, fate: &Fate, connect: Duration, rng: &mut Rng) -> Duration {
        let usual = self.usual(rng);
        match fate.effect.pace {
            Pace::Instant => Duration::from_micros(200),
            Pace::Usual => usual,
            Pace::Slow => usual.saturating_mul(fate.slowness),
            Pace::ConnectTimeout => connect,
            Pace::Never => Duration::MAX,
        }
    }

    /// More than it serves at once share what it has.
    fn usual(&self, rng: &mut Rng) -> Duration {
        let takes = self.sky.takes(rng);
        match self.sky.capacity.at_once {
            Some(at_once) if self.in_flight > at_once => {
                takes.saturating_mul(self.in_flight).checked_div(at_once).unwrap_or(Duration::MAX)
            }
            _ => takes,
        }
    }

    fn admits(&mut self, now: Timestamp) -> bool {
        let Some(throttle) = self.sky.capacity.throttle else { return true };
        let flowed = now.since(self.flowed).as_secs_f64() * f64::from(throttle.per_second);
        self.flowed = now;
        self.tokens = (self.tokens + flowed).min(f64::from(throttle.burst));
        let covered = self.tokens >= 1.0;
        if covered {
            self.tokens -= 1.0;
        }
        covered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::scenario::{Capacity, Throttle};

    fn region(capacity: Capacity) -> Region {
        Region::new(Sky { tail: 1.0, capacity, ..Sky::default() })
    }

    fn is_served(region: &mut Region, now: Timestamp) -> bool {
        let fate = region.fate(false, now, &mut Rng::with_seed(1));
        matches!(fate.effect.comes, Comes::Answer(facts) if facts.status == 200)
    }

    #[test]
    fn the_sum_of_all_requests_is_throttled() {
        let throttle = Some(Throttle { per_second: 2, burst: 3 });
        let mut region = region(Capacity { throttle, at_once: None });
        let mut served = |now| (0..10).filter(|_| is_served(&mut region, now)).count();
        let second = Timestamp::ZERO + Duration::from_secs(1);
        assert_eq!((served(Timestamp::ZERO), served(second)), (3, 2));
    }

    #[test]
    fn twice_as_many_at_once_take_twice_as_long() {
        let mut region = region(Capacity { throttle: None, at_once: Some(2) });
        let mut rng = Rng::with_seed(1);
        let mut takes = |entering: u32| {
            (0..entering).for_each(|_| region.enter());
            region.usual(&mut rng).as_millis()
        };
        assert_eq!([takes(2), takes(2), takes(2)], [20, 40, 60]);
    }
}
