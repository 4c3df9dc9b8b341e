//! Denials that may be the client's own fault.

use super::*;
use crate::check::ActiveHealth;
use crate::upstream::Suspicion;

fn checked() -> Yard {
    Yard::with(2, |spec| spec.active_health = Some(ActiveHealth::default()))
}

fn denied(yard: &mut Yard, client: u64, times: usize) {
    for _ in 0..times {
        let choice = yard.direct(0);
        yard.settle_for(choice, Class::GatewayDenied, client);
    }
}

fn verified(yard: &mut Yard, result: CheckResult) {
    yard.pool.verified(key(0), result, yard.now, &mut yard.rng);
}

const WANTED: PoolEvent = PoolEvent::VerifyWanted { upstream: key(0) };

#[test]
fn a_denial_asks_for_the_proxys_own_check_once() {
    for class in [Class::GatewayDenied, Class::Garbled, Class::RouteMissing] {
        let mut yard = checked();
        yard.see(0, class, 20);
        assert_eq!((yard.events(), yard.names()), (vec![WANTED], vec!["healthy", "healthy"]));
    }
}

#[test]
fn a_passed_check_ejects_nobody_and_is_not_repeated_for_a_second() {
    let mut yard = checked();
    for nothing_confirms in [CheckResult::Passed, CheckResult::Unexpected, CheckResult::Unclear] {
        denied(&mut yard, 1, 5);
        assert_eq!(yard.events(), [WANTED]);
        verified(&mut yard, nothing_confirms);
        let prevented = PoolEvent::EjectionPrevented { upstream: key(0), guard: Guard::Unverified };
        assert_eq!(yard.events(), [prevented]);
        denied(&mut yard, 1, 5);
        denied(&mut yard, 2, 5);
        assert_eq!((yard.events(), yard.names()), (vec![], vec!["healthy", "healthy"]));
        yard.now = yard.now + seconds(1);
    }
}

#[test]
fn a_refused_check_ejects() {
    let mut yard = checked();
    denied(&mut yard, 1, 1);
    verified(&mut yard, CheckResult::Refused);
    assert!(matches!(yard.health(0), Health::Ejected { reason: EjectReason::DeniedVerified, .. }));
}

#[test]
fn a_check_without_an_answer_is_one_failure() {
    let mut yard = checked();
    yard.see(0, Class::Unsent, 2);
    denied(&mut yard, 1, 1);
    verified(&mut yard, CheckResult::Failed);
    assert!(matches!(yard.health(0), Health::Ejected { reason: EjectReason::ConsecutiveFailures, .. }));
}

#[test]
fn a_lost_check_may_be_asked_for_again() {
    let mut yard = checked();
    denied(&mut yard, 1, 1);
    yard.now = yard.now + Duration::from_millis(9_999);
    denied(&mut yard, 1, 1);
    assert_eq!(yard.events(), [WANTED]);
    yard.now = yard.now + Duration::from_millis(1);
    denied(&mut yard, 1, 1);
    assert_eq!(yard.events(), [WANTED]);
}

#[test]
fn a_check_nobody_asked_for_changes_nothing() {
    let mut yard = checked();
    verified(&mut yard, CheckResult::Refused);
    yard.eject(0);
    let before = yard.health(0);
    verified(&mut yard, CheckResult::Refused);
    assert_eq!(yard.health(0), before);
}

#[test]
fn without_a_check_one_client_alone_never_ejects() {
    let mut yard = Yard::new(2);
    denied(&mut yard, 1, 100);
    assert_eq!((yard.names(), yard.events()), (vec!["healthy", "healthy"], vec![]));
}

#[test]
fn without_a_check_two_clients_that_are_all_denied_eject() {
    let mut yard = Yard::new(2);
    denied(&mut yard, 1, 2);
    denied(&mut yard, 2, 1);
    assert!(matches!(yard.health(0), Health::Ejected { reason: EjectReason::DeniedEveryClient, .. }));
}

#[test]
fn a_served_request_between_clears_the_suspicion() {
    let mut yard = Yard::new(2);
    denied(&mut yard, 1, 1);
    yard.see(0, Class::Answered, 1);
    denied(&mut yard, 2, 1);
    assert_eq!(yard.names(), ["healthy", "healthy"]);
    assert_eq!(yard.pool.upstreams[0].suspicion, Suspicion::OneClient { client: 2 });
}

#[test]
fn a_dry_run_tells_of_denied_clients_once_for_each_pair() {
    let mut yard = Yard::with(2, |spec| spec.passive_health.dry_run = true);
    denied(&mut yard, 1, 1);
    denied(&mut yard, 2, 1);
    assert_eq!(yard.events().len(), 1);
    denied(&mut yard, 2, 5);
    assert_eq!(yard.events(), []);
}

#[test]
fn a_client_with_a_bad_key_does_not_fail_a_probe() {
    for active_health in [Some(ActiveHealth::default()), None] {
        let mut yard = Yard::with(2, |spec| spec.active_health = active_health);
        yard.eject(0);
        yard.wait_out(0);
        for _ in 0..20 {
            let probe = yard.choose(READ);
            assert!(probe.is_probe());
            yard.settle(probe, Class::GatewayDenied);
            verified(&mut yard, CheckResult::Passed);
        }
        assert_eq!(yard.health(0).name(), "probing");
        yard.see(0, Class::Answered, 2);
        assert_eq!(yard.health(0).name(), "healthy");
    }
}

#[test]
fn a_probe_denied_to_the_proxy_too_ejects_again() {
    let mut yard = checked();
    yard.eject(0);
    yard.wait_out(0);
    let probe = yard.choose(READ);
    yard.settle(probe, Class::GatewayDenied);
    verified(&mut yard, CheckResult::Refused);
    assert!(matches!(yard.health(0), Health::Ejected { reason: EjectReason::DeniedVerified, .. }));
}

#[test]
fn a_region_that_lost_its_routes_is_ejected_once_the_checks_own_path_is_missing_too() {
    let mut yard = checked();
    yard.see(0, Class::RouteMissing, 1);
    assert_eq!(yard.events(), [WANTED]);
    assert_eq!(yard.choose(WRITE).upstream, key(1), "others are asked meanwhile");
    verified(&mut yard, CheckResult::Refused);
    assert!(matches!(yard.health(0), Health::Ejected { reason: EjectReason::DeniedVerified, .. }));
}

#[test]
fn a_client_that_asks_for_paths_nobody_knows_ejects_nobody() {
    for active_health in [Some(ActiveHealth::default()), None] {
        let mut yard = Yard::with(2, |spec| spec.active_health = active_health);
        for client in 0..50 {
            let choice = yard.direct(0);
            yard.settle_for(choice, Class::RouteMissing, client);
            verified(&mut yard, CheckResult::Passed);
            yard.now = yard.now + seconds(1);
        }
        assert_eq!(yard.names(), ["healthy", "healthy"]);
    }
}
