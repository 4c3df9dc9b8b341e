//! Leaving an upstream that was ejected while the request waited there.

use super::*;
use crate::receipt::Felt;
use std::num::NonZeroU8;

impl Desk {
    fn leave(&mut self, exchange: &mut Exchange) -> bool {
        exchange.leave(&mut self.pool, self.now, &mut self.rng)
    }

    /// A request that waits for region 0.
    fn waiting_at_0(&mut self, change: impl Fn(&mut Terms), safety: Safety) -> Exchange {
        loop {
            let mut exchange = self.open_with(safety, &change);
            if self.choose(&mut exchange).upstream == key(0) {
                return exchange;
            }
            let _ = self.close(exchange);
        }
    }
}

#[test]
fn a_read_leaves_an_upstream_that_is_ejected_while_it_waits_there_and_pays_nothing() {
    let mut desk = Desk::new(spec(2));
    let mut exchange = desk.waiting_at_0(|_| (), Safety::Safe);
    assert!(!desk.leave(&mut exchange), "it is in rotation");
    desk.eject(0);
    desk.spend_the_budget();
    assert!(desk.leave(&mut exchange));
    assert!(!desk.leave(&mut exchange), "it has left");
    assert_eq!(desk.choose(&mut exchange).upstream, key(1));
    assert_eq!(desk.judge(&mut exchange, OK), Verdict::Forward);
    let receipt = desk.close(exchange);
    let classes: Vec<_> = receipt.attempts.iter().map(|attempt| (attempt.class, attempt.paid)).collect();
    assert_eq!(classes, [(Class::Moved, false), (Class::Answered, false)]);
    assert_eq!((receipt.felt(), receipt.denial), (Felt::Rescued, None));
    assert!(desk.at_rest());
}

#[test]
fn what_may_not_be_repeated_stays_where_it_is() {
    for safety in [Safety::Idempotent, Safety::Conditional, Safety::Unsafe] {
        let mut desk = Desk::new(spec(2));
        let mut exchange = desk.waiting_at_0(|_| (), safety);
        desk.eject(0);
        assert!(!desk.leave(&mut exchange), "{safety:?}");
        assert_eq!(desk.judge(&mut exchange, OK), Verdict::Forward);
    }
    let mut desk = Desk::new(spec(2));
    let mut exchange = desk.waiting_at_0(|terms| terms.replayable = false, Safety::Safe);
    desk.eject(0);
    assert!(!desk.leave(&mut exchange), "its body is gone");
}

#[test]
fn attempts_and_deadline_bind_a_request_that_would_leave() {
    let mut spec = spec(2);
    spec.retry.attempts_max = NonZeroU8::MIN;
    let mut desk = Desk::new(spec);
    let mut exchange = desk.waiting_at_0(|_| (), Safety::Safe);
    desk.eject(0);
    assert!(!desk.leave(&mut exchange), "its attempts are used up");
    let mut desk = Desk::new(super::spec(2));
    let mut exchange = desk.waiting_at_0(|_| (), Safety::Safe);
    desk.eject(0);
    desk.now = desk.now + Duration::from_secs(29);
    assert!(!desk.leave(&mut exchange), "its time is up");
}

#[test]
fn whoever_asked_an_ejected_upstream_knowingly_and_the_last_upstreams_requests_stay() {
    let mut desk = Desk::new(spec(2));
    desk.eject(0);
    desk.now = desk.now + Duration::from_secs(13);
    let mut probe = desk.open(Safety::Safe);
    assert!(desk.choose(&mut probe).probe);
    assert!(!desk.leave(&mut probe));
    let _ = desk.close(probe);
    let mut desk = Desk::new(spec(1));
    let mut exchange = desk.waiting_at_0(|_| (), Safety::Safe);
    for _ in 0..10 {
        desk.exhaust(Safety::Safe, BROKEN);
    }
    assert!(desk.pool.in_panic() && !desk.leave(&mut exchange), "nobody is better");
}
