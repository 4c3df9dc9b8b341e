//! Drills: a fault made on purpose, for a while, for a share of the requests, to see that what is promised holds.
//!
//! The fault is made in the proxy before anything is sent, so nothing is half done, and it counts as a real one:
//! detection, ejection and retry are those of a bad day. A drill must not cost a request. It begins only where the
//! others suffice; a request that could not be tried again is spared; one that is tried again at the cost of the
//! budget has paid before it meets the fault; and it ends at once when clients are hurt or the others falter.

mod score;
mod took;

pub(crate) use score::{Closed, Ledger};
pub use score::{Finding, Score, Tally};
use took::Took;

use crate::bounds::Ratio;
use crate::time::Timestamp;
use crate::upstream::UpstreamKey;
use std::time::Duration;

/// What is done to a request that meets a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It keeps away from the upstream, as if that were ejected.
    Eject,
    /// Its connection is refused.
    Refuse,
    /// It is sent this much later; never, where its attempt's time is up by then.
    Delay(Duration),
    /// It is answered with this error of a server.
    Status(ServerError),
}

impl Fault {
    /// A stable name for logs and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eject => "eject",
            Self::Refuse => "refuse",
            Self::Delay(_) => "delay",
            Self::Status(_) => "status",
        }
    }
}

/// A status that says the upstream failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerError(u16);

impl ServerError {
    /// The statuses that say so whatever else an answer holds.
    pub const ALL: [u16; 4] = [500, 502, 503, 504];

    /// None for any other status: one that is no failure would be forwarded to the client.
    #[must_use]
    pub fn new(status: u16) -> Option<Self> {
        Self::ALL.contains(&status).then_some(Self(status))
    }

    /// The status.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// What is to happen in a drill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DrillPlan {
    /// Which upstream of its pool.
    pub upstream: UpstreamKey,
    /// What is done to requests.
    pub fault: Fault,
    /// The share of them that it is done to.
    pub share: Ratio,
    /// How long the drill lasts, all in all.
    pub length: Duration,
}

/// Why a drill does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrillRefusal {
    /// The pool has no such upstream.
    NoSuchUpstream,
    /// Another one is under way in the pool.
    Another,
    /// The upstream is not healthy: there is nothing to learn from it.
    NotHealthy,
    /// Some upstream is kept in rotation only because too few others are healthy.
    Degraded,
    /// Nobody in the pool is healthy.
    Panic,
    /// Too few others are healthy.
    TooFewHealthy {
        /// So many.
        left: usize,
        /// So many must be left.
        needed: usize,
    },
    /// The pool tries no request twice, so every one that met the fault would be lost.
    NoRetry,
}

/// Why a drill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DrillEnd {
    /// Its time was up.
    TimeUp,
    /// Somebody stopped it.
    Stopped,
    /// More requests failed than before it.
    ClientsHurt,
    /// Too few of the others were healthy.
    TooFewHealthy,
    /// After a restart or a reload it could not go on.
    Interrupted,
}

impl DrillEnd {
    /// Every end, for zero series at start.
    pub const ALL: [Self; 5] =
        [Self::TimeUp, Self::Stopped, Self::ClientsHurt, Self::TooFewHealthy, Self::Interrupted];

    /// A stable name for logs, metrics and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TimeUp => "time_up",
            Self::Stopped => "stopped",
            Self::ClientsHurt => "clients_hurt",
            Self::TooFewHealthy => "too_few_healthy",
            Self::Interrupted => "interrupted",
        }
    }
}

/// All of a drill that must outlive the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DrillRecord {
    /// What is to happen.
    pub plan: DrillPlan,
    /// How long it has lasted.
    pub ran: Duration,
    /// What came of it so far.
    pub score: Score,
    /// The upstream is out, and was put out during the drill.
    pub condemned: bool,
    /// The upstream has also failed by itself since it began.
    pub failed_itself: bool,
    /// Ejections of the upstream that were not forgiven when it began.
    pub ejections: u32,
}

/// A drill that is over, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drilled {
    /// Why it ended.
    pub end: DrillEnd,
    /// How long it lasted, and what came of it.
    pub record: DrillRecord,
}

/// What a drill does to one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Met {
    /// Nothing.
    #[default]
    Nothing,
    /// It was asked for by the dice, and may be hit.
    Drawn,
    /// It keeps away from an upstream.
    Away(Ticket),
    /// Its first attempt met the fault.
    Fault(Ticket, Injected),
}

/// Which drill it was: a later one must not be told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    serial: u32,
    pub(crate) upstream: UpstreamKey,
}

/// A fault, as it is done to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Injected {
    pub(crate) fault: Fault,
    /// The attempt ends before anything is sent.
    pub(crate) unsent: bool,
    /// The budget has paid for the attempt that follows.
    pub(crate) paid: bool,
}

