//! The function: a pool of processes that take events through the Lambda Runtime API.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html> for the life of an
//! environment and its variables.

mod process;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::config::Function;
use crate::counters::Counters;

/// Lambda's limit for the event of a synchronous invocation.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Lambda's limit for the reply, with the hundred bytes its own message names.
pub const REPLY_BYTES_MAX: usize = EVENT_BYTES_MAX + 100;
/// Events that may wait for a free process: an account's default concurrency, which is what AWS would run at once.
pub const QUEUE_MAX: usize = 1_000;
/// How long an environment may take until it asks for its first event.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// An event on its way to a process.
#[derive(Debug)]
pub struct Event {
    /// The invocation's id.
    pub id: String,
    /// What the function gets.
    pub payload: Bytes,
    /// The trace id of the request.
    pub trace: String,
    /// The method, for the counters.
    pub method: String,
    /// Where the outcome goes.
    pub outcome: oneshot::Sender<Outcome>,
}

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The function replied.
    Replied(Bytes),
    /// The function raised, died, exceeded its time, or replied too much: Lambda's JSON about it.
    Failed(Bytes),
}

impl Outcome {
    /// A failure in Lambda's own words.
    #[must_use]
    pub fn failed(kind: &str, message: &str) -> Self {
        let error = serde_json::json!({"errorType": kind, "errorMessage": message});
        Self::Failed(error.to_string().into())
    }
}

/// What all environments of one function share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) function: Function,
    pub(crate) region: String,
    pub(crate) queue: Mutex<mpsc::Receiver<Event>>,
    pub(crate) counters: Arc<Counters>,
    /// How many environments have asked for an event, or ended, for the first time.
    pub(crate) settled: watch::Sender<usize>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// The pool of processes.
#[derive(Debug)]
pub struct Pool {
    queue: mpsc::Sender<Event>,
    stop: watch::Sender<bool>,
    supervisors: Mutex<JoinSet<()>>,
}

impl Pool {
    /// Starts every process and waits until each has asked for an event, has ended, or has taken [`INIT_TIMEOUT`].
    pub async fn start(function: Function, region: &str, counters: Arc<Counters>) -> Self {
        let (queue, events) = mpsc::channel(QUEUE_MAX);
        let (stop, stopped) = watch::channel(false);
        let (settled, mut settling) = watch::channel(0);
        let concurrency = function.concurrency;
        let shared = Arc::new(Shared {
            function,
            region: region.to_owned(),
            queue: Mutex::new(events),
            counters,
            settled,
            stop: stopped,
        });
        let mut supervisors = JoinSet::new();
        for slot in 0..concurrency {
            supervisors.spawn(process::supervise(Arc::clone(&shared), slot));
        }
        let all = settling.wait_for(|settled| *settled >= concurrency);
        if tokio::time::timeout(INIT_TIMEOUT, all).await.is_err() {
            tracing::warn!("not every function process asked for an event in time");
        }
        Self { queue, stop, supervisors: Mutex::new(supervisors) }
    }

    /// Hands an event to the next free process. The function runs to its end even if nobody waits for the outcome.
    #[must_use]
    pub fn invoke(&self, payload: Bytes, id: &str, trace: &str, method: &str) -> oneshot::Receiver<Outcome> {
        let (outcome, receiver) = oneshot::channel();
        let event =
            Event { id: id.to_owned(), payload, trace: trace.to_owned(), method: method.to_owned(), outcome };
        if let Err(refused) = self.queue.try_send(event) {
            let _ = refused
                .into_inner()
                .outcome
                .send(Outcome::failed("TooManyRequestsException", "Rate Exceeded."));
        }
        receiver
    }

    /// Kills every process and waits for their ends.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut supervisors = self.supervisors.lock().await;
        while supervisors.join_next().await.is_some() {}
    }
}
