//! What tracing tells of a request: a span for the exchange and one for each attempt, handed over when all is done.
//!
//! A request never waits for it: the queue is bounded, and what does not fit is lost and counted. Spans hold words
//! of the configuration and of FHIR, and numbers; no path, no query value, no header.

pub mod otlp;

use crate::clock;
use crate::config::Traces;
use crate::record::{Visit, upstream_name};
use crate::snapshot::Snapshot;
use crate::trace::Trace;
use aorta_core::classify::Class;
use aorta_core::receipt::{Felt, Receipt};
use aorta_core::time::Timestamp;
use http::Method;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Exchanges that wait to be told. One takes under 1 KiB, so the queue takes 2 MiB at most.
const WAITING_MAX: usize = 2048;
/// A stopping process waits so long for the last spans to be told.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Where finished exchanges go.
#[derive(Debug)]
pub struct Spans {
    queue: mpsc::Sender<Message>,
    share: f64,
    /// What became of them.
    pub counts: Arc<Counts>,
}

/// What became of the exchanges that were to be told.
#[derive(Debug, Default)]
pub struct Counts {
    /// The collector took them.
    pub sent: AtomicU64,
    /// The queue was full.
    pub lost: AtomicU64,
    /// The collector did not take them.
    pub failed: AtomicU64,
}

/// What the teller is handed.
#[derive(Debug)]
pub enum Message {
    /// An exchange that is over.
    Exchange(Box<Told>),
    /// Tell everything that came before, then answer.
    Flush(oneshot::Sender<()>),
}

/// An exchange, as its spans tell it. Times are since the Unix epoch.
#[derive(Debug)]
pub struct Told {
    /// Its trace and span.
    pub trace: Trace,
    /// When its head had arrived.
    pub started: Duration,
    /// When its answer had gone out.
    pub ended: Duration,
    /// Its method.
    pub method: Method,
    /// Its path with everything removed that could name a patient.
    pub template: String,
    /// Its route; empty when none matched.
    pub route: String,
    /// Its pool.
    pub pool: String,
    /// The status the client got; 0 when it got none.
    pub status: u16,
    /// What the client felt.
    pub felt: Felt,
    /// In order.
    pub attempts: Vec<ToldAttempt>,
}

/// An attempt of it.
#[derive(Debug)]
pub struct ToldAttempt {
    /// Whom it asked.
    pub upstream: String,
    /// What came of it.
    pub class: Class,
    /// When it was chosen.
    pub started: Duration,
    /// When it was judged.
    pub ended: Duration,
}

impl Spans {
    /// The queue, and the end from which its teller takes.
    #[must_use]
    pub fn new(traces: &Traces) -> (Self, mpsc::Receiver<Message>) {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        (Self { queue, share: traces.sampled, counts: Arc::default() }, waiting)
    }

    /// Of the traces that begin here, so many are told.
    #[must_use]
    pub const fn share(&self) -> f64 {
        self.share
    }

    /// Hands a finished exchange over, if its trace is told.
    pub fn book(&self, snapshot: &Snapshot, visit: &Visit, receipt: &Receipt) {
        let Some(trace) = visit.trace.filter(|trace| trace.exported) else { return };
        let pool = visit.pool.and_then(|pool| snapshot.pools.get(pool));
        let route = visit.route.and_then(|route| snapshot.routes.routes().get(route));
        let name = |upstream| pool.map(|pool| upstream_name(pool, upstream).as_str().to_owned());
        let name = |upstream| name(upstream).unwrap_or_default();
        let attempts = receipt.attempts.iter().map(|attempt| ToldAttempt {
            upstream: name(attempt.upstream),
            class: attempt.class,
            started: unix(attempt.started),
            ended: unix(attempt.ended),
        });
        let told = Told {
            trace,
            started: unix(visit.started),
            ended: clock::unix(),
            method: visit.method.clone(),
            template: visit.template.clone(),
            route: route.map(|route| route.name.clone()).unwrap_or_default(),
            pool: pool.map(|pool| pool.name().to_owned()).unwrap_or_default(),
            status: visit.status,
            felt: receipt.felt(),
            attempts: attempts.collect(),
        };
        if self.queue.try_send(Message::Exchange(Box::new(told))).is_err() {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all that was handed over was told, for a bounded time.
    pub async fn flush(&self) {
        let (done, told) = oneshot::channel();
        let flushed = async {
            if self.queue.send(Message::Flush(done)).await.is_ok() {
                let _ = told.await;
            }
        };
        let _ = tokio::time::timeout(FLUSH_MAX, flushed).await;
    }
}

fn unix(moment: Timestamp) -> Duration {
    clock::unix().saturating_sub(clock::now().since(moment))
}
