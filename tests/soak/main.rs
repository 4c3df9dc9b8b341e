//! `aorta-soak`: what an operator does in years, done to two proxies in some minutes under load, and every request counted.
//!
//! [`harness::soak`] does it; the tests run it shortened. The report goes to the terminal and to `target/soak/`.

use anyhow::Context as _;
use clap::Parser;
use harness::soak::{Plan, run};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Nothing of it takes longer than this.
const BOUND: Duration = Duration::from_mins(20);

/// Soaks two proxies in load.
#[derive(Debug, Parser)]
struct Flags {
    /// Less of everything: to see that it works.
    #[arg(long)]
    quick: bool,
    /// Seconds of load before the first event, and again before the memory is looked at.
    #[arg(long)]
    steady: Option<u64>,
    /// How often each proxy is replaced, and how often restarted, together.
    #[arg(long)]
    turns: Option<usize>,
    /// Where the report goes.
    #[arg(long, default_value = "target/soak")]
    output: PathBuf,
}

fn main() -> ExitCode {
    match soak(&Flags::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "aorta-soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn soak(flags: &Flags) -> anyhow::Result<bool> {
    let start = Instant::now();
    let told = |words: &str| {
        let _ = writeln!(std::io::stdout().lock(), "{:5.0} s  {words}", start.elapsed().as_secs_f64());
    };
    let mut plan = if flags.quick { Plan::short() } else { Plan::full() };
    plan.upgrades = flags.turns.unwrap_or(plan.upgrades);
    plan.restarts = flags.turns.unwrap_or(plan.restarts);
    plan.steady = flags.steady.map_or(plan.steady, Duration::from_secs);
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(async { tokio::time::timeout(BOUND, run(plan, &told)).await });
    let report = report.context("the soak takes too long")?;
    std::fs::create_dir_all(&flags.output)?;
    let file = |name: &str| flags.output.join(name);
    std::fs::write(file("report.md"), report.markdown())?;
    std::fs::write(file("report.json"), serde_json::to_string_pretty(&report)?)?;
    writeln!(std::io::stdout().lock(), "\n{}", report.markdown())?;
    Ok(report.broken().is_empty())
}
