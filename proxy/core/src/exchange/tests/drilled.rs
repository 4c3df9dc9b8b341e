//! A request that meets a drill.

use super::*;
use crate::bounds::Ratio;
use crate::drill::{DrillPlan, Fault, ServerError};
use crate::receipt::Felt;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn unavailable() -> Fault {
    Fault::Status(ServerError::new(503).unwrap())
}

impl Came {
    const fn is_silence(self) -> bool {
        matches!(self, Self::Fails(Failure::TimedOut))
    }
}

impl Desk {
    fn drill(fault: Fault) -> Self {
        let mut desk = Self::new(spec(2));
        let share = Ratio::percent(100);
        let plan = DrillPlan { upstream: key(0), fault, share, length: 100 * SECOND };
        desk.pool.begin_drill(plan, desk.now).unwrap();
        desk
    }

    /// A request whose first attempt is at the drilled upstream.
    fn at_0(&mut self, safety: Safety, change: impl Fn(&mut Terms)) -> (Exchange, Attempt) {
        loop {
            let mut exchange = self.open_with(safety, &change);
            let attempt = self.choose(&mut exchange);
            if attempt.upstream == key(0) {
                return (exchange, attempt);
            }
            let _ = self.judge(&mut exchange, OK);
            let _ = self.close(exchange);
        }
    }

    fn met(&self) -> (u64, u64, u64, u64) {
        let score = self.pool.drill(self.now).expect("it is under way").score;
        (score.met, score.spared, score.rescued, score.lost)
    }
}

#[test]
fn any_request_moves_to_the_other_upstream_for_nothing_was_sent() {
    for safety in [Safety::Safe, Safety::Idempotent, Safety::Conditional, Safety::Unsafe] {
        for (fault, came) in [
            (Fault::Refuse, UNSENT),
            (Fault::Delay(30 * SECOND), TIMED_OUT),
            (unavailable(), answers(503, BodyFacts::Json)),
        ] {
            let mut desk = Desk::drill(fault);
            let (mut exchange, attempt) = desk.at_0(safety, |_| ());
            // One that would outlast the attempt never ends.
            let done = if came.is_silence() { Fault::Delay(Duration::MAX) } else { fault };
            assert_eq!(attempt.fault, Some(done));
            assert!(matches!(desk.judge(&mut exchange, came), Verdict::Retry { .. }), "{safety:?} {fault:?}");
            let again = desk.choose(&mut exchange);
            assert_eq!((again.upstream, again.fault), (key(1), None));
            assert_eq!(desk.judge(&mut exchange, OK), Verdict::Forward);
            let receipt = desk.close(exchange);
            assert_eq!(receipt.felt(), Felt::Rescued);
            let drilled: Vec<_> = receipt.attempts.iter().map(|attempt| attempt.drilled).collect();
            assert_eq!(drilled, [true, false]);
            assert_eq!(desk.met(), (1, 0, 1, 0));
            assert!(desk.at_rest());
        }
    }
}

#[test]
fn who_could_not_be_tried_again_is_spared() {
    let hurried = |terms: &mut Terms| terms.deadline = Some(millis(1_002_000));
    let unkept = |terms: &mut Terms| terms.replayable = false;
    let paging = |terms: &mut Terms| terms.page = Some(key(0));
    for change in [&hurried as &dyn Fn(&mut Terms), &unkept, &paging] {
        let mut desk = Desk::drill(Fault::Refuse);
        let (mut exchange, attempt) = desk.at_0(Safety::Safe, change);
        assert_eq!((attempt.fault, desk.met()), (None, (0, 1, 0, 0)));
        assert_eq!(desk.judge(&mut exchange, OK), Verdict::Forward);
        let _ = desk.close(exchange);
    }
}

#[test]
fn who_meets_a_fault_that_costs_a_retry_has_paid_for_it() {
    let mut desk = Desk::drill(unavailable());
    let (mut exchange, attempt) = desk.at_0(Safety::Safe, |_| ());
    assert_eq!(attempt.fault, Some(unavailable()));
    desk.spend_the_budget();
    let verdict = desk.judge(&mut exchange, answers(503, BodyFacts::Json));
    assert!(matches!(verdict, Verdict::Retry { .. }));
    desk.choose(&mut exchange);
    let _ = desk.judge(&mut exchange, OK);
    let receipt = desk.close(exchange);
    assert!(receipt.attempts.iter().any(|attempt| attempt.paid), "the budget paid");
    desk.spend_the_budget();
    let (exchange, attempt) = desk.at_0(Safety::Safe, |_| ());
    assert_eq!(attempt.fault, None, "who cannot pay does not meet it");
    let _ = desk.close(exchange);
    let denials = desk.pool.drill(desk.now).unwrap().score.budget_denials;
    assert_eq!((desk.met().1, denials), (1, 1));
}

#[test]
fn a_delay_that_the_attempt_outlasts_is_only_a_delay() {
    let mut desk = Desk::drill(Fault::Delay(SECOND));
    let (mut exchange, attempt) = desk.at_0(Safety::Unsafe, |_| ());
    assert_eq!(attempt.fault, Some(Fault::Delay(SECOND)));
    assert_eq!(desk.judge(&mut exchange, BROKEN), Verdict::Refuse(Refusal::BadAnswer), "it was sent");
    let _ = desk.close(exchange);
    assert_eq!(desk.met(), (1, 0, 0, 1));
}

#[test]
fn an_answer_of_the_drills_own_making_never_reaches_a_client() {
    let mut desk = Desk::drill(unavailable());
    let (mut exchange, _) = desk.at_0(Safety::Safe, |_| ());
    // No time is left after all, so nobody can be asked again.
    desk.now = desk.now + 29 * SECOND;
    let verdict = desk.judge(&mut exchange, answers(503, BodyFacts::Json));
    assert_eq!(verdict, Verdict::Refuse(Refusal::Unreachable));
    let _ = desk.close(exchange);
}
