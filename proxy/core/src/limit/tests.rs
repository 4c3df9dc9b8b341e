use super::*;
use proptest::prelude::*;

fn quota(requests: u32, per: Duration, burst: u32) -> Quota {
    let positive = |number| NonZeroU32::new(number).unwrap();
    Quota { requests: positive(requests), per, burst: positive(burst) }
}

fn micros(micros: u64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// The moments at which a client that asks at each of these was allowed.
fn allowed(quota: &Quota, asked: &[Timestamp]) -> Vec<Timestamp> {
    let mut limiter = Limiter::default();
    let is_allowed =
        |moment: &&Timestamp| matches!(limiter.ask(1, quota, 10, **moment), Ruling::Allowed { .. });
    asked.iter().filter(is_allowed).copied().collect()
}

/// Moments in order, with these pauses between them.
fn moments(pauses: &[u64]) -> Vec<Timestamp> {
    let mut now = 0;
    let after = |pause: &u64| {
        now += pause;
        micros(now)
    };
    pauses.iter().map(after).collect()
}

fn any_quota() -> impl Strategy<Value = Quota> {
    (1..1000_u32, 1..100_u64, 1..50_u32)
        .prop_map(|(requests, tenths, burst)| quota(requests, Duration::from_millis(100 * tenths), burst))
}

proptest! {
    #[test]
    fn no_span_holds_more_than_the_burst_and_what_the_rate_gives_in_it(
        quota in any_quota(),
        pauses in prop::collection::vec(prop_oneof![Just(0), 0..500_u64, 0..2_000_000_u64], 1..200),
    ) {
        let allowed = allowed(&quota, &moments(&pauses));
        for (first, start) in allowed.iter().enumerate() {
            for (last, end) in allowed.iter().enumerate().skip(first) {
                let span = end.since(*start).as_nanos();
                let earned = span * u128::from(quota.requests.get()) / quota.per.as_nanos();
                let most = u128::from(quota.burst.get()) + earned;
                prop_assert!((last - first + 1) as u128 <= most, "{} in {span} ns", last - first + 1);
            }
        }
    }

    #[test]
    fn who_asks_no_faster_than_the_rate_is_never_refused(
        quota in any_quota(),
        pauses in prop::collection::vec(0..100_000_u64, 1..200),
    ) {
        let slowest = quota.interval_nanos().div_ceil(1000);
        let pauses: Vec<_> = pauses.into_iter().map(|pause| slowest + pause).collect();
        let asked = moments(&pauses);
        prop_assert_eq!(allowed(&quota, &asked).len(), asked.len());
    }

    #[test]
    fn who_is_refused_is_allowed_as_soon_as_it_was_told_and_no_earlier(
        quota in any_quota(),
        pauses in prop::collection::vec(0..1000_u64, 1..200),
    ) {
        let mut limiter = Limiter::default();
        for now in moments(&pauses) {
            if let Ruling::Refused { wait } = limiter.ask(1, &quota, 10, now) {
                let wait = u64::try_from(wait.as_nanos().div_ceil(1000)).unwrap();
                let (then, before) = (now.as_micros() + wait, now.as_micros() + wait - 1);
                let refused = matches!(limiter.clone().ask(1, &quota, 10, micros(before)), Ruling::Refused { .. });
                prop_assert!(refused);
                let allowed = matches!(limiter.clone().ask(1, &quota, 10, micros(then)), Ruling::Allowed { .. });
                prop_assert!(allowed);
            }
        }
    }

    #[test]
    fn no_more_clients_are_remembered_than_was_said(
        clients in prop::collection::vec((0..50_u128, 0..10_000_u64), 1..300),
        clients_max in 1..20_usize,
    ) {
        let quota = quota(10, Duration::from_secs(1), 5);
        let mut limiter = Limiter::default();
        let mut now = 0;
        for (client, pause) in clients {
            now += pause;
            limiter.ask(client, &quota, clients_max, micros(now));
            prop_assert!(limiter.clients() <= clients_max);
            prop_assert_eq!(limiter.paid.len(), limiter.order.len());
        }
    }
}

#[test]
fn a_quiet_client_may_ask_its_burst_at_once_and_no_more_after_a_week() {
    let quota = quota(60, Duration::from_secs(60), 5);
    let mut limiter = Limiter::default();
    let rulings = |limiter: &mut Limiter, now| [(); 6].map(|()| limiter.ask(1, &quota, 10, now));
    let left = |left| Ruling::Allowed { left };
    let second = Duration::from_secs(1);
    let expected = [left(4), left(3), left(2), left(1), left(0), Ruling::Refused { wait: second }];
    assert_eq!(rulings(&mut limiter, Timestamp::ZERO), expected);
    assert_eq!(rulings(&mut limiter, Timestamp::ZERO + 604_800 * second), expected);
}

#[test]
fn one_client_does_not_pay_for_another() {
    let quota = quota(1, Duration::from_secs(60), 1);
    let mut limiter = Limiter::default();
    assert_eq!(limiter.ask(1, &quota, 10, Timestamp::ZERO), Ruling::Allowed { left: 0 });
    assert!(matches!(limiter.ask(1, &quota, 10, Timestamp::ZERO), Ruling::Refused { .. }));
    assert_eq!(limiter.ask(2, &quota, 10, Timestamp::ZERO), Ruling::Allowed { left: 0 });
}

#[test]
fn when_there_are_too_many_clients_the_one_furthest_from_its_limit_is_forgotten() {
    let quota = quota(1, Duration::from_secs(60), 2);
    let mut limiter = Limiter::default();
    let _ = limiter.ask(1, &quota, 2, micros(0));
    let _ = limiter.ask(1, &quota, 2, micros(1));
    let _ = limiter.ask(2, &quota, 2, micros(2));
    let _ = limiter.ask(3, &quota, 2, micros(3));
    assert!(
        matches!(limiter.ask(1, &quota, 2, micros(4)), Ruling::Refused { .. }),
        "who used it up is known"
    );
    assert_eq!(limiter.clients(), 2);
}

#[test]
fn what_somebody_else_allowed_counts() {
    let quota = quota(60, Duration::from_secs(60), 2);
    let mut limiter = Limiter::default();
    for _ in 0..5 {
        limiter.charge(1, &quota, 10, Timestamp::ZERO);
    }
    let wait = Duration::from_secs(1);
    assert_eq!(limiter.ask(1, &quota, 10, Timestamp::ZERO), Ruling::Refused { wait }, "but never as a debt");
}

#[test]
fn a_smaller_quota_for_the_same_client_leaves_no_debt_of_the_larger_one() {
    let (large, small) = (quota(1, Duration::from_secs(60), 10), quota(60, Duration::from_secs(60), 1));
    let mut limiter = Limiter::default();
    for _ in 0..10 {
        let _ = limiter.ask(1, &large, 10, Timestamp::ZERO);
    }
    let wait = Duration::from_secs(1);
    assert_eq!(limiter.ask(1, &small, 10, Timestamp::ZERO), Ruling::Refused { wait });
}
