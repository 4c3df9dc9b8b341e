//! When an ejected upstream is tried again, and by whom.

use super::choose::Wish;
use super::{Pool, PoolEvent};
use crate::outlier::EjectReason;
use crate::time::Timestamp;
use crate::upstream::{DomainKey, Health, Upstream};

impl Pool {
    pub(super) fn due_probe(&self, wish: Wish<'_>, home: Option<DomainKey>, now: Timestamp) -> Option<usize> {
        // A pool that sees only writes must probe too: after one more ejection's length a write does it.
        let patience = self.spec.passive_health.ejection;
        let due = |held: &Upstream| match held.health {
            Health::Probing { busy: false, since, .. } => {
                held.has_room() && now >= held.skip_until && (wish.may_probe || now >= since + patience)
            }
            _ => false,
        };
        // In turn: one whose probes come to nothing must not keep another waiting.
        let waiting = self.upstreams.iter().enumerate().filter(|(_, held)| held.is_in(home) && due(held));
        waiting.min_by_key(|(_, held)| held.probed_at).map(|(index, _)| index)
    }

    pub(super) fn open_probes(&mut self, now: Timestamp) {
        for index in 0..self.upstreams.len() {
            if let Health::Ejected { reason, until, .. } = self.upstreams[index].health
                && now >= until
            {
                self.open_probe(index, reason, now);
            }
        }
    }

    /// From now on one request at a time may try an ejected upstream.
    pub(super) fn open_probe(&mut self, upstream: usize, reason: EjectReason, now: Timestamp) {
        let probing = Health::Probing { reason, since: now, successes: 0, busy: false };
        let held = &mut self.upstreams[upstream];
        held.enter(probing, now);
        self.crowd.forget();
        self.events.push(PoolEvent::ProbingStarted { upstream: held.key });
    }
}
