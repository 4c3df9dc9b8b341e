//! What an operator orders of an upstream, carried out.

use super::{Pool, PoolEvent};
use crate::check::Checked;
use crate::order::{Declined, EJECTION_MAX, Order, Ordered};
use crate::outlier::EjectReason;
use crate::time::Timestamp;
use crate::upstream::{Health, Upstream, UpstreamKey};
use fastrand::Rng;
use std::sync::Arc;

impl Pool {
    /// Carries out an order; one that is forced is not kept from leaving too few.
    ///
    /// # Errors
    /// Why it is not carried out: then nothing has changed.
    pub fn order(
        &mut self,
        key: UpstreamKey,
        ordered: Ordered,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Result<(), Declined> {
        let Ordered { order, forced, .. } = ordered;
        let upstream = self.place(key).ok_or(Declined::NoSuchUpstream)?;
        let health = self.upstreams[upstream].health;
        match (order, health) {
            (Order::Drain | Order::Eject { .. } | Order::Readmit, Health::Draining { .. }) => {
                return Err(Declined::Drained);
            }
            (Order::Undrain, Health::Draining { .. }) => {}
            (Order::Undrain, _) => return Err(Declined::NotDrained),
            (Order::Readmit, health) if health.in_rotation() => return Err(Declined::NotOut),
            (Order::Eject { length }, _) if length > EJECTION_MAX => return Err(Declined::TooLong),
            (Order::Drain | Order::Eject { .. }, _) if !forced => self.spare(upstream)?,
            (Order::Drain | Order::Eject { .. } | Order::Readmit, _) => {}
        }
        self.upstreams[upstream].ordered = Some(Arc::new(ordered));
        match order {
            Order::Drain => self.drain(upstream, health, now),
            Order::Undrain => self.undrain(upstream, now, rng),
            Order::Eject { length } => self.put_out(upstream, now + length, now),
            Order::Readmit => self.bring_back(upstream, now, rng),
        }
        self.review_panic();
        self.review_drill(now, rng);
        Ok(())
    }

    /// Enough are healthy beside this one.
    fn spare(&self, upstream: usize) -> Result<(), Declined> {
        let (left, needed) = (self.healthy_but(self.upstreams[upstream].key), self.needed());
        if left < needed { Err(Declined::TooFewLeft { left, needed }) } else { Ok(()) }
    }

    fn drain(&mut self, upstream: usize, health: Health, now: Timestamp) {
        let was_out = match health {
            Health::Ejected { reason, .. } | Health::Probing { reason, .. } => Some(reason),
            Health::Healthy | Health::Degraded { .. } | Health::Draining { .. } => None,
        };
        let held = &mut self.upstreams[upstream];
        held.enter(Health::Draining { was_out }, now);
        self.events.push(PoolEvent::Drained { upstream: held.key });
    }

    /// Whoever was well as it was drained, and is as far as the checks know, is back; another is tried first.
    fn undrain(&mut self, upstream: usize, now: Timestamp, rng: &mut Rng) {
        let held = &self.upstreams[upstream];
        self.events.push(PoolEvent::Undrained { upstream: held.key });
        let was_out = match held.health {
            Health::Draining { was_out } => was_out,
            _ => None,
        };
        match was_out {
            Some(reason) => self.open_probe(upstream, reason, now),
            None if held.checked.is_up() => self.bring_back(upstream, now, rng),
            None => {
                self.upstreams[upstream].cause = EjectReason::CheckFailed;
                self.open_probe(upstream, EjectReason::CheckFailed, now);
            }
        }
    }

    fn put_out(&mut self, upstream: usize, until: Timestamp, now: Timestamp) {
        let reason = EjectReason::Operator;
        let held: &mut Upstream = &mut self.upstreams[upstream];
        // What the operator wants no check can end, and it is no sin that makes the next ejection longer.
        held.cause = reason;
        held.ejected_at = Some(now);
        held.enter(Health::Ejected { reason, until, successes: 0 }, now);
        let upstream = held.key;
        self.events.push(PoolEvent::Ejected { upstream, reason, until, enforced: true });
    }

    /// With what the checks found before forgotten: else one that they found dead could not fall again.
    fn bring_back(&mut self, upstream: usize, now: Timestamp, rng: &mut Rng) {
        self.upstreams[upstream].checked = Checked::default();
        self.readmit(upstream, now, rng);
    }
}
