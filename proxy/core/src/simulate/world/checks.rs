//! The checks that come by themselves.

use super::{Due, Proxy, World};
use crate::check::{ActiveHealth, CheckResult};
use crate::pool::CheckOut;
use crate::simulate::What;
use crate::time::Timestamp;
use crate::upstream::{Upstream, UpstreamKey};

impl World<'_> {
    /// Sets the first check of every upstream; a fleet's proxies do not beat in step.
    pub(super) fn expect_beats(&mut self) {
        let Some(ActiveHealth { interval, .. }) = self.scenario.pool.active_health else { return };
        for proxy in 0..self.proxies.len() {
            for upstream in self.proxies[proxy].pool.upstreams().iter().map(Upstream::key) {
                let first = self.now + interval.mul_f64(self.checks.f64());
                self.queue.push(first, Due::Beat { proxy, upstream });
            }
        }
    }

    pub(super) fn beat(&mut self, proxy: usize, upstream: UpstreamKey) {
        let Some(policy) = self.scenario.pool.active_health else { return };
        let Some(out) = self.proxies[proxy].pool.begin_check(upstream) else { return };
        let region = &mut self.regions[upstream.number()];
        let fate = region.fate(false, self.now, &mut self.checks);
        let takes = region.takes(&fate, policy.timeout, &mut self.checks);
        let result = if takes < policy.timeout { self.judged(fate.effect) } else { CheckResult::Failed };
        let takes = takes.min(policy.timeout);
        self.queue.push(self.now + takes, Due::Checked { proxy, out, result });
        let pause = policy.pause(&mut self.checks).max(takes);
        if self.now + pause < Timestamp::ZERO + self.scenario.span {
            self.queue.push(self.now + pause, Due::Beat { proxy, upstream });
        }
    }

    pub(super) fn checked(&mut self, proxy: usize, out: CheckOut, result: CheckResult) {
        let Proxy { pool, rng } = &mut self.proxies[proxy];
        pool.checked(out, result, self.now, rng);
        self.tell(proxy, What::Checked { upstream: out.upstream, result });
    }
}
