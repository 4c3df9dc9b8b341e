//! The viewer from outside: what it answers, whatever the proxy and the record do.

#![expect(clippy::unwrap_used, reason = "a test helper that meets the unexpected fails its test")]

mod client;
mod failures;
mod golden;
mod manners;
mod program;
mod upstream;
