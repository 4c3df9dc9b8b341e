//! Who is put out, for how long, and who never is.

use super::*;

/// This many in a row of a class eject, and one fewer do not.
fn check(class: Class, times: usize, reason: EjectReason) {
    let mut yard = Yard::new(2);
    yard.see(0, class, times - 1);
    assert_eq!(yard.names(), ["healthy", "healthy"], "{class:?}");
    yard.see(0, class, 1);
    let Health::Ejected { reason: why, until, .. } = yard.health(0) else { panic!("{class:?}") };
    assert_eq!(why, reason);
    assert_eq!(yard.events(), [PoolEvent::Ejected { upstream: key(0), reason, until, enforced: true }]);
    assert_eq!(yard.asked(4), [1, 1, 1, 1]);
}

#[test]
fn three_failures_of_transport_or_gateway_in_a_row_eject() {
    use Class as C;
    for class in [C::Unsent, C::Broken, C::TimedOut, C::GatewayFailed, C::IntegrationFailed, C::LambdaFailed]
    {
        check(class, 3, EjectReason::ConsecutiveFailures);
    }
}

#[test]
fn five_failures_of_the_application_in_a_row_eject() {
    check(Class::AppFailed, 5, EjectReason::ConsecutiveAppFailures);
}

#[test]
fn what_is_not_the_upstreams_fault_never_ejects() {
    use Class as C;
    let blameless = [
        C::Answered,
        C::Throttled,
        C::QuotaExceeded,
        C::RouteMissing,
        C::SignatureRefused,
        C::AppThrottled,
        C::ClientFault,
    ];
    for class in blameless {
        let mut yard = Yard::new(2);
        yard.see(0, class, 50);
        assert_eq!((yard.names(), yard.events()), (vec!["healthy", "healthy"], vec![]), "{class:?}");
    }
}

#[test]
fn an_ejection_doubles_with_jitter_up_to_its_cap() {
    for seed in 0..50 {
        let mut yard = Yard::new(2);
        yard.rng = Rng::with_seed(seed);
        yard.eject(0);
        for base in [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0_f64] {
            let Health::Ejected { until, .. } = yard.health(0) else { panic!("not ejected") };
            let length = yard.now.until(until).as_secs_f64();
            let longest = (base * 1.2).min(300.0);
            assert!((base * 0.8..=longest).contains(&length), "{base} s became {length} s");
            yard.wait_out(0);
            let probe = yard.choose(READ);
            yard.settle(probe, Class::Broken);
        }
    }
}

#[test]
fn the_jitter_of_an_ejection_uses_its_whole_range() {
    let lengths = (0..200).map(|seed| {
        let mut yard = Yard::new(2);
        yard.rng = Rng::with_seed(seed);
        let until = yard.eject(0);
        yard.now.until(until)
    });
    let (shortest, longest) = (lengths.clone().min().unwrap(), lengths.max().unwrap());
    assert!(shortest < Duration::from_millis(8_200) && longest > Duration::from_millis(11_800));
}

#[test]
fn old_ejections_are_forgiven_one_for_each_quiet_window() {
    let lengths = |quiet: u64| {
        let mut yard = Yard::new(2);
        for _ in 0..3 {
            yard.eject(0);
            yard.wait_out(0);
            yard.see(0, Class::Answered, 2);
        }
        yard.now = yard.now + seconds(quiet);
        let until = yard.eject(0);
        yard.now.until(until).as_secs_f64() / 10.0
    };
    for (quiet, factor) in [(0, 8.0), (10, 4.0), (20, 2.0), (30, 1.0), (3000, 1.0)] {
        let length = lengths(quiet);
        assert!((factor * 0.8..=factor * 1.2).contains(&length), "{quiet} s: {length}");
    }
}

#[test]
fn the_last_healthy_upstream_is_never_ejected() {
    let mut yard = Yard::new(2);
    yard.eject(0);
    let _ = yard.events();
    yard.see(1, Class::Unsent, 50);
    assert_eq!(yard.names(), ["ejected", "degraded"]);
    let prevented = PoolEvent::EjectionPrevented { upstream: key(1), guard: Guard::LastUpstream };
    assert_eq!(yard.events(), [prevented, PoolEvent::Panic { on: true }]);
    assert!(yard.pool.in_panic());
}

