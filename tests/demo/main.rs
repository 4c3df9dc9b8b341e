//! `aorta-demo`: Aorta on one machine, to be looked at and broken.
//!
//! The two regions of the dissertation, the proxy and the viewer, each a process of its own, from the files in
//! `config/demo/`. It lasts until Ctrl-C, SIGTERM or the end of its terminal, and leaves no process behind.
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
use ports::Ports;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Aorta on one machine: two simulated regions, the proxy, the viewer.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    ports: Ports,
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
    flags.ports.must_be_free()?;
    let directory = match flags.directory {
        Some(directory) => std::path::absolute(directory)?,
        None => beside()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(stage::run(&directory, &flags.ports))
}

/// `target/demo`, when this program is `target/debug/aorta-demo`.
fn beside() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    let target = own.ancestors().nth(2).context("this program is in no target folder: give --directory")?;
    Ok(target.join("demo"))
}
