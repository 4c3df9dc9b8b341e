//! Did a run come out as its scenario expects?

use crate::config::Scenario;
use aorta_core::simulate::report::Report;
use aorta_core::time::Timestamp;
use std::time::Duration;

/// One expectation, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Its key in the scenario.
    pub key: &'static str,
    /// The most that was expected.
    pub at_most: String,
    /// What came.
    pub found: String,
    /// That was no more.
    pub kept: bool,
}

/// Judges what the scenario expects of its report, in the order of its keys.
#[must_use]
pub fn judge(scenario: &Scenario, report: &Report) -> Vec<Judged> {
    let expect = scenario.expect;
    let count = |key, at_most: Option<u32>, found: u64| {
        at_most.map(|at_most| Judged {
            key,
            at_most: at_most.to_string(),
            found: found.to_string(),
            kept: found <= u64::from(at_most),
        })
    };
    let percent = |key, at_most: Option<u32>, found: f64| {
        at_most.map(|at_most| Judged {
            key,
            at_most: format!("{at_most} %"),
            found: format!("{:.1} %", found * 100.0),
            kept: found * 100.0 <= f64::from(at_most),
        })
    };
    let p99 = expect.p99.map(|at_most| Judged {
        key: "p99",
        at_most: millis(at_most),
        found: millis(report.p99),
        kept: report.p99 <= at_most,
    });
    let judged = [
        count("lost", expect.lost, report.lost),
        count("lost_reads", expect.lost_reads, report.lost_safe),
        count("executed_twice", expect.executed_twice, report.executed_twice),
        count("ejections", expect.ejections, report.ejections.len() as u64),
        percent("attempts_percent", expect.attempts_percent, report.attempts_per_request()),
        p99,
        percent("overload_percent", expect.overload_percent, overload(scenario, report)),
    ];
    judged.into_iter().flatten().collect()
}

/// What the upstreams that had trouble received at most after the last fault of all, over their fair share.
fn overload(scenario: &Scenario, report: &Report) -> f64 {
    let run = &scenario.scenario;
    let over = |index: &usize| run.skies.get(*index).is_some_and(|sky| !sky.spells.is_empty());
    let ends = run.skies.iter().flat_map(|sky| &sky.spells).map(|spell| spell.until).max();
    let (from, until) = (ends.unwrap_or_default(), Timestamp::ZERO + run.span);
    let upstreams = &run.pool.upstreams;
    let load = |index: usize| {
        let level = upstreams.iter().filter(|other| other.priority == upstreams[index].priority);
        let weights: u32 = level.map(|upstream| upstream.weight.get()).sum();
        let share = f64::from(upstreams[index].weight.get()) / f64::from(weights);
        report.timeline.overload(index, share, from, until)
    };
    (0..upstreams.len()).filter(over).map(load).fold(0.0, f64::max)
}

/// Milliseconds for people: three figures are enough.
#[must_use]
pub fn millis(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1e3;
    if millis < 10.0 { format!("{millis:.1}ms") } else { format!("{millis:.0}ms") }
}
