//! The commands.

use crate::{config, server};
use clap::{Parser, Subcommand};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The configuration is wrong (`sysexits.h`, EX_CONFIG).
const EX_CONFIG: u8 = 78;

/// Carries FHIR traffic to regional endpoints and keeps it flowing when one fails.
#[derive(Debug, Parser)]
#[command(name = "aorta-proxy", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy.
    Run {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Read a configuration and report every problem; exit 0, or 78.
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Print the JSON Schema of the configuration.
    Schema,
}

/// Carries out a command.
///
/// # Errors
/// When the proxy cannot be put together, or standard output is closed.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run { config } => serve(&config),
        Command::Check { config } => check(&config),
        Command::Schema => {
            let text = serde_json::to_string_pretty(&config::schema())?;
            writeln!(std::io::stdout().lock(), "{text}")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn serve(path: &Path) -> anyhow::Result<ExitCode> {
    match config::load(path) {
        Err(problems) => {
            writeln!(std::io::stderr().lock(), "{problems}")?;
            Ok(ExitCode::from(EX_CONFIG))
        }
        Ok(config) => {
            tracing_subscriber::fmt()
                .json()
                .with_writer(std::io::stderr)
                .with_max_level(config.log.level)
                .init();
            server::run(config)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(path: &Path) -> anyhow::Result<ExitCode> {
    match config::check(path) {
        Ok(summary) => {
            writeln!(std::io::stdout().lock(), "{summary}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            writeln!(std::io::stderr().lock(), "{problems}")?;
            Ok(ExitCode::from(EX_CONFIG))
        }
    }
}
