//! How long things may take, and how the three limits nest.

use crate::time::Timestamp;
use std::time::Duration;

/// The time limits of a pool.
///
/// The defaults fit API Gateway, which gives up on its integration after 29 s (AWS, "Amazon API Gateway
/// quotas": integration timeout), so waiting longer for an answer cannot succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// DNS answer in hand, until TCP and TLS stand.
    pub connect: Duration,
    /// One attempt, from its start to the moment its answer is judged.
    pub attempt: Duration,
    /// The whole request with all its attempts, from the end of its upload to the judged answer.
    pub request: Duration,
    /// An upstream connection nobody uses is kept this long; a streamed answer may pause this long.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            attempt: Duration::from_secs(10),
            request: Duration::from_secs(29),
            idle: Duration::from_secs(60),
        }
    }
}

impl Timeouts {
    /// The moment an attempt that starts now must be judged: its own limit, or the request's if that is nearer.
    #[must_use]
    pub fn attempt_deadline(&self, now: Timestamp, request_deadline: Timestamp) -> Timestamp {
        (now + self.attempt).min(request_deadline)
    }
}
