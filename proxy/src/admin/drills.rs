//! Drills: begun, looked at, stopped.

use super::Call;
use super::answer::{Answer, json, text, whole};
use crate::drills::{self, Order};
use crate::service::Proxy;
use crate::snapshot::LivePool;
use crate::{clock, keeper};
use aorta_core::drill::{DrillEnd, DrillPlan, DrillRecord, DrillRefusal};
use aorta_core::order::Note;
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// All that are known, the newest first.
pub(super) fn list(proxy: &Proxy) -> Answer {
    let drills: Vec<_> = proxy.drills.ids().iter().filter_map(|id| look(proxy, id)).collect();
    json(&json!({ "drills": drills }))
}

/// One of them.
pub(super) fn show(proxy: &Proxy, words: &[&str]) -> Answer {
    let known = words.first().and_then(|id| look(proxy, id));
    known.map_or_else(|| text(StatusCode::NOT_FOUND, "no such drill (any more)\n"), |said| json(&said))
}

fn look(proxy: &Proxy, id: &str) -> Option<Value> {
    proxy.drills.show(id, |pool| stands(proxy, pool))
}

fn stands(proxy: &Proxy, pool: &str) -> Option<DrillRecord> {
    named(proxy, pool)?.read(|core| core.drill(clock::now()))
}

fn named(proxy: &Proxy, pool: &str) -> Option<Arc<LivePool>> {
    proxy.snapshot.load().pools.iter().find(|live| live.name() == pool).cloned()
}

/// Begins one.
pub(super) async fn begin(proxy: &Arc<Proxy>, call: &Call<'_>) -> Answer {
    let said = call.body.as_deref().and_then(|body| serde_json::from_slice::<Value>(body).ok());
    let order = match drills::order(&said.unwrap_or_default()) {
        Ok(order) => order,
        Err(wrong) => return text(StatusCode::BAD_REQUEST, &format!("{wrong}\n")),
    };
    if proxy.draining.load(Ordering::Relaxed) {
        return text(StatusCode::CONFLICT, "this process is about to end: ask the one that takes over\n");
    }
    let Some(pool) = named(proxy, &order.pool) else {
        return text(StatusCode::NOT_FOUND, "there is no such pool: /api/pools names them\n");
    };
    let Some(upstream) = pool.upstreams.iter().find(|live| live.config.name == order.upstream) else {
        return text(StatusCode::NOT_FOUND, "the pool has no such upstream: /api/pools names them\n");
    };
    let Order { fault, share, length, .. } = order;
    let plan = DrillPlan { upstream: upstream.key, fault, share, length };
    let (begun, events) = pool.decide_untaped(|core, _| core.begin_drill(plan, clock::now()));
    if let Err(refusal) = begun {
        return text(StatusCode::CONFLICT, &format!("{}\n", remedy(refusal)));
    }
    let note = Note::try_new(&call.caller.name, &order.reason, clock::now()).ok();
    let id = proxy.drills.began(order, &call.caller.name);
    proxy.tell_ordered(&pool, &events, note.as_ref().map(|note| (plan.upstream, note)));
    // A killed process leaves word of it.
    let saved = keeper::save(proxy).await;
    let said = json!({ "id": id, "saved": saved, "until_unix": (clock::unix() + length).as_secs_f64() });
    whole(StatusCode::CREATED, "application/json", said.to_string().into_bytes())
}

/// Ends one.
pub(super) fn stop(proxy: &Arc<Proxy>, words: &[&str]) -> Answer {
    let pool = words.first().and_then(|id| proxy.drills.pool_of(id)).and_then(|pool| named(proxy, &pool));
    let Some(pool) = pool else {
        return text(StatusCode::NOT_FOUND, "no such drill is under way\n");
    };
    let (_, events) = pool.decide_untaped(|core, rng| core.end_drill(DrillEnd::Stopped, clock::now(), rng));
    proxy.tell(&pool, &events);
    show(proxy, words)
}

/// Why it does not begin, and what would help.
fn remedy(refusal: DrillRefusal) -> String {
    match refusal {
        DrillRefusal::NoSuchUpstream => "the pool has no such upstream: /api/pools names them".to_owned(),
        DrillRefusal::Another => {
            "another drill is under way in this pool: wait for its end, or stop it".to_owned()
        }
        DrillRefusal::NotHealthy => {
            "the upstream is not healthy, so nothing could be learnt: see /api/explain, and wait until it is"
                .to_owned()
        }
        DrillRefusal::Degraded => {
            "an upstream is in rotation only because too few others are healthy: mend it first".to_owned()
        }
        DrillRefusal::Panic => "no upstream of the pool is healthy: this is no drill".to_owned(),
        DrillRefusal::TooFewHealthy { left, needed } => format!(
            "only {left} other upstreams are healthy, and min_healthy is {needed}: wait until they are, or add one"
        ),
        DrillRefusal::NoRetry => {
            "retry.attempts_max is 1, so who meets the fault would be lost: raise it, or drill by eject"
                .to_owned()
        }
    }
}
