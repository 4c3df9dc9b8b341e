//! Processor time for each proxied request, in rounds that take turns, so that a change of the machine hits all alike.

mod goals;
mod tables;

use crate::figures::Spread;
use crate::peers::{Contender, Field};
use crate::proxy::{Proxy, Work};
use crate::report::Report;
use crate::run_time::nanoseconds;
use crate::stage::{Payload, Stage};
use crate::upstreams::{Ask, Load, Upstreams};
use anyhow::ensure;
use bytes::Bytes;
use harness::client::{Client, Target};
use http::Request;
use serde::Serialize;
use serde_json::json;
use std::net::SocketAddr;

const CONNECTIONS: usize = 64;
const WARM_UP_MS: u64 = 400;
const CONTENDERS: [Contender; 6] = [
    Contender::Aorta,
    Contender::Nginx,
    Contender::Haproxy,
    Contender::Envoy,
    Contender::Caddy,
    Contender::AortaLogging,
];
const ASKS: [Ask; 4] = [
    Ask { create: false, payload: Payload::Record },
    Ask { create: true, payload: Payload::Record },
    Ask { create: false, payload: Payload::Page },
    Ask { create: true, payload: Payload::Page },
];

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

/// What one kind of request cost each contender, round by round.
#[derive(Clone, Debug, Serialize)]
struct Case {
    #[serde(skip)]
    ask: Ask,
    tls: bool,
    name: String,
    turns: Vec<(&'static str, Vec<Turn>)>,
}

impl Case {
    fn of(tls: bool, ask: Ask) -> Self {
        let name = format!("{}, {}", ask.name(), if tls { "TLS" } else { "plain" });
        Self { ask, tls, name, turns: Vec::new() }
    }

    /// A line for each request is measured with the commonest request only.
    fn is_for(&self, contender: Contender) -> bool {
        contender != Contender::AortaLogging || self.ask == ASKS[0]
    }

    fn add(&mut self, name: &'static str, turn: Turn) {
        match self.turns.iter_mut().find(|(of, _)| *of == name) {
            Some((_, turns)) => turns.push(turn),
            None => self.turns.push((name, vec![turn])),
        }
    }

    fn turns(&self, name: &str) -> &[Turn] {
        self.turns.iter().find(|(of, _)| *of == name).map_or(&[], |(_, turns)| turns)
    }

    /// Microseconds for a request.
    fn micros(&self, contender: Contender) -> Option<Spread> {
        Spread::of(self.turns(contender.name()).iter().map(|turn| turn.micros_per_request))
    }

    /// The same, of one contender for each of another, round by round.
    fn ratio(&self, contender: Contender, to: Contender) -> Option<Spread> {
        let turns = self.turns(contender.name()).iter().zip(self.turns(to.name()));
        Spread::of(turns.map(|(turn, to)| turn.micros_per_request / to.micros_per_request))
    }
}

/// How long, how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) rounds: usize,
    pub(crate) millis: u64,
}

/// Measures every kind of request before both kinds of upstream, and reports.
pub(crate) async fn measure(
    stage: &Stage,
    field: &Field,
    pace: Pace,
    report: &mut Report,
) -> anyhow::Result<()> {
    let upstreams = Upstreams::start(stage).await?;
    let mut cases = Vec::new();
    for tls in [false, true] {
        cases.extend(rounds_of(stage, field, &upstreams, tls, pace, report).await?);
    }
    report.say(&format!(
        "## Cost\n\nProcessor time of all threads of the proxy for each request, from the scheduler's account \
         (`/proc/PID/task/*/schedstat`). {CONNECTIONS} kept-alive connections, closed loop, FHIR JSON from two \
         upstreams, every status and body compared; a POST sends as much as it gets back. Medians of {} interleaved \
         rounds of {} ms each; ratios are made within each round. Nobody logs requests. Aorta runs with everything on \
         (every answer held and judged, links, checks, metrics).\n",
        pace.rounds, pace.millis
    ))?;
    let overview = tables::overview(&cases, field);
    report.readme(&overview);
    report.say(&overview)?;
    report.say(goals::ABOUT)?;
    for case in &cases {
        report.say(&tables::of_one(case, field))?;
    }
    report.keep("cost", json!(cases));
    report.plot("cost.svg", &tables::plot(&cases, field))?;
    goals::promises(&cases).into_iter().for_each(|promise| report.promise(promise));
    Ok(())
}

async fn rounds_of(
    stage: &Stage,
    field: &Field,
    upstreams: &Upstreams,
    tls: bool,
    pace: Pace,
    report: &Report,
) -> anyhow::Result<Vec<Case>> {
    let mut cases: Vec<Case> = ASKS.into_iter().map(|ask| Case::of(tls, ask)).collect();
    let mut proxies = Vec::new();
    for contender in field.of_those(&CONTENDERS) {
        let proxy = Proxy::start(contender, Work::Cost { tls }, upstreams.addresses(tls), stage).await?;
        for ask in ASKS {
            verify(contender, proxy.address, ask, stage).await?;
        }
        proxies.push((contender, proxy));
    }
    for round in 1..=pace.rounds {
        for case in &mut cases {
            report.hint(&format!("cost, {}, round {round} of {}", case.name, pace.rounds))?;
            if !tls {
                let (direct, pid) = (upstreams.addresses(false)[0], upstreams.child.pid());
                case.add(tables::DIRECT, turn(direct, pid, case.ask, pace.millis, stage).await?);
            }
            for (contender, proxy) in &proxies {
                if !case.is_for(*contender) {
                    continue;
                }
                let turn = turn(proxy.address, proxy.child.pid(), case.ask, pace.millis, stage).await?;
                case.add(contender.name(), turn);
            }
        }
    }
    Ok(cases)
}

/// A proxy that answers something else would look fast, one that asks twice slow.
async fn verify(contender: Contender, address: SocketAddr, ask: Ask, stage: &Stage) -> anyhow::Result<()> {
    let body = Bytes::from(std::fs::read(stage.file(ask.payload))?);
    let mut client = Client::new(Target::plain(address));
    for _ in 0..4 {
        let request = if ask.create { Request::post(ask.path()) } else { Request::get(ask.path()) };
        let sent = if ask.create { body.clone() } else { Bytes::new() };
        let request = request.header("content-type", "application/fhir+json").body(sent)?;
        let reply = client.send(request).await.map_err(anyhow::Error::msg)?;
        let right = if ask.create { 201 } else { 200 };
        ensure!(
            reply.status == right && reply.body == body && reply.attempts() <= 1,
            "{} answers {} with {} bytes after {} attempts to {} instead of the right body at once: {}",
            contender.name(),
            reply.status,
            reply.body.len(),
            reply.attempts(),
            ask.name(),
            String::from_utf8_lossy(&reply.body[..reply.body.len().min(500)])
        );
    }
    Ok(())
}

async fn turn(address: SocketAddr, pid: u32, ask: Ask, millis: u64, stage: &Stage) -> anyhow::Result<Turn> {
    let load = |millis| Load { connections: CONNECTIONS, millis, requests: u64::MAX };
    load(WARM_UP_MS).put(address, ask, stage).await?;
    let before = nanoseconds(pid)?;
    let outcome = load(millis).put(address, ask, stage).await?;
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
