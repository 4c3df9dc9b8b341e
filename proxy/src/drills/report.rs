//! What came of a drill, as JSON and in a few lines; and a drill under way, as it outlives the process.

use super::{Order, Running, fault, word};
use crate::clock;
use aorta_core::bounds::Ratio;
use aorta_core::drill::{DrillEnd, DrillPlan, DrillRecord, Drilled, Fault, Finding, Score, Tally};
use aorta_core::upstream::UpstreamKey;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

fn head(running: &Running) -> Value {
    let Running { id, order, by, begun, interruptions, stood: _ } = running;
    json!({
        "id": id,
        "pool": order.pool,
        "upstream": order.upstream,
        "fault": word(order.fault),
        "share_percent": order.share.get() * 100.0,
        "planned_seconds": order.length.as_secs_f64(),
        "reason": order.reason,
        "by": by,
        "begun_unix": begun.as_secs_f64(),
        "interruptions": interruptions,
    })
}

fn scored(running: &Running, record: &DrillRecord) -> Value {
    let mut said = head(running);
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let score = &record.score;
    said["ran_seconds"] = json!(record.ran.as_secs_f64());
    said["finding"] = json!(finding(running, record).name());
    said["score"] = json!({
        "met": score.met,
        "spared": score.spared,
        "rescued": score.rescued,
        "lost": score.lost,
        "seconds_to_detect": seconds(score.detected),
        "seconds_to_shift": seconds(score.shifted),
        "added_p99_seconds": seconds(score.added_p99()),
        "ejections": score.ejections,
        "budget_denials": score.budget_denials,
        "before": tally(&score.before),
        "during": tally(&score.during),
    });
    said["upstream_failed_by_itself_too"] = json!(record.failed_itself);
    said
}

fn finding(running: &Running, record: &DrillRecord) -> Finding {
    record.score.finding(running.order.fault == Fault::Eject)
}

fn tally(tally: &Tally) -> Value {
    let p99 = tally.p99.map(|p99| p99.as_secs_f64());
    json!({ "requests": tally.requests, "failed": tally.failed, "p99_seconds": p99 })
}

pub(super) fn under_way(running: &Running, record: Option<&DrillRecord>) -> Value {
    let mut said = record.map_or_else(|| head(running), |record| scored(running, record));
    said["state"] = json!(if record.is_some() { "under_way" } else { "ending" });
    said
}

pub(super) fn over(running: &Running, drilled: &Drilled) -> Value {
    ended(scored(running, &drilled.record), drilled.end)
}

/// Its upstream is there no more; what came of it until then is said.
pub(super) fn interrupted(running: &Running) -> Value {
    let mut said = match &running.stood {
        Some(record) => scored(running, record),
        None => head(running),
    };
    if running.stood.is_none() {
        said["finding"] = json!(Finding::Untried.name());
    }
    ended(said, DrillEnd::Interrupted)
}

fn ended(mut said: Value, end: DrillEnd) -> Value {
    said["state"] = json!("over");
    said["end"] = json!(end.name());
    said["ended_unix"] = json!(clock::unix().as_secs_f64());
    said
}

/// All that another process needs to go on with it.
pub(super) fn written(running: &Running, record: &DrillRecord) -> Value {
    let mut said = head(running);
    let micros =
        |time: Option<Duration>| time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    let Score {
        met,
        spared,
        rescued,
        lost,
        first_fault,
        detected,
        shifted,
        ejections,
        budget_denials,
        before,
        during,
    } = record.score;
    let counts = |tally: Tally| json!([tally.requests, tally.failed, micros(tally.p99)]);
    said["share"] = json!(running.order.share.get());
    said["kept"] = json!({
        "ran": micros(Some(record.ran)),
        "condemned": record.condemned,
        "failed_itself": record.failed_itself,
        "ejections": record.ejections,
        "counts": [met, spared, rescued, lost, u64::from(ejections), budget_denials],
        "times": [micros(first_fault), micros(detected), micros(shifted)],
        "before": counts(before),
        "during": counts(during),
    });
    said
}

