//! `aorta-bench`: what Aorta costs and what it saves, beside NGINX and HAProxy, in one run on one machine.
//!
//! Read in this order:
//! - [`stage`]: certificates and the record that everything answers with
//! - [`peers`]: the proxies under test; their configuration is in `peers/`, each line with its reason
//! - [`cost`]: processor time for each proxied request, in interleaved rounds; [`respond`] is its upstream,
//!   [`closed_loop`] its client, [`run_time`] its clock
//! - [`footprint`]: memory at rest and for each idle connection
//! - [`damage`]: what clients notice when one of two regions fails; [`region`] and [`function`] are its upstreams
//! - [`report`], [`figures`]: what is printed and kept
//! - [`child`]: the processes of all this, ended with it
//!
//! The report goes to the terminal and to `target/bench/report.md`, every single figure to `target/bench/raw.json`.

mod child;
mod closed_loop;
mod cost;
mod damage;
mod figures;
mod footprint;
mod function;
mod peers;
mod region;
mod report;
mod respond;
mod run_time;
mod stage;

use clap::{Parser, Subcommand};
use peers::Contender;
use report::Report;
use stage::Stage;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Measures Aorta beside NGINX and HAProxy.
#[derive(Debug, Parser)]
struct Flags {
    /// Fewer and shorter rounds: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Where the report goes.
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
    #[command(subcommand)]
    helper: Option<Helper>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Processor time and memory.
    Cost,
    /// Every fault, every proxy.
    Damage,
    /// The faults in which a client would wait, with and without hedging.
    Waits,
}

/// What the benchmark starts of itself as processes of their own.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
enum Helper {
    /// The upstream of the cost rounds.
    #[command(hide = true)]
    Respond(respond::Flags),
    /// The client of the cost rounds.
    #[command(hide = true)]
    Load(closed_loop::Flags),
    /// The function behind the regions of the damage runs.
    #[command(hide = true)]
    Function(function::Flags),
}

fn main() -> ExitCode {
    match carried_out(Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "aorta-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carried_out(flags: Flags) -> anyhow::Result<()> {
    match flags.helper {
        Some(Helper::Respond(respond)) => alone()?.block_on(respond::run(respond)),
        Some(Helper::Load(load)) => {
            let outcome = alone()?.block_on(closed_loop::run(load))?;
            writeln!(std::io::stdout().lock(), "{}", serde_json::to_string(&outcome)?)?;
            Ok(())
        }
        Some(Helper::Function(function)) => function::run(&function),
        None => tokio::runtime::Runtime::new()?.block_on(until_stopped(&flags)),
    }
}

/// One thread: cheaper for the little that an upstream or a client does.
fn alone() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// A signal drops what runs, and every process with it.
async fn until_stopped(flags: &Flags) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        done = bench(flags) => done,
        _ = terminate.recv() => anyhow::bail!("stopped"),
        _ = interrupt.recv() => anyhow::bail!("stopped"),
    }
}

async fn bench(flags: &Flags) -> anyhow::Result<()> {
    let contenders = [Contender::Aorta, Contender::Nginx, Contender::Haproxy];
    peers::require(&contenders)?;
    peers::own("aorta-gateway-sim")?;
    let stage = Stage::set()?;
    let mut report = Report::begin(&flags.output, &contenders, flags.quick)?;
    let wanted = |part| flags.only.is_none_or(|only| only == part);
    if wanted(Part::Cost) {
        cost::measure(&stage, flags.quick, &mut report).await?;
        footprint::measure(&stage, &mut report).await?;
    }
    if wanted(Part::Damage) {
        damage::measure(&stage, flags.quick, &mut report).await?;
    }
    if wanted(Part::Waits) {
        damage::measure_waits(&stage, flags.quick, &mut report).await?;
    }
    report.end()
}
