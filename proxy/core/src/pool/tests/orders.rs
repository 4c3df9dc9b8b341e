use super::*;
use crate::order::{Declined, EJECTION_MAX, Note, Order, Ordered};

impl Yard {
    fn order_with(&mut self, upstream: usize, order: Order, forced: bool) -> Result<(), Declined> {
        let note = Note::try_new("on-call", "it is patched", self.now).unwrap();
        self.pool.order(key(upstream), Ordered { order, forced, note }, self.now, &mut self.rng)
    }

    fn order(&mut self, upstream: usize, order: Order) -> Result<(), Declined> {
        self.order_with(upstream, order, false)
    }

    pub(super) fn insist(&mut self, upstream: usize, order: Order) {
        self.order_with(upstream, order, true).unwrap();
    }
}

const fn eject(length: u64) -> Order {
    Order::Eject { length: seconds(length) }
}

fn checked(yard: &mut Yard, upstream: usize, result: CheckResult, times: usize) {
    for _ in 0..times {
        let out = yard.pool.begin_check(key(upstream)).unwrap();
        yard.pool.checked(out, result, yard.now, &mut yard.rng);
    }
}

#[test]
fn a_drained_upstream_is_asked_by_nobody_until_it_is_undrained() {
    let mut yard = Yard::new(2);
    yard.order(0, Order::Drain).unwrap();
    yard.now = yard.now + seconds(100_000);
    assert_eq!(yard.asked(20), [1; 20]);
    assert_eq!(yard.choose(Wish { tried: &[key(1)], ..READ }).tier, Tier::Again, "rather the same one again");
    yard.order(0, Order::Undrain).unwrap();
    assert!(yard.asked(40).contains(&0));
    assert_eq!(yard.pool.upstreams()[0].state(yard.now), "warming", "it comes back bit by bit");
}

#[test]
fn not_even_panic_sends_anybody_to_a_drained_upstream() {
    let mut yard = Yard::new(3);
    yard.order(0, Order::Drain).unwrap();
    yard.see(1, Class::Unsent, 3);
    yard.see(2, Class::Unsent, 3);
    yard.insist(2, eject(60));
    assert_eq!(yard.names(), ["draining", "ejected", "ejected"]);
    assert!(yard.pool.in_panic());
    let asked = yard.asked(20);
    assert!(!asked.contains(&0) && asked.contains(&1) && asked.contains(&2), "{asked:?}");
}

#[test]
fn a_pool_that_is_drained_whole_asks_nobody_and_is_not_in_panic() {
    let mut yard = Yard::new(2);
    yard.insist(0, Order::Drain);
    yard.insist(1, Order::Drain);
    assert!(yard.pool.choose(READ, yard.now, &mut yard.rng).is_none());
    assert!(!yard.pool.in_panic() && !yard.pool.has_anybody(None, None));
}

#[test]
fn what_is_at_an_upstream_as_it_is_drained_ends_there_and_says_nothing_any_more() {
    let mut yard = Yard::new(2);
    let out: Vec<_> = (0..4).map(|_| yard.direct(0)).collect();
    yard.order(0, Order::Drain).unwrap();
    assert_eq!(yard.pool.upstreams()[0].in_flight(), 4);
    for choice in out {
        assert!(!yard.pool.is_better_left(choice, None));
        yard.settle(choice, Class::Broken);
    }
    assert_eq!((yard.pool.upstreams()[0].in_flight(), yard.names()[0]), (0, "draining"));
}

#[test]
fn a_page_of_a_drained_upstream_goes_to_who_shares_its_store_or_is_gone() {
    for (store, found) in [("east", Some(1)), ("", None)] {
        let mut yard = Yard::with(3, |spec| {
            spec.upstreams[0].data_domain = store.to_owned();
            spec.upstreams[1].data_domain = store.to_owned();
        });
        yard.order(0, Order::Drain).unwrap();
        let choice = yard.pool.choose(Wish { page: Some(key(0)), ..READ }, yard.now, &mut yard.rng);
        assert_eq!(choice.map(|choice| choice.upstream), found.map(key));
    }
}

#[test]
fn whoever_was_out_as_it_was_drained_is_tried_before_it_is_back() {
    let mut yard = Yard::new(2);
    yard.eject(0);
    yard.order(0, Order::Drain).unwrap();
    yard.order(0, Order::Undrain).unwrap();
    assert!(matches!(yard.health(0), Health::Probing { reason: EjectReason::ConsecutiveFailures, .. }));
    yard.readmit(0);
}