/// The same, read; the upstream is to be found by its name.
pub(super) fn read(told: &Value) -> Option<(Running, DrillRecord)> {
    let text = |key: &str| told[key].as_str().map(ToOwned::to_owned);
    let seconds = |key: &str| Duration::try_from_secs_f64(told[key].as_f64()?).ok();
    let order = Order {
        pool: text("pool")?,
        upstream: text("upstream")?,
        fault: fault(&text("fault")?)?,
        share: Ratio::try_new(told["share"].as_f64()?).ok()?,
        length: seconds("planned_seconds")?,
        reason: text("reason")?,
    };
    let kept = &told["kept"];
    let micros = |value: &Value| value.as_u64().map(Duration::from_micros);
    let count = |index: usize| kept["counts"][index].as_u64();
    let tally = |value: &Value| {
        let (requests, failed) = (value[0].as_u64()?, value[1].as_u64()?);
        Some(Tally { requests, failed, p99: micros(&value[2]) })
    };
    let score = Score {
        met: count(0)?,
        spared: count(1)?,
        rescued: count(2)?,
        lost: count(3)?,
        ejections: u32::try_from(count(4)?).ok()?,
        budget_denials: count(5)?,
        first_fault: micros(&kept["times"][0]),
        detected: micros(&kept["times"][1]),
        shifted: micros(&kept["times"][2]),
        before: tally(&kept["before"])?,
        during: tally(&kept["during"])?,
    };
    let (fault, share, length) = (order.fault, order.share, order.length);
    let record = DrillRecord {
        plan: DrillPlan { upstream: UpstreamKey::default(), fault, share, length },
        ran: micros(&kept["ran"])?,
        score,
        condemned: kept["condemned"].as_bool()?,
        failed_itself: kept["failed_itself"].as_bool()?,
        ejections: u32::try_from(kept["ejections"].as_u64()?).ok()?,
    };
    let running = Running {
        id: text("id")?,
        order,
        by: text("by")?,
        begun: seconds("begun_unix")?,
        interruptions: told["interruptions"].as_u64()?,
        stood: None,
    };
    Some((running, record))
}

/// A report, for people.
#[must_use]
pub fn lines(said: &Value) -> String {
    let score = &said["score"];
    let time =
        |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.3} s"));
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let mut text = String::new();
    for (name, value) in [
        ("finding", plain(&said["finding"])),
        ("ended", plain(&said["end"])),
        ("ran", time(&said["ran_seconds"])),
        ("requests that met it", plain(&score["met"])),
        ("  rescued", plain(&score["rescued"])),
        ("  lost", plain(&score["lost"])),
        ("requests spared", plain(&score["spared"])),
        ("time to detect", time(&score["seconds_to_detect"])),
        ("time to shift", time(&score["seconds_to_shift"])),
        ("added p99", time(&score["added_p99_seconds"])),
        ("ejections", plain(&score["ejections"])),
        ("budget denials", plain(&score["budget_denials"])),
        ("failed before", format!("{} of {}", score["before"]["failed"], score["before"]["requests"])),
        ("failed during", format!("{} of {}", score["during"]["failed"], score["during"]["requests"])),
        ("interruptions", plain(&said["interruptions"])),
    ] {
        let _ = writeln!(text, "{name:<22}{value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_outlives_its_process_with_all_that_was_counted() {
        let (fault, share, length) = (Fault::Refuse, Ratio::percent(25), Duration::from_secs(300));
        let (pool, upstream) = ("records".to_owned(), "ohio".to_owned());
        let order = Order { pool, upstream, fault, share, length, reason: "quarterly".to_owned() };
        let (id, by, begun) = ("d1".to_owned(), "on-call".to_owned(), Duration::from_secs(1000));
        let running = Running { id, order: order.clone(), by, begun, interruptions: 1, stood: None };
        let p99 = Some(Duration::from_micros(1500));
        let score = Score {
            met: 1,
            spared: 2,
            rescued: 3,
            lost: 4,
            first_fault: p99,
            detected: None,
            shifted: p99,
            ejections: 5,
            budget_denials: 6,
            before: Tally { requests: 7, failed: 8, p99 },
            during: Tally { requests: 9, failed: 10, p99: None },
        };
        let plan = DrillPlan { upstream: UpstreamKey::default(), fault, share, length };
        let ran = Duration::from_millis(1234);
        let record = DrillRecord { plan, ran, score, condemned: true, failed_itself: false, ejections: 2 };
        let text = written(&running, &record).to_string();
        let (again, same) = read(&serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!((again.order, again.interruptions, same), (order, 1, record));
        assert!(read(&json!({ "id": "d1" })).is_none());
    }
}