/// A drill under way, or one whose last requests are still out.
#[derive(Clone, Debug)]
pub(crate) struct Drill {
    pub(crate) plan: DrillPlan,
    serial: u32,
    /// How long it had lasted when this process took it up.
    ran: Duration,
    begun: Timestamp,
    ended: Option<(DrillEnd, Timestamp)>,
    pub(crate) score: Score,
    took: Took,
    /// Requests that met it and are still out.
    out: u32,
    /// Requests in a row that did without the upstream, and when the first of them was done.
    without: u32,
    without_since: Duration,
    pub(crate) condemned: bool,
    pub(crate) failed_itself: bool,
    pub(crate) ejections: u32,
}

/// So many requests in a row without the upstream: the traffic has shifted.
const SHIFTED: u32 = 10;

impl Drill {
    pub(crate) fn begin(plan: DrillPlan, serial: u32, before: Tally, ejections: u32, now: Timestamp) -> Self {
        let score = Score { before, ..Score::default() };
        let record = DrillRecord {
            plan,
            ran: Duration::ZERO,
            score,
            condemned: false,
            failed_itself: false,
            ejections,
        };
        Self::resume(&record, serial, now)
    }

    pub(crate) fn resume(record: &DrillRecord, serial: u32, now: Timestamp) -> Self {
        let DrillRecord { plan, ran, score, condemned, failed_itself, ejections } = *record;
        Self {
            plan,
            serial,
            ran,
            begun: now,
            ended: None,
            score,
            took: Took::default(),
            out: 0,
            without: 0,
            without_since: Duration::ZERO,
            condemned,
            failed_itself,
            ejections,
        }
    }

    /// How long it has lasted; it lasts no longer than it is planned to.
    pub(crate) fn ran(&self, now: Timestamp) -> Duration {
        let until = self.ended.map_or(now, |(_, at)| at);
        (self.ran + until.since(self.begun)).min(self.plan.length)
    }

    pub(crate) fn left(&self, now: Timestamp) -> Duration {
        self.plan.length.saturating_sub(self.ran(now))
    }

    pub(crate) const fn is_under_way(&self) -> bool {
        self.ended.is_none()
    }

    pub(crate) const fn ticket(&self) -> Ticket {
        Ticket { serial: self.serial, upstream: self.plan.upstream }
    }

    pub(crate) fn end(&mut self, end: DrillEnd, now: Timestamp) {
        self.ended.get_or_insert((end, now));
    }

    /// A request met it.
    pub(crate) fn hit(&mut self, now: Timestamp) {
        self.score.met += 1;
        self.out += 1;
        let ran = self.ran(now);
        self.score.first_fault.get_or_insert(ran);
    }

    /// The upstream was ejected.
    pub(crate) fn ejected(&mut self, now: Timestamp) {
        self.condemned = true;
        self.score.ejections += 1;
        let since = self.score.first_fault.map(|first| self.ran(now).saturating_sub(first));
        self.score.detected = self.score.detected.or(since);
    }

    /// A request that was open while it was under way, or that met it, is over.
    pub(crate) fn close(&mut self, closed: &Closed, now: Timestamp) {
        if closed.ticket.is_some_and(|ticket| ticket.serial == self.serial) {
            self.out = self.out.saturating_sub(1);
            self.score.end_of_met(closed.felt);
        }
        if self.is_under_way() && closed.counts() {
            self.score.during.book(closed);
            self.took.push(closed.took);
            self.score.during.p99 = self.took.p99();
            self.score.budget_denials += u64::from(closed.denied_by_budget);
            self.follow_shift(closed, now);
        }
    }

    fn follow_shift(&mut self, closed: &Closed, now: Timestamp) {
        let (Some(first), None) = (self.score.first_fault, self.score.shifted) else { return };
        if !closed.without {
            self.without = 0;
            return;
        }
        if self.without == 0 {
            self.without_since = self.ran(now);
        }
        self.without += 1;
        if self.without == SHIFTED {
            self.score.shifted = Some(self.without_since.saturating_sub(first));
        }
    }

    pub(crate) fn record(&self, now: Timestamp) -> DrillRecord {
        let Self { plan, score, condemned, failed_itself, ejections, .. } = *self;
        DrillRecord { plan, ran: self.ran(now), score, condemned, failed_itself, ejections }
    }

    /// It is over, and nobody is out any more who met it, or not within `patience`.
    pub(crate) fn drilled(&self, patience: Duration, now: Timestamp) -> Option<Drilled> {
        let (end, at) = self.ended?;
        let is_done = self.out == 0 || now.since(at) > patience;
        is_done.then(|| Drilled { end, record: self.record(now) })
    }
}
