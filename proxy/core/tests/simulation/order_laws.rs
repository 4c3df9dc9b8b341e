//! What must hold for an operator's orders. Written from the design's sentences, not from the code it judges.

use aorta_core::order::{Declined, Order};
use aorta_core::outlier::EjectReason;
use aorta_core::pool::Pool;
use aorta_core::simulate::scenario::{OrderAt, Scenario};
use aorta_core::simulate::{Step, What};
use aorta_core::time::Timestamp;
use aorta_core::upstream::Health;

pub(crate) struct OrderLaws<'a> {
    scenario: &'a Scenario,
    /// Every upstream's health before the step.
    before: Vec<Health>,
    /// Somebody insisted: then too few may be left.
    forced: bool,
}

impl<'a> OrderLaws<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let before = vec![Health::Healthy; scenario.pool.upstreams.len()];
        Self { scenario, before, forced: false }
    }

    pub(crate) fn watch(&mut self, step: &Step<'_>) {
        if let What::Chosen { attempt, .. } = step.what {
            let health = step.pool.upstreams()[attempt.upstream.number()].health();
            assert!(!health.is_draining(), "a drained upstream was asked");
        }
        match step.what {
            What::Ordered { order, declined: None } => self.carried_out(step.at, step.pool, order),
            What::Ordered { order, declined: Some(reason) } => self.declined(step.pool, order, reason),
            _ => self.only_orders_drain(step.pool, None),
        }
        let in_rotation = step.pool.upstreams().iter().any(|held| held.health().in_rotation());
        assert!(in_rotation || self.forced, "somebody is in rotation unless an operator insisted");
        self.before = healths(step.pool);
    }

    fn carried_out(&mut self, at: Timestamp, pool: &Pool, order: OrderAt) {
        let (before, after) = (self.before[order.upstream], pool.upstreams()[order.upstream].health());
        self.forced |= order.forced;
        self.only_orders_drain(pool, Some(order.upstream));
        let takes = matches!(order.order, Order::Drain | Order::Eject { .. });
        assert!(!takes || order.forced || self.is_spared(order.upstream), "an order left too few");
        match order.order {
            Order::Drain => assert!(!before.is_draining() && after.is_draining()),
            Order::Undrain => {
                let comes_back = after == Health::Healthy || matches!(after, Health::Probing { .. });
                assert!(before.is_draining() && comes_back, "{after:?}");
            }
            Order::Eject { length } => {
                let until = at + length;
                let reason = EjectReason::Operator;
                assert_eq!(after, Health::Ejected { reason, until, successes: 0 });
            }
            Order::Readmit => assert!(!before.in_rotation() && after == Health::Healthy),
        }
        let told = pool.upstreams()[order.upstream].ordered().map(|ordered| ordered.order);
        assert_eq!(told, Some(order.order), "who ordered what is recorded");
    }

    fn declined(&self, pool: &Pool, order: OrderAt, reason: Declined) {
        assert_eq!(self.before, healths(pool), "an order that was declined changed something");
        let before = self.before[order.upstream];
        match reason {
            Declined::Drained => assert!(before.is_draining() && order.order != Order::Undrain),
            Declined::NotDrained => assert!(!before.is_draining() && order.order == Order::Undrain),
            Declined::NotOut => assert!(before.in_rotation() && order.order == Order::Readmit),
            Declined::TooFewLeft { .. } => assert!(!order.forced && !self.is_spared(order.upstream)),
            Declined::NoSuchUpstream | Declined::TooLong => panic!("{reason:?} of {order:?}"),
        }
    }

    /// Nobody is drained, and nobody comes back from it, but by an order.
    fn only_orders_drain(&self, pool: &Pool, ordered: Option<usize>) {
        for (index, (before, after)) in self.before.iter().zip(healths(pool)).enumerate() {
            let same = before.is_draining() == after.is_draining();
            assert!(same || Some(index) == ordered, "upstream {index}: {before:?} became {after:?}");
        }
    }

    /// Enough others were healthy.
    fn is_spared(&self, upstream: usize) -> bool {
        let others = self.before.iter().enumerate().filter(|(index, _)| *index != upstream);
        let healthy = others.filter(|(_, health)| **health == Health::Healthy).count();
        healthy >= self.scenario.pool.passive_health.min_healthy.get() as usize
    }
}

fn healths(pool: &Pool) -> Vec<Health> {
    pool.upstreams().iter().map(|held| held.health()).collect()
}
