//! The proxy's own checks, by themselves and beside traffic.

use crate::directed::{regions, second, spell};
use crate::lawful;
use aorta_core::check::ActiveHealth;
use aorta_core::outlier::{EjectReason, PassiveHealth};
use aorta_core::pool::{PoolEvent, PoolSpec};
use aorta_core::simulate::scenario::{Scenario, Sky, Traffic};
use aorta_core::simulate::weather::Weather;
use aorta_core::simulate::{What, run};
use aorta_core::time::Timestamp;
use aorta_core::upstream::Health;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A check each second, and ejections that would outlast the run.
fn every_second(skies: Vec<Sky>, traffic: Traffic) -> Scenario {
    let mut scenario = regions(skies, traffic);
    let seconds = Duration::from_secs;
    let active_health =
        Some(ActiveHealth { interval: seconds(1), timeout: seconds(1), ..ActiveHealth::default() });
    let ejection = seconds(600);
    let passive_health = PassiveHealth { ejection, ejection_max: ejection, ..PassiveHealth::default() };
    scenario.pool = Arc::new(PoolSpec { active_health, passive_health, ..(*scenario.pool).clone() });
    scenario
}

fn idle() -> Traffic {
    Traffic { rate: 1e-3, ..Traffic::default() }
}

/// What the checks see as well as clients do.
const SEEN_BY_CHECKS: [Weather; 9] = [
    Weather::Refuse,
    Weather::Unreachable,
    Weather::Hang,
    Weather::ResetBefore,
    Weather::ResetAfter,
    Weather::Truncate,
    Weather::Denied,
    Weather::GatewayFailed,
    Weather::BadGateway,
];

/// When the first region answered a request after the fault was over.
fn back_after(scenario: &Scenario, seed: u64, over: Timestamp) -> Option<Duration> {
    let mut back = None;
    run(scenario, seed, &mut |step| {
        if let What::Chosen { attempt, .. } = step.what
            && attempt.upstream.number() == 0
            && step.at >= over
            && step.pool.upstreams()[0].health().in_rotation()
        {
            back.get_or_insert(step.at.since(over));
        }
    });
    back
}

#[test]
fn traffic_is_back_within_two_seconds_of_recovery_with_a_one_second_check() {
    for weather in SEEN_BY_CHECKS {
        for seed in 0..8 {
            let scenario = every_second(vec![spell(weather, 10, 25), Sky::default()], Traffic::default());
            lawful(&scenario, seed);
            let back = back_after(&scenario, seed, second(25)).unwrap_or(Duration::MAX);
            assert!(back < Duration::from_secs(2), "{weather:?}, seed {seed}: back after {back:?}");
        }
    }
}

#[test]
fn while_nobody_asks_the_checks_alone_keep_every_state_right() {
    for weather in
        SEEN_BY_CHECKS.into_iter().chain([Weather::AppError, Weather::LambdaError, Weather::Garbled])
    {
        for seed in 0..4 {
            let scenario = every_second(vec![spell(weather, 10, 25), Sky::default()], idle());
            let report = lawful(&scenario, seed);
            let [(at, 0, EjectReason::CheckFailed)] = report.ejections[..] else {
                panic!("{weather:?}: {report:#?}");
            };
            assert!(second(11) < at && at < second(15), "{weather:?}: {at:?}");
            let mut healthy_again = None;
            run(&scenario, seed, &mut |step| {
                if let What::Told { event: PoolEvent::Readmitted { upstream } } = step.what
                    && upstream.number() == 0
                {
                    assert_eq!(step.pool.upstreams()[0].health(), Health::Healthy);
                    healthy_again = Some(step.at);
                }
            });
            let again = healthy_again.expect("it is back without a request");
            assert!(second(25) < again && again < second(28), "{weather:?}: {again:?}");
        }
    }
}

#[test]
fn the_checks_of_a_fleet_do_not_come_together() {
    let mut scenario = Scenario { proxies: 200, ..every_second(vec![Sky::default(); 2], idle()) };
    let active_health = Some(ActiveHealth::default());
    scenario.pool = Arc::new(PoolSpec { active_health, ..(*scenario.pool).clone() });
    let mut checks: BTreeMap<u64, u32> = BTreeMap::new();
    run(&scenario, 1, &mut |step| {
        if let What::Checked { upstream, .. } = step.what
            && upstream.number() == 0
        {
            *checks.entry(step.at.as_micros() / 1_000_000).or_default() += 1;
        }
    });
    // Two hundred in ten seconds are twenty a second, and a little more for being early.
    let most = checks.into_values().max().unwrap_or_default();
    assert!((20..50).contains(&most), "{most} checks of 200 proxies in one second");
}

#[test]
fn checks_spare_the_requests_that_would_have_probed_a_dead_region() {
    let attempts = |active: bool| {
        let mut scenario = regions(vec![spell(Weather::Hang, 5, 60), Sky::default()], Traffic::default());
        let active_health =
            active.then(|| ActiveHealth { interval: Duration::from_secs(1), ..ActiveHealth::default() });
        scenario.pool = Arc::new(PoolSpec { active_health, ..(*scenario.pool).clone() });
        let mut probes = 0;
        run(&scenario, 1, &mut |step| {
            probes += u32::from(matches!(step.what, What::Chosen { attempt, .. } if attempt.probe));
        });
        probes
    };
    assert!(attempts(false) > 0, "without checks requests find out");
    assert_eq!(attempts(true), 0);
}
