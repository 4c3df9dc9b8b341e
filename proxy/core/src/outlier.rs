//! Passive health: what the answers to clients' own requests say about an upstream.
//!
//! Ejection goes by counts, never by percentages of a pool: with two to four regions every percentage rule is
//! either inert or takes half the pool at once. A success rate over a short window catches the upstream that
//! fails often but never many times in a row.

use crate::bounds::Ratio;
use crate::time::Timestamp;
use std::num::NonZeroU32;
use std::time::Duration;

/// When an upstream is ejected, for how long, and what brings it back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassiveHealth {
    /// Transport or gateway failures in a row that eject, and goodbyes in a row that leave no request looked at. Peers tune 5 to 7 for large pools; 3 reacts within
    /// one round trip at hospital volumes and is safe because a denial is verified first.
    pub consecutive_failures: NonZeroU32,
    /// Failures of any kind in a row, the application's 500 and 503 among them, that eject.
    pub consecutive_app_failures: NonZeroU32,
    /// The share of successes in the window below which an upstream is ejected.
    pub success_rate_min: Ratio,
    /// Answers the window must hold before its rate means anything.
    pub success_rate_requests: NonZeroU32,
    /// The span the success rate looks back on.
    pub window: Duration,
    /// An upstream whose answers usually take more than this many times as long as those of most of its siblings
    /// loses share, and is ejected in the end; 0 is off. Regions of one continent differ by less.
    pub latency_factor: u32,
    /// Whatever usually answers within this is never too slow.
    pub latency_min: Duration,
    /// The first ejection's length; each further one doubles.
    pub ejection: Duration,
    /// The longest ejection.
    pub ejection_max: Duration,
    /// Upstreams that stay in rotation whatever they do.
    pub min_healthy: NonZeroU32,
    /// Successes of a probed upstream, in a row, that bring it back.
    pub readmit_successes: NonZeroU32,
    /// Say what would be ejected, and eject nobody.
    pub dry_run: bool,
}

impl Default for PassiveHealth {
    fn default() -> Self {
        const fn n(value: u32) -> NonZeroU32 {
            NonZeroU32::new(value).expect("the defaults are not zero")
        }
        Self {
            consecutive_failures: n(3),
            consecutive_app_failures: n(5),
            success_rate_min: Ratio::percent(80),
            success_rate_requests: n(10),
            window: Duration::from_secs(10),
            latency_factor: 5,
            latency_min: Duration::from_millis(500),
            ejection: Duration::from_secs(10),
            ejection_max: Duration::from_secs(300),
            min_healthy: n(1),
            readmit_successes: n(2),
            dry_run: false,
        }
    }
}

impl PassiveHealth {
    /// Silent losers of races in a row, failures of any kind between them counted, that eject.
    #[must_use]
    pub fn consecutive_slow(&self) -> u32 {
        self.consecutive_app_failures.get().max(SLOW_IN_A_ROW_MIN)
    }

    /// An ejection for this reason takes the upstream out: in a dry run only an operator's does.
    #[must_use]
    pub fn enforces(&self, reason: EjectReason) -> bool {
        !self.dry_run || reason == EjectReason::Operator
    }

    /// The length of the ejection that follows `earlier` ejections, before jitter.
    #[must_use]
    pub fn ejection_after(&self, earlier: u32) -> Duration {
        let doubled = self.ejection.saturating_mul(1_u32.checked_shl(earlier).unwrap_or(u32::MAX));
        doubled.min(self.ejection_max.max(self.ejection))
    }
}

/// Why an upstream is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EjectReason {
    /// Too many transport or gateway failures in a row.
    ConsecutiveFailures,
    /// Too many failures of any kind in a row.
    ConsecutiveAppFailures,
    /// Too few successes in the window.
    SuccessRate,
    /// Its answers take many times as long as those of most of its siblings.
    Slow,
    /// Too many in a row lost against a hedge, and had no answer long after that.
    ConsecutiveSlow,
    /// The gateway refuses the proxy's own check too.
    DeniedVerified,
    /// No check is configured, and the gateway refuses every one of two or more clients.
    DeniedEveryClient,
    /// The probe failed.
    ProbeFailed,
    /// Too many of the proxy's own checks failed in a row.
    CheckFailed,
    /// An operator said so.
    Operator,
}

