//! Flags to command; the exit codes; nothing else.

use aorta_proxy::cli::{self, Cli};
use clap::Parser as _;
use std::io::Write as _;
use std::process::ExitCode;

/// A request makes some hundred small allocations that die together; this allocator serves them for less.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(Cli::parse()).unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr().lock(), "aorta-proxy: {error:#}");
        ExitCode::FAILURE
    })
}
