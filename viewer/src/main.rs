//! Flags to configuration to server; the exit codes (0 done, 78 bad configuration, 1 anything else).

use std::process::ExitCode;

fn main() -> ExitCode {
    aorta_viewer::cli::run()
}
