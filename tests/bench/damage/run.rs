//! One run: two fresh regions, one fresh proxy, one fault that comes and goes; what became of every request.

use super::fault::Fault;
use crate::figures::share;
use crate::function::{NUMBER, REGION};
use crate::peers::Contender;
use crate::proxy::{Proxy, Work};
use crate::region::Region;
use crate::stage::{Payload, Stage};
use anyhow::Context as _;
use bytes::Bytes;
use harness::client::{Client, Target};
use harness::load::{self, Progress, Sample};
use http::Request;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Enough that no request waits for a connection while others wait for a frozen region.
const CONNECTIONS: usize = 128;
const LATE: Duration = Duration::from_millis(100);
/// Right answers in a row before it begins, and how often that is tried.
const RIGHT_MIN: usize = 8;
const TRIES_MAX: usize = 500;
/// The region that fails.
const FAULTY: &str = "ohio";

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// GET of a payload.
    Read,
    /// POST of a record, which must not be executed twice.
    Create,
}

/// How many requests of what, how fast, and when the fault comes and goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) payload: Payload,
    /// Requests a second.
    pub(super) rate: u32,
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
    /// Lost without a sign: the right status, a whole body, and it is another one.
    pub(super) silent: usize,
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

/// Everything one run needs, up and warm.
pub(super) struct Show {
    plan: Plan,
    contender: Contender,
    fault: Fault,
    body: Bytes,
    ledger: PathBuf,
    healthy: Region,
    faulty: Region,
    proxy: Proxy,
}

impl Show {
    /// Starts two regions and the proxy before them, and sees that it answers rightly.
    pub(super) async fn set(
        stage: &Stage,
        plan: Plan,
        contender: Contender,
        fault: Fault,
    ) -> anyhow::Result<Self> {
        let ledger = stage.directory("ledger")?.join("ledger");
        std::fs::write(&ledger, "")?;
        let told = ledger.display().to_string();
        let healthy = Region::start("virginia", stage, plan.payload, &told).await?;
        let faulty = Region::start(FAULTY, stage, plan.payload, &told).await?;
        let upstreams = [healthy.address(), faulty.address()];
        let proxy = Proxy::start(contender, Work::Damage, upstreams, stage).await?;
        let body = Bytes::from(std::fs::read(stage.file(plan.payload))?);
        let show = Self { plan, contender, fault, body, ledger, healthy, faulty, proxy };
        show.warm_up().await?;
        Ok(show)
    }

    /// The first connections are made before it counts: TLS to both regions, by both threads of the proxy.
    async fn warm_up(&self) -> anyhow::Result<()> {
        let mut client = Client::new(Target::plain(self.proxy.address));
        let (mut right, mut last) = (0, String::new());
        // Its own checks may not have passed yet, so it has some tries.
        let mut tries = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..TRIES_MAX {
            tries.tick().await;
            let read = Request::get(path(&self.plan)).body(Bytes::new())?;
            let reply = client.send(read).await;
            let is_right = reply.as_ref().is_ok_and(|reply| reply.status == 200 && reply.body == self.body);
            right = if is_right { right + 1 } else { 0 };
            if right == RIGHT_MIN {
                return Ok(());
            }
            last = format!("{reply:?}");
        }
        anyhow::bail!("{} does not answer rightly although nothing fails: {last}", self.contender.name())
    }

    /// Runs it.
    pub(super) async fn run(mut self) -> anyhow::Result<(Self, Run)> {
        let plan = self.plan;
        let warm_up = self.healthy.seen().await? + self.faulty.seen().await?;
        let (progress, load) = (Progress::default(), load_of(&plan, &self.body));
        let target = Target::plain(self.proxy.address);
        let run = load::run(&target, &load, &progress);
        let fail = async {
            progress.due(plan.fault_from).await;
            self.fault.begin(&mut self.faulty).await?;
            progress.due(plan.fault_to).await;
            self.fault.end(&mut self.faulty).await
        };
        let (samples, failed) = tokio::join!(run, fail);
        failed.context("the fault could not be put in force or ended")?;
        let seen = self.healthy.seen().await? + self.faulty.seen().await? - warm_up;
        let executed = executions(&self.ledger)?;
        let complaints = self.proxy.child.complaints().lines().map(ToOwned::to_owned).collect();
        let run = Run { complaints, ..self.judged(&samples, &executed, seen) };
        Ok((self, run))
    }

    fn judged(&self, samples: &[Sample], executed: &BTreeMap<usize, usize>, seen: u64) -> Run {
        let plan = &self.plan;
        let status = if plan.kind == Kind::Create { 201 } else { 200 };
        let has_status = |sample: &Sample| sample.result.as_ref().is_ok_and(|reply| reply.status == status);
        let is_right = |sample: &Sample| {
            has_status(sample) && sample.result.as_ref().is_ok_and(|reply| reply.body == self.body)
        };
        let lost: Vec<&Sample> = samples.iter().filter(|sample| !is_right(sample)).collect();
        let mut whys = BTreeMap::new();
        lost.iter().for_each(|sample| *whys.entry(why(sample)).or_default() += 1);
        let micros = |sample: &Sample| u64::try_from(sample.latency.as_micros()).unwrap_or(u64::MAX);
        let mut micros: Vec<u64> = samples.iter().map(micros).collect();
        micros.sort_unstable();
        let answered_after = |sample: &Sample| {
            let is_there = sample.result.as_ref().is_ok_and(|reply| reply.header(REGION) == FAULTY);
            let after = sample.index.checked_sub(plan.fault_to).filter(|_| is_there && is_right(sample))?;
            Some(after as f64 / f64::from(plan.rate) + sample.latency.as_secs_f64())
        };
        Run {
            contender: self.contender.name(),
            fault: self.fault.name(),
            requests: samples.len(),
            lost: lost.len(),
            silent: lost.iter().filter(|sample| has_status(sample)).count(),
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
}

fn path(plan: &Plan) -> String {
    let path = plan.payload.path();
    if plan.kind == Kind::Create { path.to_owned() } else { format!("{path}/1") }
}

fn load_of(plan: &Plan, body: &Bytes) -> load::Plan {
    let (kind, body, path) = (plan.kind, body.clone(), path(plan));
    let make = move |index: usize| {
        let request = match kind {
            Kind::Read => Request::get(&path),
            Kind::Create => Request::post(&path).header("content-type", "application/fhir+json"),
        };
        let sent = if kind == Kind::Create { body.clone() } else { Bytes::new() };
        let request = request.header("accept", "application/fhir+json").header(NUMBER, index.to_string());
        request.body(sent).expect("a fixed path and headers make a request")
    };
    load::Plan { requests: plan.requests, rate: plan.rate, connections: CONNECTIONS, make: Arc::new(make) }
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

fn why(sample: &Sample) -> String {
    match &sample.result {
        Err(error) => error.clone(),
        Ok(reply) => format!("{} with {}", reply.status, reply.header("content-type")),
    }
}
