//! What the policies promise that look at load or speed.

use crate::every_policy::Bench;
use aorta_core::balance::BalancePolicy;
use proptest::prelude::*;
use std::time::Duration;

proptest! {
    #[test]
    fn the_busiest_of_equals_is_not_asked_while_another_is_less_busy(
        in_flight in proptest::collection::vec(0..50_u32, 2..8),
        seed in any::<u64>(),
    ) {
        let mut bench = Bench::new(BalancePolicy::LeastRequest, &vec![1; in_flight.len()], seed);
        for (candidate, &out) in bench.candidates.iter_mut().zip(&in_flight) {
            candidate.in_flight = out;
        }
        let (most, least) = (in_flight.iter().max(), in_flight.iter().min());
        let alone = in_flight.iter().filter(|out| Some(*out) == most).count() == 1;
        let picked = bench.pick(0, |_| true).expect("somebody is present");
        prop_assert!(!alone || most == least || Some(&in_flight[picked]) != most);
    }

    #[test]
    fn the_quicker_of_two_is_asked(
        (slow, quick) in (100..5_000_u64, 1..50_u64),
        seed in any::<u64>(),
    ) {
        let mut bench = Bench::new(BalancePolicy::PeakEwma, &[1, 1], seed);
        for _ in 0..50_000 {
            bench.now = bench.now + Duration::from_millis(1);
            bench.candidates[0].latency.answered(Duration::from_millis(slow), bench.now);
            bench.candidates[1].latency.answered(Duration::from_millis(quick), bench.now);
        }
        prop_assert_eq!(bench.pick(0, |_| true), Some(1));
    }
}

#[test]
fn the_quicker_one_is_left_when_too_much_waits_there() {
    let mut bench = Bench::new(BalancePolicy::PeakEwma, &[1, 1], 1);
    bench.candidates[0].latency.answered(Duration::from_millis(60), bench.now);
    bench.candidates[1].in_flight = 1;
    let picked: Vec<_> = (0..20).filter_map(|key| bench.pick(key, |_| true)).collect();
    assert!(picked.contains(&0) && picked.contains(&1), "60 ms at once is like 30 ms after another");
    bench.candidates[1].in_flight = 3;
    assert!((0..20).all(|key| bench.pick(key, |_| true) == Some(0)));
}

#[test]
fn one_attempt_at_a_heavy_upstream_does_not_make_an_idle_light_one_the_better() {
    let mut bench = Bench::new(BalancePolicy::LeastRequest, &[9, 1], 1);
    bench.candidates[0].in_flight = 1;
    let light = (0..1_000).filter(|&key| bench.pick(key, |_| true) == Some(1)).count();
    assert!((60..150).contains(&light), "{light} of 1000, a tenth is its share");
}
