//! Processor time for each proxied request, in rounds that take turns, so that a change of the machine hits all alike.

use crate::child::{Child, Output};
use crate::closed_loop::Outcome;
use crate::figures::{median, table};
use crate::peers::{Contender, Proxy, Work};
use crate::report::Report;
use crate::run_time::nanoseconds;
use crate::stage::Stage;
use anyhow::ensure;
use harness::client::{Client, Target};
use harness::port::Lease;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;

const CONNECTIONS: usize = 64;
const WARM_UP_MS: u64 = 700;
const CONTENDERS: [Contender; 4] =
    [Contender::Aorta, Contender::Nginx, Contender::Haproxy, Contender::AortaLogging];
const DIRECT: &str = "the upstream itself";

/// One proxy's turn in one round.
#[derive(Clone, Debug, Serialize)]
struct Turn {
    micros_per_request: f64,
    requests_per_second: f64,
    p50_us: u64,
    p99_us: u64,
    errors: u64,
    first_error: String,
}

type Turns = BTreeMap<&'static str, Vec<Turn>>;

/// Two upstreams, plain and TLS, in one process.
pub(crate) struct Upstreams {
    child: Child,
    plain: [Lease; 2],
    tls: [Lease; 2],
}

impl Upstreams {
    /// Starts it.
    pub(crate) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let (plain, tls) = ([Lease::take(), Lease::take()], [Lease::take(), Lease::take()]);
        let mut arguments = vec!["respond".to_owned()];
        let mut tell = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
        plain.iter().for_each(|lease| tell("--plain", lease.address().to_string()));
        tls.iter().for_each(|lease| tell("--tls", lease.address().to_string()));
        tell("--certificate", stage.files.certificate.display().to_string());
        tell("--private-key", stage.files.private_key.display().to_string());
        tell("--body", stage.body.display().to_string());
        let directory = stage.directory("upstreams")?;
        let program = std::env::current_exe()?;
        let mut child = Child::start("upstreams", &program, &arguments, &directory, Output::Dropped)?;
        for lease in plain.iter().chain(&tls) {
            child.accepts(lease.address()).await?;
        }
        Ok(Self { child, plain, tls })
    }

    /// Where the two listen.
    pub(crate) fn addresses(&self, tls: bool) -> [SocketAddr; 2] {
        if tls { self.tls.each_ref().map(Lease::address) } else { self.plain.each_ref().map(Lease::address) }
    }
}

/// Measures both kinds of upstream and reports.
pub(crate) async fn measure(stage: &Stage, quick: bool, report: &mut Report) -> anyhow::Result<()> {
    let (rounds, millis) = if quick { (1, 1000) } else { (7, 3000) };
    let upstreams = Upstreams::start(stage).await?;
    let plain = rounds_of(stage, &upstreams, false, rounds, millis, report).await?;
    let tls = rounds_of(stage, &upstreams, true, rounds, millis, report).await?;
    report.say(&format!(
        "## Cost\n\nProcessor time of all threads of the proxy for each request, from the scheduler's account \
         (`/proc/PID/task/*/schedstat`). GET over {CONNECTIONS} kept-alive connections, closed loop, {} bytes of FHIR \
         JSON from two upstreams, every body compared; medians of {rounds} interleaved rounds of {millis} ms each. \
         NGINX and HAProxy log nothing. Aorta judges every answer (dialect api_gateway, fhir, unwrap_envelope, health, \
         metrics); with its access log on, a line for each request goes to /dev/null.\n",
        std::fs::metadata(&stage.body)?.len()
    ))?;
    report.say(&costs("plain HTTP", &plain))?;
    report.say(&costs("TLS 1.3", &tls))?;
    report.keep("cost", json!({"plain": plain, "tls": tls}));
    Ok(())
}

