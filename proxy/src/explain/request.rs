//! What became of a request: whom it asked and why, what came of it, and why nobody else was asked.

use super::{History, heard, past, seconds};
use crate::clock;
use crate::head;
use crate::record::Visit;
use crate::snapshot::{LivePool, PoolState};
use aorta_core::admission::Shed;
use aorta_core::pool::{Passed, Pool, Skip};
use aorta_core::receipt::{AttemptRecord, Felt, Receipt};
use aorta_core::retry::Denial;
use aorta_core::time::Timestamp;
use aorta_core::upstream::UpstreamKey;
use aorta_core::verdict::Refusal;
use serde_json::{Value, json};
use std::sync::{Arc, Weak};

/// A finished request.
#[derive(Debug)]
pub struct Booked {
    visit: Visit,
    receipt: Box<Receipt>,
    ended: Timestamp,
    /// Its pool, if that is still in force.
    pool: Weak<PoolState>,
    /// The states of its upstreams as it ended, in their order; not kept for one that went well at once.
    states: Vec<(UpstreamKey, &'static str)>,
}

impl Booked {
    /// A request that has ended.
    #[must_use]
    pub fn new(visit: Visit, receipt: Box<Receipt>, pool: Option<&Arc<LivePool>>) -> Self {
        let ended = visit.ended.unwrap_or_else(clock::now);
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
    let passed_over = |passed: &Passed| -> Vec<Value> {
        passed.iter().map(|(upstream, skip)| passed_over(name(upstream), skip)).collect()
    };
    let attempt = |made: &AttemptRecord| attempt(made, name(made.upstream), visit, passed_over(&made.passed));
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
        "attempts": receipt.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "nobody_was_chosen": passed_over(&receipt.passed),
        "not_asked": booked.states.iter().filter_map(not_asked).collect::<Vec<_>>(),
        "denied": receipt.denial.map(Denial::name),
        "refused": receipt.refusal().map(Refusal::name),
        "shed": visit.shed.map(Shed::name),
        "says": says(receipt),
    })
}

/// An upstream that was not chosen.
fn passed_over(upstream: String, skip: Skip) -> Value {
    json!({"upstream": upstream, "because": skip.name(), "says": why_not(skip)})
}

fn attempt(made: &AttemptRecord, upstream: String, visit: &Visit, passed_over: Vec<Value>) -> Value {
    json!({
        "upstream": upstream,
        "asked_as": made.tier.name(),
        "class": made.class.name(),
        "answer": heard(made.heard),
        "after_seconds": seconds(made.started.since(visit.started)),
        "seconds": seconds(made.took()),
        "paid_by_budget": made.paid,
        "hedge": made.hedge,
        "passed_over": passed_over,
    })
}

fn says(receipt: &Receipt) -> String {
    let made = receipt.attempts.len();
    let refusal = receipt.refusal().map(|refusal| format!(" ({})", refusal.name())).unwrap_or_default();
    let how = match receipt.felt() {
        Felt::Ok => "was served by its first attempt".to_owned(),
        Felt::Rescued => format!("was rescued by attempt {made}"),
        Felt::Failed | Felt::Rejected if made == 0 => format!("was refused before any attempt{refusal}"),
        Felt::Failed => {
            format!("was not served after {made} {}{refusal}", if made == 1 { "attempt" } else { "attempts" })
        }
        Felt::Rejected => format!("was refused{refusal}"),
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

const fn why_not(skip: Skip) -> &'static str {
    match skip {
        Skip::Drained => "an operator has drained it",
        Skip::OtherPage => "the page belongs to a search that it does not know",
        Skip::OtherDomain => "the write may have been carried out in another record store",
        Skip::NoRoom => "it carried all that concurrency_max allows",
        Skip::Tried => "this request had asked it already",
        Skip::SignedAnew => "another one was asked once more, signed anew",
        Skip::Ejected => "it was out",
        Skip::BeingProbed => "it was out, and another request was its probe",
        Skip::UnfitToProbe => "it was out, and this request was not fit to be its probe",
        Skip::Throttled => "it had said that too much is asked of it",
        Skip::BeingVerified => "a denial of its gateway was being verified",
        Skip::Drilled => "a drill kept the request away from it",
        Skip::ProbeFirst => "one that was out was to be probed",
        Skip::WriteAffinity => "its client had just written elsewhere",
        Skip::Priority => "one of a lower priority number could serve",
        Skip::Share => "it took less than its whole share: it was warming up, throttled or slow",
        Skip::Turn => "the balance policy chose another",
    }
}
