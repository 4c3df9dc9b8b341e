//! Many proxies before the same two regions: what no single one of them can see.
//!
//! `AORTA_SIM_PROXIES=1000` runs the whole fleet instead of a fiftieth to a fifth of it.

use crate::from_environment;
use crate::random::upstreams;
use aorta_core::classify::Dialect;
use aorta_core::exchange::Attempt;
use aorta_core::pool::PoolSpec;
use aorta_core::simulate::report::Report;
use aorta_core::simulate::scenario::{Capacity, Scenario, Sky, Spell, Throttle, Traffic};
use aorta_core::simulate::weather::Weather;
use aorta_core::simulate::{Step, What, run};
use aorta_core::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Requests each second at each proxy.
const RATE: u32 = 50;

fn proxies(usually: u32) -> u32 {
    from_environment("AORTA_SIM_PROXIES").map_or(usually, |proxies| proxies.try_into().expect("a fleet"))
}

pub(crate) fn fleet(proxies: u32, seconds: u64, skies: Vec<Sky>) -> Scenario {
    let pool = PoolSpec {
        name: "records".to_owned(),
        upstreams: upstreams(skies.iter().map(|_| 1)),
        dialect: Dialect::ApiGateway,
        fhir: true,
        ..PoolSpec::default()
    };
    let traffic = Traffic { rate: f64::from(RATE), ..Traffic::default() };
    Scenario {
        pool: Arc::new(pool),
        proxies,
        traffic,
        skies,
        span: Duration::from_secs(seconds),
        orders: Vec::new(),
    }
}

pub(crate) const fn second(seconds: u64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// A region that bears a third more than half of what the fleet asks, and is dark for a while.
pub(crate) fn dark(proxies: u32, from: u64, until: u64) -> Sky {
    let fair = proxies * RATE / 2;
    let throttle = Some(Throttle { per_second: fair * 4 / 3, burst: fair / 3 });
    let spells = vec![Spell::new(Weather::Refuse, second(from), second(until))];
    Sky { capacity: Capacity { throttle, at_once: None }, spells, ..Sky::default() }
}

/// The most probes that reach a region within a tenth of a second.
pub(crate) fn probes_at_once(scenario: &Scenario, seed: u64) -> (u32, Report) {
    let mut probes: BTreeMap<(usize, u64), u32> = BTreeMap::new();
    let report = run(scenario, seed, &mut |step: &Step<'_>| {
        if let What::Chosen { attempt: Attempt { upstream, probe: true, .. }, .. } = step.what {
            *probes.entry((upstream.number(), step.at.as_micros() / 100_000)).or_default() += 1;
        }
    });
    (probes.into_values().max().unwrap_or_default(), report)
}

#[test]
fn a_storm_of_a_whole_fleet_is_not_fed_by_retries() {
    for weather in [Weather::AppUnavailable, Weather::GatewayFailed, Weather::ResetAfter] {
        let storm = Sky { spells: vec![Spell::new(weather, second(0), second(3_600))], ..Sky::default() };
        let report = run(&fleet(proxies(20), 60, vec![storm; 2]), 1, &mut |_| {});
        let ratio = report.attempts_per_request();
        assert!(ratio <= 1.27, "{ratio} attempts for each request under {weather:?}");
        assert!(ratio > 1.2, "{ratio}: the storm did not use the budget, so it proves nothing");
    }
}

#[test]
fn a_fleet_that_comes_back_never_gives_a_region_more_than_a_tenth_above_its_fair_share() {
    let proxies = proxies(200);
    let other = Sky { spells: Vec::new(), ..dark(proxies, 0, 0) };
    let free = Sky { capacity: Capacity::default(), ..other };
    let report = run(&fleet(proxies, 120, vec![dark(proxies, 20, 50), free]), 1, &mut |_| {});
    let load = report.timeline.overload(0, 0.5, second(50), second(120));
    assert!(load <= 1.1, "the region received {load} of its fair share");
    assert!(load > 0.9, "the region did not come back: {load}");
    assert_eq!(report.lost, 0, "{report:#?}");
}

#[test]
fn the_probes_of_a_fleet_do_not_come_together() {
    let proxies = proxies(200);
    let skies = vec![dark(proxies, 20, 50), Sky::default()];
    let (most, report) = probes_at_once(&fleet(proxies, 150, skies), 1);
    assert!(most <= proxies / 10, "{most} probes of {proxies} proxies within a tenth of a second");
    assert!(report.readmissions.len() >= proxies as usize, "the region is back at every proxy");
}
