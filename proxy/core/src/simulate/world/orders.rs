//! What operators order in a scenario.

use super::{Due, Proxy, World};
use crate::order::{Note, Ordered};
use crate::simulate::What;
use crate::upstream::Upstream;

impl World<'_> {
    pub(super) fn expect_orders(&mut self) {
        for (number, order) in self.scenario.orders.iter().enumerate() {
            self.queue.push(order.at, Due::Order { number });
        }
    }

    /// Gives every proxy the order of this number.
    pub(super) fn order(&mut self, number: usize) {
        let Some(&order) = self.scenario.orders.get(number) else { return };
        for proxy in 0..self.proxies.len() {
            let Ok(note) = Note::try_new("scenario", "it is in the scenario", self.now) else { return };
            let ordered = Ordered { order: order.order, forced: order.forced, note };
            let Proxy { pool, rng } = &mut self.proxies[proxy];
            let Some(key) = pool.upstreams().get(order.upstream).map(Upstream::key) else { continue };
            let declined = pool.order(key, ordered, self.now, rng).err();
            self.tell(proxy, What::Ordered { order, declined });
        }
    }
}
