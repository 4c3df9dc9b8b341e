//! How often, how long, and where a request is tried again.

use super::*;
use std::num::NonZeroU8;

fn attempts(attempts_max: u8, ambiguous: u8, safety: Safety, came: Came) -> (usize, Option<Denial>) {
    let mut spec = spec(3);
    spec.retry.attempts_max = NonZeroU8::new(attempts_max).unwrap();
    spec.retry.attempts_max_ambiguous = NonZeroU8::new(ambiguous).unwrap();
    let (receipt, _) = Desk::new(spec).exhaust(safety, came);
    (receipt.attempts.len(), receipt.denial)
}

#[test]
fn attempts_never_exceed_their_limit_nor_the_ceiling() {
    for limit in 1..=5 {
        let expected = (usize::from(limit), Some(Denial::Attempts));
        assert_eq!(attempts(limit, 2, Safety::Safe, UNSENT), expected);
        assert_eq!(attempts(limit, 2, Safety::Unsafe, UNSENT), expected);
        assert_eq!(attempts(limit, 2, Safety::Safe, BROKEN), expected);
    }
    assert_eq!(attempts(255, 255, Safety::Safe, UNSENT).0, retry::ATTEMPTS_CEILING);
}

#[test]
fn a_write_whose_outcome_is_unknown_has_fewer_attempts() {
    assert_eq!(attempts(3, 2, Safety::Idempotent, BROKEN), (2, Some(Denial::Attempts)));
    assert_eq!(attempts(3, 2, Safety::Idempotent, UNSENT), (3, Some(Denial::Attempts)));
    assert_eq!(attempts(3, 2, Safety::Safe, BROKEN), (3, Some(Denial::Attempts)));
    assert_eq!(attempts(1, 2, Safety::Idempotent, BROKEN), (1, Some(Denial::Attempts)));
    assert_eq!(attempts(3, 2, Safety::Unsafe, BROKEN), (1, Some(Denial::NotIdempotent)));
}

#[test]
fn an_unknown_outcome_is_not_forgotten_by_a_later_failure_to_connect() {
    let mut desk = Desk::new(spec(3));
    let mut exchange = desk.open(Safety::Idempotent);
    assert!(matches!(desk.attempt(&mut exchange, APP_500), Verdict::Retry { .. }));
    assert_eq!(desk.attempt(&mut exchange, UNSENT), Verdict::Refuse(Refusal::Unreachable));
}

#[test]
fn a_request_asks_every_upstream_before_it_asks_one_twice() {
    for came in [UNSENT, BROKEN, APP_500] {
        let mut spec = spec(3);
        spec.retry.attempts_max = NonZeroU8::new(6).unwrap();
        let mut desk = Desk::new(spec);
        desk.eject(1);
        let (receipt, _) = desk.exhaust(Safety::Safe, came);
        let asked = receipt.attempts.upstreams();
        let mut first = asked[..3].to_vec();
        first.sort_unstable();
        assert_eq!((asked.len(), first), (6, [0, 1, 2].map(key).to_vec()));
        assert_eq!(asked[2], key(1), "the ejected one is the last resort");
    }
}

#[test]
fn a_client_denied_by_two_gateways_does_not_tour_a_third() {
    for came in [DENIED, THROTTLED] {
        assert_eq!(attempts(3, 2, Safety::Safe, came), (2, Some(Denial::Attempts)));
    }
    let (receipt, verdict) = Desk::new(spec(1)).exhaust(Safety::Safe, DENIED);
    assert_eq!((receipt.attempts.len(), receipt.denial), (1, Some(Denial::NoOtherUpstream)));
    assert_eq!(verdict, Verdict::Forward);
}

#[test]
fn another_region_is_asked_at_once_when_nothing_was_sent() {
    let mut desk = Desk::new(spec(2));
    let mut exchange = desk.open(Safety::Unsafe);
    desk.choose(&mut exchange);
    let now = desk.now;
    assert_eq!(desk.judge(&mut exchange, UNSENT), Verdict::Retry { not_before: now });
    desk.choose(&mut exchange);
    let Verdict::Retry { not_before } = desk.judge(&mut exchange, UNSENT) else { panic!("no retry") };
    assert!(not_before > now, "nobody else is left, so it waits");
}

