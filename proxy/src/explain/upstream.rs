//! Why an upstream is where it is, and what would change it.

use super::{ahead, past, seconds};
use crate::clock;
use crate::snapshot::LivePool;
use aorta_core::check::Checked;
use aorta_core::chronicle::Noted;
use aorta_core::outlier::EjectReason;
use aorta_core::pool::{Pool, PoolEvent};
use aorta_core::time::Timestamp;
use aorta_core::upstream::{Health, Upstream, UpstreamKey};
use serde_json::{Value, json};

/// A pool, each upstream with its sentence.
pub(super) fn pool(live: &LivePool) -> Value {
    let now = clock::now();
    live.read(|pool| {
        let short = |held: &Upstream| {
            let reason = reason(held.health());
            json!({"name": held.name(), "state": held.state(now), "reason": reason, "says": says(pool, held, now)})
        };
        let upstreams: Vec<_> = pool.upstreams().iter().map(short).collect();
        let retry = pool.spec().retry.budget;
        json!({
            "pool": live.name(),
            "panic": pool.in_panic(),
            "healthy": pool.healthy(),
            "balance": pool.spec().balance.name(),
            "retry_budget": {
                "balance": pool.budget_balance(),
                "share": retry.share.get(),
                "min_per_second": retry.min_per_second,
                "burst": retry.burst,
            },
            "upstreams": upstreams,
        })
    })
}

/// An upstream, with all that is known; none when there is none of this name.
pub(super) fn explain(live: &LivePool, name: &str) -> Option<Value> {
    let now = clock::now();
    let mut said = live.read(|pool| {
        let held = pool.upstreams().iter().find(|held| held.name() == name)?;
        Some((held.key(), show(live, pool, held, now)))
    });
    if let Some((key, Value::Object(map))) = &mut said {
        let events = live.state.history.say(|(at, event)| told(*event, *key, *at, now));
        map.insert("events".to_owned(), Value::Array(events));
    }
    said.map(|(_, value)| value)
}

fn show(live: &LivePool, pool: &Pool, held: &Upstream, now: Timestamp) -> Value {
    let attempts = |attempts: &mut dyn Iterator<Item = &Noted>| -> Vec<Value> {
        attempts.map(|noted| attempt(noted, now)).collect()
    };
    let until = match held.health() {
        Health::Ejected { until, .. } => ahead(until, now),
        _ => Value::Null,
    };
    json!({
        "pool": live.name(),
        "upstream": held.name(),
        "state": held.state(now),
        "says": says(pool, held, now),
        "reason": reason(held.health()),
        "since": past(held.changed(), now),
        "until": until,
        "in_flight": held.in_flight(),
        "strength_percent": held.strength(now),
        "throttled_until": ahead(held.skip_until(), now),
        "is_being_verified": held.is_being_verified(now),
        "ejections_not_forgiven": held.ejections(),
        "policy": policy(pool, held, now),
        "checks": checks(pool, held),
        "guard": pool.guard(held.key()).map(|guard| guard.name()),
        "decided_by": attempts(&mut held.chronicle().deciding()),
        "recent": attempts(&mut held.chronicle().recent()),
    })
}

fn attempt(noted: &Noted, now: Timestamp) -> Value {
    json!({
        "at": past(noted.at, now),
        "class": noted.class.name(),
        "asked_as": noted.tier.name(),
        "seconds": noted.took.map(seconds),
        "counts": noted.counts,
    })
}

/// Each threshold beside what stands against it now.
fn policy(pool: &Pool, held: &Upstream, now: Timestamp) -> Value {
    let policy = &pool.spec().passive_health;
    let counts = held.counts(policy, now);
    json!({
        "consecutive_failures": {"now": counts.failures_in_a_row, "ejects_at": policy.consecutive_failures},
        "consecutive_app_failures":
            {"now": counts.any_failures_in_a_row, "ejects_at": policy.consecutive_app_failures},
        "success_rate": {
            "successes": counts.successes,
            "failures": counts.failures,
            "ejects_below": policy.success_rate_min.get(),
            "once_there_are": policy.success_rate_requests,
            "window_seconds": seconds(policy.window),
        },
        "next_ejection_seconds": seconds(policy.ejection_after(held.ejections())),
        "ejection_max_seconds": seconds(policy.ejection_max),
        "min_healthy": policy.min_healthy,
        "readmit_successes": policy.readmit_successes,
        "dry_run": policy.dry_run,
    })
}

