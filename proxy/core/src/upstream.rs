//! One upstream's live state: what it is doing, how it has done, and whether it may be asked.

use crate::balance::peak_ewma::Latency;
use crate::bias::Bias;
pub use crate::bias::HALVINGS_MAX;
use crate::check::Checked;
use crate::chronicle::Chronicle;
use crate::order::Ordered;
use crate::outlier::{Counts, EjectReason, Outlier, PassiveHealth};
use crate::pace::Pace;
use crate::slow_start::Ramp;
use crate::time::Timestamp;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// What the core needs to know of a configured upstream; where it is and how to speak to it is the adapter's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSpec {
    /// Unique in its pool; health survives a reload under this name.
    pub name: String,
    /// Its share of the pool's requests.
    pub weight: NonZeroU32,
    /// A higher number takes traffic only when lower ones cannot.
    pub priority: u32,
    /// Upstreams with the same non-empty name here share one record store.
    pub data_domain: String,
    /// Attempts it carries at once; none sets no limit.
    pub concurrency_max: Option<NonZeroU32>,
    /// The proxy signs what it sends there, so a refused signature is its own to mend.
    pub signed: bool,
}

/// Which upstream of a pool: the same for one name for as long as it is configured, and never given to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamKey(pub(crate) u64);

impl UpstreamKey {
    /// What the upstream at this place of a pool's first configuration is known by.
    #[must_use]
    pub const fn at_first(place: usize) -> Self {
        Self(place as u64)
    }

    /// Numbers count up from 0, in the order in which upstreams came to the pool: of one that was never
    /// reconfigured it is the place in the configuration.
    #[must_use]
    pub fn number(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Which record store of a pool; like a key never given to another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DomainKey(pub(crate) u64);

/// May it be asked?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// In rotation.
    Healthy,
    /// It would be out, but is one of the last: in rotation, and counted as no healthy one.
    Degraded {
        /// What would have ejected it.
        reason: EjectReason,
        /// Successes in a row since.
        successes: u32,
    },
    /// Out of rotation.
    Ejected {
        /// Why.
        reason: EjectReason,
        /// From here on it may be probed.
        until: Timestamp,
        /// Successes in a row since, from requests that had no other upstream left.
        successes: u32,
    },
    /// Out of rotation, but one request at a time may try it.
    Probing {
        /// What ejected it.
        reason: EjectReason,
        /// Since when it may be probed.
        since: Timestamp,
        /// Successes in a row.
        successes: u32,
        /// A probe is out.
        busy: bool,
    },
    /// An operator wants it to take no new request: nobody asks it, not even as the last resort.
    Draining {
        /// What it was out for when that was ordered.
        was_out: Option<EjectReason>,
    },
}

impl Health {
    /// Every state's name, for one-hot series; `warming` is a healthy one's slow start ([`Upstream::state`]).
    pub const NAMES: [&'static str; 6] = ["healthy", "warming", "degraded", "ejected", "probing", "draining"];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded { .. } => "degraded",
            Self::Ejected { .. } => "ejected",
            Self::Probing { .. } => "probing",
            Self::Draining { .. } => "draining",
        }
    }

    /// What put it in question.
    #[must_use]
    pub const fn reason(self) -> Option<EjectReason> {
        match self {
            Self::Healthy => None,
            Self::Degraded { reason, .. } | Self::Ejected { reason, .. } | Self::Probing { reason, .. } => {
                Some(reason)
            }
            Self::Draining { was_out } => was_out,
        }
    }

    /// In rotation: asked without need.
    #[must_use]
    pub const fn in_rotation(self) -> bool {
        matches!(self, Self::Healthy | Self::Degraded { .. })
    }

    /// It takes no new request, whatever happens to the others.
    #[must_use]
    pub const fn is_draining(self) -> bool {
        matches!(self, Self::Draining { .. })
    }
}

