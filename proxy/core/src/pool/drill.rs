//! A drill in a pool: whether it may begin, whom it hits, and how it ends.

use super::{Choice, Pool, PoolEvent};
use crate::bias::Bias;
use crate::check::Checked;
use crate::classify::Evidence;
use crate::drill::{
    Closed, Drill, DrillEnd, DrillPlan, DrillRecord, DrillRefusal, Drilled, Fault, Injected, Met, Tally,
};
use crate::exchange::Terms;
use crate::outlier::EjectReason;
use crate::pace::Pace;
use crate::pool::CheckOut;
use crate::time::Timestamp;
use crate::upstream::{Health, Upstream, UpstreamKey};
use fastrand::Rng;
use std::time::Duration;

/// Who would be sent so shortly before its time is up is not sent at all: it could not be answered, and whether it
/// was sent would be a matter of luck.
const LAST_MOMENT: Duration = Duration::from_millis(100);

impl Pool {
    /// Begins a drill.
    ///
    /// # Errors
    /// Why it does not begin: then nothing has changed.
    pub fn begin_drill(&mut self, plan: DrillPlan, now: Timestamp) -> Result<(), DrillRefusal> {
        self.may_drill(&plan)?;
        let ejections = self.upstream(plan.upstream).map_or(0, Upstream::ejections);
        let (serial, before) = (self.next_serial(), self.ledger.tally(now));
        self.drill = Some(Box::new(Drill::begin(plan, serial, before, ejections, now)));
        self.events.push(PoolEvent::DrillBegan { upstream: plan.upstream });
        Ok(())
    }

    /// Goes on with a drill that another process began; one that is over, or that too few others could bear now,
    /// is ended at once.
    pub fn resume_drill(&mut self, record: &DrillRecord, now: Timestamp, rng: &mut Rng) {
        let upstream = record.plan.upstream;
        if self.place(upstream).is_none() || self.drill.is_some() {
            return;
        }
        let serial = self.next_serial();
        self.drill = Some(Box::new(Drill::resume(record, serial, now)));
        self.events.push(PoolEvent::DrillBegan { upstream });
        self.review_drill(now, rng);
    }

    /// Ends the drill that is under way, if there is one.
    pub fn end_drill(&mut self, end: DrillEnd, now: Timestamp, rng: &mut Rng) {
        let Some(drill) = self.drill.as_mut().filter(|drill| drill.is_under_way()) else { return };
        drill.end(end, now);
        let upstream = drill.plan.upstream;
        let (condemned, failed_itself, ejections) = (drill.condemned, drill.failed_itself, drill.ejections);
        self.events.push(PoolEvent::DrillEnded { upstream, end });
        let Some(place) = self.place(upstream) else { return };
        let held = &mut self.upstreams[place];
        // What it did by itself is judged as ever.
        let is_ordered = held.health.is_draining() || held.health.reason() == Some(EjectReason::Operator);
        if failed_itself || is_ordered {
            return;
        }
        held.ejections = held.ejections.min(ejections);
        held.checked = Checked::default();
        if condemned && held.health != Health::Healthy {
            self.readmit(place, now, rng);
        } else if held.health == Health::Healthy {
            held.outlier.clear();
            (held.bias, held.pace) = (Bias::default(), Pace::default());
            self.crowd.forget();
        }
    }

    /// Ends the drill that is under way if its time is up, or if it must not go on.
    pub fn review_drill(&mut self, now: Timestamp, rng: &mut Rng) {
        let Some(drill) = self.drill.as_ref().filter(|drill| drill.is_under_way()) else { return };
        let end = match () {
            () if drill.left(now).is_zero() => DrillEnd::TimeUp,
            () if self.healthy_but(drill.plan.upstream) < self.needed() => DrillEnd::TooFewHealthy,
            // It would learn nothing of one that nobody asks.
            () if self.upstream(drill.plan.upstream).is_some_and(|held| held.health.is_draining()) => {
                DrillEnd::Stopped
            }
            () if drill.score.hurts() => DrillEnd::ClientsHurt,
            () => return,
        };
        self.end_drill(end, now, rng);
    }

    /// The drill that is under way, and how it stands.
    #[must_use]
    pub fn drill(&self, now: Timestamp) -> Option<DrillRecord> {
        self.drill.as_ref().filter(|drill| drill.is_under_way()).map(|drill| drill.record(now))
    }

    /// The drill that is over, once the last request that met it is.
    #[must_use]
    pub fn take_drilled(&mut self, now: Timestamp) -> Option<Drilled> {
        let patience = self.spec.timeouts.request.saturating_add(self.spec.timeouts.attempt);
        let drilled = self.drill.as_ref().and_then(|drill| drill.drilled(patience, now))?;
        self.drill = None;
        Some(drilled)
    }

    /// What a drill does to this check of the proxy's own.
    #[must_use]
    pub fn drills_check(&self, out: CheckOut, rng: &mut Rng) -> Option<Fault> {
        let drill = self.drill.as_ref().filter(|drill| drill.is_under_way())?;
        let DrillPlan { upstream, fault, share, .. } = drill.plan;
        let hit = upstream == out.upstream && fault != Fault::Eject && rng.f64() < share.get();
        hit.then_some(fault)
    }

