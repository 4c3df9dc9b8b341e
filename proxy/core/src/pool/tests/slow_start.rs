//! How a readmitted upstream takes its share again.

use super::*;

fn share(yard: &mut Yard, upstream: usize) -> usize {
    yard.asked(1_000).iter().filter(|&&asked| asked == upstream).count()
}

fn state(yard: &Yard, upstream: usize) -> &'static str {
    yard.pool.upstreams()[upstream].state(yard.now)
}

#[test]
fn a_readmitted_upstream_takes_a_tenth_and_grows_in_a_straight_line() {
    let mut yard = Yard::new(2);
    yard.eject(0);
    yard.readmit(0);
    // Its weight over all weights: 10/110, 55/155, 100/200.
    for (expected, weight) in [("warming", 10), ("warming", 55), ("healthy", 100)] {
        assert_eq!(state(&yard, 0), expected);
        assert!(share(&mut yard, 0).abs_diff(1_000 * weight / (100 + weight)) <= 2);
        yard.now = yard.now + seconds(15);
    }
}

#[test]
fn nobody_warms_up_at_the_start_or_alone_or_after_staying_in_rotation() {
    let mut yard = Yard::new(2);
    assert_eq!(state(&yard, 0), "healthy");
    yard.eject(0);
    yard.see(1, Class::Unsent, 3);
    assert_eq!(yard.names(), ["ejected", "degraded"]);
    yard.readmit(0);
    assert_eq!(state(&yard, 0), "healthy", "nobody else could carry the rest");

    let mut yard = Yard::with(2, |spec| spec.passive_health.min_healthy = n(2));
    yard.see(0, Class::Unsent, 3);
    assert_eq!(state(&yard, 0), "degraded");
    yard.see(0, Class::Answered, 2);
    assert_eq!(state(&yard, 0), "healthy", "it was in rotation all the time");
}

#[test]
fn no_slow_start_is_at_once() {
    let mut yard = Yard::with(2, |spec| spec.slow_start.span = Duration::ZERO);
    yard.eject(0);
    yard.readmit(0);
    assert_eq!((state(&yard, 0), share(&mut yard, 0)), ("healthy", 500));
}

#[test]
fn an_upstream_that_fails_while_it_warms_up_begins_anew() {
    let mut yard = Yard::new(2);
    yard.eject(0);
    yard.readmit(0);
    yard.now = yard.now + seconds(20);
    yard.eject(0);
    yard.readmit(0);
    assert!(share(&mut yard, 0) < 110);
}

#[test]
fn every_state_has_a_series() {
    for health in ["healthy", "warming", "degraded", "ejected", "probing"] {
        assert!(Health::NAMES.contains(&health));
    }
}
