//! What every policy promises.

use aorta_core::balance::peak_ewma::Latency;
use aorta_core::balance::{BalancePolicy, Balancer, Candidate, Circumstances};
use aorta_core::time::Timestamp;
use fastrand::Rng;
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

/// Upstreams with a policy, a clock and dice: what a pool is to its balancer.
pub(crate) struct Bench {
    balancer: Balancer,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) now: Timestamp,
    rng: Rng,
}

impl Bench {
    pub(crate) fn new(policy: BalancePolicy, weights: &[u32], seed: u64) -> Self {
        let names: Vec<_> = (0..weights.len()).map(|index| format!("region-{index}")).collect();
        let latency = Latency::new(Timestamp::ZERO);
        let candidate = |(index, &weight)| Candidate { index, weight, in_flight: 0, latency };
        Self {
            balancer: Balancer::new(policy, names.iter().map(String::as_str)),
            candidates: weights.iter().enumerate().map(candidate).collect(),
            now: Timestamp::ZERO,
            rng: Rng::with_seed(seed),
        }
    }

    pub(crate) fn pick(&mut self, key: u64, present: impl Fn(usize) -> bool + Copy) -> Option<usize> {
        self.now = self.now + Duration::from_millis(1);
        let here = self.candidates.iter().copied().filter(move |candidate| present(candidate.index));
        let (now, rng) = (self.now, &mut self.rng);
        self.balancer.pick(here, &mut Circumstances { now, key: Some(key), rng })
    }

    /// How many of `requests`, one after the other and all alike, each gets. Each has a key of its own.
    pub(crate) fn shares(&mut self, requests: u64) -> Vec<u32> {
        let mut shares = vec![0; self.candidates.len()];
        for key in 0..requests {
            let picked = self.pick(key, |_| true).expect("somebody is present");
            self.candidates[picked].latency.answered(Duration::from_millis(30), self.now);
            shares[picked] += 1;
        }
        shares
    }
}

pub(crate) fn weights() -> impl Strategy<Value = Vec<u32>> {
    vec(1..=10_u32, 1..=8)
}

pub(crate) fn policies() -> impl Strategy<Value = BalancePolicy> {
    proptest::sample::select(BalancePolicy::ALL.to_vec())
}

const fn bit(set: u8, index: usize) -> bool {
    set >> index & 1 == 1
}

proptest! {
    #[test]
    fn among_idle_upstreams_that_are_alike_shares_follow_the_weights(
        (policy, weights, seed) in (policies(), weights(), any::<u64>()),
    ) {
        let requests = 4_000;
        let total: u32 = weights.iter().sum();
        let shares = Bench::new(policy, &weights, seed).shares(requests);
        for (index, (&got, &weight)) in shares.iter().zip(&weights).enumerate() {
            let owed = requests as f64 * f64::from(weight) / f64::from(total);
            let noise = 5.0 * owed.sqrt() + 1.0;
            prop_assert!((f64::from(got) - owed).abs() <= noise, "{policy:?} {weights:?}: {index} got {got} of {owed}");
        }
    }

    #[test]
    fn the_same_past_gives_the_same_future(
        (policy, weights, seed, sets) in (policies(), weights(), any::<u64>(), vec(any::<u8>(), 1..100)),
    ) {
        let run = || {
            let mut bench = Bench::new(policy, &weights, seed);
            sets.iter().map(|&set| bench.pick(set.into(), |index| bit(set, index))).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn only_candidates_are_picked_and_one_is_whenever_there_is_any(
        (policy, weights, seed) in (policies(), weights(), any::<u64>()),
        steps in vec((any::<u8>(), 0..8_usize, 0..2_000_u32), 1..100),
    ) {
        let mut bench = Bench::new(policy, &weights, seed);
        for (set, busy, in_flight) in steps {
            let busy = busy % weights.len();
            bench.candidates[busy].in_flight = in_flight;
            bench.candidates[busy].latency.answered(Duration::from_millis(in_flight.into()), bench.now);
            let picked = bench.pick(set.into(), |index| bit(set, index));
            prop_assert_eq!(picked.is_some(), (0..weights.len()).any(|index| bit(set, index)));
            prop_assert!(picked.is_none_or(|index| bit(set, index)));
        }
    }

    #[test]
    fn under_load_what_is_out_follows_the_weights(
        (policy, weights, seed) in (policies(), weights(), any::<u64>()),
    ) {
        // Ring hash bounds load and random does not look at it.
        prop_assume!(matches!(policy, BalancePolicy::LeastRequest | BalancePolicy::PeakEwma));
        let total: u32 = weights.iter().sum();
        let mut bench = Bench::new(policy, &weights, seed);
        for key in 0..u64::from(total) * 50 {
            let picked = bench.pick(key, |_| true).expect("somebody is present");
            bench.candidates[picked].in_flight += 1;
        }
        for (candidate, &weight) in bench.candidates.iter().zip(&weights) {
            let owed = f64::from(weight) * 50.0;
            let off = (f64::from(candidate.in_flight) - owed).abs() / owed;
            prop_assert!(off < 0.3, "{policy:?} {weights:?}: {} out instead of {owed}", candidate.in_flight);
        }
    }
}
