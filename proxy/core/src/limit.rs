//! Client quotas: how often one client may ask, by the generic cell rate algorithm (ITU-T I.371, Annex A).
//!
//! Of each client one number is kept: when it will have paid for all that it was allowed. Each request moves that
//! moment on by one interval, and is allowed as long as it lies no more than a burst ahead. So in any span a client
//! is allowed no more than its burst and what its rate gives in that span, and who asks no faster than the rate is
//! never refused.

use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

/// How often one client may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// So many requests ...
    pub requests: NonZeroU32,
    /// ... in this time, in the long run.
    pub per: Duration,
    /// The most that a client which was quiet may ask at once.
    pub burst: NonZeroU32,
}

/// Whether a request is within its client's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is.
    Allowed {
        /// So many more are allowed at once.
        left: u32,
    },
    /// It is not, and costs nothing.
    Refused {
        /// The next one is allowed after this time.
        wait: Duration,
    },
}

impl Quota {
    /// The nanoseconds that one request costs, rounded up: the rate is never exceeded.
    #[must_use]
    pub fn interval_nanos(&self) -> u64 {
        let nanos = self.per.as_nanos().div_ceil(u128::from(self.requests.get()));
        u64::try_from(nanos).unwrap_or(u64::MAX).max(1)
    }

    fn span_nanos(&self) -> u64 {
        self.interval_nanos().saturating_mul(u64::from(self.burst.get()))
    }
}

/// What the clients of one route have used, of no more than so many of them.
#[derive(Clone, Debug, Default)]
pub struct Limiter {
    /// When each client will have paid, in nanoseconds since the start of the program.
    paid: BTreeMap<u128, u64>,
    /// The same, the one furthest from its limit first.
    order: BTreeSet<(u64, u128)>,
}

impl Limiter {
    /// A client asks. Of more clients than `clients_max`, the one furthest from its limit is forgotten: of one that
    /// was quiet for long nothing is lost by that.
    pub fn ask(&mut self, client: u128, quota: &Quota, clients_max: usize, now: Timestamp) -> Ruling {
        let (now, span) = (nanos(now), quota.span_nanos());
        let paid = self.paid_by(client, now, span).saturating_add(quota.interval_nanos());
        let ahead = paid.saturating_sub(now);
        if ahead > span {
            return Ruling::Refused { wait: Duration::from_nanos(ahead - span) };
        }
        self.put(client, paid, clients_max);
        let left = (span - ahead) / quota.interval_nanos();
        Ruling::Allowed { left: u32::try_from(left).unwrap_or(u32::MAX) }
    }

    /// A client was allowed a request by somebody else: it counts, and nobody is asked.
    pub fn charge(&mut self, client: u128, quota: &Quota, clients_max: usize, now: Timestamp) {
        let (now, span) = (nanos(now), quota.span_nanos());
        let paid = self.paid_by(client, now, span).saturating_add(quota.interval_nanos());
        self.put(client, paid.min(now.saturating_add(span)), clients_max);
    }

    /// Clients whose use is remembered.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.paid.len()
    }

    /// Not before now: what was saved up is the burst and no more. Nor later than a full burst ahead, which only
    /// another quota for the same clients can have left behind.
    fn paid_by(&self, client: u128, now: u64, span: u64) -> u64 {
        let paid = self.paid.get(&client).copied().unwrap_or_default();
        paid.clamp(now, now.saturating_add(span))
    }

    fn put(&mut self, client: u128, paid: u64, clients_max: usize) {
        if let Some(before) = self.paid.insert(client, paid) {
            self.order.remove(&(before, client));
        }
        while self.paid.len() > clients_max.max(1)
            && let Some((_, furthest)) = self.order.pop_first()
        {
            self.paid.remove(&furthest);
        }
        self.order.insert((paid, client));
    }
}

const fn nanos(now: Timestamp) -> u64 {
    now.as_micros().saturating_mul(1000)
}

#[cfg(test)]
mod tests;
