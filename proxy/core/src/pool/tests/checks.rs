//! What the proxy's own checks do by themselves.

use super::*;
use crate::check::ActiveHealth;

fn checked() -> Yard {
    Yard::with(2, |spec| spec.active_health = Some(ActiveHealth::default()))
}

/// As many checks come back one after the other, each with this result.
fn check(yard: &mut Yard, upstream: usize, result: CheckResult, times: usize) {
    for _ in 0..times {
        let out = yard.pool.begin_check(key(upstream)).unwrap();
        yard.pool.checked(out, result, yard.now, &mut yard.rng);
        yard.now = yard.now + seconds(10);
    }
}

fn name(yard: &Yard) -> &'static str {
    yard.health(0).name()
}

#[test]
fn three_failed_checks_in_a_row_eject_without_any_request() {
    for result in [CheckResult::Failed, CheckResult::Refused, CheckResult::Unexpected] {
        let mut yard = checked();
        check(&mut yard, 0, result, 2);
        assert_eq!((name(&yard), yard.events()), ("healthy", vec![]));
        check(&mut yard, 0, result, 1);
        let Health::Ejected { reason, until, .. } = yard.health(0) else { panic!("{result:?}") };
        assert_eq!(reason, EjectReason::CheckFailed);
        assert_eq!(yard.events(), [PoolEvent::Ejected { upstream: key(0), reason, until, enforced: true }]);
    }
}

#[test]
fn a_check_that_says_nothing_ejects_nobody() {
    let mut yard = checked();
    check(&mut yard, 0, CheckResult::Unclear, 50);
    assert_eq!((name(&yard), yard.events()), ("healthy", vec![]));
}

#[test]
fn two_passed_checks_in_a_row_readmit_what_the_checks_ejected_without_any_request() {
    let mut yard = checked();
    check(&mut yard, 0, CheckResult::Failed, 3);
    check(&mut yard, 0, CheckResult::Passed, 1);
    assert_eq!(name(&yard), "probing", "a request may try it already");
    check(&mut yard, 0, CheckResult::Failed, 1);
    assert_eq!(name(&yard), "ejected");
    let _ = yard.events();
    check(&mut yard, 0, CheckResult::Passed, 2);
    assert_eq!(name(&yard), "healthy");
    let told = [PoolEvent::ProbingStarted { upstream: key(0) }, PoolEvent::Readmitted { upstream: key(0) }];
    assert_eq!(yard.events(), told);
    assert_eq!(yard.pool.upstreams()[0].state(yard.now), "warming");
}

#[test]
fn a_passed_check_ends_the_wait_after_failures_of_transport_or_gateway() {
    let mut yard = checked();
    yard.eject(0);
    check(&mut yard, 0, CheckResult::Passed, 1);
    assert_eq!(name(&yard), "probing", "long before its ejection is over");
    yard.readmit(0);

    let mut yard = checked();
    let denied = yard.direct(0);
    yard.settle(denied, Class::GatewayDenied);
    yard.pool.verified(key(0), CheckResult::Refused, yard.now, &mut yard.rng);
    check(&mut yard, 0, CheckResult::Passed, 1);
    assert_eq!(name(&yard), "probing");
}

#[test]
fn checks_that_pass_neither_end_the_wait_nor_readmit_after_failures_of_the_application() {
    let mut yard = checked();
    yard.see(0, Class::AppFailed, 5);
    let Health::Ejected { reason, until, .. } = yard.health(0) else { panic!("not ejected") };
    assert_eq!(reason, EjectReason::ConsecutiveAppFailures);
    yard.now = Timestamp::from_micros(until.as_micros() - 1);
    let now = yard.now;
    check(&mut yard, 0, CheckResult::Passed, 50);
    assert_eq!(name(&yard), "ejected");
    yard.now = now;
    yard.wait_out(0);
    let probe = yard.choose(READ);
    assert!(probe.is_probe());
    check(&mut yard, 0, CheckResult::Passed, 5);
    assert_eq!(name(&yard), "probing", "only real requests bring it back");
    yard.readmit(0);
}

#[test]
fn a_check_that_failed_as_the_application_did_and_passes_again_lets_a_request_find_out() {
    let mut yard = checked();
    check(&mut yard, 0, CheckResult::Failed, 1);
    yard.see(0, Class::AppFailed, 5);
    assert_eq!(name(&yard), "ejected");
    check(&mut yard, 0, CheckResult::Passed, 1);
    assert_eq!(name(&yard), "probing", "long before its ejection is over");
    check(&mut yard, 0, CheckResult::Passed, 5);
    assert_eq!(name(&yard), "probing", "only real requests bring it back");
    let probe = yard.choose(READ);
    yard.settle(probe, Class::AppFailed);
    check(&mut yard, 0, CheckResult::Passed, 5);
    assert_eq!(name(&yard), "ejected", "the checks do not see what ails it");
    check(&mut yard, 0, CheckResult::Failed, 5);
    check(&mut yard, 0, CheckResult::Passed, 5);
    assert_eq!(name(&yard), "probing", "now they do");
    yard.readmit(0);
}

