//! One JSON line on standard output for each request. It holds no path, no query value, no header and no body:
//! only words of the configuration, of FHIR, and numbers.

use crate::config::AccessLog as Wanted;
use crate::head;
use crate::record::{UpstreamName, Visit, upstream_name};
use crate::snapshot::{LivePool, Snapshot};
use aorta_core::receipt::{Felt, Receipt};
use aorta_core::retry::Denial;
use aorta_core::verdict::Refusal;
use serde::Serialize;
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that wait to be written; beyond them lines are lost, because a full disk or a slow reader of standard
/// output must not stop requests.
const WAITING_MAX: usize = 4 * 1024 * 1024;
/// Lines are gathered for this long, or up to so many bytes: one call writes them, and one wake-up serves many
/// requests.
const GATHER: Duration = Duration::from_millis(5);
const GATHER_BYTES: usize = 64 * 1024;
/// Room for an ordinary line.
const LINE_BYTES: usize = 512;
/// A process that ends waits this long for its last lines.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// Where lines go: a thread of their own writes them, many at once when they come fast.
#[derive(Clone, Debug)]
pub struct AccessLog {
    desk: Arc<Desk>,
}

/// What requests and the writing thread share.
#[derive(Debug, Default)]
struct Desk {
    lines: Mutex<Lines>,
    came: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: Vec<u8>,
    lost: u64,
    /// The thread holds lines that are not written yet.
    writing: bool,
}

impl AccessLog {
    /// Starts the writing thread.
    #[must_use]
    pub fn start() -> Self {
        let desk = Arc::new(Desk::default());
        let writer = Arc::clone(&desk);
        std::thread::spawn(move || writer.write_all());
        Self { desk }
    }

    /// Lines that were lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.desk.lock().lost
    }

    /// Waits until what was logged is written, within a bound.
    pub fn flush(&self) {
        let lines = self.desk.lock();
        let busy = |lines: &mut Lines| lines.writing || !lines.waiting.is_empty();
        drop(self.desk.written.wait_timeout_while(lines, FLUSH_MAX, busy));
    }

    fn push(&self, line: &[u8]) {
        let mut lines = self.desk.lock();
        let before = lines.waiting.len();
        if before + line.len() > WAITING_MAX {
            lines.lost += 1;
            return;
        }
        lines.waiting.extend_from_slice(line);
        let after = lines.waiting.len();
        drop(lines);
        if before == 0 || (before < GATHER_BYTES && after >= GATHER_BYTES) {
            self.desk.came.notify_one();
        }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self) {
        let mut text = Vec::new();
        loop {
            text.clear();
            self.gather(&mut text);
            let written = std::io::stdout().lock().write_all(&text);
            let mut lines = self.lock();
            if written.is_err() {
                // A full disk, a reader that is gone: some of them may have been written.
                lines.lost += text.iter().filter(|byte| **byte == b'\n').count() as u64;
            }
            lines.writing = false;
            drop(lines);
            self.written.notify_all();
        }
    }

    /// Waits for a line, then a moment for more, and takes them all.
    fn gather(&self, text: &mut Vec<u8>) {
        let lines = self.lock();
        let lines = self.came.wait_while(lines, |lines| lines.waiting.is_empty());
        let lines = lines.unwrap_or_else(PoisonError::into_inner);
        let few = |lines: &mut Lines| lines.waiting.len() < GATHER_BYTES;
        let (mut lines, _) =
            self.came.wait_timeout_while(lines, GATHER, few).unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut lines.waiting, text);
        lines.writing = true;
    }
}

#[derive(Serialize)]
struct Line<'a> {
    kind: &'static str,
    time: f64,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    method: &'a str,
    path_template: &'a str,
    route: &'a str,
    pool: &'a str,
    upstream: UpstreamName,
    status: u16,
    felt: &'static str,
    ms: f64,
    bytes: usize,
    attempts: Vec<AttemptLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<&'static str>,
    /// Why Aorta itself answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'static str>,
}

#[derive(Serialize)]
struct AttemptLine {
    upstream: UpstreamName,
    class: &'static str,
    ms: f64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hedge: bool,
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
    let name = |upstream| pool.map(|pool| upstream_name(pool, upstream)).unwrap_or_default();
    let attempts = receipt.attempts.iter().map(|attempt| AttemptLine {
        upstream: name(attempt.upstream),
        class: attempt.class.name(),
        ms: attempt.took().as_secs_f64() * 1000.0,
        hedge: attempt.hedge,
    });
    let line = Line {
        kind: "access",
        time: crate::clock::unix().as_secs_f64(),
        request_id: visit.request_id.to_str().unwrap_or_default(),
        trace_id: visit.trace.map(|trace| trace.to_string()),
        method: if head::judge_method(&visit.method).is_ok() { visit.method.as_str() } else { "other" },
        path_template: &visit.template,
        route: visit
            .route
            .and_then(|route| snapshot.routes.routes().get(route))
            .map_or("", |route| &route.name),
        pool: pool.map_or("", |pool| pool.name()),
        upstream: receipt.attempts.deciding().map(|last| name(last.upstream)).unwrap_or_default(),
        status: visit.status,
        felt: receipt.felt().name(),
        ms: visit.elapsed().as_secs_f64() * 1000.0,
        bytes: visit.sent,
        attempts: attempts.collect(),
        denied: receipt.denial.map(Denial::name),
        refused: receipt.refusal().map(Refusal::name),
    };
    let mut text = Vec::with_capacity(LINE_BYTES);
    if serde_json::to_writer(&mut text, &line).is_ok() {
        text.push(b'\n');
        log.push(&text);
    }
}

fn is_wanted(access: Wanted, visit: &Visit, felt: Felt) -> bool {
    let failed = felt == Felt::Failed || visit.status >= 500;
    match access {
        Wanted::All => true,
        Wanted::Sampled(share) => failed || sample(visit.request_id.as_bytes()) < share,
        Wanted::Errors => failed,
        Wanted::Off => false,
    }
}

/// A number between 0 and 1 that belongs to the request's id, so that every hop samples the same ones.
fn sample(id: &[u8]) -> f64 {
    let hash = id.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The last bytes of an id, which tell those of one client apart, hardly reach the upper half by themselves: mixed as
    // MurmurHash3 ends.
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    f64::from(u32::try_from(hash >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_ids_that_count_up_is_as_large_as_of_any() {
        for prefix in ["", "ward-", "0f2a5c1e-77b0-4e6d-9c3b-00d1e2f3"] {
            for share in [0.1, 0.3, 0.9] {
                let sampled =
                    (0..10_000).filter(|index| sample(format!("{prefix}{index}").as_bytes()) < share);
                let seen = sampled.count() as f64 / 10_000.0;
                assert!((seen - share).abs() < 0.02, "{prefix} {share}: {seen}");
            }
        }
    }
}
