//! Drills as an operator knows them: by an id, with a reason, and with a report that is kept.
//!
//! The core decides about a drill; what is here lasts as long as somebody may ask what came of it.

pub mod command;
pub mod report;

use crate::clock;
use crate::config;
use crate::snapshot::LivePool;
use crate::state_dir::StateDir;
use aorta_core::bounds::Ratio;
use aorta_core::drill::{DrillPlan, DrillRecord, Drilled, Fault, ServerError};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Reports that are kept; the oldest goes.
const KEPT: usize = 50;
/// Where, in `state_dir`.
const FOLDER: &str = "drills";

/// What was ordered.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The pool's name.
    pub pool: String,
    /// The upstream's name.
    pub upstream: String,
    /// What is done to requests.
    pub fault: Fault,
    /// The share of them.
    pub share: Ratio,
    /// How long it lasts.
    pub length: Duration,
    /// Why.
    pub reason: String,
}

/// A drill that was begun here, or taken up.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) id: String,
    pub(crate) order: Order,
    pub(crate) by: String,
    /// Since the Unix epoch.
    pub(crate) begun: Duration,
    /// Processes ended while it was under way.
    pub(crate) interruptions: u64,
    /// How it stood when it was last looked at.
    pub(crate) stood: Option<DrillRecord>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Drills {
    running: Mutex<Vec<Running>>,
    reports: Mutex<VecDeque<Value>>,
}

impl Drills {
    /// With the reports of earlier processes.
    #[must_use]
    pub fn of(state: &StateDir) -> Self {
        let names = state.names(FOLDER);
        let read = |name: &String| state.read(&format!("{FOLDER}/{name}")).ok().flatten();
        let reports = names.iter().rev().take(KEPT).rev().filter_map(read);
        let reports = reports.filter_map(|text| serde_json::from_slice(&text).ok()).collect();
        Self { running: Mutex::default(), reports: Mutex::new(reports) }
    }

