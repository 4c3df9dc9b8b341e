//! `aorta-demo`: Aorta on one machine, to be looked at and broken.
//!
//! The two regions of the dissertation, the proxy and the viewer, each a process of its own, from the files in
//! `config/demo/`; with `--watch` also Prometheus, from those in `config/prometheus/`. It lasts until Ctrl-C, SIGTERM or the end of its terminal, and leaves no process behind.
//!
//! | module | holds |
//! | --- | --- |
//! | [`ports`] | the ports, and who holds one that is taken |
//! | [`child`] | one program: started, watched, stopped |
//! | [`stage`] | all of them together, from the first start to the stop |
//! | [`guide`] | what is printed for the reader |

mod child;
mod guide;
mod ports;
mod stage;

use anyhow::Context as _;
use clap::Parser;
use harness::house::Part;
use ports::Ports;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// Aorta on one machine: two simulated regions, the proxy, the viewer.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    ports: Ports,
    /// Start Prometheus too, with the alert rules.
    #[arg(long)]
    watch: bool,
    /// Where records, certificates, configuration and logs are kept [default: demo/ in the target folder].
    #[arg(long)]
    directory: Option<PathBuf>,
}

fn main() -> ExitCode {
    match demo(Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "aorta-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(flags: Flags) -> anyhow::Result<()> {
    let parts = if flags.watch { &Part::WATCHED[..] } else { &Part::ALL[..] };
    if flags.watch {
        must_be_installed(Part::Prometheus.program())?;
    }
    flags.ports.must_be_free(parts)?;
    let directory = match flags.directory {
        Some(directory) => std::path::absolute(directory)?,
        None => beside()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(stage::run(&directory, &flags.ports, parts))
}

/// Says how to get a program that is not Aorta's own.
fn must_be_installed(program: &str) -> anyhow::Result<()> {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    anyhow::ensure!(
        found.is_ok_and(|status| status.success()),
        "nothing was started: {program} is missing. `make demo-watch` installs it where it may; otherwise: \
         sudo apt-get install {program}"
    );
    Ok(())
}

/// `target/demo`, when this program is `target/debug/aorta-demo`.
fn beside() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    let target = own.ancestors().nth(2).context("this program is in no target folder: give --directory")?;
    Ok(target.join("demo"))
}
