//! What outlives the process, and what it may do to the next one.

use super::*;
use crate::memory::{Remembered, Standing};
use crate::order::Order;

fn out(yard: &Yard, upstream: usize, ahead: Duration) -> Remembered {
    let (reason, cause) = (EjectReason::ProbeFailed, EjectReason::ConsecutiveFailures);
    let standing = Standing::Out { reason, cause, until: yard.now + ahead };
    Remembered { name: format!("region-{upstream}"), standing, ejections: 2, ordered: None }
}

#[test]
fn an_ejection_is_remembered_to_its_end_and_for_how_long_the_next_one_is() {
    let mut yard = Yard::new(3);
    assert_eq!(yard.pool.memory(yard.now), [], "there is nothing to remember");
    let until = yard.eject(1);
    let memory = yard.pool.memory(yard.now);
    let mut next = Yard::new(3);
    next.pool.remember(&memory, next.now);
    assert_eq!(next.names(), ["healthy", "ejected", "healthy"]);
    assert!(matches!(next.health(1), Health::Ejected { until: end, .. } if end == until));
    assert_eq!(next.pool.upstreams()[1].ejections(), 1);
    assert_eq!(next.pool.memory(next.now), memory, "what is remembered is remembered again");
    assert!(next.asked(10).iter().all(|&upstream| upstream != 1));
    next.readmit(1);
    assert_eq!(next.names(), ["healthy"; 3]);
}

#[test]
fn who_was_probed_is_probed_again() {
    let mut yard = Yard::new(2);
    yard.eject(0);
    yard.wait_out(0);
    let probe = yard.choose(READ);
    assert!(probe.is_probe());
    let memory = yard.pool.memory(yard.now);
    let mut next = Yard::new(2);
    next.now = yard.now;
    next.pool.remember(&memory, next.now);
    assert_eq!(next.names()[0], "ejected");
    assert!(next.choose(READ).is_probe(), "at once");
}

#[test]
fn a_memory_puts_nobody_out_who_must_stay_nor_for_longer_than_the_policy_would() {
    let mut yard = Yard::new(2);
    let memory = [out(&yard, 0, seconds(1_000_000)), out(&yard, 1, seconds(60)), out(&yard, 7, seconds(60))];
    yard.pool.remember(&memory, yard.now);
    assert_eq!(yard.names(), ["ejected", "degraded"]);
    let longest = yard.now + yard.pool.spec().passive_health.ejection_max;
    assert!(matches!(yard.health(0), Health::Ejected { until, .. } if until == longest));
    assert!(yard.pool.in_panic());
    let mut dry = Yard::with(2, |spec| spec.passive_health.dry_run = true);
    dry.pool.remember(&memory, dry.now);
    assert_eq!(dry.names(), ["healthy"; 2]);
}

#[test]
fn ejections_are_forgiven_in_memory_too() {
    let mut yard = Yard::new(2);
    yard.eject(0);
    yard.readmit(0);
    assert_eq!(yard.pool.memory(yard.now)[0].standing, Standing::In);
    yard.now = yard.now + seconds(3600);
    assert_eq!(yard.pool.memory(yard.now), []);
}

#[test]
fn what_an_operator_ordered_is_remembered_with_who_ordered_it_and_why() {
    let mut yard = Yard::new(3);
    yard.insist(0, Order::Drain);
    yard.insist(1, Order::Eject { length: seconds(3600) });
    let memory = yard.pool.memory(yard.now);
    let mut heir = Yard::with(3, |spec| spec.passive_health.dry_run = true);
    heir.pool.remember(&memory, heir.now);
    assert_eq!(heir.names(), ["draining", "ejected", "healthy"]);
    let Health::Ejected { until, .. } = heir.health(1) else { panic!("{:?}", heir.health(1)) };
    assert_eq!(until, heir.now + seconds(3600), "as long as it was ordered");
    let why = heir.pool.upstreams()[0].ordered().map(|ordered| ordered.note.why().to_owned());
    assert_eq!(why.as_deref(), Some("it is patched"));
}
