//! The client of the cost rounds: keep-alive connections, each with one request out, as fast as answers come.

use crate::wire::{answer_head, end_of_head, whole_body};
use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Whom it asks for what, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The proxy.
    #[arg(long)]
    address: SocketAddr,
    /// How many connections.
    #[arg(long)]
    connections: usize,
    /// How long at most.
    #[arg(long)]
    millis: u64,
    /// How many requests at most; without it, as many as there is time for.
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
    /// The path.
    #[arg(long)]
    path: String,
    /// The file with the body that every answer must have.
    #[arg(long)]
    body: PathBuf,
    /// Create (POST) that body, instead of reading it.
    #[arg(long)]
    create: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Right answers.
    pub(crate) requests: u64,
    /// Anything else.
    pub(crate) errors: u64,
    /// The first of them, in words.
    pub(crate) first_error: String,
    /// From the first request to the last answer.
    pub(crate) seconds: f64,
    /// Half of the answers came within this.
    pub(crate) p50_us: u64,
    /// All but one in a hundred.
    pub(crate) p99_us: u64,
}

#[derive(Default)]
struct Tally {
    micros: Vec<u64>,
    errors: u64,
    first_error: String,
}

/// What all connections share.
struct Job {
    address: SocketAddr,
    end: Instant,
    /// Requests that may still begin.
    left: AtomicU64,
    request: Vec<u8>,
    status: u16,
    body: Vec<u8>,
}

impl Job {
    fn of(flags: &Flags) -> anyhow::Result<Self> {
        let body = std::fs::read(&flags.body).context("the body's file")?;
        let fixed = "Host: records.fhir.test\r\nAccept: application/fhir+json\r\nUser-Agent: aorta-bench\r\n";
        let request = if flags.create {
            let (path, length) = (&flags.path, body.len());
            let kind = "Content-Type: application/fhir+json";
            let head = format!("POST {path} HTTP/1.1\r\n{fixed}{kind}\r\nContent-Length: {length}\r\n\r\n");
            [head.as_bytes(), &body].concat()
        } else {
            format!("GET {} HTTP/1.1\r\n{fixed}\r\n", flags.path).into_bytes()
        };
        Ok(Self {
            address: flags.address,
            end: Instant::now() + Duration::from_millis(flags.millis),
            left: AtomicU64::new(flags.requests),
            request,
            status: if flags.create { 201 } else { 200 },
            body,
        })
    }

    /// Whether one more request begins.
    fn goes_on(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        Instant::now() < self.end
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}

/// Runs for its time and tells the outcome.
pub(crate) async fn run(flags: Flags) -> anyhow::Result<Outcome> {
    let job = Arc::new(Job::of(&flags)?);
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..flags.connections {
        workers.spawn(worker(Arc::clone(&job)));
    }
    let mut outcome = Outcome::default();
    let mut micros = Vec::new();
    for tally in workers.join_all().await {
        micros.extend(tally.micros);
        outcome.errors += tally.errors;
        if outcome.first_error.is_empty() {
            outcome.first_error = tally.first_error;
        }
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    outcome.requests = micros.len() as u64;
    micros.sort_unstable();
    (outcome.p50_us, outcome.p99_us) =
        (crate::figures::share(&micros, 50), crate::figures::share(&micros, 99));
    Ok(outcome)
}

async fn worker(job: Arc<Job>) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < job.end && job.left.load(Ordering::Relaxed) > 0 {
        if let Err(error) = connection(&job, &mut tally).await {
            tally.errors += 1;
            if tally.first_error.is_empty() {
                tally.first_error = format!("{error:#}");
            }
            // A refused connection must not spin.
            tokio::task::yield_now().await;
        }
    }
    tally
}

async fn connection(job: &Job, tally: &mut Tally) -> anyhow::Result<()> {
    let mut tcp = TcpStream::connect(job.address).await?;
    tcp.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(8192);
    while job.goes_on() {
        let start = Instant::now();
        tcp.write_all(&job.request).await?;
        answer(&mut tcp, &mut buffer, job).await?;
        tally.micros.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    Ok(())
}

async fn answer(tcp: &mut TcpStream, buffer: &mut Vec<u8>, job: &Job) -> anyhow::Result<()> {
    buffer.clear();
    let head = loop {
        ensure!(tcp.read_buf(buffer).await? > 0, "closed before the head ended");
        if let Some(end) = end_of_head(buffer) {
            break end;
        }
    };
    let (status, framing) = answer_head(&buffer[..head])?;
    ensure!(status == job.status, "status {status}");
    let body = loop {
        if let Some(body) = whole_body(&buffer[head..], framing)? {
            break body;
        }
        ensure!(tcp.read_buf(buffer).await? > 0, "closed inside the body");
    };
    ensure!(body == job.body, "another body");
    Ok(())
}
