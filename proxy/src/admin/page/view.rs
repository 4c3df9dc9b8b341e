//! What the live page says: words and numbers, made for people.

use crate::clock;
use crate::drills::Running;
use crate::explain;
use crate::reload::Reloads;
use crate::service::Proxy;
use crate::snapshot::LivePool;
use aorta_core::check::Checked;
use aorta_core::chronicle::Noted;
use aorta_core::classify::Evidence;
use aorta_core::drill::{DrillPlan, DrillRecord, Fault};
use aorta_core::pool::{Pool, PoolEvent};
use aorta_core::time::Timestamp;
use aorta_core::upstream::{Health, Upstream};
use askama::Template;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Older attempts say nothing of now.
const WINDOW: Duration = Duration::from_secs(60);
/// What fits on a screen.
const EVENTS: usize = 25;

/// The page.
#[derive(Template)]
#[template(path = "live.html")]
pub(super) struct Live {
    title: String,
    version: &'static str,
    uptime: String,
    generation: u64,
    hash: String,
    loaded: String,
    in_flight: usize,
    ending: bool,
    /// What was wrong with the file at the last reload; none where that was good.
    problems: Vec<String>,
    pools: Vec<PoolView>,
    events: Vec<EventView>,
}

struct PoolView {
    name: String,
    healthy: usize,
    panic: bool,
    /// The drill that is under way there.
    drill: Option<DrillView>,
    balance: &'static str,
    budget: String,
    budget_max: u32,
    admitted: u32,
    places: u32,
    queued: usize,
    upstreams: Vec<UpstreamView>,
}

struct DrillView {
    upstream: String,
    fault: String,
    share: u32,
    left: String,
    by: String,
    why: String,
}

struct UpstreamView {
    name: String,
    state: &'static str,
    says: String,
    /// There is more to say than the state.
    is_news: bool,
    share: u32,
    rate: String,
    failed: String,
    p50: String,
    p95: String,
    in_flight: u32,
    checks: String,
}

struct EventView {
    at: Timestamp,
    ago: String,
    pool: String,
    upstream: String,
    what: String,
    why: String,
    by: String,
}

impl Live {
    pub(super) fn of(proxy: &Proxy, reloads: &Reloads) -> Self {
        let (snapshot, now) = (proxy.snapshot.load(), clock::now());
        let pools: Vec<_> = snapshot.pools.iter().map(|live| pool(proxy, live, now)).collect();
        let mut events: Vec<_> = snapshot.pools.iter().flat_map(|live| events(live, now)).collect();
        events.sort_by_key(|event| std::cmp::Reverse(event.at));
        events.truncate(EVENTS);
        let loaded = clock::unix().saturating_sub(snapshot.loaded.unix);
        let out = pools.iter().map(|pool| pool.upstreams.len() - pool.healthy).sum::<usize>();
        Self {
            title: if out == 0 { "Aorta".to_owned() } else { format!("({out} out) Aorta") },
            version: env!("CARGO_PKG_VERSION"),
            uptime: span(now.since(Timestamp::ZERO)),
            generation: snapshot.loaded.generation,
            hash: format!("{:016x}", snapshot.loaded.hash),
            loaded: span(loaded),
            in_flight: proxy.in_flight.load(Ordering::Relaxed),
            problems: reloads.problems(),
            ending: proxy.draining.load(Ordering::Relaxed),
            pools,
            events,
        }
    }
}

fn pool(proxy: &Proxy, live: &LivePool, now: Timestamp) -> PoolView {
    let running = proxy.drills.running_in(live);
    let (admitted, queued) = live.state.places.counts();
    live.read(|pool| {
        let rates: Vec<_> = pool.upstreams().iter().map(|held| rate(pool, held, now)).collect();
        let whole: f64 = rates.iter().sum();
        let upstreams = pool.upstreams().iter().zip(&rates);
        PoolView {
            name: live.name().to_owned(),
            healthy: pool.healthy(),
            panic: pool.in_panic(),
            drill: running.and_then(|running| Some(drill(&running, &pool.drill(now)?))),
            balance: pool.spec().balance.name(),
            budget: format!("{:.0}", pool.budget_balance()),
            budget_max: pool.spec().retry.budget.burst,
            admitted,
            places: pool.spec().concurrency.max.get(),
            queued,
            upstreams: upstreams.map(|(held, rate)| upstream(pool, held, (*rate, whole), now)).collect(),
        }
    })
}

fn drill(running: &Running, record: &DrillRecord) -> DrillView {
    let DrillPlan { fault, share, length, .. } = record.plan;
    DrillView {
        upstream: running.order.upstream.clone(),
        fault: match fault {
            Fault::Eject | Fault::Refuse => fault.name().to_owned(),
            Fault::Delay(delay) => format!("delay of {}", millis(delay)),
            Fault::Status(status) => format!("status {}", status.get()),
        },
        share: percent(share.get()),
        left: span(length.saturating_sub(record.ran)),
        by: running.by.clone(),
        why: running.order.reason.clone(),
    }
}

