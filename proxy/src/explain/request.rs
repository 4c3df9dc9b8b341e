//! What became of a request: whom it asked and why, what came of it, and why nobody else was asked.

use super::{History, past, seconds};
use crate::clock;
use crate::head;
use crate::record::Visit;
use crate::snapshot::{LivePool, PoolState};
use aorta_core::pool::Pool;
use aorta_core::receipt::{AttemptRecord, Felt, Receipt};
use aorta_core::retry::Denial;
use aorta_core::time::Timestamp;
use aorta_core::upstream::UpstreamKey;
use serde_json::{Value, json};
use std::sync::{Arc, Weak};

/// A finished request.
#[derive(Debug)]
pub struct Booked {
    visit: Visit,
    receipt: Receipt,
    ended: Timestamp,
    /// Its pool, if that is still in force.
    pool: Weak<PoolState>,
    /// The states of its upstreams as it ended, in their order; not kept for one that went well at once.
    states: Vec<(UpstreamKey, &'static str)>,
}

impl Booked {
    /// A request that ends now.
    #[must_use]
    pub fn new(visit: Visit, receipt: Receipt, pool: Option<&Arc<LivePool>>) -> Self {
        let ended = clock::now();
        let states =
            pool.filter(|_| receipt.felt() != Felt::Ok).map(|pool| pool.read(|core| states(core, ended)));
        let pool = pool.map(|pool| Arc::downgrade(&pool.state)).unwrap_or_default();
        Self { visit, receipt, ended, pool, states: states.unwrap_or_default() }
    }
}

fn states(pool: &Pool, at: Timestamp) -> Vec<(UpstreamKey, &'static str)> {
    pool.upstreams().iter().map(|held| (held.key(), held.state(at))).collect()
}

/// The requests of this id, the newest first.
pub(super) fn explain(recent: &History<Booked>, id: &str) -> Vec<Value> {
    let now = clock::now();
    recent.say(|booked| (booked.visit.request_id.as_bytes() == id.as_bytes()).then(|| show(booked, now)))
}

fn show(booked: &Booked, now: Timestamp) -> Value {
    let Booked { visit, receipt, .. } = booked;
    let pool = booked.pool.upgrade();
    let name = |upstream: UpstreamKey| {
        let known = pool.as_ref().and_then(|pool| pool.upstream(upstream));
        let gone = || format!("upstream {}, which is not configured any more", upstream.number());
        known.map_or_else(gone, |known| known.config.name.clone())
    };
    let attempts: Vec<_> =
        receipt.attempts.iter().map(|made| attempt(made, name(made.upstream), visit)).collect();
    let not_asked = |(upstream, state): &(UpstreamKey, &'static str)| {
        let asked = receipt.attempts.upstreams().contains(upstream);
        (!asked).then(|| json!({"upstream": name(*upstream), "state": state}))
    };
    json!({
        "request_id": visit.request_id.to_str().unwrap_or_default(),
        "ended": past(booked.ended, now),
        "seconds": seconds(booked.ended.since(visit.started)),
        "method": if head::judge_method(&visit.method).is_ok() { visit.method.as_str() } else { "other" },
        "path_template": visit.template,
        "pool": pool.as_ref().map(|pool| &pool.name),
        "status": visit.status,
        "felt": receipt.felt().name(),
        "attempts": attempts,
        "not_asked": booked.states.iter().filter_map(not_asked).collect::<Vec<_>>(),
        "denied": receipt.denial.map(Denial::name),
        "says": says(receipt),
    })
}

fn attempt(made: &AttemptRecord, upstream: String, visit: &Visit) -> Value {
    json!({
        "upstream": upstream,
        "asked_as": made.tier.name(),
        "class": made.class.name(),
        "after_seconds": seconds(made.started.since(visit.started)),
        "seconds": seconds(made.took()),
        "paid_by_budget": made.paid,
    })
}

fn says(receipt: &Receipt) -> String {
    let made = receipt.attempts.len();
    let how = match receipt.felt() {
        Felt::Ok => "was served by its first attempt".to_owned(),
        Felt::Rescued => format!("was rescued by attempt {made}"),
        Felt::Failed if made == 0 => "was refused before any attempt".to_owned(),
        Felt::Failed => {
            format!("was not served after {made} {}", if made == 1 { "attempt" } else { "attempts" })
        }
        Felt::Rejected => "was refused for a mistake of its client".to_owned(),
        Felt::Abandoned => "was left by its client".to_owned(),
    };
    match receipt.denial {
        Some(denial) => format!("it {how}; no other followed: {}", why(denial)),
        None => format!("it {how}"),
    }
}

const fn why(denial: Denial) -> &'static str {
    match denial {
        Denial::Budget => "the retry budget was spent",
        Denial::NotIdempotent => "it may have been executed, and a second time would be a second effect",
        Denial::BodyTooLarge => "its body was not kept",
        Denial::Deadline => "its time was up",
        Denial::Attempts => "its attempts, or its one move, were used up",
        Denial::ResponseStarted => "part of an answer was with the client already",
        Denial::NoOtherUpstream => "nobody else could be asked",
    }
}
