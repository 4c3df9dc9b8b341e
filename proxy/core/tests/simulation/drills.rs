//! Drills: whatever is drilled, nobody pays for it who could be spared, and it ends.

use crate::directed::{regions, second, spell};
use crate::{random, seeds};
use aorta_core::bounds::Ratio;
use aorta_core::drill::{DrillEnd, DrillPlan, DrillRefusal, Drilled, Fault, Finding, ServerError};
use aorta_core::fhir_safety::Safety;
use aorta_core::pool::Pool;
use aorta_core::receipt::{Felt, Receipt};
use aorta_core::simulate::report::Report;
use aorta_core::simulate::scenario::{Request, Scenario, Sky, Traffic};
use aorta_core::simulate::weather::Weather;
use aorta_core::simulate::{Step, What, run_drill};
use aorta_core::time::Timestamp;
use aorta_core::upstream::{Health, UpstreamKey};
use fastrand::Rng;
use std::time::Duration;

fn faults() -> [Fault; 6] {
    let status = |code| Fault::Status(ServerError::new(code).expect("an error of a server"));
    let delay = |seconds| Fault::Delay(Duration::from_secs(seconds));
    [Fault::Eject, Fault::Refuse, delay(1), delay(30), status(502), status(503)]
}

/// A drill from a seed, for a pool of so many.
fn plan(seed: u64, upstreams: usize) -> DrillPlan {
    let mut rng = Rng::with_seed(seed ^ 0xd811);
    let fault = *rng.choice(faults().iter()).expect("there are faults");
    let share = Ratio::percent(if rng.bool() { 100 } else { rng.u8(1..100) });
    DrillPlan {
        upstream: UpstreamKey::at_first(rng.usize(0..upstreams)),
        fault,
        share,
        length: Duration::from_secs(rng.u64(1..8)),
    }
}

fn needed(pool: &Pool) -> usize {
    usize::try_from(pool.spec().passive_health.min_healthy.get()).expect("a small number")
}

/// While a drill is under way enough of the others are healthy, and it is over when its time is up.
fn holds(step: &Step<'_>, plan: &DrillPlan, begins: Timestamp) {
    let Some(record) = step.pool.drill(step.at) else { return };
    let others =
        step.pool.upstreams().iter().enumerate().filter(|(index, _)| *index != plan.upstream.number());
    let healthy = others.filter(|(_, held)| held.health() == Health::Healthy).count();
    assert!(healthy >= needed(step.pool), "too few are healthy, and the drill goes on at {:?}", step.at);
    assert!(record.ran <= plan.length);
    let late = begins + plan.length + Duration::from_millis(100);
    assert!(step.at <= late, "it should have ended by {late:?}, and is under way at {:?}", step.at);
}

/// A request that could be told from a drilled one by nobody but the drill.
fn must_be_served(request: &Request, receipt: &Receipt) {
    let spoilt = request.bad_key || request.terms.deadline.is_some() || !request.terms.replayable;
    let felt = receipt.felt();
    if !spoilt && request.terms.safety == Safety::Safe {
        assert!(matches!(felt, Felt::Ok | Felt::Rescued | Felt::Abandoned), "a read is lost: {receipt:#?}");
    }
}

fn drilled(scenario: &Scenario, plan: DrillPlan, seed: u64, look: &mut dyn FnMut(&Step<'_>)) -> Report {
    let begins = second(5);
    let report = run_drill(scenario, (begins, plan), seed, &mut |step: &Step<'_>| {
        holds(step, &plan, begins);
        look(step);
    });
    let over = report.drilled.is_some() != report.drill_refused.is_some();
    assert!(over, "seed {seed}: it neither ended nor was it refused");
    report
}

#[test]
fn a_drill_in_fair_weather_loses_no_read_and_harms_no_write() {
    let (mut met, mut refused) = (0, 0);
    for seed in seeds() {
        let mut scenario = random::scenario(seed);
        scenario.skies.iter_mut().for_each(|sky| sky.spells.clear());
        scenario.orders.clear();
        // Who is refused everywhere, or gives up by itself, is no loss of the drill's.
        (scenario.traffic.bad_keys, scenario.traffic.hurried) = (0, Ratio::percent(0));
        let plan = plan(seed, scenario.pool.upstreams.len());
        let report = drilled(&scenario, plan, seed, &mut |step| {
            if let What::Closed { request, receipt, .. } = step.what {
                must_be_served(&request, receipt);
            }
        });
        assert_eq!(report.executed_twice, 0, "seed {seed}");
        refused += u32::from(report.drill_refused.is_some());
        if let Some(Drilled { record, .. }) = report.drilled {
            assert_eq!(record.score.lost, 0, "seed {seed}: {plan:?} {record:#?}");
            met += record.score.met;
        }
    }
    println!("{met} requests met a drill, {refused} drills were refused");
}

