//! What clients notice when one of two regions fails: requests at a fixed rate, a fault that comes and goes.
//!
//! Some proxies go through a fault at the same time, each with regions of its own, which takes less time and treats
//! them alike; where milliseconds are judged, one after the other.

mod fault;
mod promises;
mod run;
mod tables;

use crate::peers::{Contender, Field};
use crate::report::Report;
use crate::stage::{Payload, Stage};
use fault::Fault;
use run::{Kind, Plan, Run, Show};
use serde_json::json;
use tokio::task::JoinSet;

const READERS: [Contender; 5] =
    [Contender::Aorta, Contender::Nginx, Contender::Haproxy, Contender::Envoy, Contender::Caddy];
const WRITERS: [Contender; 6] = [
    Contender::Aorta,
    Contender::Nginx,
    Contender::Haproxy,
    Contender::Envoy,
    Contender::Caddy,
    Contender::HaproxyUnguarded,
];
const WAITERS: [Contender; 3] = [Contender::Aorta, Contender::AortaHedging, Contender::EnvoyHedging];

const READ: Plan = Plan {
    kind: Kind::Read,
    payload: Payload::Record,
    rate: 100,
    requests: 600,
    fault_from: 100,
    fault_to: 300,
};
const CREATE: Plan = Plan { kind: Kind::Create, requests: 400, ..READ };
const WAIT: Plan = Plan { requests: 400, ..READ };
/// Long answers are many bytes, for the simulated function too: few of them.
const HELD: Plan =
    Plan { payload: Payload::HeldPage, rate: 20, requests: 100, fault_from: 20, fault_to: 80, ..READ };
const STREAMED: Plan = Plan { payload: Payload::LongPage, ..HELD };
/// Runs of each, because a machine that others use too is late by itself now and then.
const WAITS: usize = 5;

/// So many at the same time leave most of two processors idle.
const TOGETHER: usize = 3;

/// Who goes through what, and how many of them at the same time.
struct Bill<'a> {
    plan: Plan,
    contenders: &'a [Contender],
    faults: &'a [Fault],
    together: usize,
}

/// Runs every fault against every proxy, reads and creates, and reports.
pub(crate) async fn measure(
    stage: &Stage,
    field: &Field,
    quick: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let faults = if quick { &Fault::ALL[..4] } else { &Fault::ALL[..] };
    let (readers, writers) = (field.of_those(&READERS), field.of_those(&WRITERS));
    let bill = |plan, contenders| Bill { plan, contenders, faults, together: TOGETHER };
    let read = all(stage, &bill(READ, &readers), report).await?;
    let created = all(stage, &bill(CREATE, &writers), report).await?;
    report.say(&format!(
        "## Damage\n\n{rate} requests a second, open loop, over two simulated API Gateway regions behind HTTPS; one of \
         them fails after {from} requests and recovers after {to}. Reads: {reads} requests; creates (POST): {creates}. \
         Lost is every answer that is not the right status with the right body. One attempt may take 1 s, nobody \
         hedges. Each cell is one run on fresh processes, up to {TOGETHER} of a row at the same time.\n",
        rate = READ.rate,
        from = READ.fault_from,
        to = READ.fault_to,
        reads = READ.requests,
        creates = CREATE.requests
    ))?;
    report.say("Reads: lost, and answered later than 100 ms after they were due.\n")?;
    report.say(&tables::losses(&read, &readers))?;
    report.say("Reads: milliseconds from the moment they were due.\n")?;
    report.say(&tables::times(&read, &readers))?;
    report.say(
        "Reads: requests that reached a region for each request of a client (checks of the proxy's own included; what \
         found a closed port is not), and seconds from the fault's end until the region answers a client again.\n",
    )?;
    report.say(&tables::attempts(&read, &readers))?;
    report.say(
        "Creates: lost; of these executed all the same; executed twice. HAProxy repeats no POST here \
         (`disable-l7-retry`); unguarded it does what `retry-on` says by itself.\n",
    )?;
    report.say(&tables::creates(&created, &writers))?;
    let whys = tables::whys(read.iter().chain(&created), Contender::Aorta);
    if !whys.is_empty() {
        report.say(&format!("What Aorta's lost requests got instead:\n\n{whys}"))?;
    }
    report.readme(&tables::summary(&read, &created, &readers));
    report.plot("damage-reads.svg", &tables::plot_of_reads(&read, &readers))?;
    report.plot("damage-creates.svg", &tables::plot_of_creates(&created, &writers))?;
    report.keep("damage", json!({"reads": read, "creates": created}));
    promises::of_losses(&read, &created).into_iter().for_each(|promise| report.promise(promise));
    measure_cuts(stage, &readers, report).await
}

