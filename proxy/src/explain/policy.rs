//! Each reason to put an upstream out, with its threshold beside what stands against it now.

use super::{ahead, seconds};
use aorta_core::check::Checked;
use aorta_core::outlier::{Counts, PassiveHealth};
use aorta_core::pool::{Pool, SIBLINGS_MIN};
use aorta_core::time::Timestamp;
use aorta_core::upstream::{Health, Suspicion, Upstream};
use serde_json::{Value, json};

/// Siblings whose usual time is told; of more than these nobody compares by eye.
const SIBLINGS_TOLD: usize = 8;

/// By the reasons' names; `check_failed` stands apart, and an operator needs no threshold.
pub(super) fn policy(pool: &Pool, held: &Upstream, now: Timestamp) -> Value {
    let policy = &pool.spec().passive_health;
    let Counts { failures_in_a_row, any_failures_in_a_row, successes, failures } = held.counts(policy, now);
    json!({
        "consecutive_failures": {"now": failures_in_a_row, "ejects_at": policy.consecutive_failures},
        "consecutive_app_failures":
            {"now": any_failures_in_a_row, "ejects_at": policy.consecutive_app_failures},
        // Losers of races that kept silent stand in the same row as failures of any kind.
        "consecutive_slow": {"now": any_failures_in_a_row, "ejects_at": policy.consecutive_slow()},
        "success_rate": {
            "successes": successes,
            "failures": failures,
            "ejects_below": policy.success_rate_min.get(),
            "once_there_are": policy.success_rate_requests,
            "window_seconds": seconds(policy.window),
        },
        "slow": slow(pool, held, now),
        "denied": denied(pool, held, now),
        "probe_failed": probe(policy, held.health()),
        "next_ejection_seconds": seconds(policy.ejection_after(held.ejections())),
        "ejection_max_seconds": seconds(policy.ejection_max),
        "min_healthy": policy.min_healthy,
        "readmit_successes": policy.readmit_successes,
        "dry_run": policy.dry_run,
    })
}

/// Its pace beside its siblings'.
fn slow(pool: &Pool, held: &Upstream, now: Timestamp) -> Value {
    let PassiveHealth { latency_factor, latency_min, success_rate_requests, .. } = pool.spec().passive_health;
    if latency_factor == 0 {
        return Value::Null;
    }
    let usual = |held: &Upstream| pool.usual_of(held, now).map(seconds);
    let sibling = |held: &Upstream| json!({"upstream": held.name(), "usual_seconds": usual(held)});
    let siblings: Vec<_> = pool.siblings(held).take(SIBLINGS_TOLD).map(sibling).collect();
    json!({
        "usual_seconds": usual(held),
        "ejects_above_times": latency_factor,
        "the_usual_of_most_siblings": siblings,
        "siblings_needed": SIBLINGS_MIN,
        "never_below_seconds": seconds(latency_min),
        "once_there_are": success_rate_requests,
    })
}

/// Whom its gateway has refused, and who judges that: the proxy's own check, or a second client.
fn denied(pool: &Pool, held: &Upstream, now: Timestamp) -> Value {
    let (verifying, cleared) = match held.suspicion() {
        Suspicion::Verifying { until } => (ahead(until, now), Value::Null),
        Suspicion::Cleared { until } => (Value::Null, ahead(until, now)),
        Suspicion::None | Suspicion::OneClient { .. } => (Value::Null, Value::Null),
    };
    if pool.spec().active_health.is_some() {
        return json!({"judged_by": "check", "being_verified_until": verifying, "cleared_until": cleared});
    }
    let clients = u32::from(matches!(held.suspicion(), Suspicion::OneClient { .. }));
    json!({"judged_by": "clients", "clients_denied": clients, "ejects_at": 2})
}

/// One failure of a probe puts it out again; so many successes bring it back.
fn probe(policy: &PassiveHealth, health: Health) -> Value {
    let Health::Probing { successes, busy, .. } = health else { return Value::Null };
    json!({
        "successes": successes,
        "back_at": policy.readmit_successes,
        "is_being_probed": busy,
        "ejects_at": 1,
    })
}

/// What the proxy's own checks have found; nothing where there are none.
pub(super) fn checks(pool: &Pool, held: &Upstream) -> Value {
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
