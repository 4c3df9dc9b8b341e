//! What a region that falls silent costs the requests that wait for it: hedges, moves, probes that nobody pays for.

use crate::lawful_with;
use crate::random::upstreams;
use aorta_core::classify::Dialect;
use aorta_core::hedge::HedgePolicy;
use aorta_core::pool::PoolSpec;
use aorta_core::simulate::report::Report;
use aorta_core::simulate::scenario::{Scenario, Sky, Spell, Traffic};
use aorta_core::simulate::weather::Weather;
use aorta_core::simulate::{Step, What};
use aorta_core::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

const fn second(seconds: u64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// Two regions that always take 20 ms; the first one does this from 10 to 40 seconds.
fn regions(weather: Weather, hedging: bool) -> Scenario {
    let fine = Sky { tail: 1.0, ..Sky::default() };
    let sick = Sky { spells: vec![Spell::new(weather, second(10), second(40))], ..fine.clone() };
    let pool = PoolSpec {
        name: "records".to_owned(),
        upstreams: upstreams([1, 1]),
        dialect: Dialect::ApiGateway,
        fhir: true,
        hedge: HedgePolicy { enabled: hedging, ..HedgePolicy::default() },
        ..PoolSpec::default()
    };
    let skies = vec![sick, fine];
    Scenario {
        pool: Arc::new(pool),
        proxies: 1,
        traffic: Traffic::default(),
        skies,
        span: Duration::from_secs(60),
        orders: Vec::new(),
    }
}

/// When each request came and what it took, under all laws.
fn times(scenario: &Scenario, seed: u64) -> (Vec<(Timestamp, Duration)>, Report) {
    let mut times = Vec::new();
    let report = lawful_with(scenario, seed, &mut |step: &Step<'_>| {
        if let What::Closed { request, .. } = step.what {
            times.push((request.arrived, step.at.since(request.arrived)));
        }
    });
    assert_eq!(report.lost, 0, "seed {seed}");
    (times, report)
}

fn slower_than(times: &[(Timestamp, Duration)], limit: Duration) -> usize {
    times.iter().filter(|(_, took)| *took > limit).count()
}

#[test]
fn hedged_reads_hardly_notice_that_a_region_falls_silent_or_slow() {
    let noticed = Duration::from_millis(120);
    for weather in [Weather::Hang, Weather::Slow, Weather::Unreachable] {
        for seed in 0..4 {
            let (hedged, report) = times(&regions(weather, true), seed);
            assert!(slower_than(&hedged, noticed) <= 5, "seed {seed}, {weather:?}: {report:#?}");
            assert!(report.hedges > 10, "seed {seed}, {weather:?}: {} hedges", report.hedges);
            let (unhedged, _) = times(&regions(weather, false), seed);
            assert!(slower_than(&unhedged, noticed) > 20, "seed {seed}: {weather:?} hurts nobody");
        }
    }
}

#[test]
fn hedges_stay_within_their_share_and_condemn_nobody_in_fine_weather() {
    for seed in 0..4 {
        let mut scenario = regions(Weather::Fine, true);
        scenario.skies = vec![Sky::default(); 2];
        let (_, report) = times(&scenario, seed);
        assert!(report.ejections.is_empty(), "seed {seed}: {:?}", report.ejections);
        let most = report.requests / 20 + 20;
        assert!((50..=most).contains(&report.hedges), "seed {seed}: {} of {most}", report.hedges);
    }
}

#[test]
fn whoever_waits_for_a_region_that_is_ejected_leaves_it_at_once() {
    for seed in 0..4 {
        let scenario = regions(Weather::Hang, false);
        let (times, report) = times(&scenario, seed);
        let out = report.ejections[0].0;
        // By then the requests of ten seconds wait there; each would wait for its own time-out.
        assert!(report.moved > 300, "seed {seed}: {} moved", report.moved);
        for (arrived, took) in times {
            let at_once = out.max(arrived) + Duration::from_millis(300);
            assert!(
                arrived + took <= at_once,
                "seed {seed}: came {arrived:?}, took {took:?}, out at {out:?}"
            );
        }
    }
}

#[test]
fn no_client_pays_for_a_probe_although_hedging_is_off() {
    for seed in 0..4 {
        let (times, report) = times(&regions(Weather::Hang, false), seed);
        let probes = report.ejections.len() - 1;
        assert!(probes >= 1, "seed {seed}: nobody probed a region that is out for twenty seconds");
        assert_eq!(report.hedges as usize, probes, "seed {seed}: each probe that failed, and nothing else");
        let out = report.ejections[0].0;
        let late = times.iter().filter(|(arrived, took)| *arrived > out && *took > Duration::from_millis(60));
        assert_eq!(late.count(), 0, "seed {seed}");
    }
}
