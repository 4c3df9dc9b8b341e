//! A run as text for a terminal.

use super::expect::millis;
use super::{Counted, Run, prevailing};
use aorta_core::simulate::timeline::Moment;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// Signs in a line of states: what a terminal of eighty columns has room for.
const SIGNS: usize = 60;

/// The whole run, ending with a line break.
#[must_use]
pub fn show(run: &Run) -> String {
    let mut text = String::new();
    // A string takes whatever is written to it.
    let _ = write(run, &mut text);
    text
}

fn write(run: &Run, text: &mut String) -> fmt::Result {
    let (scenario, report) = (&run.scenario.scenario, &run.report);
    if !run.scenario.about.is_empty() {
        writeln!(text, "{}", run.scenario.about)?;
    }
    let of = |number: u32, noun: &str| format!("{number} {noun}{}", if number == 1 { "y" } else { "ies" });
    let fleet = of(scenario.proxies, "prox");
    let (pool, span) = (&scenario.pool.name, scenario.span.as_secs_f64());
    let rate = scenario.traffic.rate;
    writeln!(text, "pool {pool}: {fleet} at {rate} requests/s each, {span} s, seed {}\n", run.seed)?;
    let served: u64 = report.timeline.moments.iter().map(|moment| moment.served).sum();
    writeln!(text, "requests  {}: {served} served at once, {} rescued", report.requests, report.rescued)?;
    writeln!(text, "lost      {}{}", report.lost, reasons(run))?;
    for (count, what) in [
        (report.abandoned, "left by their clients"),
        (report.bad_keys, "with a bad key, which nobody serves"),
        (report.executed_twice, "executed twice"),
    ] {
        if count > 0 {
            writeln!(text, "          {count} {what}")?;
        }
    }
    let ratio = report.attempts_per_request();
    writeln!(text, "attempts  {}: {ratio:.4} for each request", report.attempts)?;
    writeln!(text, "latency   p50 {}, p99 {}", millis(report.p50), millis(report.p99))?;
    upstreams(run, text)?;
    events(run, text, "ejected", &run.ejections())?;
    events(run, text, "prevented", &run.prevented())?;
    events(run, text, "back", &run.readmissions())?;
    for judged in &run.judged {
        let verdict = if judged.kept { "kept" } else { "BROKEN" };
        writeln!(text, "expected  {} {} at most: {}, {verdict}", judged.key, judged.at_most, judged.found)?;
    }
    Ok(())
}

fn reasons(run: &Run) -> String {
    let reasons: Vec<_> =
        run.report.lost_because.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    if reasons.is_empty() { String::new() } else { format!(" (no other attempt: {})", reasons.join(", ")) }
}

fn upstreams(run: &Run, text: &mut String) -> fmt::Result {
    let moments = &run.report.timeline.moments;
    let grouped = moments.len().div_ceil(SIGNS).max(1);
    let each = run.report.timeline.step.as_secs_f64() * grouped as f64;
    writeln!(text)?;
    for (index, name) in run.upstreams() {
        let attempts = run.report.shares.get(index).copied().unwrap_or_default();
        let share = attempts as f64 * 100.0 / (run.report.attempts as f64).max(1.0);
        writeln!(text, "{name}: {attempts} attempts, {share:.1} %")?;
        let states: String = moments.chunks(grouped).map(|chunk| sign(chunk, index)).collect();
        writeln!(text, "          {states}")?;
    }
    writeln!(text, "          (each sign {each} s: . healthy, w warming, d degraded, x ejected, p probing)\n")
}

/// The worst of the prevailing states: a short ejection is to be seen.
fn sign(chunk: &[Moment], upstream: usize) -> char {
    let signs =
        chunk.iter().filter_map(|moment| moment.states.get(upstream)).map(|states| {
            match prevailing(states) {
                "healthy" => (0, '.'),
                "warming" => (1, 'w'),
                "degraded" => (2, 'd'),
                "probing" => (3, 'p'),
                "ejected" => (4, 'x'),
                other => (5, other.chars().next().unwrap_or('?')),
            }
        });
    signs.max().map_or(' ', |(_, sign)| sign)
}

fn events(run: &Run, text: &mut String, title: &str, events: &[Counted]) -> fmt::Result {
    for Counted { upstream, word, times, first, last } in events {
        let name = run.upstreams().nth(*upstream).map_or("", |(_, name)| name);
        let word = if *word == "readmitted" { String::new() } else { format!(" {word}") };
        write!(text, "{title:<9} {name}{word}: ")?;
        match times {
            1 => writeln!(text, "once, at {}", seconds(*first))?,
            _ => writeln!(text, "{times} times, from {} to {}", seconds(*first), seconds(*last))?,
        }
    }
    Ok(())
}

fn seconds(at: Duration) -> String {
    format!("{:.1} s", at.as_secs_f64())
}
