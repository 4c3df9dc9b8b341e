//! The ledger: one visit, one receipt, booked once. Metrics and the access line follow from it and from
//! nothing else.

use crate::access_log;
use crate::audit::Auditing;
use crate::clock;
use crate::engine::Call;
use crate::interaction::Interaction;
use crate::quota::Standing;
use crate::service::Proxy;
use crate::snapshot::{LivePool, LiveUpstream, Snapshot};
use crate::trace::Trace;
use aorta_core::admission::Shed;
use aorta_core::classify::{AnswerFacts, BodyFacts};
use aorta_core::pool::PoolEvent;
use aorta_core::receipt::Receipt;
use aorta_core::time::Timestamp;
use aorta_core::upstream::UpstreamKey;
use http::{HeaderValue, Method};
use serde::{Serialize, Serializer};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// One request as the adapter saw it: what the core does not know.
#[derive(Debug)]
pub struct Visit {
    /// When its head had arrived.
    pub started: Timestamp,
    /// When all was done; none before.
    pub ended: Option<Timestamp>,
    /// Its id: the client's own, or a new one.
    pub request_id: HeaderValue,
    /// The trace it belongs to, once its head was read.
    pub trace: Option<Trace>,
    /// Its method.
    pub method: Method,
    /// Its path with everything removed that could name a patient.
    pub template: String,
    /// Position of its route in the table.
    pub route: Option<usize>,
    /// Position of its pool.
    pub pool: Option<usize>,
    /// What it does in FHIR's words, where its pool speaks FHIR.
    pub interaction: Option<Interaction>,
    /// Where its client's connection comes from.
    pub client: Option<IpAddr>,
    /// How it is audited.
    pub auditing: Auditing,
    /// A pseudonym of the record it is about, where it is audited and there is a key.
    pub record: Option<String>,
    /// How its client stands, where the route has a quota.
    pub standing: Option<Standing>,
    /// Why it found no place in its pool, where it did not.
    pub shed: Option<Shed>,
    /// The status the client got; 0 when it got none.
    pub status: u16,
    /// Body bytes sent to the client.
    pub sent: usize,
    /// The upstream of the last attempt.
    pub upstream: UpstreamKey,
    /// Attempts made.
    pub attempts: usize,
    /// A failure that hid behind a success: where, and in what shape.
    pub masked: Option<(UpstreamKey, &'static str)>,
}

impl Visit {
    /// A visit that begins now.
    #[must_use]
    pub fn new(request_id: HeaderValue, method: Method, template: String) -> Self {
        Self {
            started: clock::now(),
            ended: None,
            request_id,
            trace: None,
            method,
            template,
            route: None,
            pool: None,
            interaction: None,
            client: None,
            auditing: Auditing::No,
            record: None,
            standing: None,
            shed: None,
            status: 0,
            sent: 0,
            upstream: UpstreamKey::default(),
            attempts: 0,
            masked: None,
        }
    }

    /// How long it has taken.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.ended.unwrap_or_else(clock::now).since(self.started)
    }

    /// An attempt begins.
    pub const fn attempted(&mut self, upstream: UpstreamKey, number: usize) {
        self.upstream = upstream;
        self.attempts = number;
    }

    /// An answer was judged.
    pub fn answered(&mut self, call: &Call<'_>, upstream: UpstreamKey, facts: &AnswerFacts) {
        self.upstream = upstream;
        let success = facts.status < 400;
        let kind = match facts.body {
            BodyFacts::Envelope { status } if success && status >= 500 => "envelope",
            BodyFacts::LambdaError if success => "lambda_error",
            BodyFacts::Html if success && call.fhir_expected => "html",
            _ => return,
        };
        self.masked = Some((self.upstream, kind));
        call.proxy.metrics.masked(call.pool, self.upstream, kind);
    }
}

/// Books a finished visit.
pub fn book(proxy: &Proxy, snapshot: &Snapshot, visit: &Visit, receipt: &Receipt) {
    proxy.metrics.book(snapshot, visit, receipt);
    if let Some(audit) = &proxy.audit {
        audit.book(snapshot, visit, receipt);
    }
    if let Some(spans) = &proxy.spans {
        spans.book(snapshot, visit, receipt);
    }
    access_log::write(
        &proxy.access_log,
        snapshot,
        visit,
        receipt,
        visit.pool.and_then(|pool| snapshot.pools.get(pool)),
    );
}

/// The name of an upstream; empty when it is not configured any more.
#[derive(Debug, Default)]
pub struct UpstreamName(Option<Arc<LiveUpstream>>);

impl UpstreamName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("", |upstream| &upstream.config.name)
    }
}

impl Serialize for UpstreamName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// The name of an upstream of a pool.
#[must_use]
pub fn upstream_name(pool: &LivePool, upstream: UpstreamKey) -> UpstreamName {
    UpstreamName(pool.upstream(upstream))
}

/// Logs what happened in a pool: the words of an operator, no words of a patient.
pub fn log_event(pool: &LivePool, event: &PoolEvent) {
    let name = |upstream| upstream_name(pool, upstream);
    match *event {
        PoolEvent::Ejected { upstream, reason, enforced, .. } => tracing::warn!(
            pool = pool.name(),
            upstream = name(upstream).as_str(),
            reason = reason.name(),
            enforced,
            "ejected"
        ),
        PoolEvent::EjectionPrevented { upstream, guard } => tracing::warn!(
            pool = pool.name(),
            upstream = name(upstream).as_str(),
            guard = guard.name(),
            "ejection prevented"
        ),
        PoolEvent::ProbingStarted { upstream } => {
            tracing::info!(pool = pool.name(), upstream = name(upstream).as_str(), "probing");
        }
        PoolEvent::Readmitted { upstream } => {
            tracing::info!(pool = pool.name(), upstream = name(upstream).as_str(), "readmitted");
        }
        PoolEvent::Drained { upstream } => {
            tracing::info!(pool = pool.name(), upstream = name(upstream).as_str(), "drained");
        }
        PoolEvent::Undrained { upstream } => {
            tracing::info!(pool = pool.name(), upstream = name(upstream).as_str(), "undrained");
        }
        PoolEvent::VerifyWanted { upstream } => {
            tracing::info!(pool = pool.name(), upstream = name(upstream).as_str(), "verifying a denial");
        }
        PoolEvent::DrillBegan { upstream } => {
            tracing::warn!(pool = pool.name(), upstream = name(upstream).as_str(), "a drill is under way");
        }
        PoolEvent::DrillEnded { upstream, end } => {
            let end = end.name();
            tracing::warn!(pool = pool.name(), upstream = name(upstream).as_str(), end, "a drill is over");
        }
        PoolEvent::Panic { on } => tracing::error!(pool = pool.name(), on, "panic"),
    }
}