    fn may_drill(&self, plan: &DrillPlan) -> Result<(), DrillRefusal> {
        let held = self.upstream(plan.upstream).ok_or(DrillRefusal::NoSuchUpstream)?;
        let is_degraded = |health| matches!(health, Health::Degraded { .. });
        let (left, needed) = (self.healthy_but(plan.upstream), self.needed());
        match () {
            () if self.drill.is_some() => Err(DrillRefusal::Another),
            () if self.panic => Err(DrillRefusal::Panic),
            () if self.upstreams.iter().any(|held| is_degraded(held.health)) => Err(DrillRefusal::Degraded),
            () if held.health != Health::Healthy => Err(DrillRefusal::NotHealthy),
            () if left < needed => Err(DrillRefusal::TooFewHealthy { left, needed }),
            () if plan.fault != Fault::Eject && !self.tries_twice() => Err(DrillRefusal::NoRetry),
            () => Ok(()),
        }
    }

    fn tries_twice(&self) -> bool {
        self.spec.retry.attempts_max.get() > 1
    }

    pub(super) fn healthy_but(&self, upstream: UpstreamKey) -> usize {
        let others = self.upstreams.iter().filter(|held| held.key != upstream);
        others.filter(|held| held.health == Health::Healthy).count()
    }

    pub(super) fn needed(&self) -> usize {
        usize::try_from(self.spec.passive_health.min_healthy.get()).unwrap_or(usize::MAX)
    }

    const fn next_serial(&mut self) -> u32 {
        self.drills = self.drills.wrapping_add(1);
        self.drills
    }

    /// The dice say whether a drill under way hits a request that is about to make its first attempt.
    pub(crate) fn draw_drill(&mut self, terms: &Terms, now: Timestamp, rng: &mut Rng) -> Met {
        if self.drill.is_none() {
            return Met::Nothing;
        }
        self.review_drill(now, rng);
        let Some(drill) = self.drill.as_mut().filter(|drill| drill.is_under_way()) else {
            return Met::Nothing;
        };
        if rng.f64() >= drill.plan.share.get() {
            return Met::Nothing;
        }
        match drill.plan.fault {
            // Only those who know the page can serve it.
            Fault::Eject if terms.page.is_some() => {
                drill.score.spared += 1;
                Met::Nothing
            }
            Fault::Eject => {
                drill.hit(now);
                Met::Away(drill.ticket())
            }
            Fault::Refuse | Fault::Delay(_) | Fault::Status(_) => Met::Drawn,
        }
    }

    /// A request that was drawn has its first attempt: whether that meets the fault. Only one that is served all
    /// the same does: it can be sent again, has the time for it, and the budget pays in advance.
    pub(crate) fn meet_drill(
        &mut self,
        (terms, deadline): (&Terms, Timestamp),
        choice: &mut Choice,
        now: Timestamp,
    ) -> Met {
        let (timeouts, tries_twice) = (self.spec.timeouts, self.tries_twice());
        let Some(drill) = self.drill.as_mut().filter(|drill| drill.plan.upstream == choice.upstream) else {
            return Met::Nothing;
        };
        let ends = timeouts.attempt_deadline(now, deadline);
        let (fault, takes, unsent) = match drill.plan.fault {
            Fault::Delay(delay) if now + delay + LAST_MOMENT >= ends => {
                (Fault::Delay(Duration::MAX), now.until(ends), true)
            }
            Fault::Delay(delay) => (Fault::Delay(delay), delay, false),
            fault => (fault, Duration::ZERO, true),
        };
        let has_time = now + takes + timeouts.attempt.min(timeouts.request / 2) <= deadline;
        if !terms.replayable || terms.page.is_some() || !has_time || !tries_twice {
            drill.score.spared += 1;
            return Met::Nothing;
        }
        // Leaving one that refuses is free, as ever.
        let costs = unsent && fault != Fault::Refuse;
        if costs && !self.budget.withdraw(now) {
            drill.score.spared += 1;
            drill.score.budget_denials += 1;
            return Met::Nothing;
        }
        drill.hit(now);
        choice.drilled = true;
        Met::Fault(drill.ticket(), Injected { fault, unsent, paid: costs })
    }

    /// A request is over.
    pub(crate) fn book(&mut self, closed: &Closed, now: Timestamp, rng: &mut Rng) {
        match &mut self.drill {
            Some(drill) => {
                drill.close(closed, now);
                self.review_drill(now, rng);
            }
            None => self.ledger.book(closed, now),
        }
    }

    /// Whether this request did without the upstream that a drill is about.
    pub(crate) fn did_without(&self, asked: &[UpstreamKey]) -> bool {
        self.drill.as_ref().is_none_or(|drill| !asked.contains(&drill.plan.upstream))
    }

    /// What an attempt at this upstream taught, a fault of the drill's own making or not.
    pub(super) fn drill_sees(&mut self, upstream: UpstreamKey, drilled: bool, evidence: Evidence) {
        let Some(drill) = self.drill.as_mut().filter(|drill| drill.plan.upstream == upstream) else { return };
        let failed =
            !matches!(evidence, Evidence::Success | Evidence::Goodbye | Evidence::Drift | Evidence::None);
        drill.failed_itself |= failed && !drilled;
    }

    /// The health of this upstream was put in question.
    pub(super) fn drill_condemns(&mut self, upstream: UpstreamKey, ejected: bool, now: Timestamp) {
        let Some(drill) = self.drill.as_mut().filter(|drill| drill.plan.upstream == upstream) else { return };
        if !drill.is_under_way() {
            return;
        }
        if ejected {
            drill.ejected(now);
        }
        drill.condemned = true;
    }

    /// What clients have felt lately.
    #[must_use]
    pub fn lately(&mut self, now: Timestamp) -> Tally {
        self.ledger.tally(now)
    }
}
