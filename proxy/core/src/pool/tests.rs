mod checks;
mod crowd;
mod drill;
mod ejection;
mod memory;
mod orders;
mod pace;
mod page;
mod passed;
mod priority;
mod probing;
mod reconfigure;
mod room;
mod slow_start;
mod suspicion;
mod throttling;

use super::*;
use crate::check::CheckResult;
use crate::classify::Class;
use crate::outlier::EjectReason;
use fastrand::Rng;
use std::num::NonZeroU32;
use std::time::Duration;

const READ: Wish<'static> = Wish {
    tried: &[],
    may_probe: true,
    key: None,
    inside: None,
    reader: None,
    page: None,
    avoid: None,
    again_at: None,
};
const WRITE: Wish<'static> = Wish { may_probe: false, ..READ };

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Of a pool that was never reconfigured.
const fn key(place: usize) -> UpstreamKey {
    UpstreamKey::at_first(place)
}

fn n(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// A pool with a clock and dice.
struct Yard {
    pool: Pool,
    now: Timestamp,
    rng: Rng,
}

impl Yard {
    fn new(upstreams: usize) -> Self {
        Self::with(upstreams, |_| ())
    }

    fn with(upstreams: usize, change: impl FnOnce(&mut PoolSpec)) -> Self {
        let upstream = |index| UpstreamSpec {
            name: format!("region-{index}"),
            weight: NonZeroU32::MIN,
            priority: 0,
            data_domain: String::new(),
            concurrency_max: None,
            signed: false,
        };
        let mut spec = PoolSpec { upstreams: (0..upstreams).map(upstream).collect(), ..PoolSpec::default() };
        change(&mut spec);
        let now = Timestamp::ZERO + seconds(1000);
        Self { pool: Pool::new(Arc::new(spec), now), now, rng: Rng::with_seed(1) }
    }

    fn choose(&mut self, wish: Wish<'_>) -> Choice {
        self.pool.choose(wish, self.now, &mut self.rng).unwrap()
    }

    /// An attempt at this very upstream: everybody else was tried.
    fn direct(&mut self, upstream: usize) -> Choice {
        let others: Vec<_> =
            (0..self.pool.upstreams.len()).filter(|&other| other != upstream).map(key).collect();
        self.choose(Wish { tried: &others, ..WRITE })
    }

    fn settle(&mut self, choice: Choice, class: Class) {
        self.settle_for(choice, class, 1);
    }

    fn settle_for(&mut self, choice: Choice, class: Class, client: u64) {
        let outcome = Outcome { class, retry_after: None, client, wrote: false, heard: None };
        self.pool.settle(choice, outcome, self.now, &mut self.rng);
    }

    fn see(&mut self, upstream: usize, class: Class, times: usize) {
        for _ in 0..times {
            let choice = self.direct(upstream);
            self.settle(choice, class);
        }
    }

    fn eject(&mut self, upstream: usize) -> Timestamp {
        self.see(upstream, Class::Unsent, 3);
        match self.health(upstream) {
            Health::Ejected { until, .. } => until,
            other => panic!("{other:?}"),
        }
    }

    /// Opens the probation of an ejected upstream.
    fn wait_out(&mut self, upstream: usize) {
        if let Health::Ejected { until, .. } = self.health(upstream) {
            self.now = until;
        }
    }

    /// Brings an ejected upstream back by its probes.
    fn readmit(&mut self, upstream: usize) {
        self.wait_out(upstream);
        let others: Vec<_> =
            (0..self.pool.upstreams.len()).filter(|&other| other != upstream).map(key).collect();
        while self.health(upstream) != Health::Healthy {
            let probe = self.choose(Wish { tried: &others, ..READ });
            assert_eq!(probe.upstream, key(upstream));
            self.settle(probe, Class::Answered);
        }
    }

    fn health(&self, upstream: usize) -> Health {
        self.pool.upstreams()[upstream].health()
    }

    fn names(&self) -> Vec<&'static str> {
        self.pool.upstreams().iter().map(|upstream| upstream.health().name()).collect()
    }

    fn events(&mut self) -> Vec<PoolEvent> {
        self.pool.take_events()
    }

    /// Where the next writes go.
    fn asked(&mut self, times: usize) -> Vec<usize> {
        (0..times)
            .map(|_| {
                let choice = self.choose(WRITE);
                self.settle(choice, Class::ClientFault);
                choice.upstream.number()
            })
            .collect()
    }
}
