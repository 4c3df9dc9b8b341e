//! Whoever is not chosen has a reason.

use super::*;
use crate::check::ActiveHealth;
use crate::order::Order;

impl Yard {
    /// Whom a choice goes to, and why not to the others.
    fn reasons(&mut self, wish: Wish<'_>) -> (Option<usize>, Vec<(usize, Skip)>) {
        let choice = self.pool.choose(wish, self.now, &mut self.rng);
        let passed = self.pool.passed(&wish, choice.as_ref(), self.now);
        let reasons = passed.iter().map(|(upstream, skip)| (upstream.number(), skip)).collect();
        (choice.map(|choice| choice.upstream.number()), reasons)
    }
}

/// Of two upstreams that are such, once this has happened, the first is passed over for this reason.
fn check(is: impl FnOnce(&mut PoolSpec), happens: impl FnOnce(&mut Yard), wish: Wish<'_>, because: Skip) {
    let mut yard = Yard::with(2, is);
    happens(&mut yard);
    assert_eq!(yard.reasons(wish), (Some(1), vec![(0, because)]), "{wish:?}");
}

const fn as_ever(_: &mut PoolSpec) {}

const fn nothing(_: &mut Yard) {}

fn domains(spec: &mut PoolSpec) {
    spec.write_affinity = seconds(60);
    for (upstream, domain) in spec.upstreams.iter_mut().zip(["east", "west"]) {
        upstream.data_domain = domain.to_owned();
    }
}

#[test]
fn what_has_befallen_an_upstream_is_why_it_is_passed_over() {
    check(as_ever, |yard| yard.insist(0, Order::Drain), READ, Skip::Drained);
    check(as_ever, |yard| _ = yard.eject(0), READ, Skip::Ejected);
    check(as_ever, |yard| yard.see(0, Class::Throttled, 1), READ, Skip::Throttled);
    let checked = |spec: &mut PoolSpec| spec.active_health = Some(ActiveHealth::default());
    check(checked, |yard| yard.see(0, Class::GatewayDenied, 1), READ, Skip::BeingVerified);
    let narrow = |spec: &mut PoolSpec| spec.upstreams[0].concurrency_max = Some(NonZeroU32::MIN);
    check(narrow, |yard| _ = yard.direct(0), READ, Skip::NoRoom);
}

#[test]
fn who_probes_an_ejected_upstream_is_told_from_who_may_not() {
    let due = |yard: &mut Yard| {
        yard.eject(0);
        yard.wait_out(0);
    };
    check(as_ever, due, WRITE, Skip::UnfitToProbe);
    let probed = |yard: &mut Yard| {
        due(yard);
        assert_eq!(yard.reasons(READ), (Some(0), vec![(1, Skip::ProbeFirst)]));
    };
    check(as_ever, probed, READ, Skip::BeingProbed);
}

#[test]
fn what_the_request_may_not_do_is_why_an_upstream_is_passed_over() {
    let tried = Wish { tried: &[key(0)], ..READ };
    check(as_ever, nothing, tried, Skip::Tried);
    check(as_ever, nothing, Wish { again_at: Some(key(1)), ..READ }, Skip::SignedAnew);
    check(as_ever, nothing, Wish { page: Some(key(1)), ..READ }, Skip::OtherPage);
    check(as_ever, nothing, Wish { avoid: Some(key(0)), ..READ }, Skip::Drilled);
    let west = |yard: &Yard| yard.pool.upstreams[1].domain;
    let inside = west(&Yard::with(2, domains));
    check(domains, nothing, Wish { inside, ..WRITE }, Skip::OtherDomain);
}

#[test]
fn whom_the_pool_prefers_is_why_another_is_passed_over() {
    let standby = |spec: &mut PoolSpec| spec.upstreams[0].priority = 1;
    check(standby, nothing, READ, Skip::Priority);
    let wrote = |yard: &mut Yard| {
        let (choice, client) = (yard.direct(1), 7);
        let outcome = Outcome { class: Class::Answered, retry_after: None, client, wrote: true, heard: None };
        yard.pool.settle(choice, outcome, yard.now, &mut yard.rng);
    };
    check(domains, wrote, Wish { reader: Some(7), ..READ }, Skip::WriteAffinity);
    check(as_ever, |yard| _ = yard.choose(READ), READ, Skip::Turn);
    let warms = |yard: &mut Yard| {
        yard.eject(0);
        yard.readmit(0);
    };
    check(as_ever, warms, READ, Skip::Share);
}

#[test]
fn in_panic_everybody_is_eligible_and_one_has_the_turn() {
    let mut yard = Yard::new(2);
    for upstream in [0, 1] {
        yard.see(upstream, Class::Unsent, 3);
    }
    yard.see(1, Class::Unsent, 3);
    assert!(yard.pool.in_panic());
    let (_, reasons) = yard.reasons(READ);
    assert!(matches!(reasons[..], [(_, Skip::Turn)]), "{reasons:?}");
}

#[test]
fn where_nobody_can_be_asked_each_has_a_reason() {
    let mut yard = Yard::with(3, |spec| spec.upstreams[2].concurrency_max = Some(NonZeroU32::MIN));
    yard.insist(0, Order::Drain);
    yard.insist(1, Order::Drain);
    yard.choose(READ);
    let reasons = vec![(0, Skip::Drained), (1, Skip::Drained), (2, Skip::NoRoom)];
    assert_eq!(yard.reasons(READ), (None, reasons));
}

#[test]
fn of_a_large_pool_those_are_told_that_something_kept_from_being_asked() {
    let mut yard = Yard::new(PASSED_MAX + 2);
    yard.eject(3);
    yard.insist(5, Order::Drain);
    let (_, reasons) = yard.reasons(READ);
    assert_eq!(reasons, [(3, Skip::Ejected), (5, Skip::Drained)]);
}

#[test]
fn every_reason_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = Skip::ALL.iter().map(|skip| skip.name()).collect();
    assert_eq!(names.len(), Skip::ALL.len());
}