/// A denial that may be the client's own fault, until something proves it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suspicion {
    /// Nothing is suspected.
    #[default]
    None,
    /// One client was denied, and nobody was served since.
    OneClient {
        /// A hash of who.
        client: u64,
    },
    /// The proxy's own check is out; if its answer has not come by then, it is lost and may be asked for again.
    Verifying {
        /// When the check counts as lost.
        until: Timestamp,
    },
    /// The check passed, so the denied client is the suspect; nothing is verified again before this moment.
    Cleared {
        /// The end of the pause.
        until: Timestamp,
    },
}

/// An upstream as the pool holds it.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub(crate) key: UpstreamKey,
    pub(crate) spec: UpstreamSpec,
    /// The record store of its data domain; none when it names none.
    pub(crate) domain: Option<DomainKey>,
    pub(crate) health: Health,
    pub(crate) outlier: Outlier,
    pub(crate) suspicion: Suspicion,
    /// What condemned it when it was last healthy; a failed probe does not change that.
    pub(crate) cause: EjectReason,
    /// What the checks that come by themselves have found.
    pub(crate) checked: Checked,
    /// Such a check has failed since the last change of health.
    pub(crate) check_failed: bool,
    /// Counts changes of health: what an attempt learnt before the last change says nothing after it.
    pub(crate) epoch: u32,
    /// Ejections not yet forgiven; the exponent of the next one's length.
    pub(crate) ejections: u32,
    pub(crate) changed: Timestamp,
    pub(crate) ejected_at: Option<Timestamp>,
    pub(crate) probed_at: Timestamp,
    pub(crate) skip_until: Timestamp,
    pub(crate) bias: Bias,
    pub(crate) pace: Pace,
    pub(crate) ramp: Ramp,
    pub(crate) in_flight: u32,
    /// Fed only under the policy that asks for it.
    pub(crate) latency: Latency,
    /// What was last ordered of it.
    pub(crate) ordered: Option<Arc<Ordered>>,
    /// Apart, so that who chooses among hundreds does not walk over it.
    pub(crate) chronicle: Box<Chronicle>,
}

impl Upstream {
    pub(crate) fn new(key: UpstreamKey, spec: UpstreamSpec, now: Timestamp) -> Self {
        Self {
            key,
            spec,
            domain: None,
            health: Health::Healthy,
            outlier: Outlier::default(),
            suspicion: Suspicion::None,
            cause: EjectReason::ConsecutiveFailures,
            checked: Checked::default(),
            check_failed: false,
            epoch: 0,
            ejections: 0,
            changed: now,
            ejected_at: None,
            probed_at: now,
            skip_until: Timestamp::ZERO,
            bias: Bias::default(),
            pace: Pace::default(),
            ramp: Ramp::default(),
            in_flight: 0,
            latency: Latency::new(now),
            ordered: None,
            chronicle: Box::default(),
        }
    }

    /// Which it is.
    #[must_use]
    pub const fn key(&self) -> UpstreamKey {
        self.key
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its state.
    #[must_use]
    pub const fn health(&self) -> Health {
        self.health
    }

    /// The name of its state: its health's, or `warming` while a healthy one comes back to its whole weight.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        let warms = self.health == Health::Healthy && !self.ramp.is_over(now);
        if warms { "warming" } else { self.health.name() }
    }

    /// A higher number takes traffic only when lower ones cannot.
    #[must_use]
    pub const fn priority(&self) -> u32 {
        self.spec.priority
    }

    /// The share of its weight that it can carry now, in per cent: less while it warms up, and half of that, or
    /// half of the half and so on, while its application asks for less or it is far slower than its siblings.
    #[must_use]
    pub fn strength(&self, now: Timestamp) -> u32 {
        self.bias.of(self.ramp.percent(now), now)
    }

    /// How often its share is halved now, because its application asks for less or it is far slower than its siblings;
    /// up to [`HALVINGS_MAX`] times.
    #[must_use]
    pub fn halvings(&self, now: Timestamp) -> u32 {
        self.bias.halvings(now)
    }

    /// What is suspected of it, because its gateway refused somebody.
    #[must_use]
    pub const fn suspicion(&self) -> Suspicion {
        self.suspicion
    }

