//! How an exchange ends, and that nothing of it stays behind.

use super::*;
use crate::pool::Tier;
use crate::receipt::Felt;

fn streaming(desk: &mut Desk) -> Exchange {
    let mut exchange = desk.open(Safety::Safe);
    desk.choose(&mut exchange);
    let ok = facts(200, BodyFacts::Unseen);
    let verdict = exchange.answered(&mut desk.pool, 1, (&ok, false), desk.now, &mut desk.rng);
    assert_eq!(verdict, Verdict::Forward);
    exchange
}

fn check(desk: &mut Desk, exchange: Exchange, end: End, felt: Felt) -> Receipt {
    let receipt = desk.close(exchange);
    assert_eq!((receipt.end, receipt.felt()), (end, felt));
    assert!(desk.at_rest(), "an attempt stays in flight");
    receipt
}

#[test]
fn a_first_answer_is_plain_service() {
    let mut desk = Desk::new(spec(2));
    let mut exchange = desk.open(Safety::Safe);
    assert_eq!(desk.attempt(&mut exchange, OK), Verdict::Forward);
    check(&mut desk, exchange, End::Delivered, Felt::Ok);
}

#[test]
fn an_answer_by_another_region_is_a_rescue() {
    let mut desk = Desk::new(spec(2));
    let mut exchange = desk.open(Safety::Safe);
    let _ = desk.attempt(&mut exchange, BROKEN);
    let _ = desk.attempt(&mut exchange, OK);
    check(&mut desk, exchange, End::Delivered, Felt::Rescued);
}

#[test]
fn the_last_attempt_forwards_the_upstreams_answer_and_counts_as_failed() {
    let mut desk = Desk::new(spec(2));
    let (receipt, verdict) = desk.exhaust(Safety::Safe, APP_500);
    assert_eq!((verdict, receipt.felt()), (Verdict::Forward, Felt::Failed));
}

#[test]
fn a_stream_is_in_flight_until_it_is_delivered() {
    let mut desk = Desk::new(spec(2));
    let mut exchange = streaming(&mut desk);
    assert!(!desk.at_rest());
    exchange.delivered(&mut desk.pool, desk.now, &mut desk.rng);
    assert!(desk.at_rest());
    check(&mut desk, exchange, End::Delivered, Felt::Ok);
}

#[test]
fn a_stream_that_breaks_is_not_retried_and_counts() {
    let mut desk = Desk::new(spec(1));
    for _ in 0..3 {
        let mut exchange = streaming(&mut desk);
        exchange.broke(&mut desk.pool, desk.now, &mut desk.rng);
        assert!(
            exchange.choose(&mut desk.pool, desk.now, &mut desk.rng).is_err(),
            "tried again after the commit"
        );
        let receipt = desk.close(exchange);
        assert_eq!(receipt.denial, Some(Denial::ResponseStarted));
        assert_eq!(receipt.attempts.last().unwrap().class, Class::Broken);
    }
    assert_eq!(desk.pool.healthy(), 0);
    assert!(desk.at_rest());
}

#[test]
fn a_client_that_leaves_is_nobodys_fault_whenever_it_leaves() {
    for leaves in 0..4 {
        let mut desk = Desk::new(spec(1));
        for _ in 0..30 {
            let exchange = match leaves {
                0 => desk.open(Safety::Safe),
                1 => {
                    let mut exchange = desk.open(Safety::Safe);
                    desk.choose(&mut exchange);
                    exchange
                }
                2 => streaming(&mut desk),
                _ => {
                    let mut exchange = desk.open(Safety::Safe);
                    desk.choose(&mut exchange);
                    exchange.abandoned(&mut desk.pool, desk.now, &mut desk.rng);
                    exchange
                }
            };
            check(&mut desk, exchange, End::Abandoned, Felt::Abandoned);
        }
        assert_eq!(desk.pool.healthy(), 1);
    }
}

#[test]
fn an_answer_after_the_client_left_changes_nothing() {
    let mut desk = Desk::new(spec(2));
    let mut exchange = desk.open(Safety::Safe);
    desk.choose(&mut exchange);
    exchange.abandoned(&mut desk.pool, desk.now, &mut desk.rng);
    let _ = desk.judge(&mut exchange, BROKEN);
    check(&mut desk, exchange, End::Abandoned, Felt::Abandoned);
}

#[test]
fn a_refusal_in_the_middle_of_an_attempt_frees_its_upstream() {
    let mut desk = Desk::new(spec(1));
    for _ in 0..10 {
        let mut exchange = desk.open(Safety::Safe);
        desk.choose(&mut exchange);
        exchange.refuse(Refusal::BodyTooLarge);
        check(&mut desk, exchange, End::Refused(Refusal::BodyTooLarge), Felt::Rejected);
    }
    assert_eq!(desk.pool.healthy(), 1);
}

#[test]
fn a_refusal_in_the_middle_of_a_probe_frees_the_probes_slot() {
    let mut desk = Desk::new(spec(2));
    desk.eject(0);
    desk.now = desk.now + Duration::from_secs(13);
    for _ in 0..3 {
        let mut exchange = desk.open(Safety::Safe);
        assert!(desk.choose(&mut exchange).probe);
        exchange.refuse(Refusal::ClientTooSlow);
        check(&mut desk, exchange, End::Refused(Refusal::ClientTooSlow), Felt::Rejected);
    }
}

#[test]
fn a_probe_whose_answer_streams_frees_its_slot_at_the_head() {
    let mut desk = Desk::new(spec(2));
    desk.eject(0);
    desk.now = desk.now + Duration::from_secs(13);
    let mut stream = streaming(&mut desk);
    assert_eq!(stream.attempts().last().unwrap().tier, Tier::Probe);
    let mut next = desk.open(Safety::Safe);
    assert!(desk.choose(&mut next).probe, "the stream may last for hours");
    stream.delivered(&mut desk.pool, desk.now, &mut desk.rng);
    let mut third = desk.open(Safety::Safe);
    assert!(!desk.choose(&mut third).probe, "the second probe is still out");
    for exchange in [stream, next, third] {
        let _ = desk.close(exchange);
    }
    assert!(desk.at_rest());
}
