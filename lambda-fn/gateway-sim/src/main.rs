//! `aorta-gateway-sim`: flags, configuration, one region until a signal.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use aorta_gateway_sim::certificates;
use aorta_gateway_sim::config::Config;
use aorta_gateway_sim::region::{Region, StartError};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// One regional AWS API Gateway endpoint with its Lambda function, on this machine.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
struct Flags {
    /// The region's configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a local certificate authority (ca.pem) and HOST.pem and HOST.key for each host; keeps what is valid.
    Certificates {
        /// Where the files go.
        #[arg(long)]
        directory: PathBuf,
        /// A host name or address; may be repeated.
        #[arg(long = "host", required = true)]
        hosts: Vec<String>,
    },
}

/// The exit status for a configuration that cannot be used (`EX_CONFIG` of sysexits.h).
const EX_CONFIG: u8 = 78;

fn main() -> anyhow::Result<ExitCode> {
    let flags = Flags::parse();
    match (flags.command, flags.config) {
        (Some(Command::Certificates { directory, hosts }), _) => {
            certificates::make(&directory, &hosts)?;
            Ok(ExitCode::SUCCESS)
        }
        (None, Some(path)) => match Config::load(&path) {
            Ok(config) => run(config),
            Err(error) => complain(&error),
        },
        (None, None) => anyhow::bail!("--config FILE is needed"),
    }
}

fn run(config: Config) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_new(&config.log).context("log")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the ready line: whoever reads it may signal at once.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let started = tokio::select! {
            started = Region::start(config) => started,
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        };
        let region = match started {
            Ok(region) => region,
            Err(error @ (StartError::Config(_) | StartError::Tls(_) | StartError::Answer(_))) => {
                return complain(&error);
            }
            Err(error) => return Err(error.into()),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", region.ready_line())?;
        out.flush()?;
        drop(out);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        region.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn complain(error: &dyn std::error::Error) -> anyhow::Result<ExitCode> {
    writeln!(std::io::stderr().lock(), "{error}")?;
    Ok(ExitCode::from(EX_CONFIG))
}
