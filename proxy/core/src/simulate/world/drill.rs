//! A drill at the first proxy of the fleet, begun and looked after as the adapter does.

use super::{Comes, Due, Effect, Pace, Runs, What, World};
use crate::drill::{DrillPlan, Fault};
use crate::exchange::{Attempt, Failure};
use crate::simulate::weather::status;
use crate::time::Timestamp;
use std::time::Duration;

/// How often somebody looks whether it must end.
const LOOK: Duration = Duration::from_millis(100);

impl World<'_> {
    /// Before the run: at this moment this drill is asked for.
    pub(in crate::simulate) fn with_drill(mut self, at: Timestamp, plan: DrillPlan) -> Self {
        self.drill = Some(plan);
        self.queue.push(at, Due::Drill);
        self
    }

    pub(super) fn drill(&mut self) {
        let proxy = &mut self.proxies[0];
        match self.drill.take() {
            Some(plan) => self.report.drill_refused = proxy.pool.begin_drill(plan, self.now).err(),
            None => proxy.pool.review_drill(self.now, &mut proxy.rng),
        }
        let is_under_way = proxy.pool.drill(self.now).is_some();
        self.report.drilled = proxy.pool.take_drilled(self.now).or(self.report.drilled);
        if is_under_way || (self.report.drilled.is_none() && self.report.drill_refused.is_none()) {
            self.queue.push(self.now + LOOK, Due::Drill);
        }
        self.tell(0, What::Drill);
    }

    /// How much later an attempt is sent; one that a fault ends before has another effect than the region's.
    pub(super) fn meet(&self, attempt: &Attempt, effect: &mut Effect) -> Duration {
        let answers = |code| Effect { pace: Pace::Instant, ..Effect::answer(status(code), Runs::Never) };
        match attempt.fault {
            None | Some(Fault::Eject) => Duration::ZERO,
            Some(Fault::Delay(delay)) if self.now + delay < attempt.deadline => delay,
            Some(Fault::Delay(_)) => {
                let (comes, pace, runs) = (Comes::Failure(Failure::TimedOut), Pace::Never, Runs::Never);
                *effect = Effect { comes, pace, runs };
                Duration::ZERO
            }
            Some(Fault::Refuse) => {
                let (comes, pace, runs) = (Comes::Failure(Failure::Unsent), Pace::Instant, Runs::Never);
                *effect = Effect { comes, pace, runs };
                Duration::ZERO
            }
            Some(Fault::Status(error)) => {
                *effect = answers(error.get());
                Duration::ZERO
            }
        }
    }
}
