//! `aorta-bench`: what Aorta costs and what it saves, beside NGINX, HAProxy, Envoy and Caddy, in one run on one machine.
//!
//! Read in this order:
//! - [`stage`]: certificates, and the bodies that are sent and answered
//! - [`peers`], [`proxy`]: the proxies under test; their configuration is in `peers/`, each line with its reason
//! - [`cost`]: processor time for each proxied request, in interleaved rounds; [`upstreams`] and [`respond`] are its
//!   upstreams, [`closed_loop`] its client, both speak [`wire`], [`run_time`] is its clock
//! - [`footprint`]: memory at rest and for each idle connection
//! - [`damage`]: what clients notice when one of two regions fails; [`region`] and [`function`] are its upstreams
//! - [`instructions`]: what a request takes of the processor, counted, beside the last release
//! - [`report`], [`figures`], [`picture`]: what is printed and kept
//! - [`child`]: the processes of all this, ended with it
//!
//! The report goes to the terminal and to `target/bench/report.md`, every single figure to `target/bench/raw.json`,
//! pictures beside them. How to read them: `tests/bench/README.md`.

mod child;
mod closed_loop;
mod cost;
mod damage;
mod figures;
mod footprint;
mod function;
mod instructions;
mod peers;
mod picture;
mod proxy;
mod region;
mod report;
mod respond;
mod run_time;
mod stage;
mod upstreams;
mod wire;

use clap::{Parser, Subcommand};
use cost::Pace;
use peers::{Field, Peer};
use report::Report;
use stage::Stage;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Measures Aorta beside NGINX, HAProxy, Envoy and Caddy.
#[derive(Debug, Parser)]
struct Flags {
    /// Fewer and shorter rounds: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Only these parts; without it, all but `instructions`.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// How often each proxy takes its turn where that is repeated.
    #[arg(long)]
    rounds: Option<usize>,
    /// Only these proxies beside Aorta.
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Where the report goes.
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
    /// The instructions of the last release.
    #[arg(long, default_value = "tests/bench/instructions.json")]
    last_release: PathBuf,
    /// Write that file anew instead of holding the figures against it.
    #[arg(long)]
    renew: bool,
    #[command(subcommand)]
    helper: Option<Helper>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Processor time.
    Cost,
    /// Memory.
    Footprint,
    /// Every fault, every proxy.
    Damage,
    /// The faults in which a client would wait, with and without hedging.
    Waits,
    /// Instructions for a request beside the last release: of a program made for that (`make instructions`).
    Instructions,
}

impl Flags {
    fn wants(&self, part: Part) -> bool {
        if self.only.is_empty() { part != Part::Instructions } else { self.only.contains(&part) }
    }

    /// How often and how long.
    fn pace(&self) -> Pace {
        let (rounds, millis) = if self.quick { (1, 1000) } else { (5, 2000) };
        Pace { rounds: self.rounds.unwrap_or(rounds), millis }
    }
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
    let alone = flags.only == [Part::Instructions];
    let field = Field::of(if alone { &[Peer::Aorta] } else { &flags.peers })?;
    let stage = Stage::set()?;
    let mut report = Report::begin(&flags.output, &field, flags.quick)?;
    if flags.wants(Part::Instructions) {
        let rounds = flags.rounds.unwrap_or(3);
        instructions::measure(&stage, rounds, &flags.last_release, flags.renew, &mut report).await?;
    }
    if flags.wants(Part::Cost) {
        cost::measure(&stage, &field, flags.pace(), &mut report).await?;
    }
    if flags.wants(Part::Footprint) {
        footprint::measure(&stage, &field, &mut report).await?;
    }
    if flags.wants(Part::Damage) {
        damage::measure(&stage, &field, flags.quick, &mut report).await?;
    }
    if flags.wants(Part::Waits) {
        damage::measure_waits(&stage, &field, flags.quick, &mut report).await?;
    }
    report.end()
}
