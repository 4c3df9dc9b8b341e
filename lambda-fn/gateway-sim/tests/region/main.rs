//! A region over real sockets: its answers, its faults, its function processes, its program.
//!
//! The function of these tests is this test binary itself: see `function_process`.

// The attribute tells the lints that these are tests, which may unwrap.
#[cfg(test)]
mod client;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod function_process;
#[cfg(test)]
mod functions;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod program;
