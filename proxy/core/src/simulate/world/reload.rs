//! Reloads at every proxy of the fleet, as the adapter does them.

use super::{Due, Proxy, Region, What, World};
use crate::pool::PoolSpec;
use crate::time::Timestamp;
use crate::upstream::Upstream;
use std::sync::Arc;

impl World<'_> {
    /// Before the run: from these moments on these specifications.
    pub(in crate::simulate) fn with_reloads(mut self, reloads: &[(Timestamp, Arc<PoolSpec>)]) -> Self {
        for (index, (at, spec)) in reloads.iter().enumerate() {
            self.queue.push(*at, Due::Reload { index });
            self.reloads.push(Arc::clone(spec));
        }
        self
    }

    pub(super) fn reload(&mut self, index: usize) {
        let Some(spec) = self.reloads.get(index).cloned() else { return };
        for proxy in 0..self.proxies.len() {
            let Proxy { pool, rng } = &mut self.proxies[proxy];
            let before: Vec<_> = pool.upstreams().iter().map(Upstream::key).collect();
            pool.reconfigure(Arc::clone(&spec), self.now, rng);
            let keys: Vec<_> = pool.upstreams().iter().map(Upstream::key).collect();
            for key in keys.into_iter().filter(|key| !before.contains(key)) {
                while self.regions.len() <= key.number() {
                    let sky = self.scenario.skies.get(self.regions.len()).cloned();
                    self.regions.push(Region::new(sky.unwrap_or_default()));
                }
                if spec.active_health.is_some() {
                    self.queue.push(self.now, Due::Beat { proxy, upstream: key });
                }
            }
            self.tell(proxy, What::Reloaded);
        }
    }
}
