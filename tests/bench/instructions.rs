//! Instructions for each proxied request, counted by callgrind: the same on a busy machine as on a quiet one, so that a
//! slower commit is seen. They are held against those of the last release, in `instructions.json`.
//!
//! The proxy runs inside of valgrind, its client and upstreams outside. One connection sends one request after the
//! other, so that every request wakes the proxy as often as any other. What the processor does in the kernel is not
//! counted, nor how long memory takes: `cost` measures those.

mod callgrind;
mod gate;

use crate::figures::table;
use crate::peers::Contender;
use crate::proxy::{Proxy, Work};
use crate::report::Report;
use crate::stage::{Payload, Stage};
use crate::upstreams::{Ask, Load, Upstreams};
use anyhow::ensure;
use callgrind::Callgrind;
use gate::{Gate, Judged};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

/// Enough that what happens once (a connection, a page of memory) no longer shows.
const WARM_UP: u64 = 300;
/// Clients of the first load: every thread has some of them.
const CONNECTIONS: usize = 32;
const REQUESTS: u64 = 1000;
/// What an emulator needs for that on a busy machine.
const MILLIS_MAX: u64 = 120_000;

const CASES: [(bool, Ask); 5] = [
    (false, Ask { create: false, payload: Payload::Record }),
    (true, Ask { create: false, payload: Payload::Record }),
    (false, Ask { create: true, payload: Payload::Record }),
    // What each byte of a long answer takes, and of a long request.
    (false, Ask { create: false, payload: Payload::Page }),
    (false, Ask { create: true, payload: Payload::Page }),
];

/// Counts, and reports; renews the file where that is wanted, holds the figures against it otherwise.
pub(crate) async fn measure(
    stage: &Stage,
    rounds: usize,
    file: &Path,
    renew: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let upstreams = Upstreams::start(stage).await?;
    let mut counted: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 1..=rounds {
        for (tls, ask) in CASES {
            let name = format!("{}, {}", ask.name(), if tls { "TLS" } else { "plain" });
            let each = count(stage, &upstreams, tls, ask).await?;
            report.hint(&format!("instructions, {name}, round {round} of {rounds}: {each:.0}"))?;
            counted.entry(name).or_default().push(each);
        }
    }
    report.keep("instructions", json!(counted));
    // What is not a request's own (a connection that is made anew, a beat of the clock) only ever adds.
    let lowest = |each: &[f64]| each.iter().copied().fold(f64::INFINITY, f64::min).round();
    let lowest = counted.iter().map(|(name, each)| (name.clone(), lowest(each))).collect();
    if renew {
        return Gate::renewed(&lowest).write(file);
    }
    let judged = Gate::read(file)?.judge(&lowest)?;
    report.say(&told(&judged, rounds))?;
    report.promise(judged.promise());
    Ok(())
}

async fn count(stage: &Stage, upstreams: &Upstreams, tls: bool, ask: Ask) -> anyhow::Result<f64> {
    let directory = stage.directory("counted")?;
    let callgrind = Callgrind::in_directory(&directory)?;
    let program = callgrind.around(&Contender::Aorta.peer().program()?);
    let (work, addresses) = (Work::Counted { tls }, upstreams.addresses(tls));
    let proxy = Proxy::inside(program, Contender::Aorta, work, addresses, stage, &directory).await?;
    let load_of = |connections, requests| Load { connections, millis: MILLIS_MAX, requests };
    let load = |requests| load_of(1, requests);
    let right = |outcome: crate::closed_loop::Outcome, requests| {
        ensure!(outcome.requests == requests && outcome.errors == 0, "{outcome:?}");
        Ok(())
    };
    // Each thread has its own connections to the upstreams, and the one connection that counts may be anyone's.
    right(load_of(CONNECTIONS, WARM_UP).put(proxy.address, ask, stage).await?, WARM_UP)?;
    callgrind.begin(proxy.child.pid()).await?;
    // The first requests are translated, and the connection is made again.
    right(load(WARM_UP).put(proxy.address, ask, stage).await?, WARM_UP)?;
    let before = callgrind.instructions(proxy.child.pid()).await?;
    right(load(WARM_UP + REQUESTS).put(proxy.address, ask, stage).await?, WARM_UP + REQUESTS)?;
    let after = callgrind.instructions(proxy.child.pid()).await?;
    // Both loads made a connection and the same first requests: what is left are the others.
    Ok((after as f64 - before as f64) / REQUESTS as f64)
}

fn told(judged: &Judged, rounds: usize) -> String {
    let mut rows =
        vec![["a request", "instructions", "last release", "change, %"].map(ToOwned::to_owned).to_vec()];
    for row in &judged.rows {
        rows.push(vec![
            row.name.clone(),
            format!("{:.0}", row.counted),
            format!("{:.0}", row.before),
            format!("{:+.2}", row.change_percent),
        ]);
    }
    format!(
        "## Instructions\n\nOf the proxy for one request, outside of the kernel, counted by callgrind (the lowest of {rounds} runs); \
         beside {}.\n\n{}",
        judged.release,
        table(&rows)
    )
}
