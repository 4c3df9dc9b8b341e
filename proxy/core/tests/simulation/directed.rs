//! The fault catalogue, fault by fault: two regions, one of them in trouble for a while.

use crate::lawful;
use crate::random::upstreams;
use aorta_core::bounds::Ratio;
use aorta_core::check::ActiveHealth;
use aorta_core::classify::Dialect;
use aorta_core::outlier::EjectReason;
use aorta_core::pool::PoolSpec;
use aorta_core::simulate::report::Report;
use aorta_core::simulate::scenario::{Scenario, Sky, Spell, Traffic};
use aorta_core::simulate::weather::Weather;
use aorta_core::time::Timestamp;
use aorta_core::timeout::Timeouts;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const fn second(seconds: u64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

pub(crate) fn spell(weather: Weather, from: u64, until: u64) -> Sky {
    Sky { spells: vec![Spell::new(weather, second(from), second(until))], ..Sky::default() }
}

pub(crate) fn regions(skies: Vec<Sky>, traffic: Traffic) -> Scenario {
    let pool = PoolSpec {
        name: "records".to_owned(),
        upstreams: upstreams(skies.iter().map(|_| 1)),
        dialect: Dialect::ApiGateway,
        fhir: true,
        active_health: Some(ActiveHealth::default()),
        ..PoolSpec::default()
    };
    Scenario {
        pool: Arc::new(pool),
        proxies: 1,
        traffic,
        skies,
        span: Duration::from_secs(60),
        orders: Vec::new(),
    }
}

fn check(skies: Vec<Sky>, traffic: Traffic, expected: impl Fn(&Report) -> bool, promise: &str) {
    for seed in 0..2 {
        let report = lawful(&regions(skies.clone(), traffic.clone()), seed);
        assert!(expected(&report), "seed {seed}: {promise}, under {skies:#?}: {report:#?}");
    }
}

#[test]
fn no_read_is_lost_whatever_one_region_does() {
    for weather in Weather::ALL {
        let skies = vec![spell(weather, 10, 25), Sky::default()];
        check(skies, Traffic::default(), |report| report.lost == 0, "no read is lost");
    }
}

#[test]
fn no_read_is_lost_when_the_regions_fail_in_turn() {
    for weather in Weather::ALL {
        let skies = vec![spell(weather, 5, 15), spell(weather, 35, 45)];
        check(skies, Traffic::default(), |report| report.lost == 0, "no read is lost");
    }
}

#[test]
fn no_write_is_executed_twice_whatever_one_region_does() {
    let writes = Traffic { safe: Ratio::percent(0), ..Traffic::default() };
    for weather in Weather::ALL {
        let skies = vec![spell(weather, 10, 25), Sky::default()];
        check(skies, writes.clone(), |report| report.executed_twice == 0, "nothing runs twice");
    }
}

#[test]
fn a_write_is_lost_only_where_it_may_have_been_executed() {
    let writes = Traffic { safe: Ratio::percent(0), ..Traffic::default() };
    let before_the_function = [
        Weather::Refuse,
        Weather::Unreachable,
        Weather::Denied,
        Weather::Throttled,
        Weather::QuotaSpent,
        Weather::GatewayFailed,
    ];
    for weather in before_the_function {
        let skies = vec![spell(weather, 10, 25), Sky::default()];
        check(skies, writes.clone(), |report| report.lost == 0, "no write is lost");
    }
}

#[test]
fn a_region_that_recovers_takes_its_share_again() {
    for weather in Weather::ALL {
        // A spent quota keeps a gateway out for the longest ejection, which outlives this run.
        if weather == Weather::QuotaSpent {
            continue;
        }
        let skies = vec![spell(weather, 10, 15), Sky::default()];
        let half = |report: &Report| report.shares[0] * 5 > report.requests;
        check(skies, Traffic::default(), half, "the region is back");
    }
}

#[test]
fn a_storm_in_every_region_is_not_fed_by_retries() {
    for weather in [Weather::AppUnavailable, Weather::BadGateway, Weather::ResetAfter, Weather::Hang] {
        let skies = vec![spell(weather, 0, 90); 3];
        let bounded = |report: &Report| {
            // One request, a fifth of a retry, three retries a second, and what was saved up; leaving an upstream
            // that was just ejected is no amplification.
            (report.attempts - report.moved) as f64 <= report.requests as f64 * 1.2 + 3.0 * 95.0 + 20.0
        };
        check(skies, Traffic::default(), bounded, "attempts stay within requests and budget");
    }
}

#[test]
fn a_client_with_a_bad_key_never_ejects_a_region_that_passes_the_proxys_own_check() {
    for bad_keys in 1..=4 {
        let traffic = Traffic { bad_keys, clients: 5, ..Traffic::default() };
        let nobody = |report: &Report| report.ejections.is_empty() && report.lost == 0;
        check(vec![Sky::default(); 2], traffic, nobody, "nobody is ejected");
    }
}

#[test]
fn a_client_with_a_bad_key_cannot_keep_a_recovered_region_out() {
    let traffic = Traffic { bad_keys: 9, clients: 10, ..Traffic::default() };
    let skies = vec![spell(Weather::Refuse, 2, 8), Sky::default()];
    let back = |report: &Report| {
        let late = |(at, _, reason): &(Timestamp, usize, EjectReason)| {
            *at > second(20) && *reason == EjectReason::ProbeFailed
        };
        !report.ejections.iter().any(late) && report.shares[0] * 4 > report.requests
    };
    check(skies, traffic, back, "the region is back");
}

#[test]
fn a_region_whose_probes_come_to_nothing_does_not_keep_another_one_out() {
    let dead = Spell { until: second(8), ..spell(Weather::Refuse, 2, 8).spells[0] };
    let busy = Spell { from: second(8), until: second(60), weather: Weather::AppThrottled, ..dead };
    let skies = vec![Sky { spells: vec![dead, busy], ..Sky::default() }, spell(Weather::Refuse, 2, 8)];
    let traffic = Traffic { rate: 20.0, ..Traffic::default() };
    let back = |report: &Report| report.shares[1] * 4 > report.requests;
    check([skies, vec![Sky::default()]].concat(), traffic, back, "the second region is back");
}

#[test]
fn no_read_is_lost_while_one_region_has_lost_its_routes_or_throttles_for_long() {
    for weather in [Weather::RouteMissing, Weather::AppThrottled] {
        for rate in [5.0, 100.0, 500.0] {
            let skies = vec![spell(weather, 5, 60), Sky::default()];
            let traffic = Traffic { rate, ..Traffic::default() };
            check(skies, traffic, |report| report.lost == 0, "no read is lost");
        }
    }
}

#[test]
fn a_region_that_is_far_slower_than_one_sibling_loses_share_and_beside_two_it_is_ejected() {
    for siblings in [1, 2] {
        let skies = [vec![spell(Weather::Slow, 10, 50)], vec![Sky::default(); siblings]].concat();
        let slow = |report: &Report| {
            let moments = &report.timeline.moments[50..95];
            let (asked, all): (u64, u64) = moments
                .iter()
                .fold((0, 0), |(asked, all), now| (asked + now.received[0], all + now.requests));
            let ejected = report.ejections.iter().any(|(_, _, reason)| *reason == EjectReason::Slow);
            asked * 12 < all && ejected == (siblings > 1) && report.lost == 0
        };
        check(skies, Traffic::default(), slow, "it is asked little, and ejected beside two siblings");
    }
}

#[test]
fn a_denied_region_is_ejected_once_the_check_is_denied_too() {
    let skies = vec![spell(Weather::Denied, 10, 25), Sky::default()];
    let verified = |report: &Report| {
        report
            .ejections
            .first()
            .is_some_and(|(_, upstream, reason)| *upstream == 0 && *reason == EjectReason::DeniedVerified)
    };
    check(skies, Traffic::default(), verified, "the region is ejected");
}

#[test]
fn a_region_is_not_condemned_for_the_time_another_one_used_up() {
    let mut scenario = regions(vec![spell(Weather::Hang, 10, 40), Sky::default()], Traffic::default());
    let timeouts = Timeouts {
        attempt: Duration::from_millis(2_000),
        request: Duration::from_millis(2_005),
        ..Timeouts::default()
    };
    scenario.pool = Arc::new(PoolSpec { timeouts, ..(*scenario.pool).clone() });
    for seed in 0..4 {
        // The law that whoever is condemned had bad weather judges it.
        let report = lawful(&scenario, seed);
        assert!(!report.ejections.is_empty(), "seed {seed}: {report:#?}");
    }
}

#[test]
fn a_client_in_a_hurry_condemns_no_region() {
    let slow = Sky { latency: Duration::from_millis(300), ..Sky::default() };
    let traffic = Traffic { hurried: Ratio::percent(100), ..Traffic::default() };
    let nobody = |report: &Report| report.ejections.is_empty() && report.lost > 0;
    check(vec![slow.clone(), slow], traffic, nobody, "nobody is ejected for a client's haste");
}