#[test]
fn every_other_retry_waits_up_to_the_back_off() {
    let waits = (0..200).map(|seed| {
        let mut desk = Desk::new(spec(2));
        desk.rng = Rng::with_seed(seed);
        let mut exchange = desk.open(Safety::Safe);
        desk.choose(&mut exchange);
        let Verdict::Retry { not_before } = desk.judge(&mut exchange, BROKEN) else { panic!("no retry") };
        not_before.since(desk.now)
    });
    let longest = waits.max().unwrap();
    assert!(longest > Duration::from_millis(20) && longest <= Duration::from_millis(25), "{longest:?}");
}

#[test]
fn an_attempt_never_outlives_its_request() {
    let mut desk = Desk::new(spec(3));
    let mut exchange = desk.open(Safety::Safe);
    let opened = desk.now;
    let first = desk.choose(&mut exchange);
    assert_eq!((first.number, first.deadline), (1, opened + Duration::from_secs(10)));
    assert_eq!(first.request_deadline, opened + Duration::from_secs(29));
    assert_eq!(first.connect, Duration::from_secs(2));
    desk.now = opened + Duration::from_secs(28);
    assert!(matches!(desk.judge(&mut exchange, BROKEN), Verdict::Retry { .. }));
    assert_eq!(desk.choose(&mut exchange).deadline, opened + Duration::from_secs(29));
    desk.now = opened + Duration::from_secs(29);
    assert_eq!(desk.judge(&mut exchange, TIMED_OUT), Verdict::Refuse(Refusal::TimedOut));
    assert_eq!(desk.close(exchange).denial, Some(Denial::Deadline));
}

#[test]
fn a_body_that_is_gone_is_never_sent_again() {
    for (came, again) in [(UNSENT, true), (BROKEN, false), (DENIED, false), (APP_500, false)] {
        let mut desk = Desk::new(spec(3));
        let mut exchange = desk.open_with(Safety::Safe, |terms| terms.replayable = false);
        desk.choose(&mut exchange);
        let verdict = desk.judge(&mut exchange, came);
        assert_eq!(matches!(verdict, Verdict::Retry { .. }), again, "{came:?}");
        let denial = desk.close(exchange).denial;
        assert_eq!(denial, (!again).then_some(Denial::BodyTooLarge), "{came:?}");
    }
}

#[test]
fn a_pool_of_one_is_asked_again() {
    let (receipt, verdict) = Desk::new(spec(1)).exhaust(Safety::Safe, BROKEN);
    assert_eq!(receipt.attempts.upstreams(), [0, 0, 0].map(key));
    assert_eq!(verdict, Verdict::Refuse(Refusal::BadAnswer));
}

#[test]
fn an_empty_pool_refuses() {
    let mut desk = Desk::new(spec(0));
    let mut exchange = desk.open(Safety::Safe);
    assert_eq!(exchange.choose(&mut desk.pool, desk.now, &mut desk.rng), Err(Refusal::NoUpstream));
    assert_eq!(desk.close(exchange).end, End::Refused(Refusal::NoUpstream));
}

#[test]
fn time_used_up_by_one_upstream_does_not_condemn_the_next() {
    let mut spec = spec(2);
    spec.timeouts.request = Duration::from_millis(10_100);
    let mut desk = Desk::new(spec);
    for _ in 0..10 {
        let mut exchange = desk.open(Safety::Safe);
        desk.choose(&mut exchange);
        desk.now = desk.now + Duration::from_secs(10);
        if let Verdict::Retry { not_before } = desk.judge(&mut exchange, TIMED_OUT) {
            desk.now = not_before;
            desk.choose(&mut exchange);
            desk.now = desk.now + Duration::from_millis(90);
            let _ = desk.judge(&mut exchange, TIMED_OUT);
        }
        let _ = desk.close(exchange);
        if desk.pool.healthy() < 2 {
            break;
        }
    }
    let first_attempts: Vec<_> = desk.pool.upstreams().iter().map(|held| held.health().name()).collect();
    assert_eq!(first_attempts, ["ejected", "healthy"]);
}

