//! What of the upstreams' health outlives the process, in words: who is out, until when, and for how long the next
//! time; and the drill that is under way.
//!
//! It stands in `state_dir`, and is handed to a process that takes over. A memory that is old, damaged or of another
//! version is left alone.

use crate::clock;
use crate::service::Proxy;
use crate::snapshot::LivePool;
use aorta_core::memory::{Remembered, Standing};
use aorta_core::order::{Note, Order, Ordered};
use aorta_core::outlier::EjectReason;
use aorta_core::time::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How an upstream stands that an operator has drained: his will has no age.
const DRAINED: &str = "drained";
/// Another number means another shape.
const VERSION: u64 = 1;
/// What was known of an upstream an hour ago says nothing about it now.
const AGE_MAX: Duration = Duration::from_secs(3600);
/// A clock that was set back by less is no clock that was wrong.
const AHEAD_MAX: Duration = Duration::from_secs(60);

/// All of it as text.
#[must_use]
pub fn write(proxy: &Proxy) -> Vec<u8> {
    let snapshot = proxy.snapshot.load();
    let pools: Vec<Value> = snapshot.pools.iter().map(|pool| of_pool(proxy, pool)).collect();
    json!({ "version": VERSION, "saved": clock::unix().as_secs_f64(), "pools": pools })
        .to_string()
        .into_bytes()
}

fn of_pool(proxy: &Proxy, live: &LivePool) -> Value {
    let now = clock::now();
    let (memory, drill) = live.read(|pool| (pool.memory(now), pool.drill(now)));
    let upstreams: Vec<Value> = memory.iter().map(|remembered| told(remembered, now)).collect();
    let drill = drill.and_then(|record| proxy.drills.written(live, &record));
    json!({ "name": live.name(), "upstreams": upstreams, "drill": drill })
}

fn told(remembered: &Remembered, now: Timestamp) -> Value {
    let Remembered { name, standing, ejections, ordered } = remembered;
    let mut said = match standing {
        Standing::In => json!({ "name": name, "ejections": ejections, "stands": "in" }),
        Standing::Kept { reason } => {
            json!({ "name": name, "ejections": ejections, "stands": "kept", "reason": reason.name() })
        }
        Standing::Out { reason, cause, until } => json!({
            "name": name,
            "ejections": ejections,
            "stands": "out",
            "reason": reason.name(),
            "cause": cause.name(),
            "until": (clock::unix() + now.until(*until)).as_secs_f64(),
        }),
        Standing::Drained { was_out } => json!({
            "name": name,
            "ejections": ejections,
            "stands": DRAINED,
            "reason": was_out.map(EjectReason::name),
        }),
    };
    if let Some(Ordered { order, forced, note }) = ordered {
        let at = (clock::unix() + now.until(note.at())).saturating_sub(now.since(note.at()));
        let length = if let Order::Eject { length } = order { length.as_secs() } else { 0 };
        said["ordered"] = json!({
            "order": order.name(),
            "length": length,
            "forced": forced,
            "by": note.by(),
            "why": note.why(),
            "at": at.as_secs_f64(),
        });
    }
    said
}

/// Takes up what a process before has left.
pub fn take_up(proxy: &Arc<Proxy>, text: &[u8]) {
    match read(text) {
        Ok(pools) => {
            let snapshot = proxy.snapshot.load_full();
            for pool in &snapshot.pools {
                let of_it = pools.iter().find(|told| told["name"].as_str() == Some(pool.name()));
                if let Some(told) = of_it {
                    take_up_pool(proxy, pool, told);
                }
            }
            for told in &pools {
                let pool = snapshot.pools.iter().find(|pool| told["name"].as_str() == Some(pool.name()));
                take_up_drill(proxy, pool, &told["drill"]);
            }
        }
        Err(why) => tracing::warn!("what an earlier process knew of upstreams is left alone: {why}"),
    }
}

fn read(text: &[u8]) -> Result<Vec<Value>, &'static str> {
    let mut told: Value = serde_json::from_slice(text).map_err(|_| "it is damaged")?;
    if told["version"].as_u64() != Some(VERSION) {
        return Err("it is of another version");
    }
    let saved = told["saved"].as_f64().and_then(|saved| Duration::try_from_secs_f64(saved).ok());
    let (saved, now) = (saved.ok_or("it is damaged")?, clock::unix());
    let is_old = now.saturating_sub(saved) > AGE_MAX || saved.saturating_sub(now) > AHEAD_MAX;
    match told["pools"].take() {
        Value::Array(pools) if is_old => {
            tracing::warn!(
                "what an earlier process knew is more than an hour old, or of the future: only drains count"
            );
            Ok(pools.into_iter().map(drained_only).collect())
        }
        Value::Array(pools) => Ok(pools),
        _ => Err("it is damaged"),
    }
}

fn drained_only(mut pool: Value) -> Value {
    if let Some(upstreams) = pool["upstreams"].as_array_mut() {
        upstreams.retain(|upstream| upstream["stands"].as_str() == Some(DRAINED));
    }
    pool
}