    /// Nobody has anything to look after.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.running().is_empty()
    }

    /// One began: its id.
    pub fn began(&self, order: Order, by: &str) -> String {
        let mut running = self.running();
        let begun = clock::unix();
        let mut number = begun.as_millis();
        while running.iter().any(|other| other.id == id(number)) {
            number += 1;
        }
        let id = id(number);
        let by = by.to_owned();
        running.push(Running { id: id.clone(), order, by, begun, interruptions: 0, stood: None });
        id
    }

    /// The pool of the one that is under way under this id.
    #[must_use]
    pub fn pool_of(&self, id: &str) -> Option<String> {
        self.running().iter().find(|running| running.id == id).map(|running| running.order.pool.clone())
    }

    /// As it is to outlive the process.
    #[must_use]
    pub fn written(&self, pool: &LivePool, record: &DrillRecord) -> Option<Value> {
        self.running_in(pool).map(|running| report::written(&running, record))
    }

    /// Takes up what another process began; the time between the two counts. One whose upstream is there no more is
    /// over.
    pub fn take_up(&self, state: &StateDir, pool: Option<&LivePool>, told: &Value) -> Option<DrillRecord> {
        let (mut running, mut record) = report::read(told)?;
        running.interruptions += 1;
        let named = |pool: &LivePool| {
            let upstream = pool.upstreams.iter().find(|live| live.config.name == running.order.upstream)?;
            Some((pool.name().to_owned(), upstream.key))
        };
        let Some((name, upstream)) = pool.and_then(named) else {
            running.stood = Some(record);
            self.file(state, &running.id, report::interrupted(&running));
            return None;
        };
        record.plan = DrillPlan { upstream, ..record.plan };
        record.ran = clock::unix().saturating_sub(running.begun).max(record.ran);
        running.order.pool = name;
        tracing::warn!(id = running.id, "a drill that an earlier process began is taken up");
        self.running().push(running);
        Some(record)
    }

    /// How the one in this pool stands.
    pub fn note(&self, pool: &LivePool, record: DrillRecord) {
        let mut running = self.running();
        if let Some(running) = running.iter_mut().find(|running| running.order.pool == pool.name()) {
            running.stood = Some(record);
        }
    }

    /// One is over.
    pub fn finish(&self, state: &StateDir, pool: &LivePool, drilled: &Drilled) {
        let Some(running) = self.running_in(pool) else { return };
        self.file(state, &running.id, report::over(&running, drilled));
        self.running().retain(|other| other.id != running.id);
    }

    /// Those whose pool a reload has taken away are over.
    pub fn forget_gone(&self, state: &StateDir, is_there: impl Fn(&str) -> bool) {
        let gone = |running: &&Running| !is_there(&running.order.pool);
        let gone: Vec<_> = self.running().iter().filter(gone).cloned().collect();
        gone.iter().for_each(|running| self.file(state, &running.id, report::interrupted(running)));
        self.running().retain(|running| is_there(&running.order.pool));
    }

    /// Keeps a report in place of the oldest.
    fn file(&self, state: &StateDir, id: &str, report: Value) {
        tracing::warn!(id, finding = report["finding"].as_str(), "what came of a drill can be asked for");
        state.write(&format!("{FOLDER}/{id}.json"), report.to_string().as_bytes());
        let names = state.names(FOLDER);
        for name in names.iter().rev().skip(KEPT) {
            state.remove(&format!("{FOLDER}/{name}"));
        }
        let mut reports = self.reports();
        reports.push_back(report);
        let beyond = reports.len().saturating_sub(KEPT);
        reports.drain(..beyond);
    }

    /// The one that is under way under this id as it stands, or its report.
    pub fn show(&self, id: &str, stands: impl Fn(&str) -> Option<DrillRecord>) -> Option<Value> {
        let running = self.running().iter().find(|running| running.id == id).cloned();
        let under_way =
            running.map(|running| report::under_way(&running, stands(&running.order.pool).as_ref()));
        under_way.or_else(|| self.reports().iter().find(|report| report["id"].as_str() == Some(id)).cloned())
    }

    /// Every id that can be asked about, the newest first.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let running: Vec<_> = self.running().iter().map(|running| running.id.clone()).collect();
        let reports = self.reports();
        let over = reports.iter().rev().filter_map(|report| report["id"].as_str().map(ToOwned::to_owned));
        running.into_iter().rev().chain(over).collect()
    }

    /// The one that is under way in a pool.
    pub(crate) fn running_in(&self, pool: &LivePool) -> Option<Running> {
        self.running().iter().find(|running| running.order.pool == pool.name()).cloned()
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reports(&self) -> MutexGuard<'_, VecDeque<Value>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In the order of time.
fn id(millis: u128) -> String {
    format!("d{millis:012x}")
}

/// `eject`, `refuse`, `delay:2s` or `status:503`.
#[must_use]
pub fn fault(word: &str) -> Option<Fault> {
    match word.split_once(':') {
        None if word == "eject" => Some(Fault::Eject),
        None if word == "refuse" => Some(Fault::Refuse),
        Some(("delay", time)) => {
            let delay = config::parse_duration(time)?;
            (delay >= DELAY_MIN && delay <= DELAY_MAX).then_some(Fault::Delay(delay))
        }
        Some(("status", code)) => ServerError::new(code.parse().ok()?).map(Fault::Status),
        _ => None,
    }
}

/// The word of a fault.
#[must_use]
pub fn word(fault: Fault) -> String {
    match fault {
        Fault::Eject | Fault::Refuse => fault.name().to_owned(),
        Fault::Delay(delay) => format!("delay:{}ms", delay.as_millis()),
        Fault::Status(error) => format!("status:{}", error.get()),
    }
}

const DELAY_MIN: Duration = Duration::from_millis(1);
/// Longer than any attempt may take by its default, and than API Gateway takes.
const DELAY_MAX: Duration = Duration::from_secs(60);
/// Shorter than this nothing can be seen.
const LENGTH_MIN: Duration = Duration::from_secs(1);
/// Longer than this is no drill.
const LENGTH_MAX: Duration = Duration::from_secs(3600);
const REASON_MAX: usize = 200;

/// Reads an order.
///
/// # Errors
/// In words: what is wrong, and what would be right.
pub fn order(said: &Value) -> Result<Order, String> {
    let text = |key: &str| said[key].as_str().filter(|text| !text.is_empty());
    let named = |key: &str| text(key).map(ToOwned::to_owned).ok_or_else(|| format!("name the {key}"));
    let fault = text("fault").and_then(fault);
    let share = text("share").map_or(Some(1.0), percent).and_then(|share| Ratio::try_new(share).ok());
    let length = text("for").and_then(config::parse_duration);
    let reason =
        text("reason").filter(|reason| reason.len() <= REASON_MAX && !reason.contains(char::is_control));
    Ok(Order {
        pool: named("pool")?,
        upstream: named("upstream")?,
        fault: fault.ok_or(
            "the fault is eject, refuse, delay:TIME up to 60s, or status:CODE with 500, 502, 503 or 504",
        )?,
        share: share.filter(|share| share.get() > 0.0).ok_or("the share is for example 25%, up to 100%")?,
        length: length
            .filter(|length| (LENGTH_MIN..=LENGTH_MAX).contains(length))
            .ok_or("say how long in `for`: 1s to 1h")?,
        reason: reason.ok_or("say why in `reason`: a line of up to 200 letters")?.to_owned(),
    })
}

fn percent(text: &str) -> Option<f64> {
    text.strip_suffix('%')?.parse::<f64>().ok().map(|percent| percent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_is_a_word_and_its_word_is_the_fault() {
        for word in ["eject", "refuse", "delay:2s", "delay:150ms", "status:500", "status:503"] {
            let meant = fault(word).unwrap_or_else(|| panic!("{word}"));
            assert_eq!(fault(&super::word(meant)), Some(meant));
        }
        for strange in ["", "drop", "delay", "delay:0s", "delay:2m", "status:404", "status:599", "refuse:1"] {
            assert_eq!(fault(strange), None, "{strange}");
        }
    }

    #[test]
    fn reports_are_bounded_also_those_of_drills_whose_pool_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path());
        let drills = Drills::of(&state);
        let said = json!({"pool": "p", "upstream": "u", "fault": "refuse", "for": "5m", "reason": "r"});
        for _ in 0..=KEPT {
            drills.began(order(&said).unwrap(), "loopback");
        }
        let oldest = drills.ids().pop().unwrap();
        drills.forget_gone(&state, |_| false);
        let ids = drills.ids();
        assert_eq!((ids.len(), state.names(FOLDER).len()), (KEPT, KEPT));
        assert!(!ids.contains(&oldest), "it is the oldest that goes");
        assert_eq!(Drills::of(&state).ids().len(), KEPT, "another process tells of them too");
        let report = drills.show(&ids[0], |_| None).unwrap();
        assert_eq!((&report["state"], &report["end"]), (&json!("over"), &json!("interrupted")));
        assert!(report["ended_unix"].is_number());
    }

    #[test]
    fn an_order_that_is_not_clear_is_told_what_would_be() {
        let good = json!({"pool": "p", "upstream": "u", "fault": "refuse", "share": "25%", "for": "5m",
                          "reason": "quarterly"});
        let read = order(&good).unwrap();
        assert_eq!((read.share, read.length), (Ratio::percent(25), Duration::from_secs(300)));
        for (key, wrong, words) in [
            ("pool", json!(""), "name the pool"),
            ("upstream", json!(7), "name the upstream"),
            ("fault", json!("status:200"), "status:CODE"),
            ("share", json!("0%"), "25%"),
            ("share", json!("101%"), "25%"),
            ("for", json!("2h"), "1s to 1h"),
            ("reason", json!("two\nlines"), "say why"),
            ("reason", Value::Null, "say why"),
        ] {
            let mut said = good.clone();
            said[key] = wrong;
            assert!(order(&said).is_err_and(|error| error.contains(words)), "{said}");
        }
    }
}
