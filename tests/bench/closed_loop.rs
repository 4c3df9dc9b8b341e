//! The client of the cost rounds: keep-alive connections, each with one request out, as fast as answers come.

use crate::respond::end_of_head;
use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const REQUEST: &[u8] = b"GET /Patient/P123456 HTTP/1.1\r\nHost: records.fhir.test\r\n\
    Accept: application/fhir+json\r\nUser-Agent: aorta-bench\r\n\r\n";

/// Whom it asks, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The proxy.
    #[arg(long)]
    address: SocketAddr,
    /// How many connections.
    #[arg(long)]
    connections: usize,
    /// How long.
    #[arg(long)]
    millis: u64,
    /// The file with the body that every answer must have.
    #[arg(long)]
    body: PathBuf,
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

/// Runs for its time and prints the outcome as one line of JSON.
pub(crate) async fn run(flags: Flags) -> anyhow::Result<Outcome> {
    let body: Arc<[u8]> = std::fs::read(&flags.body).context("the body's file")?.into();
    let start = Instant::now();
    let end = start + Duration::from_millis(flags.millis);
    let mut workers = JoinSet::new();
    for _ in 0..flags.connections {
        workers.spawn(worker(flags.address, end, Arc::clone(&body)));
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

async fn worker(address: SocketAddr, end: Instant, body: Arc<[u8]>) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < end {
        if let Err(error) = connection(address, end, &body, &mut tally).await {
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

async fn connection(address: SocketAddr, end: Instant, body: &[u8], tally: &mut Tally) -> anyhow::Result<()> {
    let mut tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(8192);
    while Instant::now() < end {
        let start = Instant::now();
        tcp.write_all(REQUEST).await?;
        answer(&mut tcp, &mut buffer, body).await?;
        tally.micros.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    Ok(())
}

async fn answer(tcp: &mut TcpStream, buffer: &mut Vec<u8>, body: &[u8]) -> anyhow::Result<()> {
    buffer.clear();
    let head = loop {
        ensure!(tcp.read_buf(buffer).await? > 0, "closed before the head ended");
        if let Some(end) = end_of_head(buffer) {
            break end;
        }
    };
    let length = content_length(&buffer[..head])?;
    while buffer.len() < head + length {
        ensure!(tcp.read_buf(buffer).await? > 0, "closed inside the body");
    }
    ensure!(&buffer[head..] == body, "another body");
    Ok(())
}

fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(head)?;
    ensure!(response.code == Some(200), "status {:?}", response.code);
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let Some(length) = length else { bail!("an answer without Content-Length") };
    Ok(std::str::from_utf8(length.value)?.parse()?)
}
