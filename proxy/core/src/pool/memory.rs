//! What of a pool's health outlives the process.

use super::Pool;
use crate::memory::{EJECTIONS_MAX, Remembered, Standing};
use crate::order::EJECTION_MAX;
use crate::outlier::EjectReason;
use crate::time::Timestamp;
use crate::upstream::{Health, Upstream};
use std::sync::Arc;

impl Pool {
    /// What is to be remembered of its upstreams; those of which there is nothing to remember do not stand in it.
    #[must_use]
    pub fn memory(&self, now: Timestamp) -> Vec<Remembered> {
        let every = self.spec.passive_health.window;
        let remembered = |held: &Upstream| Remembered {
            name: held.name().to_owned(),
            standing: standing(held),
            ejections: held.ejections_left(every, now),
            ordered: held.ordered.as_deref().cloned(),
        };
        self.upstreams.iter().map(remembered).filter(Remembered::is_news).collect()
    }

    /// Takes up what was remembered, by the upstreams' names. Nobody is asked to believe it for longer than the
    /// policy would eject now, and who must stay in rotation does.
    pub fn remember(&mut self, memory: &[Remembered], now: Timestamp) {
        let policy = self.spec.passive_health;
        for remembered in memory {
            let Some(index) = self.upstreams.iter().position(|held| held.name() == remembered.name) else {
                continue;
            };
            self.upstreams[index].ejections = remembered.ejections.min(EJECTIONS_MAX);
            self.upstreams[index].ordered = remembered.ordered.clone().map(Arc::new);
            let (reason, out) = match remembered.standing {
                Standing::In => continue,
                Standing::Drained { was_out } => {
                    self.upstreams[index].enter(Health::Draining { was_out }, now);
                    continue;
                }
                Standing::Kept { reason } => (reason, None),
                Standing::Out { reason, cause, until } => (reason, Some((cause, until))),
            };
            let is_ordered = reason == EjectReason::Operator;
            if policy.dry_run && !is_ordered {
                continue;
            }
            let longest =
                now + if is_ordered { EJECTION_MAX } else { policy.ejection_max.max(policy.ejection) };
            let health = match out {
                Some((_, until)) if is_ordered || self.guard_at(index).is_none() => {
                    Health::Ejected { reason, until: until.min(longest), successes: 0 }
                }
                _ => Health::Degraded { reason, successes: 0 },
            };
            let held = &mut self.upstreams[index];
            held.cause = out.map_or(reason, |(cause, _)| cause);
            held.enter(health, now);
        }
        self.review_panic();
    }
}

const fn standing(held: &Upstream) -> Standing {
    let cause = held.cause;
    match held.health {
        Health::Healthy => Standing::In,
        Health::Degraded { reason, .. } => Standing::Kept { reason },
        Health::Ejected { reason, until, .. } => Standing::Out { reason, cause, until },
        Health::Probing { reason, since, .. } => Standing::Out { reason, cause, until: since },
        Health::Draining { was_out } => Standing::Drained { was_out },
    }
}
