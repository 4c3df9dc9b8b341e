//! What the process may use of the machine, set at its start.

use crate::config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A connection of a client's, and the one to an upstream that serves it.
const FILES_PER_CONNECTION: u64 = 2;
/// Logs, listeners, the resolver's sockets, threads' own files.
const FILES_BESIDE: u64 = 256;

/// Writes no memory to a disk after a crash, and opens as many files as the configuration may need.
///
/// What may not be set stays as it is, with a line in the log: whoever runs the process may know better.
pub fn set(config: &Config) {
    let core = Rlimit { current: Some(0), maximum: Some(0) };
    if getrlimit(Resource::Core).current != Some(0)
        && let Err(error) = setrlimit(Resource::Core, core)
    {
        tracing::warn!(%error, "core dumps stay possible: records in flight could reach the disk");
    }
    let connections: u64 = config.listeners.iter().map(|listener| listener.limits.connections as u64).sum();
    let wanted = connections.saturating_mul(FILES_PER_CONNECTION).saturating_add(FILES_BESIDE);
    let held = getrlimit(Resource::Nofile);
    if held.current.is_none_or(|current| current >= wanted) {
        return;
    }
    // Up to the hard limit anybody may raise it.
    let reachable = held.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = Rlimit { current: Some(reachable), maximum: held.maximum };
    let set = setrlimit(Resource::Nofile, raised);
    let open = if set.is_ok() { reachable } else { held.current.unwrap_or(reachable) };
    // Not all connections have a request in flight; but all may be open.
    if open < connections.saturating_add(FILES_BESIDE) {
        tracing::warn!(wanted, open, "too few open files are allowed for the connections of all listeners");
    }
}
