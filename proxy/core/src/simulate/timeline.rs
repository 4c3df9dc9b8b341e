//! A run over time, in equal steps: who got what, in which state, and how long it took.

use crate::pool::Pool;
use crate::receipt::Felt;
use crate::time::Timestamp;
use crate::upstream::Health;
use std::time::Duration;

/// Steps of a run: as many as a picture can show.
const STEPS_MAX: u32 = 120;
/// Shorter steps hold too few requests to say anything.
const STEP_MIN: Duration = Duration::from_millis(500);
/// Names of [`Health::NAMES`].
pub const STATES: usize = Health::NAMES.len();

/// The steps of a run; what comes home after its span is booked in the last one.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// How long a step is.
    pub step: Duration,
    /// The steps, in order.
    pub moments: Vec<Moment>,
    sampled: usize,
}

/// What happened in one step.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// Requests that came in.
    pub requests: u64,
    /// Served by their first attempt.
    pub served: u64,
    /// Served by a later attempt.
    pub rescued: u64,
    /// Not served although the client stayed.
    pub lost: u64,
    /// Attempts that each upstream received.
    pub received: Vec<u64>,
    /// For each upstream, how many proxies hold it in each of [`Health::NAMES`] as the step ends.
    pub states: Vec<[u32; STATES]>,
    /// Proxies in panic as the step ends.
    pub panic: u32,
    /// What half of the served requests took at most.
    pub p50: Duration,
    /// What all but one in a hundred of them took at most.
    pub p99: Duration,
    took: Vec<Duration>,
}

impl Timeline {
    pub(super) fn new(span: Duration, upstreams: usize) -> Self {
        let step = (span / STEPS_MAX).max(STEP_MIN);
        let steps = usize::try_from(span.as_micros().div_ceil(step.as_micros())).unwrap_or(1).max(1);
        let moment = Moment {
            received: vec![0; upstreams],
            states: vec![[0; STATES]; upstreams],
            ..Moment::default()
        };
        Self { step, moments: vec![moment; steps], sampled: 0 }
    }

    /// When a step begins.
    #[must_use]
    pub fn begins(&self, step: usize) -> Timestamp {
        Timestamp::ZERO + self.step.saturating_mul(u32::try_from(step).unwrap_or(u32::MAX))
    }

    /// The most that an upstream received in a step between two moments, over its fair share of the requests
    /// that came in then; 1 is exactly fair.
    #[must_use]
    pub fn overload(&self, upstream: usize, share: f64, from: Timestamp, until: Timestamp) -> f64 {
        let within = |step: &usize| from <= self.begins(*step) && self.begins(*step + 1) <= until;
        let steps = (0..self.moments.len()).filter(within).map(|step| &self.moments[step]);
        let load = |moment: &Moment| {
            let received = moment.received.get(upstream).copied().unwrap_or_default();
            if moment.requests == 0 { 0.0 } else { received as f64 / (share * moment.requests as f64) }
        };
        steps.map(load).fold(0.0, f64::max)
    }

    pub(super) fn at(&mut self, now: Timestamp) -> &mut Moment {
        let index = now.as_micros() / u64::try_from(self.step.as_micros()).unwrap_or(u64::MAX).max(1);
        let last = self.moments.len() - 1;
        &mut self.moments[usize::try_from(index).unwrap_or(last).min(last)]
    }

    /// A step that is over and was not looked at yet has its pools looked at.
    pub(super) fn sample<'p>(&mut self, now: Timestamp, pools: impl Iterator<Item = &'p Pool> + Clone) {
        while self.sampled < self.moments.len() && self.begins(self.sampled + 1) <= now {
            let ends = self.begins(self.sampled + 1);
            let moment = &mut self.moments[self.sampled];
            self.sampled += 1;
            for pool in pools.clone() {
                moment.panic += u32::from(pool.in_panic());
                for (held, states) in pool.upstreams().iter().zip(&mut moment.states) {
                    let name = held.state(ends);
                    let index = Health::NAMES.iter().position(|state| *state == name);
                    index.and_then(|index| states.get_mut(index)).into_iter().for_each(|count| *count += 1);
                }
            }
        }
    }

    /// Sorts out how long things took: step by step, and all together.
    pub(super) fn finish(&mut self) -> (Duration, Duration) {
        let mut all = Vec::new();
        for moment in &mut self.moments {
            moment.took.sort_unstable();
            (moment.p50, moment.p99) = (percentile(&moment.took, 50), percentile(&moment.took, 99));
            all.append(&mut moment.took);
        }
        all.sort_unstable();
        (percentile(&all, 50), percentile(&all, 99))
    }
}

impl Moment {
    pub(super) fn close(&mut self, felt: Felt, took: Option<Duration>) {
        match felt {
            Felt::Ok => self.served += 1,
            Felt::Rescued => self.rescued += 1,
            Felt::Failed | Felt::Rejected => self.lost += 1,
            Felt::Abandoned => {}
        }
        if matches!(felt, Felt::Ok | Felt::Rescued) {
            self.took.extend(took);
        }
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_step_is_at_most_a_hundred_and_twentieth_of_the_run() {
        let steps = |seconds| Timeline::new(Duration::from_secs(seconds), 1).moments.len();
        assert_eq!([steps(1), steps(10), steps(60), steps(600)], [2, 20, 120, 120]);
        let mut timeline = Timeline::new(Duration::from_secs(600), 1);
        timeline.at(second(4)).requests += 1;
        timeline.at(second(5)).requests += 1;
        timeline.at(second(9_999)).requests += 1;
        let requests: Vec<_> = timeline.moments.iter().map(|moment| moment.requests).collect();
        assert_eq!((requests[0], requests[1], requests[119]), (1, 1, 1));
    }

    #[test]
    fn overload_is_measured_against_the_fair_share_of_each_step() {
        let mut timeline = Timeline::new(Duration::from_secs(600), 2);
        for (at, requests, received) in [(0, 100, 90), (5, 100, 55), (10, 200, 120), (15, 0, 3)] {
            let moment = timeline.at(second(at));
            (moment.requests, moment.received[1]) = (requests, received);
        }
        let overload = timeline.overload(1, 0.5, second(5), second(20));
        assert!((overload - 1.2).abs() < 1e-9, "{overload}");
    }
}
