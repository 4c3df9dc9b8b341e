//! Why: what made an upstream's state, and what became of a request. For the admin port, and for
//! `aorta-proxy explain`, which asks it.
//!
//! Everything here was kept when it happened, in rings of fixed length: asking costs a look, not a search, and
//! the memory is bounded. No path, no query and nothing of a client but the request id it chose is in them.

pub mod ask;
mod policy;
mod request;
mod upstream;

pub use request::Booked;
pub(crate) use upstream::{says, stands};

use crate::clock;
use crate::service::Proxy;
use crate::snapshot::Snapshot;
use crate::translate;
use aorta_core::chronicle::Heard;
use aorta_core::order::Note;
use aorta_core::pool::PoolEvent;
use aorta_core::time::Timestamp;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Requests that are remembered: a megabyte, and minutes at a hospital's volume.
const REQUESTS: usize = 512;
/// Events of a pool that are remembered.
const EVENTS: usize = 64;

/// An event of a pool.
#[derive(Clone, Debug)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: PoolEvent,
    /// Who ordered it and why, where somebody did.
    pub note: Option<Note>,
}

/// The last things that happened.
#[derive(Debug)]
pub struct History<T> {
    kept: Mutex<VecDeque<T>>,
    most: usize,
}

impl<T> History<T> {
    fn new(most: usize) -> Self {
        Self { kept: Mutex::new(VecDeque::new()), most }
    }

    /// Of requests.
    #[must_use]
    pub fn of_requests() -> Self {
        Self::new(REQUESTS)
    }

    /// Of a pool's events.
    #[must_use]
    pub fn of_events() -> Self {
        Self::new(EVENTS)
    }

    /// One more; the oldest is forgotten for it.
    pub fn push(&self, item: T) {
        let mut kept = self.lock();
        // Dropped outside of the lock.
        let oldest = if kept.len() >= self.most { kept.pop_front() } else { None };
        kept.push_back(item);
        drop(kept);
        drop(oldest);
    }

    /// Those that are wanted, the newest first, as what is said of them.
    pub(crate) fn say<S>(&self, mut say: impl FnMut(&T) -> Option<S>) -> Vec<S> {
        self.lock().iter().rev().filter_map(&mut say).collect()
    }

    // What a panic left behind is still a list.
    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a path below `/api/explain/`; none where there is nothing to explain.
#[must_use]
pub fn answer(proxy: &Proxy, snapshot: &Snapshot, path: &str) -> Option<Value> {
    let parts: Vec<_> = path.split('/').collect();
    let pool = |name: &str| snapshot.pools.iter().find(|pool| pool.name() == name);
    match parts[..] {
        ["pools", name] => Some(under(snapshot, upstream::pool(pool(name)?))),
        ["pools", name, "upstreams", asked] => Some(under(snapshot, upstream::explain(pool(name)?, asked)?)),
        ["requests", id] => {
            let requests = request::explain(&proxy.recent, id);
            (!requests.is_empty()).then(|| json!({"requests": requests}))
        }
        _ => None,
    }
}

/// Which configuration this is so under: the hash that `aorta_config_info` bears.
fn under(snapshot: &Snapshot, mut said: Value) -> Value {
    if let Value::Object(map) = &mut said {
        map.insert("config_hash".to_owned(), json!(format!("{:016x}", snapshot.loaded.hash)));
    }
    said
}

/// What was answered, as people find it again at the upstream; nothing where nothing was.
fn heard(heard: Option<Heard>) -> Value {
    heard.map_or(Value::Null, |Heard { status, request_id }| {
        json!({"status": status, "x_amzn_requestid": request_id.map(translate::uuid_text)})
    })
}

/// A moment that has passed.
fn past(at: Timestamp, now: Timestamp) -> Value {
    moment(at, now, "seconds_ago", now.since(at))
}

/// A moment to come; nothing when it has passed.
fn ahead(at: Timestamp, now: Timestamp) -> Value {
    if at <= now { Value::Null } else { moment(at, now, "in_seconds", now.until(at)) }
}

fn moment(at: Timestamp, now: Timestamp, key: &str, distance: Duration) -> Value {
    let unix = clock::unix().saturating_sub(now.since(at)) + now.until(at);
    json!({"unix": seconds(unix), key: seconds(distance)})
}

/// To the millisecond: more is noise to a reader.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_and_the_newest_comes_first() {
        let history = History::new(3);
        (0..5).for_each(|number| history.push(number));
        assert_eq!(history.say(|&number| Some(number)), [4, 3, 2]);
        assert_eq!(history.say(|&number| (number % 2 == 0).then_some(number)), [4, 2]);
    }
}
