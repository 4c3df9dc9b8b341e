//! One JSON line on standard output for each request. It holds no path, no query value, no header and no body:
//! only words of the configuration, of FHIR, and numbers.

use crate::config::AccessLog as Wanted;
use crate::head;
use crate::record::{Visit, upstream_name};
use crate::snapshot::{LivePool, Snapshot};
use aorta_core::receipt::{Felt, Receipt};
use serde::Serialize;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Lines that wait to be written; beyond them lines are lost, because a full disk or a slow reader of standard
/// output must not stop requests.
const WAITING_MAX: usize = 8192;

/// Where lines go: a thread of their own writes them, many at once when they come fast.
#[derive(Clone, Debug)]
pub struct AccessLog {
    lines: SyncSender<Vec<u8>>,
    lost: Arc<AtomicU64>,
}

impl AccessLog {
    /// Starts the writing thread.
    #[must_use]
    pub fn start() -> Self {
        let (lines, waiting) = sync_channel(WAITING_MAX);
        std::thread::spawn(move || write_all(&waiting));
        Self { lines, lost: Arc::default() }
    }

    /// Lines that were lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

fn write_all(waiting: &Receiver<Vec<u8>>) {
    while let Ok(mut text) = waiting.recv() {
        while let Ok(more) = waiting.try_recv() {
            text.extend_from_slice(&more);
        }
        let _ = std::io::stdout().lock().write_all(&text);
    }
}

#[derive(Serialize)]
struct Line<'a> {
    kind: &'static str,
    time: f64,
    request_id: &'a str,
    method: &'a str,
    path_template: &'a str,
    route: &'a str,
    pool: &'a str,
    upstream: &'a str,
    status: u16,
    felt: &'static str,
    ms: f64,
    bytes: usize,
    attempts: Vec<AttemptLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<&'static str>,
}

#[derive(Serialize)]
struct AttemptLine<'a> {
    upstream: &'a str,
    class: &'static str,
    ms: f64,
}

/// Writes the line, if this request leaves one.
pub fn write(
    log: &AccessLog,
    snapshot: &Snapshot,
    visit: &Visit,
    receipt: &Receipt,
    pool: Option<&Arc<LivePool>>,
) {
    if !is_wanted(snapshot.access, visit, receipt.felt()) {
        return;
    }
    let attempts = receipt.attempts.iter().map(|attempt| AttemptLine {
        upstream: upstream_name(pool, attempt.upstream),
        class: attempt.class.name(),
        ms: attempt.took().as_secs_f64() * 1000.0,
    });
    let line = Line {
        kind: "access",
        time: crate::clock::unix().as_secs_f64(),
        request_id: visit.request_id.to_str().unwrap_or_default(),
        method: if head::judge_method(&visit.method).is_ok() { visit.method.as_str() } else { "other" },
        path_template: &visit.template,
        route: visit
            .route
            .and_then(|route| snapshot.routes.routes().get(route))
            .map_or("", |route| &route.name),
        pool: pool.map_or("", |pool| pool.name()),
        upstream: receipt.attempts.last().map_or("", |last| upstream_name(pool, last.upstream)),
        status: visit.status,
        felt: receipt.felt().name(),
        ms: visit.elapsed().as_secs_f64() * 1000.0,
        bytes: visit.sent,
        attempts: attempts.collect(),
        denied: receipt.denial.map(aorta_core::retry::Denial::name),
    };
    if let Ok(mut text) = serde_json::to_vec(&line) {
        text.push(b'\n');
        if log.lines.try_send(text).is_err() {
            log.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn is_wanted(access: Wanted, visit: &Visit, felt: Felt) -> bool {
    let failed = felt == Felt::Failed || visit.status >= 500;
    match access {
        Wanted::All => true,
        Wanted::Sampled(share) => failed || sample(visit) < share,
        Wanted::Errors => failed,
        Wanted::Off => false,
    }
}

/// A number between 0 and 1 that belongs to the request, so that every hop samples the same ones.
fn sample(visit: &Visit) -> f64 {
    let hash = visit.request_id.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    f64::from(u32::try_from(hash >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
