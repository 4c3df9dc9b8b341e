//! What clients notice when one of two regions fails: requests at a fixed rate, a fault that comes and goes.

mod fault;
mod promises;
mod run;
mod tables;

use crate::peers::Contender;
use crate::report::Report;
use crate::stage::Stage;
use fault::Fault;
use run::{Kind, Plan, Run};
use serde_json::json;

const READERS: [Contender; 3] = [Contender::Aorta, Contender::Nginx, Contender::Haproxy];
const WRITERS: [Contender; 4] =
    [Contender::Aorta, Contender::Nginx, Contender::Haproxy, Contender::HaproxyUnguarded];

const WAITERS: [Contender; 2] = [Contender::Aorta, Contender::AortaHedging];
const WAIT: Plan = Plan { kind: Kind::Read, requests: 400, fault_from: 100, fault_to: 300 };
/// Runs of each, because a machine that others use too is late by itself now and then.
const WAITS: usize = 5;

/// Runs every fault against every proxy, reads and creates, and reports.
pub(crate) async fn measure(stage: &Stage, quick: bool, report: &mut Report) -> anyhow::Result<()> {
    let faults = if quick { &Fault::ALL[..4] } else { &Fault::ALL[..] };
    let reads = Plan { kind: Kind::Read, requests: 600, fault_from: 100, fault_to: 300 };
    let creates = Plan { kind: Kind::Create, requests: 400, fault_from: 100, fault_to: 300 };
    let read = all(stage, &reads, &READERS, faults, report).await?;
    let created = all(stage, &creates, &WRITERS, faults, report).await?;
    report.say(&format!(
        "## Damage\n\n{rate} requests a second, open loop, over two simulated API Gateway regions behind HTTPS; one of \
         them fails after {from} requests and recovers after {to}. Reads: {reads} requests; creates (POST): {creates}. \
         Lost is every answer that is not the right status with the right body. One attempt may take 1 s. Each cell is \
         one run on fresh processes.\n",
        rate = run::RATE,
        from = reads.fault_from,
        to = reads.fault_to,
        reads = reads.requests,
        creates = creates.requests
    ))?;
    report.say("Reads: lost, and answered later than 100 ms after they were due.\n")?;
    report.say(&tables::losses(&read, &READERS))?;
    report.say("Reads: milliseconds from the moment they were due.\n")?;
    report.say(&tables::times(&read, &READERS))?;
    report.say(
        "Reads: requests that reached a region for each request of a client (checks of the proxy's own included; what \
         found a closed port is not), and seconds from the fault's end until the region answers a client again.\n",
    )?;
    report.say(&tables::attempts(&read, &READERS))?;
    report.say(
        "Creates: lost; of these executed all the same; executed twice. HAProxy repeats no POST here \
         (`disable-l7-retry`); unguarded it does what `retry-on` says by itself.\n",
    )?;
    report.say(&tables::creates(&created, &WRITERS))?;
    let whys = tables::whys(read.iter().chain(&created), Contender::Aorta);
    if !whys.is_empty() {
        report.say(&format!("What Aorta's lost requests got instead:\n\n{whys}"))?;
    }
    report.keep("damage", json!({"reads": read, "creates": created}));
    promises::of_losses(&read, &created).into_iter().for_each(|promise| report.promise(promise));
    Ok(())
}

/// The runs in which a client would wait: Aorta with and without hedging, each such fault, and none.
pub(crate) async fn measure_waits(stage: &Stage, quick: bool, report: &mut Report) -> anyhow::Result<()> {
    let faults: Vec<Fault> = [Fault::None].into_iter().chain(Fault::WAITING).collect();
    let rounds = if quick { 1 } else { WAITS };
    let mut runs = Vec::new();
    for _ in 0..rounds {
        runs.extend(all(stage, &WAIT, &WAITERS, &faults, report).await?);
    }
    report.say(&format!(
        "## Waiting\n\nReads while a region does not answer, {} requests a run, beside runs without a fault: answered \
         later than 100 ms, the median of {rounds} runs and each of them.\n",
        WAIT.requests
    ))?;
    report.say(&tables::waits(&runs))?;
    promises::of_waits(&runs).into_iter().for_each(|promise| report.promise(promise));
    report.keep("waits", json!(runs));
    Ok(())
}

async fn all(
    stage: &Stage,
    plan: &Plan,
    contenders: &[Contender],
    faults: &[Fault],
    report: &Report,
) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for fault in faults {
        for contender in contenders {
            let run = run::one(stage, plan, *contender, *fault).await?;
            report.hint(&format!(
                "{:?}, {}, {}: lost {}, over 100 ms {}",
                plan.kind, run.fault, run.contender, run.lost, run.late
            ))?;
            runs.push(run);
        }
    }
    Ok(runs)
}