#[test]
fn a_degraded_upstream_is_ejected_once_another_is_back() {
    let mut yard = Yard::new(2);
    yard.eject(0);
    yard.see(1, Class::Unsent, 3);
    let _ = yard.events();
    yard.see(0, Class::Answered, 2);
    assert_eq!(yard.names(), ["healthy", "ejected"]);
    let events = yard.events();
    assert_eq!(events[..2], [PoolEvent::Readmitted { upstream: key(0) }, PoolEvent::Panic { on: false }]);
    let reason = EjectReason::ConsecutiveFailures;
    assert!(
        matches!(events[2], PoolEvent::Ejected { upstream: UpstreamKey(1), reason: why, .. } if why == reason)
    );
}

#[test]
fn a_degraded_upstream_that_serves_again_is_healthy_again() {
    let mut yard = Yard::new(1);
    yard.see(0, Class::Unsent, 3);
    assert!(yard.pool.in_panic());
    yard.see(0, Class::Answered, 1);
    yard.see(0, Class::Unsent, 1);
    yard.see(0, Class::Answered, 1);
    assert_eq!(yard.names(), ["degraded"], "a failure between starts the count anew");
    yard.see(0, Class::Answered, 1);
    assert_eq!((yard.names(), yard.pool.in_panic()), (vec!["healthy"], false));
}

#[test]
fn as_many_stay_in_rotation_as_the_operator_wants() {
    let mut yard = Yard::with(3, |spec| spec.passive_health.min_healthy = n(2));
    yard.eject(0);
    let _ = yard.events();
    yard.see(1, Class::Unsent, 3);
    assert_eq!(yard.names(), ["ejected", "degraded", "healthy"]);
    let prevented = PoolEvent::EjectionPrevented { upstream: key(1), guard: Guard::MinHealthy };
    assert_eq!(yard.events(), [prevented]);
    assert!(!yard.pool.in_panic(), "one is healthy");
}

#[test]
fn in_panic_everybody_is_asked() {
    let mut yard = Yard::new(2);
    yard.eject(0);
    yard.see(1, Class::Unsent, 3);
    let tiers: Vec<_> = (0..4).map(|_| yard.choose(WRITE)).map(|choice| choice.tier).collect();
    assert_eq!(tiers, [Tier::Panic; 4]);
    let mut asked = yard.asked(10);
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked, [0, 1]);
}

#[test]
fn an_attempt_that_began_before_an_ejection_neither_condemns_nor_readmits() {
    let mut yard = Yard::new(2);
    let early: Vec<_> = (0..10).map(|_| yard.direct(0)).collect();
    let until = yard.eject(0);
    for (index, choice) in early.into_iter().enumerate() {
        yard.settle(choice, if index < 5 { Class::Answered } else { Class::Broken });
    }
    assert!(matches!(yard.health(0), Health::Ejected { until: still, successes: 0, .. } if still == until));
    assert_eq!(yard.pool.upstreams()[0].in_flight(), 0);

    let late = yard.direct(0);
    yard.wait_out(0);
    let probe = yard.choose(READ);
    assert!(probe.is_probe());
    yard.settle(late, Class::Broken);
    assert_eq!(yard.names(), ["probing", "healthy"], "it began before the probation");
}

#[test]
fn a_dry_run_tells_and_ejects_nobody() {
    let mut yard = Yard::with(2, |spec| spec.passive_health.dry_run = true);
    yard.see(0, Class::Unsent, 6);
    let (reason, until) = (EjectReason::ConsecutiveFailures, yard.now);
    let told = PoolEvent::Ejected { upstream: key(0), reason, until, enforced: false };
    assert_eq!(yard.events(), [told, told]);
    assert_eq!(yard.names(), ["healthy", "healthy"]);
}

#[test]
fn a_last_resort_that_serves_is_readmitted() {
    let mut yard = Yard::new(2);
    yard.eject(0);
    let choice = yard.direct(0);
    assert_eq!(choice.tier, Tier::LastResort);
    yard.settle(choice, Class::Answered);
    yard.see(0, Class::Answered, 1);
    assert_eq!(yard.names(), ["healthy", "healthy"]);
}

#[test]
fn an_empty_pool_has_nobody_and_no_panic() {
    let mut yard = Yard::new(0);
    assert_eq!(yard.pool.choose(READ, yard.now, &mut yard.rng), None);
    assert!(!yard.pool.in_panic());
}
