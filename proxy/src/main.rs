//! Flags to command; the exit codes; nothing else.

use aorta_proxy::cli::{self, Cli};
use clap::Parser as _;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(Cli::parse()).unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr().lock(), "aorta-proxy: {error:#}");
        ExitCode::FAILURE
    })
}
