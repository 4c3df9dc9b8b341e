//! The command line: `run` serves the pages, `check` judges a configuration file.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{self, Config};
use crate::server::Server;

/// `EX_CONFIG` of sysexits.h: systemd and operators can tell a bad file from a crash.
const EXIT_CONFIG: u8 = 78;

#[derive(Parser)]
#[command(name = "aorta-viewer", version, about = "Shows FHIR records that come through the Aorta proxy")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the pages until SIGTERM or SIGINT
    Run {
        /// The YAML file with the viewer's configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Read the configuration and report every problem; exit 0 or 78
    Check {
        /// The YAML file with the viewer's configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// Parses the command line, does what it says, and names the exit code.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Check { config } => check(&config),
        Command::Run { config } => match config::load(&config) {
            Ok(config) => serve(config),
            Err(problems) => {
                say(&mut io::stderr().lock(), &problems.to_string());
                ExitCode::from(EXIT_CONFIG)
            }
        },
    }
}

fn check(file: &Path) -> ExitCode {
    let mut out = io::stdout().lock();
    match config::load(file) {
        Ok(_) => {
            say(&mut out, &format!("{}: ok", file.display()));
            ExitCode::SUCCESS
        }
        Err(problems) => {
            say(&mut out, &problems.to_string());
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn serve(config: Config) -> ExitCode {
    start_log(config.log);
    match serve_until_stopped(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "stopped");
            ExitCode::FAILURE
        }
    }
}

/// Why the viewer cannot serve.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the async runtime did not start: {0}")]
    Runtime(io::Error),
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}

fn serve_until_stopped(config: Config) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Fault::Runtime)?;
    let served = runtime.block_on(async {
        let listen = config.listen;
        let server = Server::bind(config).await.map_err(|error| Fault::Listen(listen, error))?;
        let stop = stop_signal().map_err(Fault::Signals)?;
        server.run(stop).await;
        Ok(())
    });
    // A name look-up that hangs in the system's resolver must not hold a stop up.
    runtime.shutdown_background();
    served
}

/// Installs the handlers at once, so that a signal sent right after `ready` is never lost.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// One JSON object a line on standard error.
///
/// Libraries speak only from `warn` up: below it they describe the bytes of messages, and those are patient data.
fn start_log(level: config::LogLevel) {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(EnvFilter::new(format!("warn,aorta_viewer={level}")))
        .with_writer(io::stderr)
        .init();
}

/// A closed pipe is the reader's decision, not a failure of this program.
fn say(out: &mut impl io::Write, text: &str) {
    let _ = writeln!(out, "{text}");
}
