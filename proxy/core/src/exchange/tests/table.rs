//! The table "What an answer means and what may follow", row by row.

use super::*;
use crate::pool::PoolEvent;
use BodyFacts as B;
use GatewayErrorType as E;
use Next::{Forwards, MovesFree, MovesPaid, Refuses};

#[derive(Debug, PartialEq)]
enum Next {
    /// Another upstream is asked, at no cost.
    MovesFree,
    /// Another upstream is asked, and the budget pays.
    MovesPaid,
    Forwards,
    Refuses(Refusal),
}

fn next(came: Came, safety: Safety, attempts_max: u8) -> Next {
    let mut spec = spec(3);
    spec.retry.attempts_max = std::num::NonZeroU8::new(attempts_max).unwrap();
    let mut desk = Desk::new(spec);
    let mut exchange = desk.open(safety);
    let first = desk.choose(&mut exchange).upstream;
    let balance = desk.pool.budget_balance();
    let verdict = desk.judge(&mut exchange, came);
    let paid = balance - desk.pool.budget_balance();
    match verdict {
        Verdict::Forward => Forwards,
        Verdict::Refuse(refusal) => Refuses(refusal),
        Verdict::Retry { .. } => {
            let second = desk.choose(&mut exchange).upstream;
            assert_ne!(second, first, "{came:?} stays where it failed");
            if paid > 0.5 { MovesPaid } else { MovesFree }
        }
        Verdict::Wait { .. } => panic!("nothing else is out"),
    }
}

impl Desk {
    /// One read that is served; by whom.
    fn serve_one(&mut self) -> UpstreamKey {
        let mut exchange = self.open(Safety::Safe);
        let upstream = self.choose(&mut exchange).upstream;
        let _ = self.judge(&mut exchange, OK);
        let _ = self.close(exchange);
        upstream
    }
}

fn counts(came: Came) -> bool {
    let mut desk = Desk::new(spec(3));
    for _ in 0..60 {
        let mut exchange = desk.open(Safety::Safe);
        let attempt = desk.choose(&mut exchange);
        let _ = desk.judge(&mut exchange, if attempt.upstream == key(0) { came } else { OK });
        let _ = desk.close(exchange);
    }
    assert!(desk.at_rest());
    desk.pool
        .take_events()
        .iter()
        .any(|event| matches!(event, PoolEvent::Ejected { upstream: UpstreamKey(0), .. }))
}

/// A row: what follows for a safe, an idempotent and an unsafe request, what when no attempt is left, and
/// whether it counts against the upstream.
fn check(came: Came, [safe, idempotent, unsafe_]: [Next; 3], last: Next, against: bool) {
    assert_eq!(next(came, Safety::Safe, 3), safe, "safe: {came:?}");
    assert_eq!(next(came, Safety::Idempotent, 3), idempotent, "idempotent: {came:?}");
    assert_eq!(next(came, Safety::Unsafe, 3), unsafe_, "unsafe: {came:?}");
    for safety in [Safety::Safe, Safety::Idempotent, Safety::Unsafe] {
        assert_eq!(next(came, safety, 1), last, "the last attempt: {came:?}");
    }
    assert_eq!(counts(came), against, "counts: {came:?}");
}

#[test]
fn what_was_never_sent_moves_freely_and_counts() {
    check(UNSENT, [MovesFree, MovesFree, MovesFree], Refuses(Refusal::Unreachable), true);
}

#[test]
fn what_nobody_looked_at_moves_freely_and_only_goodbyes_without_end_count() {
    check(UNPROCESSED, [MovesFree, MovesFree, MovesFree], Refuses(Refusal::Unreachable), true);
    let mut desk = Desk::new(spec(2));
    for _ in 0..100 {
        let mut exchanges: Vec<_> = (0..8).map(|_| desk.open(Safety::Unsafe)).collect();
        for exchange in &mut exchanges {
            desk.choose(exchange);
        }
        desk.now = desk.now + Duration::from_millis(1);
        for mut exchange in exchanges {
            let at = exchange.attempts().upstreams()[0];
            let came = if at == key(0) { UNPROCESSED } else { OK };
            if let Verdict::Retry { not_before } = desk.judge(&mut exchange, came) {
                assert_eq!(not_before, desk.now, "at once");
                assert_eq!(desk.choose(&mut exchange).upstream, key(1));
                assert_eq!(desk.judge(&mut exchange, OK), Verdict::Forward);
            }
            let _ = desk.close(exchange);
        }
        // Its connections are new ones now, and serve.
        while desk.serve_one() != key(0) {}
    }
    assert_eq!(desk.pool.healthy(), 2, "one that restarts in order is healthy");
}

#[test]
fn those_that_take_nothing_are_asked_again_within_attempts_and_budget() {
    let mut desk = Desk::new(spec(1));
    let mut exchange = desk.open(Safety::Unsafe);
    desk.choose(&mut exchange);
    let balance = desk.pool.budget_balance();
    for attempts in 1..3 {
        let Verdict::Retry { not_before } = desk.judge(&mut exchange, UNPROCESSED) else {
            panic!("no retry")
        };
        desk.now = not_before;
        desk.choose(&mut exchange);
        assert!(balance - desk.pool.budget_balance() > f64::from(attempts) - 0.5, "the budget pays");
    }
    assert_eq!(desk.judge(&mut exchange, UNPROCESSED), Verdict::Refuse(Refusal::Unreachable));
    assert_eq!(desk.close(exchange).denial, Some(Denial::Attempts));
}

