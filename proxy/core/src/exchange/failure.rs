//! How an attempt may bring no answer at all.

use crate::classify::Class;
use crate::verdict::Refusal;

/// An attempt that brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// DNS, connect or TLS failed, or the connection broke before a request byte left.
    Unsent,
    /// Reset, truncation or garbage after request bytes left.
    Broken,
    /// No answer within the attempt's time.
    TimedOut,
}

impl Failure {
    pub(super) const fn class(self) -> Class {
        match self {
            Self::Unsent => Class::Unsent,
            Self::Broken => Class::Broken,
            Self::TimedOut => Class::TimedOut,
        }
    }

    pub(super) const fn refusal(self) -> Refusal {
        match self {
            Self::Unsent => Refusal::Unreachable,
            Self::Broken => Refusal::BadAnswer,
            Self::TimedOut => Refusal::TimedOut,
        }
    }
}
