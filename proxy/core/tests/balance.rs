//! What the policies promise, for any weights and any comings and goings: here smooth weighted turn-taking, in
//! the modules what all policies share and what the others promise alone.

#[path = "balance/by_load.rs"]
mod by_load;
#[path = "balance/every_policy.rs"]
mod every_policy;
#[path = "balance/ring_hash.rs"]
mod ring_hash;

use aorta_core::balance::round_robin::RoundRobin;
use proptest::collection::vec;
use proptest::prelude::*;

fn pick(turn: &mut RoundRobin, weights: &[u32], present: impl Fn(usize) -> bool) -> Option<usize> {
    turn.pick(weights.iter().copied().enumerate().filter(|&(index, _)| present(index)))
}

fn picks(weights: &[u32], turns: usize) -> Vec<usize> {
    let mut turn = RoundRobin::new(weights.len());
    (0..turns).filter_map(|_| pick(&mut turn, weights, |_| true)).collect()
}

fn weights() -> impl Strategy<Value = Vec<u32>> {
    vec(1..=40_u32, 1..=8)
}

/// Weights, and for each turn the set of those present, as bits.
fn comings_and_goings() -> impl Strategy<Value = (Vec<u32>, Vec<u8>)> {
    (weights(), vec(any::<u8>(), 1..400))
}

const fn bit(set: u8, index: usize) -> bool {
    set >> index & 1 == 1
}

proptest! {
    #[test]
    fn a_full_round_gives_everybody_exactly_its_weight(weights in weights(), rounds in 1..4_usize) {
        let round: u32 = weights.iter().sum();
        let picks = picks(&weights, round as usize * rounds);
        for (index, &weight) in weights.iter().enumerate() {
            let got = picks.iter().filter(|&&picked| picked == index).count();
            prop_assert_eq!(got, weight as usize * rounds);
        }
    }

    #[test]
    fn nobody_runs_a_whole_turn_ahead_of_its_share_or_two_behind(weights in weights()) {
        let round: u32 = weights.iter().sum();
        let mut got = vec![0_u32; weights.len()];
        for (turn, picked) in (1_u32..).zip(picks(&weights, round as usize)) {
            got[picked] += 1;
            for (&got, &weight) in got.iter().zip(&weights) {
                let owed = f64::from(turn) * f64::from(weight) / f64::from(round);
                let ahead = f64::from(got) - owed;
                prop_assert!((-2.0..1.0).contains(&ahead), "{got} for {owed} after {turn} turns");
            }
        }
    }

    #[test]
    fn nobody_waits_longer_than_its_share_allows(weights in weights()) {
        let round: u32 = weights.iter().sum();
        let picks = picks(&weights, round as usize * 2);
        for (index, &weight) in weights.iter().enumerate() {
            let turns: Vec<_> = picks.iter().enumerate().filter(|&(_, &p)| p == index).map(|(t, _)| t).collect();
            let longest = turns.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(1);
            let fair = round.div_ceil(weight) as usize;
            prop_assert!(longest <= fair * 2, "{index} waited {longest} turns, {fair} are fair: {picks:?}");
        }
    }

    #[test]
    fn equal_weights_take_strict_turns(upstreams in 1..=8_usize, weight in 1..=1000_u32) {
        let picks = picks(&vec![weight; upstreams], upstreams * 3);
        let expected: Vec<_> = (0..upstreams).cycle().take(upstreams * 3).collect();
        prop_assert_eq!(picks, expected);
    }

    #[test]
    fn the_same_past_gives_the_same_future((weights, sets) in comings_and_goings()) {
        let run = || {
            let mut turn = RoundRobin::new(weights.len());
            sets.iter().map(|&set| pick(&mut turn, &weights, |index| bit(set, index))).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn only_candidates_are_picked_and_one_is_whenever_there_is_any((weights, sets) in comings_and_goings()) {
        let mut turn = RoundRobin::new(weights.len());
        for set in sets {
            let picked = pick(&mut turn, &weights, |index| bit(set, index));
            let anybody = (0..weights.len()).any(|index| bit(set, index));
            prop_assert_eq!(picked.is_some(), anybody);
            prop_assert!(picked.is_none_or(|index| bit(set, index)));
        }
    }

    #[test]
    fn whoever_comes_and_goes_gets_no_burst(
        upstreams in 2..=8_usize,
        sets in vec(any::<u8>(), 1..400),
        together in 10..40_usize,
    ) {
        let weights = vec![1; upstreams];
        let mut turn = RoundRobin::new(upstreams);
        for set in sets {
            pick(&mut turn, &weights, |index| bit(set, index));
        }
        // Now everybody is back: nobody may get more than a few turns above its share.
        let mut got = vec![0_usize; upstreams];
        for _ in 0..together * upstreams {
            got[pick(&mut turn, &weights, |_| true).expect("somebody is present")] += 1;
        }
        for got in got {
            prop_assert!(got.abs_diff(together) <= upstreams, "{got} turns instead of {together}");
        }
    }

    #[test]
    fn an_absence_however_long_is_not_made_up_for(
        weights in vec(1..=40_u32, 2..=8),
        absence in 1..2_000_usize,
    ) {
        let mut turn = RoundRobin::new(weights.len());
        for _ in 0..absence {
            pick(&mut turn, &weights, |index| index != 0);
        }
        let round: u32 = weights.iter().sum();
        let back: Vec<_> = (0..round).filter_map(|_| pick(&mut turn, &weights, |_| true)).collect();
        let got = back.iter().filter(|&&picked| picked == 0).count();
        prop_assert!(got.abs_diff(weights[0] as usize) <= 1, "{got} turns, its weight is {}", weights[0]);
    }
}
