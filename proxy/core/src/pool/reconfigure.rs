//! Another specification for a pool that lives on.
//!
//! An upstream is known by its name: one that stays keeps its key and all that was learnt of it, whatever else
//! changes. One that goes is remembered until the last attempt at it has ended. One that comes is healthy, and at its
//! whole weight at once: the operator says that it can carry its share.

use super::{Choice, Outcome, Pool, PoolSpec};
use crate::check::Checked;
use crate::drill::DrillEnd;
use crate::time::Timestamp;
use crate::upstream::{DomainKey, Upstream, UpstreamKey};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Pool {
    /// The keys that the upstreams of another specification will have, in its order, so that the adapter can know
    /// them before anybody is sent there.
    #[must_use]
    pub fn keys(&self, spec: &PoolSpec) -> Vec<UpstreamKey> {
        let known: BTreeMap<_, _> = self.upstreams.iter().map(|held| (held.name(), held.key)).collect();
        let mut next = self.next_key;
        let mut new = || {
            next += 1;
            UpstreamKey(next - 1)
        };
        let names = spec.upstreams.iter().map(|upstream| upstream.name.as_str());
        names.map(|name| known.get(name).copied().unwrap_or_else(&mut new)).collect()
    }

    /// Another specification from now on. What is out, and what was learnt and saved up, stays.
    pub fn reconfigure(&mut self, spec: Arc<PoolSpec>, now: Timestamp, rng: &mut Rng) {
        self.budget.reconfigure(spec.retry.budget, now);
        self.hedge_budget.reconfigure(spec.hedge.budget(), now);
        self.affinity.reconfigure(spec.write_affinity);
        for held in &mut self.upstreams {
            held.outlier.reconfigure(&self.spec.passive_health, &spec.passive_health, now);
            if spec.active_health.is_none() {
                held.checked = Checked::default();
            }
        }
        self.spec = Arc::clone(&spec);
        self.take_in(&spec, now);
        self.review_panic();
        let drilled = self.drill(now).map(|drill| drill.plan.upstream);
        if drilled.is_some_and(|drilled| self.place(drilled).is_none()) {
            self.end_drill(DrillEnd::Interrupted, now, rng);
        }
        self.review_drill(now, rng);
        self.release_degraded(now, rng);
    }

    /// Sorts its upstreams as they are configured.
    pub(super) fn take_in(&mut self, spec: &PoolSpec, now: Timestamp) {
        let keys = self.keys(spec);
        let configured = || spec.upstreams.iter().zip(&keys);
        let stood: BTreeMap<_, _> =
            self.upstreams.iter().zip(0..).map(|(held, place)| (held.key, place)).collect();
        let stood = configured().map(|(upstream, key)| (upstream.name.as_str(), stood.get(key).copied()));
        self.balancer.reconfigure(spec.balance, stood);
        self.next_key = keys.iter().map(|key| key.0 + 1).fold(self.next_key, u64::max);
        let stores = self.stores();
        let known = std::mem::take(&mut self.upstreams).into_iter().map(|held| (held.key, held));
        let mut known: BTreeMap<_, _> = known.collect();
        self.upstreams = configured()
            .map(|(upstream, key)| match known.remove(key) {
                Some(held) => Upstream { spec: upstream.clone(), ..held },
                None => Upstream::new(*key, upstream.clone(), now),
            })
            .collect();
        self.retired.extend(known.into_values().filter(|held| held.in_flight > 0));
        self.name_stores(stores);
        self.out = self.upstreams.iter().map(|held| u64::from(held.in_flight)).sum();
        self.crowd.forget();
        self.levels = spec.upstreams.iter().map(|upstream| upstream.priority).collect();
        self.levels.sort_unstable();
        self.levels.dedup();
    }

    /// The record stores that are known by name.
    fn stores(&self) -> BTreeMap<String, DomainKey> {
        let named = |held: &Upstream| held.domain.map(|store| (held.spec.data_domain.clone(), store));
        self.retired.iter().chain(&self.upstreams).filter_map(named).collect()
    }

    /// A store keeps its key for as long as somebody names it.
    fn name_stores(&mut self, mut stores: BTreeMap<String, DomainKey>) {
        for held in &mut self.upstreams {
            let name = &held.spec.data_domain;
            held.domain = (!name.is_empty()).then(|| {
                *stores.entry(name.clone()).or_insert_with(|| {
                    self.next_store += 1;
                    DomainKey(self.next_store - 1)
                })
            });
        }
    }

    /// Ends an attempt at an upstream that is not configured any more: nobody needs to know how it fares.
    pub(super) fn settle_retired(&mut self, choice: Choice, outcome: Outcome, now: Timestamp) {
        if let Some(index) = self.retired.iter().position(|held| held.key == choice.upstream) {
            let held = &mut self.retired[index];
            held.in_flight = held.in_flight.saturating_sub(1);
            if held.in_flight == 0 {
                self.retired.swap_remove(index);
            }
            self.heed_write(choice.store, outcome, now);
        }
    }
}
