//! One JSON line on standard output for each request. It holds no path, no query value, no header and no body:
//! only words of the configuration, of FHIR, and numbers.

use crate::config::AccessLog;
use crate::record::{Visit, upstream_name};
use crate::snapshot::{LivePool, Snapshot};
use aorta_core::receipt::{Felt, Receipt};
use serde::Serialize;
use std::io::Write as _;
use std::sync::Arc;

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
pub fn write(snapshot: &Snapshot, visit: &Visit, receipt: &Receipt, pool: Option<&Arc<LivePool>>) {
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
        method: visit.method.as_str(),
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
        // A full disk or a closed pipe must not stop requests; the line is lost.
        let _ = std::io::stdout().lock().write_all(&text);
    }
}

fn is_wanted(access: AccessLog, visit: &Visit, felt: Felt) -> bool {
    let failed = felt == Felt::Failed || visit.status >= 500;
    match access {
        AccessLog::All => true,
        AccessLog::Sampled(share) => failed || sample(visit) < share,
        AccessLog::Errors => failed,
        AccessLog::Off => false,
    }
}

/// A number between 0 and 1 that belongs to the request, so that every hop samples the same ones.
fn sample(visit: &Visit) -> f64 {
    let hash = visit.request_id.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    f64::from(u32::try_from(hash >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
