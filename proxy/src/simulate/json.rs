//! A run as JSON for programs.

use super::{Counted, Run};
use aorta_core::simulate::timeline::Moment;
use aorta_core::upstream::Health;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The whole run.
#[must_use]
pub fn show(run: &Run) -> Value {
    let (scenario, report) = (&run.scenario.scenario, &run.report);
    let upstreams: Vec<_> = run
        .upstreams()
        .map(|(index, name)| json!({"name": name, "attempts": report.shares[index], "faults": faults(run, index)}))
        .collect();
    let steps = report.timeline.moments.iter().enumerate();
    let steps: Vec<_> = steps.map(|(index, moment)| step(run, index, moment)).collect();
    let judged = run.judged.iter().map(|judged| {
        json!({"key": judged.key, "at_most": judged.at_most, "found": judged.found, "kept": judged.kept})
    });
    json!({
        "about": run.scenario.about,
        "pool": scenario.pool.name,
        "proxies": scenario.proxies,
        "span_seconds": scenario.span.as_secs_f64(),
        "seed": run.seed,
        "requests": report.requests,
        "rescued": report.rescued,
        "lost": report.lost,
        "lost_reads": report.lost_safe,
        "lost_because": report.lost_because,
        "abandoned": report.abandoned,
        "bad_keys": report.bad_keys,
        "executed_twice": report.executed_twice,
        "attempts": report.attempts,
        "attempts_per_request": report.attempts_per_request(),
        "p50_ms": millis(report.p50),
        "p99_ms": millis(report.p99),
        "upstreams": upstreams,
        "ejections": counted(run, &run.ejections(), "reason"),
        "prevented": counted(run, &run.prevented(), "guard"),
        "readmissions": counted(run, &run.readmissions(), "event"),
        "expected": judged.collect::<Vec<_>>(),
        "step_seconds": report.timeline.step.as_secs_f64(),
        "steps": steps,
    })
}

fn faults(run: &Run, upstream: usize) -> Vec<Value> {
    let spells = run.scenario.scenario.skies.get(upstream).map_or(&[][..], |sky| &sky.spells);
    let fault = spells.iter().map(|spell| {
        let (from, until) = (super::since_start(spell.from), super::since_start(spell.until));
        json!({
            "fault": spell.weather.word(),
            "from_seconds": from.as_secs_f64(),
            "until_seconds": until.min(run.scenario.scenario.span).as_secs_f64(),
            "share": spell.share.get(),
        })
    });
    fault.collect()
}

fn counted(run: &Run, events: &[Counted], word: &str) -> Vec<Value> {
    let event = |event: &Counted| {
        let name = run.upstreams().nth(event.upstream).map_or("", |(_, name)| name);
        json!({
            "upstream": name,
            word: event.word,
            "times": event.times,
            "first_seconds": event.first.as_secs_f64(),
            "last_seconds": event.last.as_secs_f64(),
        })
    };
    events.iter().map(event).collect()
}

fn step(run: &Run, index: usize, moment: &Moment) -> Value {
    let upstream = |(upstream, name): (usize, &str)| {
        let states = moment.states[upstream].iter().zip(Health::NAMES).filter(|(count, _)| **count > 0);
        let states: Map<_, _> = states.map(|(count, name)| (name.to_owned(), json!(count))).collect();
        json!({"name": name, "received": moment.received[upstream], "states": states})
    };
    json!({
        "at_seconds": super::since_start(run.report.timeline.begins(index)).as_secs_f64(),
        "requests": moment.requests,
        "served": moment.served,
        "rescued": moment.rescued,
        "lost": moment.lost,
        "panic": moment.panic,
        "p50_ms": millis(moment.p50),
        "p99_ms": millis(moment.p99),
        "upstreams": run.upstreams().map(upstream).collect::<Vec<_>>(),
    })
}

fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}