#[test]
fn whoever_the_checks_find_dead_while_it_is_drained_is_tried_before_it_is_back() {
    let mut yard = Yard::with(2, |spec| spec.active_health = Some(ActiveHealth::default()));
    yard.order(0, Order::Drain).unwrap();
    checked(&mut yard, 0, CheckResult::Failed, 10);
    assert_eq!(yard.names()[0], "draining", "no check ends it, nor makes it worse");
    yard.order(0, Order::Undrain).unwrap();
    assert!(matches!(yard.health(0), Health::Probing { reason: EjectReason::CheckFailed, .. }));
    checked(&mut yard, 0, CheckResult::Passed, 2);
    assert_eq!(yard.health(0), Health::Healthy);
}

#[test]
fn an_ordered_ejection_lasts_as_long_as_it_is_ordered_and_no_check_ends_it() {
    let mut yard = Yard::with(2, |spec| spec.active_health = Some(ActiveHealth::default()));
    yard.order(0, eject(600)).unwrap();
    checked(&mut yard, 0, CheckResult::Passed, 10);
    yard.now = yard.now + seconds(599);
    assert_eq!(yard.asked(20), [1; 20]);
    yard.now = yard.now + seconds(1);
    let probe = yard.choose(READ);
    assert!(probe.is_probe() && probe.upstream == key(0), "then it is probed like any other");
    assert_eq!(yard.pool.upstreams()[0].ejections(), 0, "it is no sin");
}

#[test]
fn an_ordered_ejection_is_the_last_resort_like_any_other() {
    let mut yard = Yard::new(2);
    yard.order(0, eject(600)).unwrap();
    assert_eq!(yard.choose(Wish { tried: &[key(1)], ..WRITE }).tier, Tier::LastResort);
    yard.insist(1, eject(600));
    assert!(yard.pool.in_panic());
}

#[test]
fn a_readmitted_upstream_is_back_at_once_and_bit_by_bit() {
    let mut yard = Yard::with(2, |spec| spec.active_health = Some(ActiveHealth::default()));
    checked(&mut yard, 0, CheckResult::Failed, 3);
    assert_eq!(yard.names()[0], "ejected");
    yard.order(0, Order::Readmit).unwrap();
    assert_eq!(yard.pool.upstreams()[0].state(yard.now), "warming");
    checked(&mut yard, 0, CheckResult::Failed, 3);
    assert_eq!(yard.names()[0], "ejected", "the checks can still put it out");
}

#[test]
fn an_order_that_would_leave_too_few_must_be_forced() {
    let mut yard = Yard::with(3, |spec| spec.passive_health.min_healthy = n(2));
    yard.order(0, Order::Drain).unwrap();
    let too_few = Err(Declined::TooFewLeft { left: 1, needed: 2 });
    assert_eq!(yard.order(1, Order::Drain), too_few);
    assert_eq!(yard.order(1, eject(1)), too_few);
    assert_eq!(yard.names(), ["draining", "healthy", "healthy"]);
    yard.insist(1, Order::Drain);
    assert_eq!(yard.asked(5), [2; 5]);
    let mut alone = Yard::new(1);
    assert_eq!(alone.order(0, Order::Drain), Err(Declined::TooFewLeft { left: 0, needed: 1 }));
}

#[test]
fn an_order_that_makes_no_sense_is_declined() {
    let mut yard = Yard::new(3);
    assert_eq!(yard.order(3, Order::Drain), Err(Declined::NoSuchUpstream));
    assert_eq!(yard.order(0, Order::Undrain), Err(Declined::NotDrained));
    assert_eq!(yard.order(0, Order::Readmit), Err(Declined::NotOut));
    let length = EJECTION_MAX + seconds(1);
    assert_eq!(yard.order(0, Order::Eject { length }), Err(Declined::TooLong));
    yard.order(0, Order::Drain).unwrap();
    for order in [Order::Drain, Order::Readmit, eject(1)] {
        assert_eq!(yard.order_with(0, order, true), Err(Declined::Drained), "{order:?}");
    }
}

#[test]
fn who_ordered_what_and_why_is_told() {
    let mut yard = Yard::new(2);
    yard.order(0, Order::Drain).unwrap();
    let ordered = yard.pool.upstreams()[0].ordered().unwrap();
    assert_eq!(
        (ordered.order, ordered.note.by(), ordered.note.why()),
        (Order::Drain, "on-call", "it is patched")
    );
    assert_eq!(yard.events(), [PoolEvent::Drained { upstream: key(0) }]);
}
