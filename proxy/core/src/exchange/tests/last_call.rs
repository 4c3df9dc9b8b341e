//! A read whose time-out would come too late asks another upstream before.

use super::hedging::hedging;
use super::*;
use crate::exchange::Came as Ended;

/// A read whose client waits this long, in a pool that does not hedge.
fn hurried(desk: &mut Desk, left: Duration) -> (Exchange, Attempt) {
    let deadline = desk.now + left;
    let mut exchange = desk.open_with(Safety::Safe, |terms| terms.deadline = Some(deadline));
    let first = desk.choose(&mut exchange);
    (exchange, first)
}

#[test]
fn a_read_whose_time_out_would_come_too_late_asks_another_after_half_of_its_time() {
    for (left, half) in [
        (Some(4_000), Some(2_000)),
        (Some(15_000), Some(7_500)),
        (Some(400), Some(250)), // What an answer may take while nothing is known.
        (Some(250), None),
        (Some(20_000), None),
        (None, None),
    ] {
        let mut desk = Desk::new(spec(2));
        let left = Duration::from_millis(left.unwrap_or(60_000));
        let (mut exchange, first) = hurried(&mut desk, left);
        assert_eq!(first.hedge_at, half.map(|half| desk.now + Duration::from_millis(half)), "{left:?}");
        let Some(at) = first.hedge_at else { continue };
        desk.now = at;
        assert_ne!(desk.hedge(&mut exchange).unwrap().upstream, first.upstream);
        assert_eq!(desk.judge_of(&mut exchange, 2, OK), Verdict::Forward);
        let _ = desk.end(exchange.take_straggler().unwrap(), Ended::Nothing);
        let receipt = desk.close(exchange);
        assert!(receipt.attempts.iter().nth(1).is_some_and(|second| second.paid && second.hedge));
        assert!(desk.at_rest());
    }
}

#[test]
fn a_region_that_is_silent_for_clients_in_a_hurry_is_ejected() {
    let mut desk = Desk::new(spec(2));
    while desk.pool.healthy() == 2 {
        let (mut exchange, first) = hurried(&mut desk, Duration::from_secs(4));
        if first.upstream == key(0) {
            desk.now = first.hedge_at.unwrap();
            desk.hedge(&mut exchange).unwrap();
        }
        let number = exchange.attempts().len();
        assert_eq!(desk.judge_of(&mut exchange, number, OK), Verdict::Forward);
        if let Some(straggler) = exchange.take_straggler() {
            let _ = desk.end(straggler, Ended::Nothing);
        }
        let _ = desk.close(exchange);
    }
    assert_eq!(desk.states(), ["ejected", "healthy"]);
}

#[test]
fn a_last_call_is_paid_by_the_hedges_or_else_by_the_retries_or_not_made() {
    let left = Duration::from_secs(4);
    let mut desk = hedging(2);
    while desk.pool.hedge_budget().withdraw(desk.now) {}
    let (mut exchange, first) = hurried(&mut desk, left);
    let half = desk.now + left / 2;
    desk.now = first.hedge_at.unwrap();
    let asked = exchange.hedge(&mut desk.pool, desk.now, &mut desk.rng);
    assert_eq!(asked.unwrap_err(), Some(half), "no hedge is left, but there will be time");
    desk.now = half;
    assert!(desk.hedge(&mut exchange).is_some());
    let _ = desk.close(exchange);
    desk.spend_the_budget();
    let (mut exchange, _) = hurried(&mut desk, left);
    // What flows in during those two seconds is spent by others.
    desk.now = desk.now + left / 2;
    desk.spend_the_budget();
    let asked = exchange.hedge(&mut desk.pool, desk.now, &mut desk.rng);
    assert_eq!(asked.unwrap_err(), None);
    let _ = desk.close(exchange);
}
