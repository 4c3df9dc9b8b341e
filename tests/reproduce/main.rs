//! `aorta-reproduce`: the dissertation's experiments, on the whole house of the demo.
//!
//! - [`original`]: the figures of the dissertation
//! - [`page`]: what a page fetch shows, read from the viewer's HTML
//! - [`experiments`]: what is done; [`measured`] is what came of it
//! - [`report`]: the original's tables beside ours, why they differ, and what must hold
//!
//! The report goes to the terminal and to `target/reproduce/report.txt`. Exit code 1: something that must hold does
//! not.

mod experiments;
mod measured;
mod original;
mod page;
mod report;

use clap::Parser;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Repeats the dissertation's experiments: load balancing, failure of an API, latency with and without a failure.
#[derive(Debug, Parser)]
struct Flags {
    /// How long each region takes for an answer, beside what the programs themselves take.
    #[arg(long, default_value = "80ms", value_parser = latency)]
    latency: Duration,
    /// Where the report goes.
    #[arg(long, default_value = "target/reproduce")]
    output: PathBuf,
}

fn latency(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number = number.parse().map_err(|_| format!("`{text}` is no time, such as 80ms"))?;
    let time = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        _ => return Err(format!("`{text}` has no unit: write {number}ms")),
    };
    // The demo's proxy gives an attempt one second, and the figures are compared after the latency was doubled.
    let sound = (Duration::from_millis(20)..=Duration::from_millis(400)).contains(&time);
    if sound { Ok(time) } else { Err("20ms to 400ms: the proxy gives an attempt one second".to_owned()) }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let flags = Flags::parse();
    let measured = experiments::run(flags.latency).await?;
    let text = report::text(&measured);
    std::fs::create_dir_all(&flags.output)?;
    std::fs::write(flags.output.join("report.txt"), &text)?;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    let holds = measured.checks().iter().all(|check| check.holds);
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_carries_its_unit_and_leaves_the_proxy_room() {
        assert_eq!(latency("160ms"), Ok(Duration::from_millis(160)));
        assert!(latency("160").unwrap_err().contains("160ms"));
        assert!(latency("2s").is_err() && latency("ms").is_err());
    }
}