/// Attempts each second, by those that are remembered; one that nobody asks has its last behind it.
fn rate(pool: &Pool, held: &Upstream, now: Timestamp) -> f64 {
    let is_out = matches!(held.health(), Health::Ejected { .. }) && !pool.in_panic();
    if is_out || held.health().is_draining() {
        return 0.0;
    }
    let recent = || held.chronicle().recent().filter(|noted| now.since(noted.at) < WINDOW);
    let oldest = recent().next().map(|noted| now.since(noted.at).as_secs_f64());
    oldest.map_or(0.0, |age| recent().count() as f64 / age.max(1.0))
}

fn upstream(pool: &Pool, held: &Upstream, (rate, whole): (f64, f64), now: Timestamp) -> UpstreamView {
    let recent: Vec<&Noted> =
        held.chronicle().recent().filter(|noted| now.since(noted.at) < WINDOW).collect();
    let bad = [Evidence::Failure, Evidence::AppFailure, Evidence::Suspicion, Evidence::Slowness];
    let failed = recent.iter().filter(|noted| bad.contains(&noted.class.evidence())).count();
    let mut took: Vec<Duration> = recent.iter().filter_map(|noted| noted.took).collect();
    took.sort_unstable();
    let at = |percent: usize| {
        let place = (took.len() * percent).div_ceil(100).saturating_sub(1);
        took.get(place).map_or("–".to_owned(), |took| millis(*took))
    };
    let state = held.state(now);
    UpstreamView {
        name: held.name().to_owned(),
        state,
        says: explain::says(pool, held, now),
        is_news: held.health() != Health::Healthy || state == "warming",
        share: if whole > 0.0 { percent(rate / whole) } else { 0 },
        rate: if recent.is_empty() { "–".to_owned() } else { format!("{rate:.1}") },
        failed: if recent.is_empty() { "–".to_owned() } else { format!("{failed} of {}", recent.len()) },
        p50: at(50),
        p95: at(95),
        in_flight: held.in_flight(),
        checks: checks(pool, held),
    }
}

fn checks(pool: &Pool, held: &Upstream) -> String {
    match held.checked() {
        _ if pool.spec().active_health.is_none() => "none".to_owned(),
        Checked::Up { failed: 0 } => "pass".to_owned(),
        Checked::Up { failed } => format!("{failed} failed"),
        Checked::Down { passed: 0 } => "fail".to_owned(),
        Checked::Down { passed } => format!("fail, {passed} passed since"),
    }
}

/// Orders with who gave them, and everything else that became of a pool.
fn events(live: &LivePool, now: Timestamp) -> Vec<EventView> {
    live.state.history.say(|told| {
        let (what, mut why) = words(told.event)?;
        let upstream = told.event.upstream().and_then(|key| live.upstream(key));
        if let Some(note) = &told.note {
            note.why().clone_into(&mut why);
        }
        if why.is_empty() {
            "–".clone_into(&mut why);
        }
        Some(EventView {
            at: told.at,
            ago: span(now.since(told.at)),
            pool: live.name().to_owned(),
            upstream: upstream.map_or("–".to_owned(), |upstream| upstream.config.name.clone()),
            what: what.to_owned(),
            why,
            by: told.note.as_ref().map_or("aorta".to_owned(), |note| note.by().to_owned()),
        })
    })
}

fn words(event: PoolEvent) -> Option<(&'static str, String)> {
    let said = |what, why: &str| Some((what, why.replace('_', " ")));
    match event {
        PoolEvent::Ejected { reason, enforced: true, .. } => said("ejected", reason.name()),
        PoolEvent::Ejected { reason, .. } => said("would be ejected", reason.name()),
        PoolEvent::EjectionPrevented { guard, .. } => said("kept", guard.name()),
        PoolEvent::ProbingStarted { .. } => said("may be probed", "its time has come"),
        PoolEvent::Readmitted { .. } => said("readmitted", "it serves"),
        PoolEvent::Drained { .. } => said("drained", ""),
        PoolEvent::Undrained { .. } => said("undrained", ""),
        PoolEvent::DrillBegan { .. } => said("a drill began", ""),
        PoolEvent::DrillEnded { end, .. } => said("a drill ended", end.name()),
        PoolEvent::Panic { on: true } => said("panic", "nobody is healthy"),
        PoolEvent::Panic { on: false } => said("panic is over", "somebody is healthy"),
        PoolEvent::VerifyWanted { .. } => None,
    }
}

fn percent(share: f64) -> u32 {
    (1..=100).rfind(|percent| f64::from(*percent) <= share.mul_add(100.0, 0.5)).unwrap_or(0)
}

fn millis(took: Duration) -> String {
    match took.as_millis() {
        0 => "<1 ms".to_owned(),
        millis @ 1..10_000 => format!("{millis} ms"),
        _ => format!("{:.1} s", took.as_secs_f64()),
    }
}

/// Two units are enough.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        let spans = [5, 65, 3600, 90_061].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(spans, ["5 s", "1 min 5 s", "1 h 0 min", "1 d 1 h"]);
        let times = [200, 30_000, 12_340_000].map(|micros| millis(Duration::from_micros(micros)));
        assert_eq!(times, ["<1 ms", "30 ms", "12.3 s"]);
        assert_eq!([0.0, 0.004, 0.496, 0.5, 1.0].map(percent), [0, 0, 50, 50, 100]);
    }
}
