//! A run as a picture: what each upstream received, in which state it was held, who was lost and rescued, and
//! how long it took. Plain SVG with its own colours for light and dark, without a script.

mod canvas;

use super::Run;
use super::expect::millis;
use aorta_core::simulate::timeline::Moment;
use aorta_core::upstream::Health;
use canvas::Canvas;
use std::time::Duration;

/// From panel to panel.
const GAP: f64 = 30.0;
const SHARE_HEIGHT: f64 = 70.0;
const STATE_HEIGHT: f64 = 12.0;
const FATE_HEIGHT: f64 = 60.0;
const LATENCY_HEIGHT: f64 = 90.0;
/// Latencies are drawn between these, each grid line ten times the one below.
const LATENCIES: [(f64, &str); 5] =
    [(0.001, "1 ms"), (0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"), (10.0, "10 s")];
const LATENCY_MAX: f64 = 40.0;

/// The whole picture.
#[must_use]
pub fn draw(run: &Run) -> String {
    let mut canvas = Canvas::new(run.scenario.scenario.span);
    let top = title(run, &mut canvas);
    let mut top = legend(&mut canvas, top);
    for (index, name) in run.upstreams() {
        top = upstream(run, &mut canvas, index, name, top) + GAP;
    }
    top = fates(run, &mut canvas, top) + GAP;
    top = latencies(run, &mut canvas, top);
    let bottom = canvas.axis(top);
    canvas.finish(bottom, &summary(run), &describe(run))
}

fn summary(run: &Run) -> String {
    if run.scenario.about.is_empty() {
        format!("Pool {}", run.scenario.scenario.pool.name)
    } else {
        run.scenario.about.clone()
    }
}

fn describe(run: &Run) -> String {
    let report = &run.report;
    let proxies = run.scenario.scenario.proxies;
    format!(
        "pool {}, {proxies} {}, seed {}: {} requests, {} lost, {} rescued, {:.4} attempts each, p50 {}, p99 {}",
        run.scenario.scenario.pool.name,
        if proxies == 1 { "proxy" } else { "proxies" },
        run.seed,
        report.requests,
        report.lost,
        report.rescued,
        report.attempts_per_request(),
        millis(report.p50),
        millis(report.p99),
    )
}

fn title(run: &Run, canvas: &mut Canvas) -> f64 {
    canvas.text("title", 16.0, 28.0, &summary(run));
    canvas.text("quiet", 16.0, 48.0, &describe(run));
    62.0
}

fn legend(canvas: &mut Canvas, top: f64) -> f64 {
    let mut left = 16.0;
    let words = Health::NAMES.into_iter().chain(["fault", "rescued", "lost"]);
    for word in words {
        canvas.rect(word, left, top, 12.0, 12.0);
        canvas.text("quiet", left + 16.0, top + 10.0, word);
        left += 30.0 + 7.0 * word.len() as f64;
    }
    top + 32.0
}

/// The upstream's requests over time, its faults behind them, its states below.
fn upstream(run: &Run, canvas: &mut Canvas, index: usize, name: &str, top: f64) -> f64 {
    let timeline = &run.report.timeline;
    let per_second = |count: u64| count as f64 / timeline.step.as_secs_f64();
    let most = timeline.moments.iter().flat_map(|moment| &moment.received).max().copied().unwrap_or(0);
    let most = per_second(most).max(1.0);
    let bottom = top + SHARE_HEIGHT;
    for spell in run.scenario.scenario.skies.get(index).map_or(&[][..], |sky| &sky.spells) {
        let (from, until) = (super::since_start(spell.from), super::since_start(spell.until));
        canvas.band(spell.weather.word(), from, until, top, SHARE_HEIGHT);
    }
    let load = timeline.moments.iter().map(|moment| per_second(moment.received[index]) / most);
    canvas.area("load", timeline.step, load, top, SHARE_HEIGHT);
    canvas.frame(top, SHARE_HEIGHT);
    canvas.label(top + 14.0, name, "name");
    let attempts = run.report.shares[index] as f64 * 100.0 / (run.report.attempts as f64).max(1.0);
    canvas.label(top + 30.0, &format!("{attempts:.1} %"), "quiet");
    canvas.label(bottom - 4.0, &format!("up to {most:.0} /s"), "quiet");
    states(run, canvas, index, bottom + 3.0);
    bottom + 3.0 + STATE_HEIGHT
}

/// A strip of colours; where the fleet does not agree, each state by its share. Neighbours alike are one.
fn states(run: &Run, canvas: &mut Canvas, upstream: usize, top: f64) {
    let timeline = &run.report.timeline;
    let mut first = 0;
    while let Some(moment) = timeline.moments.get(first) {
        let same = |other: &&Moment| other.states[upstream] == moment.states[upstream];
        let length = timeline.moments[first..].iter().take_while(same).count().max(1);
        let all: u32 = moment.states[upstream].iter().sum();
        let mut y = top;
        for (count, name) in
            moment.states[upstream].iter().zip(Health::NAMES).filter(|(count, _)| **count > 0)
        {
            let height = STATE_HEIGHT * f64::from(*count) / f64::from(all.max(1));
            canvas.steps(name, timeline.step, first, length, y, height);
            y += height;
        }
        first += length;
    }
}

fn fates(run: &Run, canvas: &mut Canvas, top: f64) -> f64 {
    let timeline = &run.report.timeline;
    let most = timeline.moments.iter().map(|moment| moment.lost + moment.rescued).max().unwrap_or(0).max(1);
    for (index, moment) in timeline.moments.iter().enumerate() {
        let mut bottom = top + FATE_HEIGHT;
        for (word, count) in
            [("lost", moment.lost), ("rescued", moment.rescued)].into_iter().filter(|(_, n)| *n > 0)
        {
            let height = FATE_HEIGHT * count as f64 / most as f64;
            bottom -= height;
            canvas.steps(word, timeline.step, index, 1, bottom, height);
        }
    }
    canvas.frame(top, FATE_HEIGHT);
    canvas.label(top + 14.0, "lost, rescued", "name");
    let most = most as f64 / timeline.step.as_secs_f64();
    canvas.label(top + FATE_HEIGHT - 4.0, &format!("up to {most:.0} /s"), "quiet");
    top + FATE_HEIGHT
}

fn latencies(run: &Run, canvas: &mut Canvas, top: f64) -> f64 {
    let timeline = &run.report.timeline;
    let least = LATENCIES[0].0;
    let height = |seconds: f64| (seconds.clamp(least, LATENCY_MAX) / least).ln() / (LATENCY_MAX / least).ln();
    for (seconds, word) in LATENCIES {
        let y = top + LATENCY_HEIGHT * (1.0 - height(seconds));
        canvas.grid(y);
        canvas.label(y + 4.0, word, "quiet");
    }
    let line = |pick: fn(&Moment) -> Duration| {
        let known = timeline.moments.iter().map(pick).map(|took| (!took.is_zero()).then_some(took));
        known.map(|took| took.map(|took| height(took.as_secs_f64()))).collect::<Vec<_>>()
    };
    canvas.line("p50", timeline.step, &line(|moment| moment.p50), top, LATENCY_HEIGHT);
    canvas.line("p99", timeline.step, &line(|moment| moment.p99), top, LATENCY_HEIGHT);
    canvas.frame(top, LATENCY_HEIGHT);
    canvas.text("name", 16.0, top + 14.0, "latency");
    canvas.text("quiet", 16.0, top + 30.0, "p50, p99 dashed");
    top + LATENCY_HEIGHT
}