#[test]
fn a_refusal_before_the_integration_moves_any_request_and_counts_for_nothing() {
    let unknown = gateway(403, E::MissingAuthenticationToken, B::Json);
    let quota = gateway(429, E::LimitExceeded, B::Json);
    for came in [DENIED, THROTTLED, quota] {
        check(came, [MovesPaid, MovesPaid, MovesPaid], Forwards, false);
    }
    check(unknown, [MovesPaid, MovesPaid, MovesPaid], Refuses(Refusal::UnknownAtGateway), false);
}

#[test]
fn a_refused_signature_is_our_own_fault_and_goes_nowhere_else() {
    check(gateway(403, E::Signature, B::Json), [Forwards, Forwards, Forwards], Forwards, false);
}

/// What becomes of a request whose signature is refused so often, where the proxy signs.
fn signed(safety: Safety, refusals: usize) -> (Desk, Receipt, Verdict) {
    let mut spec = spec(3);
    spec.upstreams.iter_mut().for_each(|upstream| upstream.signed = true);
    let mut desk = Desk::new(spec);
    let mut exchange = desk.open(safety);
    let refused = gateway(403, E::Signature, B::Json);
    let mut verdict = Verdict::Retry { not_before: desk.now };
    for number in 0.. {
        let Verdict::Retry { not_before } = verdict else { break };
        assert_eq!(not_before, desk.now, "there is nothing to wait for");
        verdict = desk.attempt(&mut exchange, if number < refusals { refused } else { OK });
    }
    let receipt = desk.close(exchange);
    (desk, receipt, verdict)
}

#[test]
fn a_refused_signature_of_ours_is_made_anew_once_for_the_same_upstream() {
    for safety in [Safety::Safe, Safety::Idempotent, Safety::Conditional, Safety::Unsafe] {
        for refusals in [1, 2, 9] {
            let (desk, receipt, verdict) = signed(safety, refusals);
            let attempts: Vec<_> = receipt.attempts.iter().collect();
            let [first, second] = attempts[..] else { panic!("{} attempts", attempts.len()) };
            assert_eq!((first.upstream, first.class), (second.upstream, Class::SignatureRefused));
            assert!(!first.paid && second.paid, "it amplifies, so the budget pays");
            let last = if refusals == 1 { Class::Answered } else { Class::SignatureRefused };
            assert_eq!((second.class, verdict), (last, Verdict::Forward));
            assert!(desk.at_rest());
        }
    }
}

#[test]
fn without_budget_or_body_a_refused_signature_is_passed_on() {
    let refused = gateway(403, E::Signature, B::Json);
    for replayable in [true, false] {
        let mut spec = spec(2);
        spec.upstreams.iter_mut().for_each(|upstream| upstream.signed = true);
        let mut desk = Desk::new(spec);
        let mut exchange = desk.open_with(Safety::Safe, |terms| terms.replayable = replayable);
        if replayable {
            desk.spend_the_budget();
        }
        assert_eq!(desk.attempt(&mut exchange, refused), Verdict::Forward);
        let denial = if replayable { Denial::Budget } else { Denial::BodyTooLarge };
        assert_eq!(desk.close(exchange).denial, Some(denial));
    }
}

#[test]
fn an_authoriser_that_fails_moves_any_request_and_counts() {
    let came = gateway(500, E::Internal, B::InternalMessage);
    check(came, [MovesPaid, MovesPaid, MovesPaid], Forwards, true);
}

#[test]
fn a_failure_behind_the_gateway_moves_only_what_may_run_twice_and_counts() {
    let rows = [
        gateway(502, E::Internal, B::InternalMessage),
        gateway(504, E::Internal, B::Json),
        APP_500,
        answers(503, B::Json),
        answers(200, B::Envelope { status: 500 }),
        answers(200, B::Envelope { status: 502 }),
    ];
    for came in rows {
        check(came, [MovesPaid, MovesPaid, Forwards], Forwards, true);
    }
}

#[test]
fn a_lambda_failure_in_a_200_is_never_shown_as_an_answer() {
    let refused = || Refuses(Refusal::BadAnswer);
    let came = answers(200, B::LambdaError);
    check(came, [MovesPaid, MovesPaid, refused()], refused(), true);
}

#[test]
fn a_throttle_of_the_function_moves_only_what_may_run_twice_and_does_not_count() {
    check(answers(429, B::Json), [MovesPaid, MovesPaid, Forwards], Forwards, false);
}

#[test]
fn html_on_a_read_moves_only_reads_and_is_a_suspicion() {
    for body in [B::Html, B::Unreadable, B::Foreign] {
        check(answers(200, body), [MovesPaid, Forwards, Forwards], Forwards, false);
    }
}

#[test]
fn a_break_or_silence_after_bytes_left_moves_only_what_may_run_twice_and_counts() {
    for (came, refusal) in [(BROKEN, Refusal::BadAnswer), (TIMED_OUT, Refusal::TimedOut)] {
        check(came, [MovesPaid, MovesPaid, Refuses(refusal)], Refuses(refusal), true);
    }
}

#[test]
fn what_the_application_refuses_is_passed_on_and_never_counts() {
    for status in [200, 201, 301, 304, 400, 401, 403, 404, 409, 412, 422, 501] {
        check(answers(status, B::Json), [Forwards, Forwards, Forwards], Forwards, false);
    }
}
