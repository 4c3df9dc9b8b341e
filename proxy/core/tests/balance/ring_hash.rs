//! What hashing promises: the same place for the same key, least disruption, bounded load.

use crate::every_policy::{Bench, weights};
use aorta_core::balance::BalancePolicy;
use proptest::prelude::*;

const KEYS: u64 = 2_000;

fn places(bench: &mut Bench, present: impl Fn(usize) -> bool + Copy) -> Vec<Option<usize>> {
    (0..KEYS).map(|key| bench.pick(key, present)).collect()
}

proptest! {
    #[test]
    fn the_same_key_goes_to_the_same_upstream_whatever_the_dice(weights in weights()) {
        let run = |seed| places(&mut Bench::new(BalancePolicy::RingHash, &weights, seed), |_| true);
        prop_assert_eq!(run(1), run(2));
    }

    #[test]
    fn when_one_leaves_only_its_own_keys_move_and_they_come_back_with_it(
        weights in weights(),
        leaving in 0..8_usize,
    ) {
        prop_assume!(leaving < weights.len() && weights.len() > 1);
        let mut bench = Bench::new(BalancePolicy::RingHash, &weights, 1);
        let before = places(&mut bench, |_| true);
        let without = places(&mut bench, |index| index != leaving);
        for (before, without) in before.iter().zip(&without) {
            prop_assert!(before == without || *before == Some(leaving));
        }
        prop_assert_eq!(places(&mut bench, |_| true), before);
    }

    #[test]
    fn when_a_weight_shrinks_only_its_own_keys_move(weights in weights(), shrinking in 0..8_usize) {
        prop_assume!(shrinking < weights.len() && weights[shrinking] > 1);
        let mut bench = Bench::new(BalancePolicy::RingHash, &weights, 1);
        let before = places(&mut bench, |_| true);
        bench.candidates[shrinking].weight = 1;
        for (before, after) in before.into_iter().zip(places(&mut bench, |_| true)) {
            prop_assert!(before == after || before == Some(shrinking));
        }
    }

    #[test]
    fn nobody_carries_more_than_a_quarter_above_its_share_even_of_one_key(
        weights in weights(),
        keys in 1..20_u64,
        requests in 1..400_u64,
    ) {
        let total: u32 = weights.iter().sum();
        let mut bench = Bench::new(BalancePolicy::RingHash, &weights, 1);
        for request in 0..requests {
            let picked = bench.pick(request % keys, |_| true).expect("somebody is present");
            bench.candidates[picked].in_flight += 1;
        }
        for candidate in &bench.candidates {
            let fair = requests as f64 * f64::from(candidate.weight) / f64::from(total);
            let bound = (fair * 1.25).ceil();
            prop_assert!(f64::from(candidate.in_flight) <= bound, "{} out, {bound} at most", candidate.in_flight);
        }
    }
}
