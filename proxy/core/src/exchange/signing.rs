//! A signature of the proxy's own that a gateway refuses: credentials were renewed meanwhile, or the clock is off. It is
//! made anew once, for the same upstream.

use super::Exchange;
use crate::classify::Class;
use crate::pool::Pool;
use crate::upstream::UpstreamKey;

/// What became of the proxy's own signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signing {
    /// No upstream refused it.
    Accepted,
    /// This upstream refused it: it is asked again, signed anew.
    Anew(UpstreamKey),
    /// It was signed anew, and there is no third time.
    Spent,
}

impl Signing {
    /// Where the next attempt must go.
    pub(super) const fn again_at(self) -> Option<UpstreamKey> {
        match self {
            Self::Anew(upstream) => Some(upstream),
            Self::Accepted | Self::Spent => None,
        }
    }

    /// An attempt goes out.
    pub(super) const fn goes_out(&mut self) {
        if let Self::Anew(_) = self {
            *self = Self::Spent;
        }
    }
}

impl Exchange {
    /// The upstream that refused the proxy's own signature, when another one may be made.
    pub(super) fn signed_anew(&self, pool: &Pool, number: usize, class: Class) -> Option<UpstreamKey> {
        let refused = class == Class::SignatureRefused && self.signing == Signing::Accepted;
        let upstream = self.attempts.get(number).filter(|_| refused)?.upstream;
        pool.upstream(upstream).is_some_and(|held| held.spec.signed).then_some(upstream)
    }
}