    /// The name of its record store; empty when nothing is said of it.
    #[must_use]
    pub fn data_domain(&self) -> &str {
        &self.spec.data_domain
    }

    /// Attempts that are out.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// When its state last changed.
    #[must_use]
    pub const fn changed(&self) -> Timestamp {
        self.changed
    }

    /// A denial is being verified: until that is known others are asked first, or a slow check would cost every
    /// request in between a retry.
    #[must_use]
    pub fn is_being_verified(&self, now: Timestamp) -> bool {
        matches!(self.suspicion, Suspicion::Verifying { until } if now < until)
    }

    /// What the checks that come by themselves have found.
    #[must_use]
    pub const fn checked(&self) -> Checked {
        self.checked
    }

    /// What an operator last ordered of it.
    #[must_use]
    pub fn ordered(&self) -> Option<&Ordered> {
        self.ordered.as_deref()
    }

    /// What its attempts came to lately.
    #[must_use]
    pub fn chronicle(&self) -> &Chronicle {
        &self.chronicle
    }

    /// What counts for and against it now.
    #[must_use]
    pub fn counts(&self, policy: &PassiveHealth, now: Timestamp) -> Counts {
        self.outlier.counts(policy, now)
    }

    /// Ejections not yet forgiven: each doubles the next one.
    #[must_use]
    pub const fn ejections(&self) -> u32 {
        self.ejections
    }

    /// Until when it is skipped because it throttles.
    #[must_use]
    pub const fn skip_until(&self) -> Timestamp {
        self.skip_until
    }

    /// It carries less than it may.
    pub(crate) fn has_room(&self) -> bool {
        self.spec.concurrency_max.is_none_or(|max| self.in_flight < max.get())
    }

    /// It may be asked, if only as the last resort, and carries less than it may.
    pub(crate) fn is_open(&self) -> bool {
        !self.health.is_draining() && self.has_room()
    }

    /// From this moment on time alone has changed whether it may be asked, or what it weighs.
    pub(crate) fn changes_at(&self, now: Timestamp) -> Timestamp {
        let later = |moment: Timestamp| if moment > now { moment } else { Timestamp::FAR_FUTURE };
        let back = match self.health {
            Health::Ejected { until, .. } => later(until),
            _ => Timestamp::FAR_FUTURE,
        };
        let verified = match self.suspicion {
            Suspicion::Verifying { until } => later(until),
            _ => Timestamp::FAR_FUTURE,
        };
        let warmer = self.ramp.next_step(now);
        later(self.skip_until).min(back).min(verified).min(warmer).min(self.bias.next_step(now))
    }

    /// Nothing is asked of it, or it is in this data domain.
    pub(crate) fn is_in(&self, domain: Option<DomainKey>) -> bool {
        domain.is_none() || self.domain == domain
    }

    pub(crate) fn enter(&mut self, health: Health, now: Timestamp) {
        self.health = health;
        self.changed = now;
        self.epoch = self.epoch.wrapping_add(1);
        self.outlier.clear();
        self.suspicion = Suspicion::None;
        self.check_failed = false;
        self.bias = Bias::default();
        self.pace = Pace::default();
        self.ramp = Ramp::default();
    }

    /// Old ejections are forgiven one by one while the upstream stays healthy.
    pub(crate) fn forgive(&mut self, every: Duration, now: Timestamp) {
        self.ejections = self.ejections_left(every, now);
    }

    /// Ejections that are not forgiven by now.
    pub(crate) fn ejections_left(&self, every: Duration, now: Timestamp) -> u32 {
        if self.health != Health::Healthy || every.is_zero() {
            return self.ejections;
        }
        let quiet = now.since(self.changed).as_micros() / every.as_micros();
        self.ejections.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX))
    }

    /// Its weight in hundredths, so that every strength is a whole number and never zero.
    pub(crate) fn effective_weight(&self, now: Timestamp) -> u32 {
        self.spec.weight.get().saturating_mul(self.strength(now))
    }
}
