//! One run: two fresh regions, one fresh proxy, one fault that comes and goes; what became of every request.

use super::fault::Fault;
use crate::figures::share;
use crate::function::{NUMBER, REGION};
use crate::peers::{Contender, Proxy, Work};
use crate::region::Region;
use crate::stage::Stage;
use anyhow::Context as _;
use bytes::Bytes;
use harness::client::{Client, Target};
use harness::load::{self, Progress, Sample};
use http::Request;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Requests a second.
pub(super) const RATE: u32 = 100;
/// Enough that no request waits for a connection while others wait for a frozen region.
const CONNECTIONS: usize = 128;
const LATE: Duration = Duration::from_millis(100);
/// The region that fails.
const FAULTY: &str = "ohio";

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// GET of a record.
    Read,
    /// POST of a record, which must not be executed twice.
    Create,
}

/// How many requests, and when the fault comes and goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) requests: usize,
    pub(super) fault_from: usize,
    pub(super) fault_to: usize,
}

/// What became of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    pub(super) contender: &'static str,
    pub(super) fault: &'static str,
    pub(super) requests: usize,
    /// Not the right status with the right body.
    pub(super) lost: usize,
    /// Lost, and yet executed.
    pub(super) lost_but_executed: usize,
    /// Executed more than once.
    pub(super) twice: usize,
    /// Over 100 ms.
    pub(super) late: usize,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) max_us: u64,
    /// Requests that reached a region, for each request.
    pub(super) attempts: f64,
    /// Seconds from the fault's end until the region answers a client again.
    pub(super) back: Option<f64>,
    /// What lost requests got, and how often.
    pub(super) whys: BTreeMap<String, usize>,
    /// What the proxy complained of, line by line.
    pub(super) complaints: Vec<String>,
}

/// Runs it.
pub(super) async fn one(
    stage: &Stage,
    plan: &Plan,
    contender: Contender,
    fault: Fault,
) -> anyhow::Result<Run> {
    let ledger = stage.directory("ledger")?.join("ledger");
    std::fs::write(&ledger, "")?;
    let told = ledger.display().to_string();
    let healthy = Region::start("virginia", stage, &told).await?;
    let mut faulty = Region::start(FAULTY, stage, &told).await?;
    let upstreams = [healthy.address(), faulty.address()];
    let proxy = Proxy::start(contender, Work::Damage, upstreams, stage).await?;
    let target = Target::plain(proxy.address);
    // The first connections are made before it counts: TLS to both regions, by both threads of the proxy.
    let mut client = Client::new(target.clone());
    for _ in 0..8 {
        client.get("/Patient/P123456").await;
    }
    let warm_up = healthy.seen().await? + faulty.seen().await?;
    let body = std::fs::read(&stage.body)?;
    let (progress, load) = (Progress::default(), load_of(plan, &body));
    let run = load::run(&target, &load, &progress);
    let fail = async {
        progress.due(plan.fault_from).await;
        fault.begin(&mut faulty).await?;
        progress.due(plan.fault_to).await;
        fault.end(&mut faulty).await
    };
    let (samples, failed) = tokio::join!(run, fail);
    failed.context("the fault could not be put in force or ended")?;
    let seen = healthy.seen().await? + faulty.seen().await? - warm_up;
    let executed = executions(&ledger)?;
    let run = judged(plan, contender, fault, &samples, &body, &executed, seen);
    Ok(Run { complaints: proxy.child.complaints().lines().map(ToOwned::to_owned).collect(), ..run })
}

fn load_of(plan: &Plan, body: &[u8]) -> load::Plan {
    let (kind, body) = (plan.kind, Bytes::copy_from_slice(body));
    let make = move |index: usize| {
        let request = match kind {
            Kind::Read => Request::get("/Patient/P123456"),
            Kind::Create => Request::post("/Patient").header("content-type", "application/fhir+json"),
        };
        let sent = if kind == Kind::Create { body.clone() } else { Bytes::new() };
        let request = request.header("accept", "application/fhir+json").header(NUMBER, index.to_string());
        request.body(sent).expect("a fixed path and headers make a request")
    };
    load::Plan { requests: plan.requests, rate: RATE, connections: CONNECTIONS, make: Arc::new(make) }
}

/// How often each request was executed, by the function's own account.
fn executions(ledger: &Path) -> anyhow::Result<BTreeMap<usize, usize>> {
    let mut executed = BTreeMap::new();
    for line in std::fs::read_to_string(ledger)?.lines() {
        let number = line.split_once(' ').and_then(|(_, number)| number.parse().ok());
        *executed.entry(number.context("a line of the ledger")?).or_default() += 1;
    }
    Ok(executed)
}

fn judged(
    plan: &Plan,
    contender: Contender,
    fault: Fault,
    samples: &[Sample],
    body: &[u8],
    executed: &BTreeMap<usize, usize>,
    seen: u64,
) -> Run {
    let right = if plan.kind == Kind::Create { 201 } else { 200 };
    let is_right = |sample: &Sample| {
        sample.result.as_ref().is_ok_and(|reply| reply.status == right && reply.body == body)
    };
    let lost: Vec<&Sample> = samples.iter().filter(|sample| !is_right(sample)).collect();
    let mut whys = BTreeMap::new();
    lost.iter().for_each(|sample| *whys.entry(why(sample)).or_default() += 1);
    let mut micros: Vec<u64> =
        samples.iter().map(|sample| u64::try_from(sample.latency.as_micros()).unwrap_or(u64::MAX)).collect();
    micros.sort_unstable();
    let answered_after = |sample: &Sample| {
        let is_there = sample.result.as_ref().is_ok_and(|reply| reply.header(REGION) == FAULTY);
        let after = sample.index.checked_sub(plan.fault_to).filter(|_| is_there && is_right(sample))?;
        Some(after as f64 / f64::from(RATE) + sample.latency.as_secs_f64())
    };
    Run {
        contender: contender.name(),
        fault: fault.name(),
        requests: samples.len(),
        lost: lost.len(),
        lost_but_executed: lost.iter().filter(|sample| executed.contains_key(&sample.index)).count(),
        twice: executed.values().filter(|count| **count > 1).count(),
        late: samples.iter().filter(|sample| sample.latency > LATE).count(),
        p50_us: share(&micros, 50),
        p99_us: share(&micros, 99),
        max_us: micros.last().copied().unwrap_or_default(),
        attempts: seen as f64 / samples.len() as f64,
        back: samples.iter().filter_map(answered_after).min_by(f64::total_cmp),
        whys,
        complaints: Vec::new(),
    }
}

fn why(sample: &Sample) -> String {
    match &sample.result {
        Err(error) => error.clone(),
        Ok(reply) => format!("{} with {}", reply.status, reply.header("content-type")),
    }
}