/// Answers that are cut off, before and after the size up to which Aorta holds them.
async fn measure_cuts(stage: &Stage, readers: &[Contender], report: &mut Report) -> anyhow::Result<()> {
    let bill = |plan| Bill { plan, contenders: readers, faults: &Fault::CUTS, together: TOGETHER };
    let held = all(stage, &bill(HELD), report).await?;
    let streamed = all(stage, &bill(STREAMED), report).await?;
    report.say(&format!(
        "Reads of long answers, {} requests a run of which about {} fall on the failing region, cut off half-way: lost, \
         and of these without a sign (the right status and a whole body, but another one). Aorta holds an answer of {} \
         until it is whole; of {} the first 64 KiB, then it streams.\n",
        HELD.requests,
        (HELD.fault_to - HELD.fault_from) / 2,
        HELD.payload.name(),
        STREAMED.payload.name()
    ))?;
    for (plan, runs) in [(HELD, &held), (STREAMED, &streamed)] {
        report.say(&tables::cuts(plan.payload.name(), runs, readers))?;
    }
    report.keep("cuts", json!({"held": held, "streamed": streamed}));
    promises::of_cuts(&held, &streamed).into_iter().for_each(|promise| report.promise(promise));
    Ok(())
}

/// The runs in which a client would wait: with and without hedging, each such fault, and none.
pub(crate) async fn measure_waits(
    stage: &Stage,
    field: &Field,
    quick: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let faults: Vec<Fault> = [Fault::None].into_iter().chain(Fault::WAITING).collect();
    let waiters = field.of_those(&WAITERS);
    let bill = Bill { plan: WAIT, contenders: &waiters, faults: &faults, together: 1 };
    let rounds = if quick { 1 } else { WAITS };
    let mut runs = Vec::new();
    for _ in 0..rounds {
        runs.extend(all(stage, &bill, report).await?);
    }
    report.say(&format!(
        "## Waiting\n\nReads while a region does not answer, {} requests a run, beside runs without a fault, one run \
         after the other: answered later than 100 ms, the median of {rounds} runs and each of them. One attempt of \
         Aorta may take 1 s; Envoy's hedge comes after 50 ms.\n",
        WAIT.requests
    ))?;
    report.say(&tables::waits(&runs))?;
    promises::of_waits(&runs).into_iter().for_each(|promise| report.promise(promise));
    report.keep("waits", json!(runs));
    Ok(())
}

async fn all(stage: &Stage, bill: &Bill<'_>, report: &Report) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for fault in bill.faults {
        for contenders in bill.contenders.chunks(bill.together) {
            for run in at_once(stage, bill.plan, contenders, *fault).await? {
                report.hint(&format!(
                    "{:?} {}, {}, {}: lost {}, over 100 ms {}, twice {}",
                    bill.plan.kind,
                    bill.plan.payload.name(),
                    run.fault,
                    run.contender,
                    run.lost,
                    run.late,
                    run.twice
                ))?;
                runs.push(run);
            }
        }
    }
    Ok(runs)
}

/// Whoever is through waits for the others: starting and ending processes takes time from those that still run.
async fn at_once(
    stage: &Stage,
    plan: Plan,
    contenders: &[Contender],
    fault: Fault,
) -> anyhow::Result<Vec<Run>> {
    let mut shows = Vec::new();
    for contender in contenders {
        shows.push(Show::set(stage, plan, *contender, fault).await?);
    }
    let mut running = JoinSet::new();
    for show in shows {
        running.spawn(show.run());
    }
    let mut ended = Vec::new();
    while let Some(done) = running.join_next().await {
        ended.push(done??);
    }
    let place = |run: &Run| contenders.iter().position(|contender| contender.name() == run.contender);
    let mut runs: Vec<Run> = ended.iter().map(|(_, run)| run.clone()).collect();
    runs.sort_by_key(place);
    Ok(runs)
}
