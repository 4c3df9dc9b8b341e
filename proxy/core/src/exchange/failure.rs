//! How an attempt may bring no answer at all, and whether that was its upstream's doing.

use super::Exchange;
use crate::classify::Class;
use crate::pool::{Pool, Rule};
use crate::time::Timestamp;
use crate::verdict::Refusal;

/// An attempt that brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// DNS, connect or TLS failed, or the connection broke before a request byte left.
    Unsent,
    /// The upstream says that it did not look at the request (RFC 9113 sections 6.8 and 8.7), so anybody may.
    Unprocessed,
    /// Reset, truncation or garbage after request bytes left.
    Broken,
    /// No answer within the attempt's time.
    TimedOut,
}

impl Failure {
    pub(super) const fn class(self) -> Class {
        match self {
            Self::Unsent => Class::Unsent,
            Self::Unprocessed => Class::Unprocessed,
            Self::Broken => Class::Broken,
            Self::TimedOut => Class::TimedOut,
        }
    }

    pub(super) const fn refusal(self) -> Refusal {
        match self {
            Self::Unsent | Self::Unprocessed => Refusal::Unreachable,
            Self::Broken => Refusal::BadAnswer,
            Self::TimedOut => Refusal::TimedOut,
        }
    }
}

impl Exchange {
    /// The request's own end came before the attempt had its due: its silence says nothing about its upstream.
    pub(super) fn was_cut_short(&self, pool: &Pool, number: usize, class: Class, now: Timestamp) -> bool {
        let timeouts = pool.spec().timeouts;
        let Some(attempt) = self.attempts.get(number).filter(|_| pool.spec().keeps(Rule::BlameNoHaste))
        else {
            return false;
        };
        let had = attempt.started.until(self.deadline);
        let hurried = self.terms.deadline == Some(self.deadline);
        match class {
            Class::Unsent => now >= self.deadline && had < timeouts.connect,
            // The client's upload used up the time, and how much of it cannot be told from here.
            Class::TimedOut if hurried && !self.terms.replayable => now >= self.deadline,
            Class::TimedOut if hurried => had < timeouts.attempt.min(timeouts.request),
            // Half of it is enough where earlier attempts used up the request's time.
            Class::TimedOut => had < timeouts.attempt.min(timeouts.request) / 2,
            _ => false,
        }
    }
}