impl EjectReason {
    /// Every reason, for zero series at start.
    pub const ALL: [Self; 10] = [
        Self::ConsecutiveFailures,
        Self::ConsecutiveAppFailures,
        Self::SuccessRate,
        Self::Slow,
        Self::ConsecutiveSlow,
        Self::DeniedVerified,
        Self::DeniedEveryClient,
        Self::ProbeFailed,
        Self::CheckFailed,
        Self::Operator,
    ];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::ConsecutiveAppFailures => "consecutive_app_failures",
            Self::SuccessRate => "success_rate",
            Self::Slow => "slow",
            Self::ConsecutiveSlow => "consecutive_slow",
            Self::DeniedVerified => "denied_verified",
            Self::DeniedEveryClient => "denied_every_client",
            Self::ProbeFailed => "probe_failed",
            Self::CheckFailed => "check_failed",
            Self::Operator => "operator",
        }
    }

    /// The reason of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Whether a check of the proxy's own meets the same: a check that passes says that this is over. It says
    /// nothing about the application's failures, nor about its pace, nor about an operator's will.
    #[must_use]
    pub const fn is_seen_by_checks(self) -> bool {
        match self {
            Self::ConsecutiveFailures
            | Self::DeniedVerified
            | Self::DeniedEveryClient
            | Self::CheckFailed => true,
            Self::ConsecutiveAppFailures
            | Self::SuccessRate
            | Self::Slow
            | Self::ConsecutiveSlow
            | Self::ProbeFailed
            | Self::Operator => false,
        }
    }
}

/// A healthy upstream loses a race by so much in at most one of twenty, so fewer in a row mean nothing, however few
/// failures in a row eject.
const SLOW_IN_A_ROW_MIN: u32 = 5;

/// Ten buckets: the window forgets in tenths instead of all at once.
const BUCKETS: usize = 10;

/// One upstream's recent record.
#[derive(Clone, Debug, Default)]
pub struct Outlier {
    failures_in_a_row: u32,
    any_failures_in_a_row: u32,
    goodbyes_in_a_row: u32,
    /// The last of them.
    goodbye: Timestamp,
    buckets: [Bucket; BUCKETS],
}

/// What counts for and against an upstream at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Failures of transport or gateway in a row.
    pub failures_in_a_row: u32,
    /// Failures of any kind in a row.
    pub any_failures_in_a_row: u32,
    /// Successes within the window.
    pub successes: u32,
    /// Failures within the window.
    pub failures: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    tenth: u64,
    successes: u32,
    failures: u32,
}

impl Outlier {
    /// Books a success.
    pub fn success(&mut self, policy: &PassiveHealth, now: Timestamp) {
        self.failures_in_a_row = 0;
        self.any_failures_in_a_row = 0;
        self.goodbyes_in_a_row = 0;
        self.bucket(policy, now).successes += 1;
    }

    /// Books a failure of the transport or the gateway; says whether it is one too many.
    pub fn failure(&mut self, policy: &PassiveHealth, now: Timestamp) -> Option<EjectReason> {
        self.failures_in_a_row += 1;
        self.any_failures_in_a_row += 1;
        self.bucket(policy, now).failures += 1;
        self.verdict(policy, now)
    }

    /// Books a failure of the application; says whether it is one too many.
    pub fn app_failure(&mut self, policy: &PassiveHealth, now: Timestamp) -> Option<EjectReason> {
        self.any_failures_in_a_row += 1;
        self.bucket(policy, now).failures += 1;
        self.verdict(policy, now)
    }