async fn rounds_of(
    stage: &Stage,
    upstreams: &Upstreams,
    tls: bool,
    rounds: usize,
    millis: u64,
    report: &Report,
) -> anyhow::Result<Turns> {
    let mut proxies = Vec::new();
    for contender in CONTENDERS {
        let proxy = Proxy::start(contender, Work::Cost { tls }, upstreams.addresses(tls), stage).await?;
        verify(contender, proxy.address, stage).await?;
        proxies.push((contender.name(), proxy));
    }
    let mut turns = Turns::new();
    for round in 1..=rounds {
        report.hint(&format!("cost, {}, round {round} of {rounds}", if tls { "TLS" } else { "plain" }))?;
        if !tls {
            let direct = turn(upstreams.addresses(false)[0], upstreams.child.pid(), millis, stage).await?;
            turns.entry(DIRECT).or_default().push(direct);
        }
        for (name, proxy) in &proxies {
            let turn = turn(proxy.address, proxy.child.pid(), millis, stage).await?;
            turns.entry(name).or_default().push(turn);
        }
    }
    Ok(turns)
}

/// A proxy that answers something else would look fast, one that asks twice slow.
async fn verify(contender: Contender, address: SocketAddr, stage: &Stage) -> anyhow::Result<()> {
    let body = std::fs::read(&stage.body)?;
    let mut client = Client::new(Target::plain(address));
    for _ in 0..4 {
        let reply = client.get("/Patient/P123456").await;
        ensure!(
            reply.status == 200 && reply.body == body && reply.attempts() <= 1,
            "{} answers {} with {} bytes after {} attempts instead of the record at once: {}",
            contender.name(),
            reply.status,
            reply.body.len(),
            reply.attempts(),
            String::from_utf8_lossy(&reply.body)
        );
    }
    Ok(())
}

async fn turn(address: SocketAddr, pid: u32, millis: u64, stage: &Stage) -> anyhow::Result<Turn> {
    load(address, WARM_UP_MS, stage).await?;
    let before = nanoseconds(pid)?;
    let outcome = load(address, millis, stage).await?;
    let spent = nanoseconds(pid)?.saturating_sub(before);
    ensure!(outcome.requests > 0, "no right answer came: {}", outcome.first_error);
    let requests = outcome.requests as f64;
    Ok(Turn {
        micros_per_request: spent as f64 / 1000.0 / requests,
        requests_per_second: requests / outcome.seconds,
        p50_us: outcome.p50_us,
        p99_us: outcome.p99_us,
        errors: outcome.errors,
        first_error: outcome.first_error,
    })
}

async fn load(address: SocketAddr, millis: u64, stage: &Stage) -> anyhow::Result<Outcome> {
    let (address, body) = (address.to_string(), stage.body.display().to_string());
    let (connections, millis) = (CONNECTIONS.to_string(), millis.to_string());
    let arguments = ["load", "--address", &address, "--connections", &connections, "--millis", &millis];
    let output = tokio::process::Command::new(std::env::current_exe()?)
        .args(arguments)
        .args(["--body", &body])
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn costs(upstream: &str, turns: &Turns) -> String {
    let of = |name: &str, figure: fn(&Turn) -> f64| {
        median(&turns.get(name).into_iter().flatten().map(figure).collect::<Vec<_>>())
    };
    let nginx = of(Contender::Nginx.name(), |turn| turn.micros_per_request);
    let mut rows = vec![
        [upstream, "µs/request", "lowest", "highest", "to NGINX", "requests/s", "p50 ms", "p99 ms", "errors"]
            .map(ToOwned::to_owned)
            .to_vec(),
    ];
    for name in CONTENDERS.map(Contender::name).into_iter().chain([DIRECT]) {
        let Some(all) = turns.get(name) else { continue };
        let spent = of(name, |turn| turn.micros_per_request);
        let each = || all.iter().map(|turn| turn.micros_per_request);
        rows.push(vec![
            name.to_owned(),
            format!("{spent:.1}"),
            format!("{:.1}", each().fold(f64::INFINITY, f64::min)),
            format!("{:.1}", each().fold(0.0, f64::max)),
            format!("{:.2}", spent / nginx),
            format!("{:.0}", of(name, |turn| turn.requests_per_second)),
            format!("{:.1}", of(name, |turn| turn.p50_us as f64 / 1000.0)),
            format!("{:.1}", of(name, |turn| turn.p99_us as f64 / 1000.0)),
            all.iter().map(|turn| turn.errors).sum::<u64>().to_string(),
        ]);
    }
    table(&rows)
}