fn take_up_pool(proxy: &Arc<Proxy>, pool: &Arc<LivePool>, told: &Value) {
    let now = clock::now();
    let upstreams = told["upstreams"].as_array().map(Vec::as_slice).unwrap_or_default();
    let memory: Vec<Remembered> = upstreams.iter().filter_map(|told| remembered(told, now)).collect();
    if !memory.is_empty() {
        let out =
            memory.iter().filter(|remembered| matches!(remembered.standing, Standing::Out { .. })).count();
        tracing::info!(pool = pool.name(), out, "what an earlier process knew of upstreams is taken up");
    }
    let ((), events) = pool.decide_untaped(|core, _| core.remember(&memory, now));
    proxy.tell(pool, &events);
}

fn take_up_drill(proxy: &Arc<Proxy>, pool: Option<&Arc<LivePool>>, told: &Value) {
    let record = proxy.drills.take_up(&proxy.state, pool.map(Arc::as_ref), told);
    let (Some(pool), Some(record)) = (pool, record) else { return };
    let ((), events) = pool.decide_untaped(|core, rng| core.resume_drill(&record, clock::now(), rng));
    proxy.tell(pool, &events);
}

fn remembered(told: &Value, now: Timestamp) -> Option<Remembered> {
    let reason = |key: &str| told[key].as_str().and_then(EjectReason::named);
    let standing = match told["stands"].as_str()? {
        "in" => Standing::In,
        DRAINED => Standing::Drained { was_out: reason("reason") },
        "kept" => Standing::Kept { reason: reason("reason")? },
        "out" => {
            let until = Duration::try_from_secs_f64(told["until"].as_f64()?).ok()?;
            let until = now + until.saturating_sub(clock::unix());
            Standing::Out { reason: reason("reason")?, cause: reason("cause")?, until }
        }
        _ => return None,
    };
    let ejections = u32::try_from(told["ejections"].as_u64()?).ok()?;
    let ordered = ordered(&told["ordered"], now);
    Some(Remembered { name: told["name"].as_str()?.to_owned(), standing, ejections, ordered })
}

fn ordered(told: &Value, now: Timestamp) -> Option<Ordered> {
    let order = match told["order"].as_str()? {
        "drain" => Order::Drain,
        "undrain" => Order::Undrain,
        "eject" => Order::Eject { length: Duration::from_secs(told["length"].as_u64()?) },
        "readmit" => Order::Readmit,
        _ => return None,
    };
    let at = Duration::try_from_secs_f64(told["at"].as_f64()?).ok()?;
    // What was ordered before this process began stands at its beginning.
    let ago = clock::unix().saturating_sub(at);
    let since = u64::try_from(ago.as_micros()).unwrap_or(u64::MAX);
    let at = Timestamp::from_micros(now.as_micros().saturating_sub(since));
    let note = Note::try_new(told["by"].as_str()?, told["why"].as_str()?, at).ok()?;
    Some(Ordered { order, forced: told["forced"].as_bool()?, note })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood() {
        let now = clock::now();
        let (reason, cause) = (EjectReason::ProbeFailed, EjectReason::SuccessRate);
        let until = now + Duration::from_secs(30);
        let note = Note::try_new("on-call", "a patch", now).unwrap();
        let ordered = Some(Ordered { order: Order::Drain, forced: true, note });
        let drained = Standing::Drained { was_out: Some(reason) };
        for standing in
            [Standing::In, Standing::Kept { reason }, Standing::Out { reason, cause, until }, drained]
        {
            let ordered = ordered.clone();
            let before = Remembered { name: "ohio".to_owned(), standing, ejections: 3, ordered };
            let after = remembered(&told(&before, now), now).unwrap();
            assert_eq!((&after.name, after.ejections), (&before.name, before.ejections));
            assert_eq!(after.ordered.map(|ordered| ordered.order), Some(Order::Drain));
            match after.standing {
                Standing::Out { reason: why, cause: first, until: end } => {
                    assert_eq!((why, first), (reason, cause));
                    assert!(until.since(end) < Duration::from_secs(1) && end <= until);
                }
                other => assert_eq!(other, before.standing),
            }
        }
    }

    #[test]
    fn a_memory_that_is_old_damaged_or_strange_is_left_alone() {
        let now = clock::unix().as_secs_f64();
        let text = |version: u64, saved: f64| json!({ "version": version, "saved": saved, "pools": [] });
        let standing = |stands: &str| json!({ "name": "ohio", "stands": stands });
        let pool = json!({ "name": "records", "upstreams": [standing("out"), standing(DRAINED)] });
        for (ahead, kept) in [(0.0, 2), (-3700.0, 1), (3700.0, 1)] {
            let text = json!({ "version": 1, "saved": now + ahead, "pools": [pool] }).to_string();
            let pools = read(text.as_bytes()).unwrap();
            assert_eq!(pools[0]["upstreams"].as_array().map(Vec::len), Some(kept), "{ahead}");
        }
        for (text, why) in [
            (text(2, now).to_string(), "another version"),
            ("{\"version\":1,".to_owned(), "damaged"),
            (json!({ "version": 1, "saved": now }).to_string(), "damaged"),
        ] {
            assert!(read(text.as_bytes()).is_err_and(|said| said.contains(why)), "{text}");
        }
    }
}