    /// Books that an attempt which began at `since` was not looked at; says whether it is one too many. One goodbye
    /// ends all that is out on its connection, so only an attempt that began after the last one counts; and no rate
    /// does, because whoever restarts in order is healthy.
    pub fn goodbye(
        &mut self,
        policy: &PassiveHealth,
        since: Timestamp,
        now: Timestamp,
    ) -> Option<EjectReason> {
        if self.goodbyes_in_a_row == 0 || since >= self.goodbye {
            self.goodbyes_in_a_row += 1;
            self.goodbye = now;
        }
        let too_many = self.goodbyes_in_a_row >= policy.consecutive_failures.get();
        too_many.then_some(EjectReason::ConsecutiveFailures)
    }

    /// Books an answer that was kept back; says whether it is one too many. It counts in no rate: whoever loses a
    /// race now and then is healthy.
    pub fn slow(&mut self, policy: &PassiveHealth) -> Option<EjectReason> {
        self.any_failures_in_a_row += 1;
        let too_many = self.any_failures_in_a_row >= policy.consecutive_slow();
        too_many.then_some(EjectReason::ConsecutiveSlow)
    }

    /// Another window from now on: what the old one still holds counts as if it had come now.
    pub fn reconfigure(&mut self, old: &PassiveHealth, new: &PassiveHealth, now: Timestamp) {
        if old.window != new.window {
            let (successes, failures) = self.window(old, now);
            self.buckets = Default::default();
            let bucket = self.bucket(new, now);
            (bucket.successes, bucket.failures) = (successes, failures);
        }
    }

    /// Forgets everything: what was before an ejection must not count after it.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// What the verdict is made of.
    #[must_use]
    pub fn counts(&self, policy: &PassiveHealth, now: Timestamp) -> Counts {
        let (successes, failures) = self.window(policy, now);
        let (failures_in_a_row, any_failures_in_a_row) = (self.failures_in_a_row, self.any_failures_in_a_row);
        Counts { failures_in_a_row, any_failures_in_a_row, successes, failures }
    }

    fn verdict(&self, policy: &PassiveHealth, now: Timestamp) -> Option<EjectReason> {
        if self.failures_in_a_row >= policy.consecutive_failures.get() {
            Some(EjectReason::ConsecutiveFailures)
        } else if self.any_failures_in_a_row >= policy.consecutive_app_failures.get() {
            Some(EjectReason::ConsecutiveAppFailures)
        } else if self.success_rate_is_low(policy, now) {
            Some(EjectReason::SuccessRate)
        } else {
            None
        }
    }

    fn success_rate_is_low(&self, policy: &PassiveHealth, now: Timestamp) -> bool {
        let (successes, failures) = self.window(policy, now);
        let total = successes.saturating_add(failures);
        total >= policy.success_rate_requests.get()
            && f64::from(successes) < policy.success_rate_min.get() * f64::from(total)
    }

    fn window(&self, policy: &PassiveHealth, now: Timestamp) -> (u32, u32) {
        let current = tenth(policy, now);
        let live = self.buckets.iter().filter(|bucket| bucket.tenth + BUCKETS as u64 > current);
        live.fold((0_u32, 0_u32), |(good, bad), bucket| {
            (good.saturating_add(bucket.successes), bad.saturating_add(bucket.failures))
        })
    }

    fn bucket(&mut self, policy: &PassiveHealth, now: Timestamp) -> &mut Bucket {
        let tenth = tenth(policy, now);
        let index = usize::try_from(tenth % BUCKETS as u64).unwrap_or_default();
        let bucket = &mut self.buckets[index];
        if bucket.tenth != tenth {
            *bucket = Bucket { tenth, ..Bucket::default() };
        }
        bucket
    }
}

/// The running number of the current tenth of a window; one-based, so that an unused bucket is never live.
fn tenth(policy: &PassiveHealth, now: Timestamp) -> u64 {
    let width = u64::try_from(policy.window.as_micros()).unwrap_or(u64::MAX) / BUCKETS as u64;
    now.as_micros() / width.max(1) + BUCKETS as u64
}

#[cfg(test)]
mod tests;