#[test]
fn a_drill_ends_and_leaves_enough_in_every_weather() {
    for seed in seeds() {
        let scenario = random::scenario(seed);
        let plan = plan(seed, scenario.pool.upstreams.len());
        drilled(&scenario, plan, seed, &mut |_| {});
    }
}

fn of_the_first(fault: Fault, percent: u8) -> DrillPlan {
    DrillPlan {
        upstream: UpstreamKey::at_first(0),
        fault,
        share: Ratio::percent(percent),
        length: Duration::from_secs(20),
    }
}

fn score(scenario: &Scenario, plan: DrillPlan) -> (Drilled, Report) {
    let report = drilled(scenario, plan, 1, &mut |_| {});
    (report.drilled.expect("it took place"), report)
}

#[test]
fn each_fault_is_noticed_and_the_region_is_back_afterwards() {
    for fault in [faults()[1], faults()[4], faults()[5]] {
        let (Drilled { end, record }, report) =
            score(&regions(vec![Sky::default(); 2], Traffic::default()), of_the_first(fault, 100));
        let told = record.score;
        assert_eq!((end, told.finding(false)), (DrillEnd::TimeUp, Finding::Kept), "{fault:?} {told:#?}");
        let soon = |time: Option<Duration>| time.is_some_and(|time| time < Duration::from_secs(1));
        assert!(soon(told.detected) && soon(told.shifted), "{fault:?} {told:#?}");
        assert_eq!((told.met, report.lost), (told.rescued, 0), "{told:#?}");
        let last = report.readmissions.last().expect("it is readmitted");
        assert!(last.1 == 0 && last.0 <= second(26), "{fault:?} {last:?}");
        let moments = &report.timeline.moments;
        assert!(moments[moments.len() - 1].received[0] > 10, "it takes its share again");
    }
}

#[test]
fn an_ejection_by_a_drill_keeps_its_share_of_the_requests_away() {
    for (percent, least, most) in [(100, 0, 0), (50, 400, 600)] {
        let mut asked = 0;
        let scenario = regions(vec![Sky::default(); 2], Traffic::default());
        let plan = of_the_first(Fault::Eject, percent);
        drilled(&scenario, plan, 1, &mut |step| {
            if let What::Chosen { attempt, .. } = step.what {
                let under_way = step.pool.drill(step.at).is_some() && step.at > second(5);
                asked += u32::from(under_way && attempt.upstream == UpstreamKey::at_first(0));
            }
        });
        assert!((least..=most).contains(&asked), "{percent} %: {asked}");
    }
}

#[test]
fn a_drill_ends_early_when_the_other_region_falters() {
    let skies = vec![Sky::default(), spell(Weather::AppUnavailable, 10, 40)];
    for fault in faults() {
        let (Drilled { end, record }, _) =
            score(&regions(skies.clone(), Traffic::default()), of_the_first(fault, 100));
        // Whose delay outlasts the attempt is still out when the other region fails: that is felt first.
        assert!(matches!(end, DrillEnd::TooFewHealthy | DrillEnd::ClientsHurt), "{fault:?} {end:?}");
        assert!(record.ran < Duration::from_secs(8), "{fault:?} {:?}", record.ran);
    }
}

#[test]
fn a_drill_of_the_only_healthy_region_is_refused() {
    let only = regions(vec![Sky::default()], Traffic::default());
    let report = drilled(&only, of_the_first(Fault::Refuse, 100), 1, &mut |_| {});
    assert_eq!(report.drill_refused, Some(DrillRefusal::TooFewHealthy { left: 0, needed: 1 }));
    let dark = regions(vec![Sky::default(), spell(Weather::Refuse, 0, 60)], Traffic::default());
    let report = drilled(&dark, of_the_first(Fault::Refuse, 100), 1, &mut |_| {});
    assert_eq!(report.drill_refused, Some(DrillRefusal::TooFewHealthy { left: 0, needed: 1 }));
}