#[test]
fn a_clients_deadline_only_shortens_the_request() {
    let mut desk = Desk::new(spec(2));
    let now = desk.now;
    for (asked, ends) in [(1, 1), (29, 29), (60, 29)] {
        let asked = now + Duration::from_secs(asked);
        let mut exchange = desk.open_with(Safety::Safe, |terms| terms.deadline = Some(asked));
        let attempt = desk.choose(&mut exchange);
        assert_eq!(attempt.request_deadline, now + Duration::from_secs(ends));
        assert_eq!(attempt.deadline, now + Duration::from_secs(ends.min(10)));
        let _ = desk.close(exchange);
    }
}

#[test]
fn a_request_whose_deadline_has_passed_asks_nobody() {
    let mut desk = Desk::new(spec(2));
    let now = desk.now;
    let mut exchange = desk.open_with(Safety::Safe, |terms| terms.deadline = Some(now));
    assert_eq!(exchange.choose(&mut desk.pool, now, &mut desk.rng), Err(Refusal::DeadlinePassed));
    let receipt = desk.close(exchange);
    assert_eq!((receipt.attempts.len(), receipt.end), (0, End::Refused(Refusal::DeadlinePassed)));
    assert_eq!(receipt.felt(), crate::receipt::Felt::Rejected);
}

/// The states of two regions after reads whose clients gave up this soon met this silence.
fn after_haste(patience: Duration, replayable: bool, came: Came) -> Vec<&'static str> {
    let mut desk = Desk::new(spec(2));
    for _ in 0..20 {
        let gives_up = desk.now + patience;
        let mut exchange = desk.open_with(Safety::Safe, |terms| {
            (terms.replayable, terms.deadline) = (replayable, Some(gives_up));
        });
        desk.choose(&mut exchange);
        desk.now = gives_up;
        assert_eq!(desk.judge(&mut exchange, came), Verdict::Refuse(Refusal::TimedOut));
        let _ = desk.close(exchange);
    }
    desk.pool.upstreams().iter().map(|held| held.health().name()).collect()
}

#[test]
fn a_clients_haste_condemns_nobody() {
    let (hasty, patient) = (Duration::from_millis(9_900), Duration::from_secs(10));
    assert_eq!(after_haste(hasty, true, TIMED_OUT), ["healthy", "healthy"]);
    assert_eq!(after_haste(patient, true, TIMED_OUT), ["ejected", "degraded"], "it had all its time");
    assert_eq!(after_haste(patient, false, TIMED_OUT), ["healthy", "healthy"], "the upload used it up");
}

#[test]
fn a_connect_that_the_requests_end_cut_short_condemns_nobody() {
    let hasty = Duration::from_millis(1_900);
    assert_eq!(after_haste(hasty, true, UNSENT), ["healthy", "healthy"]);
    let mut desk = Desk::new(spec(2));
    for _ in 0..6 {
        let gives_up = desk.now + hasty;
        let mut exchange = desk.open_with(Safety::Safe, |terms| terms.deadline = Some(gives_up));
        let _ = desk.attempt(&mut exchange, UNSENT);
        let _ = desk.close(exchange);
    }
    assert_ne!(desk.pool.healthy(), 2, "a refused connection needs no time to be believed");
}

#[test]
fn only_a_read_whose_body_is_kept_probes() {
    for (safety, kept, probes) in [
        (Safety::Safe, true, true),
        (Safety::Safe, false, false),
        (Safety::Idempotent, true, false),
        (Safety::Unsafe, true, false),
    ] {
        let mut desk = Desk::new(spec(2));
        desk.eject(0);
        desk.now = desk.now + Duration::from_secs(13);
        let mut exchange = desk.open_with(safety, |terms| terms.replayable = kept);
        assert_eq!(desk.choose(&mut exchange).probe, probes, "{safety:?}, body kept: {kept}");
        let _ = desk.close(exchange);
    }
}