#[test]
fn a_probe_that_failed_although_the_checks_pass_waits_its_whole_time() {
    let mut yard = checked();
    yard.eject(0);
    check(&mut yard, 0, CheckResult::Passed, 1);
    let probe = yard.choose(READ);
    yard.settle(probe, Class::IntegrationFailed);
    let Health::Ejected { reason, until, .. } = yard.health(0) else { panic!("not ejected") };
    assert_eq!(reason, EjectReason::ProbeFailed);
    check(&mut yard, 0, CheckResult::Passed, 1);
    assert_eq!(yard.health(0), Health::Ejected { reason, until, successes: 0 });
    check(&mut yard, 0, CheckResult::Failed, 1);
    check(&mut yard, 0, CheckResult::Passed, 1);
    assert_eq!(name(&yard), "probing", "the checks have seen it fail, and now it works");
}

#[test]
fn no_request_probes_what_the_checks_still_find_dead() {
    let mut yard = checked();
    yard.eject(0);
    for _ in 0..30 {
        check(&mut yard, 0, CheckResult::Failed, 1);
        let choice = yard.choose(READ);
        assert_eq!((choice.upstream, choice.tier), (key(1), Tier::Rotation));
    }
    // But should the checks themselves end, requests find out.
    let Health::Ejected { until, .. } = yard.health(0) else { panic!("not ejected") };
    assert!(yard.now.until(until) <= seconds(22));
    yard.wait_out(0);
    assert!(yard.choose(READ).is_probe());
}

#[test]
fn what_the_checks_have_seen_fail_they_bring_back_whoever_ejected_it() {
    let mut yard = checked();
    yard.eject(0);
    check(&mut yard, 0, CheckResult::Failed, 3);
    check(&mut yard, 0, CheckResult::Passed, 2);
    assert_eq!(name(&yard), "healthy");
}

#[test]
fn the_checks_never_eject_the_last_healthy_upstream() {
    let mut yard = checked();
    check(&mut yard, 0, CheckResult::Failed, 3);
    let _ = yard.events();
    check(&mut yard, 1, CheckResult::Failed, 30);
    assert_eq!(yard.names(), ["ejected", "degraded"]);
    let prevented = PoolEvent::EjectionPrevented { upstream: key(1), guard: Guard::LastUpstream };
    assert_eq!(yard.events(), [prevented, PoolEvent::Panic { on: true }]);
    check(&mut yard, 1, CheckResult::Passed, 2);
    assert_eq!((yard.names(), yard.pool.in_panic()), (vec!["ejected", "healthy"], false));
}

#[test]
fn an_upstream_that_serves_requests_outweighs_a_check_that_keeps_failing() {
    let mut yard = Yard::with(1, |spec| spec.active_health = Some(ActiveHealth::default()));
    check(&mut yard, 0, CheckResult::Unexpected, 3);
    assert_eq!(name(&yard), "degraded");
    yard.see(0, Class::Answered, 2);
    check(&mut yard, 0, CheckResult::Unexpected, 50);
    assert_eq!(name(&yard), "healthy", "a wrong path of the check must not flap");
    check(&mut yard, 0, CheckResult::Passed, 2);
    check(&mut yard, 0, CheckResult::Failed, 3);
    assert_eq!(name(&yard), "degraded", "once it has passed it is believed again");
}

#[test]
fn a_check_that_began_before_a_change_of_health_changes_nothing() {
    let mut yard = checked();
    let early = yard.pool.begin_check(key(0)).unwrap();
    yard.eject(0);
    yard.pool.checked(early, CheckResult::Passed, yard.now, &mut yard.rng);
    assert_eq!(name(&yard), "ejected");
    let early = yard.pool.begin_check(key(0)).unwrap();
    yard.readmit(0);
    for _ in 0..5 {
        yard.pool.checked(early, CheckResult::Failed, yard.now, &mut yard.rng);
    }
    assert_eq!(name(&yard), "healthy");
}

#[test]
fn without_active_health_there_is_no_check() {
    assert_eq!(Yard::new(2).pool.begin_check(key(0)), None);
    assert_eq!(checked().pool.begin_check(key(2)), None);
}
