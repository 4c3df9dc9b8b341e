//! The retry budget: retries as a share of traffic, so that a storm cannot feed itself.
//!
//! A fixed number of retries multiplies the load exactly when upstreams can bear it least. A budget does
//! not: each request deposits a fraction, each retry withdraws one. A small flow per second lets a quiet
//! hospital night retry too.

use crate::bounds::Ratio;
use crate::time::Timestamp;

/// How much may be retried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetSpec {
    /// Retries over requests, in the long run. Envoy and the Gateway API's GEP-3388 say 20 %.
    pub share: Ratio,
    /// Retries each second that are always allowed.
    pub min_per_second: u32,
    /// The most that can be saved up.
    pub burst: u32,
}

impl Default for BudgetSpec {
    fn default() -> Self {
        Self { share: Ratio::percent(20), min_per_second: 3, burst: 20 }
    }
}

/// The account of one pool.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    spec: BudgetSpec,
    balance: f64,
    flowed: Timestamp,
}

impl RetryBudget {
    /// A full account: the first seconds after a start are when an upstream may well be down.
    #[must_use]
    pub fn new(spec: BudgetSpec, now: Timestamp) -> Self {
        Self { spec, balance: f64::from(spec.burst), flowed: now }
    }

    /// Other terms from now on; what was saved up stays, as far as it may be.
    pub fn reconfigure(&mut self, spec: BudgetSpec, now: Timestamp) {
        self.flow(now);
        self.spec = spec;
        self.balance = self.balance.min(f64::from(spec.burst));
    }

    /// One request came in.
    pub fn deposit(&mut self, now: Timestamp) {
        self.flow(now);
        self.add(self.spec.share.get());
    }

    /// One retry wants to go out; false when the account cannot pay.
    pub fn withdraw(&mut self, now: Timestamp) -> bool {
        let covered = self.covers(now);
        if covered {
            self.balance -= 1.0;
        }
        covered
    }

    /// Whether one could be paid for.
    pub(crate) fn covers(&mut self, now: Timestamp) -> bool {
        self.flow(now);
        self.balance >= 1.0
    }

    /// What is left, in retries.
    #[must_use]
    pub const fn balance(&self) -> f64 {
        self.balance
    }

    fn flow(&mut self, now: Timestamp) {
        let seconds = now.since(self.flowed).as_secs_f64();
        self.flowed = self.flowed.max(now);
        self.add(seconds * f64::from(self.spec.min_per_second));
    }

    fn add(&mut self, retries: f64) {
        self.balance = (self.balance + retries).min(f64::from(self.spec.burst));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn retries_stay_within_their_share_of_requests() {
        let spec = BudgetSpec { min_per_second: 0, ..BudgetSpec::default() };
        let mut budget = RetryBudget::new(spec, Timestamp::ZERO);
        let mut retries = 0;
        for _ in 0..10_000 {
            budget.deposit(Timestamp::ZERO);
            retries += u32::from(budget.withdraw(Timestamp::ZERO));
        }
        assert!((2_000..=2_021).contains(&retries), "{retries}");
    }

    #[test]
    fn a_quiet_pool_may_still_retry_and_never_saves_more_than_its_burst() {
        let mut budget = RetryBudget::new(BudgetSpec::default(), Timestamp::ZERO);
        while budget.withdraw(Timestamp::ZERO) {}
        let second = Timestamp::ZERO + Duration::from_secs(1);
        assert_eq!([(); 4].map(|()| budget.withdraw(second)), [true, true, true, false]);
        let mut saved = 0;
        while budget.withdraw(Timestamp::ZERO + Duration::from_secs(3600)) {
            saved += 1;
        }
        assert_eq!(saved, 20);
    }
}
