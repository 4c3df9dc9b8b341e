//! A scenario as its file says it: a run of the simulation, and what must come of it.

use aorta_core::simulate::scenario;
use std::time::Duration;

/// What `simulate` runs.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What happens, in a sentence; may be empty.
    pub about: String,
    /// The fleet, its traffic and its upstreams.
    pub scenario: scenario::Scenario,
    /// What must come of it.
    pub expect: Expect,
}

/// The most that may come of a run; what is none is not judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// Requests that are lost.
    pub lost: Option<u32>,
    /// Reads that are lost.
    pub lost_reads: Option<u32>,
    /// Requests that must not be executed twice, and were.
    pub executed_twice: Option<u32>,
    /// Ejections, at all proxies.
    pub ejections: Option<u32>,
    /// Attempts for each hundred requests.
    pub attempts_percent: Option<u32>,
    /// What all but one in a hundred of the served requests took.
    pub p99: Option<Duration>,
    /// What an upstream received in any step after its last fault, in per cent of its fair share.
    pub overload_percent: Option<u32>,
}