/// What the proxy's own checks have found; nothing where there are none.
fn checks(pool: &Pool, held: &Upstream) -> Value {
    let Some(policy) = pool.spec().active_health else { return Value::Null };
    let every = seconds(policy.interval);
    match held.checked() {
        Checked::Up { failed } => {
            json!({"find_it": "up", "failed_in_a_row": failed, "ejected_at": policy.fall, "every_seconds": every})
        }
        Checked::Down { passed } => {
            json!({"find_it": "down", "passed_in_a_row": passed, "back_at": policy.rise, "every_seconds": every})
        }
    }
}

fn reason(health: Health) -> Option<&'static str> {
    health.reason().map(EjectReason::name)
}

/// The state, its reason, and what would change it, in a sentence.
fn says(pool: &Pool, held: &Upstream, now: Timestamp) -> String {
    let needed = pool.spec().passive_health.readmit_successes.get();
    let more = |successes: u32| {
        let left = needed.saturating_sub(successes).max(1);
        format!("{left} {}", if left == 1 { "success" } else { "successes in a row" })
    };
    let name = held.name();
    match held.health() {
        Health::Healthy if held.state(now) == "warming" => {
            format!("{name} is back and takes {} % of its share, more every second", held.strength(now))
        }
        Health::Healthy => format!("{name} is in rotation"),
        Health::Degraded { reason, successes } => format!(
            "{name} would be out ({}), but too few others are healthy: it is healthy again after {}",
            reason.name(),
            more(successes)
        ),
        Health::Ejected { reason, until, .. } if until > now => format!(
            "{name} is out ({}): it may be probed in {} s{}, and is back after {}",
            reason.name(),
            seconds(now.until(until)),
            if pool.spec().active_health.is_some() && reason.is_seen_by_checks() {
                ", sooner once a check passes"
            } else {
                ""
            },
            more(0)
        ),
        Health::Ejected { reason, .. } => {
            format!(
                "{name} is out ({}): the next request may probe it, and it is back after {}",
                reason.name(),
                more(0)
            )
        }
        Health::Probing { reason, successes, busy, .. } => format!(
            "{name} is out ({}): {}, and it is back after {}",
            reason.name(),
            if busy { "a probe is under way" } else { "the next request that may be repeated probes it" },
            more(successes)
        ),
    }
}

/// An event of this upstream, or of the whole pool.
fn told(event: PoolEvent, key: UpstreamKey, at: Timestamp, now: Timestamp) -> Option<Value> {
    let own = |upstream: UpstreamKey, said: Value| (upstream == key).then_some(said);
    let at = past(at, now);
    match event {
        PoolEvent::Ejected { upstream, reason, enforced, .. } => own(
            upstream,
            json!({"event": "ejected", "reason": reason.name(), "enforced": enforced, "at": at}),
        ),
        PoolEvent::EjectionPrevented { upstream, guard } => {
            own(upstream, json!({"event": "ejection_prevented", "guard": guard.name(), "at": at}))
        }
        PoolEvent::ProbingStarted { upstream } => own(upstream, json!({"event": "probing", "at": at})),
        PoolEvent::Readmitted { upstream } => own(upstream, json!({"event": "readmitted", "at": at})),
        PoolEvent::VerifyWanted { upstream } => own(upstream, json!({"event": "verifying", "at": at})),
        PoolEvent::DrillBegan { upstream } => own(upstream, json!({"event": "drill_began", "at": at})),
        PoolEvent::DrillEnded { upstream, end } => {
            own(upstream, json!({"event": "drill_ended", "end": end.name(), "at": at}))
        }
        PoolEvent::Panic { on } => Some(json!({"event": "panic", "on": on, "at": at})),
    }
}
