//! Why an upstream is where it is, and what would change it.

use super::{Told, ahead, heard, past, policy, seconds};
use crate::clock;
use crate::snapshot::LivePool;
use aorta_core::chronicle::Noted;
use aorta_core::order::Ordered;
use aorta_core::outlier::EjectReason;
use aorta_core::pool::{Pool, PoolEvent};
use aorta_core::time::Timestamp;
use aorta_core::upstream::{HALVINGS_MAX, Health, Upstream, UpstreamKey};
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

/// How an upstream stands, in short; none when there is none of this name.
pub(crate) fn stands(live: &LivePool, name: &str) -> Option<Value> {
    let now = clock::now();
    live.read(|pool| {
        let held = pool.upstreams().iter().find(|held| held.name() == name)?;
        let (state, says) = (held.state(now), says(pool, held, now));
        Some(json!({"pool": live.name(), "upstream": name, "state": state, "says": says}))
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
        let events = live.state.history.say(|event| told(event, *key, now));
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
        "last_order": held.ordered().map(|ordered| order(ordered, now)),
        "in_flight": held.in_flight(),
        "strength_percent": held.strength(now),
        "share_halved": {"times": held.halvings(now), "at_most": HALVINGS_MAX},
        "throttled_until": ahead(held.skip_until(), now),
        "is_being_verified": held.is_being_verified(now),
        "ejections_not_forgiven": held.ejections(),
        "policy": policy::policy(pool, held, now),
        "checks": policy::checks(pool, held),
        "guard": pool.guard(held.key()).map(|guard| guard.name()),
        "decided_by": attempts(&mut held.chronicle().deciding()),
        "recent": attempts(&mut held.chronicle().recent()),
    })
}

/// Who ordered what, and why.
fn order(ordered: &Ordered, now: Timestamp) -> Value {
    let Ordered { order, forced, note } = ordered;
    json!({
        "order": order.name(),
        "by": note.by(),
        "why": note.why(),
        "forced": forced,
        "at": past(note.at(), now),
    })
}

fn attempt(noted: &Noted, now: Timestamp) -> Value {
    json!({
        "at": past(noted.at, now),
        "class": noted.class.name(),
        "asked_as": noted.tier.name(),
        "seconds": noted.took.map(seconds),
        "counts": noted.counts,
        "answer": heard(noted.heard),
    })
}

fn reason(health: Health) -> Option<&'static str> {
    health.reason().map(EjectReason::name)
}

/// The state, its reason, and what would change it, in a sentence.
pub(crate) fn says(pool: &Pool, held: &Upstream, now: Timestamp) -> String {
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
        Health::Draining { .. } => {
            let (by, why) = held.ordered().map_or(("?", "?"), |last| (last.note.by(), last.note.why()));
            let left = match held.in_flight() {
                0 => "nothing is in flight there".to_owned(),
                more => format!("{more} in flight are finished there"),
            };
            format!(
                "{name} is drained by {by} ({why}): it takes no new request until it is undrained; {left}"
            )
        }
        Health::Ejected { reason: EjectReason::Operator, until, .. } if until > now => {
            let (by, why) = held.ordered().map_or(("?", "?"), |last| (last.note.by(), last.note.why()));
            let seconds = seconds(now.until(until));
            format!(
                "{name} is out by order of {by} ({why}): it may be probed in {seconds} s, or is back once it is readmitted"
            )
        }
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
fn told(told: &Told, key: UpstreamKey, now: Timestamp) -> Option<Value> {
    if told.event.upstream().is_some_and(|upstream| upstream != key) {
        return None;
    }
    let mut said = match told.event {
        PoolEvent::Ejected { reason, enforced, .. } => {
            json!({"event": "ejected", "reason": reason.name(), "enforced": enforced})
        }
        PoolEvent::EjectionPrevented { guard, .. } => {
            json!({"event": "ejection_prevented", "guard": guard.name()})
        }
        PoolEvent::ProbingStarted { .. } => json!({"event": "probing"}),
        PoolEvent::Readmitted { .. } => json!({"event": "readmitted"}),
        PoolEvent::Drained { .. } => json!({"event": "drained"}),
        PoolEvent::Undrained { .. } => json!({"event": "undrained"}),
        PoolEvent::VerifyWanted { .. } => json!({"event": "verifying"}),
        PoolEvent::DrillBegan { .. } => json!({"event": "drill_began"}),
        PoolEvent::DrillEnded { end, .. } => json!({"event": "drill_ended", "end": end.name()}),
        PoolEvent::Panic { on } => json!({"event": "panic", "on": on}),
    };
    said["at"] = past(told.at, now);
    if let Some(note) = &told.note {
        (said["by"], said["why"]) = (json!(note.by()), json!(note.why()));
    }
    Some(said)
}
