//! Upstreams that ask for less are asked less, and are not punished.

use super::*;

fn throttled(yard: &mut Yard, upstream: usize, class: Class, retry_after: Option<Duration>) {
    let choice = yard.direct(upstream);
    let outcome = Outcome { class, retry_after, client: 1, wrote: false, heard: None };
    yard.pool.settle(choice, outcome, yard.now, &mut yard.rng);
}

/// It is skipped this long, to the microsecond, and nothing worse happens to it.
fn check(class: Class, retry_after: Option<Duration>, expected: Duration) {
    let mut yard = Yard::new(2);
    let began = yard.now;
    throttled(&mut yard, 0, class, retry_after);
    yard.now = Timestamp::from_micros((began + expected).as_micros() - 1);
    assert_eq!(yard.asked(3), [1, 1, 1], "{class:?} {retry_after:?}");
    yard.now = began + expected;
    assert!(yard.asked(2).contains(&0), "{class:?} {retry_after:?}");
    assert_eq!((yard.names(), yard.events()), (vec!["healthy", "healthy"], vec![]));
}

#[test]
fn a_throttling_gateway_is_skipped_for_as_long_as_it_says_or_a_second() {
    check(Class::Throttled, None, seconds(1));
    check(Class::Throttled, Some(seconds(7)), seconds(7));
    check(Class::Throttled, Some(seconds(86_400)), seconds(300));
}

#[test]
fn a_spent_quota_is_skipped_for_the_longest_ejection() {
    check(Class::QuotaExceeded, None, seconds(300));
    check(Class::QuotaExceeded, Some(seconds(1)), seconds(300));
}

#[test]
fn a_shorter_pause_never_shortens_a_longer_one() {
    let mut yard = Yard::new(2);
    throttled(&mut yard, 0, Class::Throttled, Some(seconds(9)));
    throttled(&mut yard, 0, Class::Throttled, Some(seconds(1)));
    assert_eq!(yard.pool.upstreams()[0].skip_until(), yard.now + seconds(9));
}

#[test]
fn a_throttling_application_keeps_half_its_share() {
    let mut yard = Yard::new(2);
    throttled(&mut yard, 0, Class::AppThrottled, None);
    let share = |asked: Vec<usize>| asked.iter().filter(|&&upstream| upstream == 0).count();
    assert_eq!(share(yard.asked(300)), 100);
    yard.now = yard.now + seconds(1);
    assert_eq!(share(yard.asked(300)), 150);
}

#[test]
fn an_application_that_goes_on_throttling_is_asked_less_and_less_but_never_not_at_all() {
    let mut yard = Yard::new(2);
    for _ in 0..50 {
        throttled(&mut yard, 0, Class::AppThrottled, Some(seconds(20)));
    }
    let share = |asked: Vec<usize>| asked.iter().filter(|&&upstream| upstream == 0).count();
    assert_eq!(share(yard.asked(1_030)), 30, "three in a hundred and three");
    yard.now = yard.now + seconds(20);
    assert_eq!(share(yard.asked(1_060)), 60, "then it recovers");
    assert_eq!((yard.names(), yard.events()), (vec!["healthy", "healthy"], vec![]));
}

#[test]
fn when_everybody_throttles_somebody_is_asked_all_the_same() {
    let mut yard = Yard::new(2);
    throttled(&mut yard, 0, Class::Throttled, None);
    throttled(&mut yard, 1, Class::Throttled, None);
    let choice = yard.choose(READ);
    assert_eq!(choice.tier, Tier::Throttled);
}

#[test]
fn one_that_serves_although_it_throttles_is_preferred_from_then_on() {
    let mut yard = Yard::new(2);
    throttled(&mut yard, 0, Class::QuotaExceeded, None);
    throttled(&mut yard, 1, Class::Throttled, Some(seconds(30)));
    let choice = yard.direct(0);
    yard.settle(choice, Class::Answered);
    assert_eq!(yard.asked(3), [0, 0, 0]);
}

#[test]
fn an_answer_to_an_attempt_from_before_the_throttle_does_not_end_it() {
    let mut yard = Yard::new(2);
    let early = yard.direct(0);
    throttled(&mut yard, 0, Class::Throttled, None);
    yard.settle(early, Class::Answered);
    assert_eq!(yard.asked(3), [1, 1, 1]);
}

#[test]
fn a_throttled_one_comes_before_an_ejected_one() {
    let mut yard = Yard::new(3);
    yard.eject(0);
    throttled(&mut yard, 1, Class::Throttled, None);
    let choice = yard.choose(Wish { tried: &[key(2)], ..READ });
    assert_eq!((choice.upstream, choice.tier), (key(1), Tier::Throttled));
    let choice = yard.choose(Wish { tried: &[key(2), key(1)], ..READ });
    assert_eq!((choice.upstream, choice.tier), (key(0), Tier::LastResort));
    let choice = yard.choose(Wish { tried: &[key(2), key(1), key(0)], ..READ });
    assert_eq!((choice.upstream, choice.tier), (key(2), Tier::Again), "in rotation, and asked longest ago");
}
