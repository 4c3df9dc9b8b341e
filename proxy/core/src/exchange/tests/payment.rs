//! Which attempts the retry budget pays for.

use super::*;

#[test]
fn a_spent_budget_ends_what_would_have_to_be_paid() {
    let mut desk = Desk::new(spec(3));
    desk.spend_the_budget();
    let (receipt, verdict) = desk.exhaust(Safety::Safe, BROKEN);
    assert_eq!((receipt.attempts.len(), receipt.denial), (1, Some(Denial::Budget)));
    assert_eq!(verdict, Verdict::Refuse(Refusal::BadAnswer));
}

#[test]
fn what_never_reached_an_upstream_moves_even_when_the_budget_is_spent() {
    let mut desk = Desk::new(spec(3));
    desk.spend_the_budget();
    let (receipt, _) = desk.exhaust(Safety::Safe, UNSENT);
    assert_eq!((receipt.attempts.len(), receipt.denial), (3, Some(Denial::Attempts)));
    assert!(receipt.attempts.iter().all(|attempt| !attempt.paid));
}

#[test]
fn leaving_an_upstream_that_was_just_ejected_is_free() {
    let mut desk = Desk::new(spec(3));
    let mut exchange = desk.open(Safety::Safe);
    let upstream = desk.choose(&mut exchange).upstream;
    desk.eject(upstream.number());
    desk.spend_the_budget();
    assert!(matches!(desk.judge(&mut exchange, TIMED_OUT), Verdict::Retry { .. }));
}

#[test]
fn leaving_an_upstream_that_was_ejected_meanwhile_is_free_although_it_is_back() {
    let mut desk = Desk::new(spec(3));
    let mut exchange = desk.open(Safety::Safe);
    let upstream = desk.choose(&mut exchange).upstream;
    desk.now = desk.now + Duration::from_millis(1);
    desk.eject(upstream.number());
    desk.now = desk.now + Duration::from_secs(13);
    for _ in 0..2 {
        let mut probe = desk.open(Safety::Safe);
        assert!(desk.choose(&mut probe).probe);
        let _ = desk.judge(&mut probe, OK);
    }
    assert_eq!(desk.pool.healthy(), 3);
    desk.spend_the_budget();
    assert!(matches!(desk.judge(&mut exchange, TIMED_OUT), Verdict::Retry { .. }));
}

#[test]
fn leaving_an_upstream_for_what_happened_before_this_attempt_is_not_free() {
    let mut desk = Desk::new(spec(3));
    desk.eject(0);
    desk.now = desk.now + Duration::from_secs(13);
    for _ in 0..2 {
        let mut probe = desk.open(Safety::Safe);
        assert!(desk.choose(&mut probe).probe);
        let _ = desk.judge(&mut probe, OK);
    }
    desk.spend_the_budget();
    let (receipt, _) = desk.exhaust(Safety::Safe, BROKEN);
    assert_eq!(receipt.denial, Some(Denial::Budget));
}

#[test]
fn nothing_but_the_unsent_is_free_in_panic() {
    let mut desk = Desk::new(spec(1));
    for _ in 0..3 {
        let mut exchange = desk.open(Safety::Safe);
        let _ = desk.attempt(&mut exchange, UNSENT);
        let _ = desk.close(exchange);
    }
    assert!(desk.pool.in_panic());
    desk.spend_the_budget();
    assert_eq!(desk.exhaust(Safety::Safe, BROKEN).0.denial, Some(Denial::Budget));
    assert_eq!(desk.exhaust(Safety::Safe, UNSENT).0.denial, Some(Denial::Attempts));
}

#[test]
fn the_receipt_says_which_attempts_were_paid() {
    let mut desk = Desk::new(spec(3));
    let mut exchange = desk.open(Safety::Safe);
    for came in [UNSENT, BROKEN, OK] {
        let _ = desk.attempt(&mut exchange, came);
    }
    let receipt = desk.close(exchange);
    let paid: Vec<_> = receipt.attempts.iter().map(|attempt| attempt.paid).collect();
    assert_eq!(paid, [false, false, true]);
}
