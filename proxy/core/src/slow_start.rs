//! Slow start: whoever comes back takes its share bit by bit.
//!
//! A region that was just readmitted has cold functions, empty caches and few connections. A fleet of proxies
//! that returned all at once would put it down again, so its weight ramps up in a straight line.

use crate::time::Timestamp;
use std::time::Duration;

/// The first share of its weight, in per cent: enough requests to warm up by, few enough to lose none.
const FIRST: u32 = 10;

/// How long a readmitted upstream takes to come back to its whole weight; zero is at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStart {
    /// From readmission to the whole weight.
    pub span: Duration,
}

impl Default for SlowStart {
    fn default() -> Self {
        Self { span: Duration::from_secs(30) }
    }
}

/// A ramp under way; the default is none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ramp {
    from: Timestamp,
    until: Timestamp,
}

impl Ramp {
    pub(crate) fn begin(policy: SlowStart, now: Timestamp) -> Self {
        Self { from: now, until: now + policy.span }
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until
    }

    /// When its share next grows; never once it is over.
    pub(crate) fn next_step(&self, now: Timestamp) -> Timestamp {
        if self.is_over(now) {
            return Timestamp::FAR_FUTURE;
        }
        let whole = self.until.since(self.from).as_micros();
        let next = u128::from(self.percent(now) - FIRST + 1) * whole;
        let micros = next.div_ceil(u128::from(100 - FIRST));
        self.from + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// The share of its weight that it carries, 10 to 100 per cent.
    pub(crate) fn percent(&self, now: Timestamp) -> u32 {
        if self.is_over(now) {
            return 100;
        }
        let (passed, whole) = (now.since(self.from), self.until.since(self.from));
        let gained = passed.as_micros() * u128::from(100 - FIRST) / whole.as_micros().max(1);
        FIRST + u32::try_from(gained).unwrap_or(100 - FIRST)
    }
}
