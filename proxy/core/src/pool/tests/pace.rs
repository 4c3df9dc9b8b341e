//! Upstreams that answer, and far slower than their siblings.

use super::*;

const FAST: Duration = Duration::from_millis(20);
const SLOW: Duration = Duration::from_secs(2);

/// One read at this very upstream that takes so long.
fn serve(yard: &mut Yard, upstream: usize, takes: Duration) {
    let others: Vec<_> = (0..yard.pool.upstreams.len()).filter(|&other| other != upstream).map(key).collect();
    let choice = yard.choose(Wish { tried: &others, ..READ });
    yard.now = yard.now + takes;
    yard.settle(choice, Class::Answered);
}

/// Every upstream answers so often, each in its own time.
fn rounds(yard: &mut Yard, times: usize, takes: &[Duration]) {
    for _ in 0..times {
        for (upstream, takes) in takes.iter().enumerate() {
            // The quick ones answer more often: their pace is known while the slow one is waited for.
            serve(yard, upstream, *takes);
        }
    }
}

fn strength(yard: &Yard, upstream: usize) -> u32 {
    yard.pool.upstreams()[upstream].strength(yard.now)
}

#[test]
fn one_far_slower_than_two_siblings_loses_share_and_then_is_ejected() {
    let mut yard = Yard::new(3);
    rounds(&mut yard, 12, &[FAST, FAST, FAST]);
    let mut strengths = Vec::new();
    while yard.health(0) == Health::Healthy {
        assert!(strengths.len() < 60, "{strengths:?}");
        strengths.push(strength(&yard, 0));
        rounds(&mut yard, 1, &[SLOW, FAST, FAST]);
    }
    assert!(matches!(yard.health(0), Health::Ejected { reason: EjectReason::Slow, .. }));
    strengths.dedup();
    assert_eq!(strengths, [100, 50, 25, 12, 6, 3]);
    assert_eq!(yard.names(), ["ejected", "healthy", "healthy"]);
}

#[test]
fn beside_a_single_sibling_it_only_loses_share() {
    let mut yard = Yard::new(2);
    rounds(&mut yard, 12, &[FAST, FAST]);
    rounds(&mut yard, 100, &[SLOW, FAST]);
    assert_eq!((yard.names(), strength(&yard, 0)), (vec!["healthy", "healthy"], 3));
    rounds(&mut yard, 300, &[FAST, FAST]);
    yard.now = yard.now + seconds(20);
    assert_eq!(strength(&yard, 0), 100, "it mends");
}

#[test]
fn one_that_is_a_little_slower_or_quick_enough_keeps_its_share() {
    for (usual, others) in [(4_000, 1_000), (450, 10)] {
        let mut yard = Yard::new(3);
        let (usual, others) = (Duration::from_millis(usual), Duration::from_millis(others));
        rounds(&mut yard, 100, &[usual, others, others]);
        assert_eq!((strength(&yard, 0), yard.events()), (100, vec![]), "{usual:?} beside {others:?}");
    }
}

#[test]
fn when_most_are_slow_nobody_is_an_outlier() {
    let mut yard = Yard::new(3);
    rounds(&mut yard, 100, &[SLOW, SLOW, FAST]);
    assert_eq!((strength(&yard, 0), strength(&yard, 1)), (100, 100));
    assert_eq!(yard.names(), ["healthy"; 3]);
}

#[test]
fn single_stragglers_cost_nothing() {
    let mut yard = Yard::new(3);
    for index in 0..200 {
        let takes = if index % 4 == 0 { seconds(5) } else { FAST };
        rounds(&mut yard, 1, &[takes, FAST, FAST]);
    }
    assert_eq!((strength(&yard, 0), yard.events()), (100, vec![]));
}

#[test]
fn writes_and_uploads_say_nothing_about_pace() {
    let mut yard = Yard::new(3);
    rounds(&mut yard, 12, &[FAST, FAST, FAST]);
    for _ in 0..50 {
        let choice = yard.direct(0);
        yard.now = yard.now + SLOW;
        yard.settle(choice, Class::Answered);
        rounds(&mut yard, 1, &[FAST, FAST, FAST]);
    }
    assert_eq!((strength(&yard, 0), yard.events()), (100, vec![]));
}

#[test]
fn the_only_one_of_its_record_store_is_slow_and_stays() {
    let stores = |spec: &mut PoolSpec| {
        for (upstream, store) in spec.upstreams.iter_mut().zip(["east", "west", "west"]) {
            upstream.data_domain = store.to_owned();
        }
    };
    let mut yard = Yard::with(3, stores);
    rounds(&mut yard, 12, &[FAST, FAST, FAST]);
    rounds(&mut yard, 60, &[SLOW, FAST, FAST]);
    assert_eq!((yard.names(), strength(&yard, 0)), (vec!["healthy"; 3], 3));
}

#[test]
fn as_many_stay_as_the_operator_wants_although_one_is_slow() {
    let mut yard = Yard::with(3, |spec| spec.passive_health.min_healthy = n(3));
    rounds(&mut yard, 60, &[SLOW, FAST, FAST]);
    assert_eq!((yard.names(), yard.events()), (vec!["healthy"; 3], vec![]));
}

#[test]
fn one_that_stands_by_is_not_compared_with_those_it_stands_by_for() {
    let mut yard = Yard::with(3, |spec| spec.upstreams[0].priority = 1);
    rounds(&mut yard, 60, &[SLOW, FAST, FAST]);
    assert_eq!(strength(&yard, 0), 100);
}

#[test]
fn a_probe_that_is_still_far_too_slow_fails() {
    let mut yard = Yard::new(3);
    rounds(&mut yard, 12, &[FAST, FAST, FAST]);
    while yard.health(0) == Health::Healthy {
        rounds(&mut yard, 1, &[SLOW, FAST, FAST]);
    }
    yard.wait_out(0);
    rounds(&mut yard, 1, &[SLOW]);
    assert_eq!(yard.names()[0], "probing", "nobody was asked lately, so there is nothing to compare with");

    for probe in [SLOW, FAST] {
        let mut yard = Yard::new(3);
        rounds(&mut yard, 12, &[FAST, FAST, FAST]);
        while yard.health(0) == Health::Healthy {
            rounds(&mut yard, 1, &[SLOW, FAST, FAST]);
        }
        yard.wait_out(0);
        for _ in 0..12 {
            for upstream in [1, 2] {
                let choice = yard.choose(Wish { tried: &[key(0), key(3 - upstream)], ..READ });
                yard.now = yard.now + FAST;
                yard.settle(choice, Class::Answered);
            }
        }
        let choice = yard.choose(READ);
        assert!(choice.is_probe());
        yard.now = yard.now + probe;
        yard.settle(choice, Class::Answered);
        let state = if probe == SLOW { "ejected" } else { "probing" };
        assert_eq!(yard.names()[0], state, "after {probe:?}");
    }
}

#[test]
fn a_factor_of_nothing_switches_it_off() {
    let mut yard = Yard::with(3, |spec| spec.passive_health.latency_factor = 0);
    rounds(&mut yard, 60, &[SLOW, FAST, FAST]);
    assert_eq!((strength(&yard, 0), yard.events()), (100, vec![]));
}
