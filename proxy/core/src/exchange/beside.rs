//! A second attempt beside a late one, and leaving an upstream that was just ejected. Only for what reads and can
//! be sent again: whoever loses such a race may have carried the request out.

use super::straggler::Straggler;
use super::{Attempt, Exchange, Out, Phase};
use crate::classify::{Class, Repeat};
use crate::fhir_safety::Safety;
use crate::pool::{Pool, Rule};
use crate::retry;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use fastrand::Rng;

impl Exchange {
    /// The only attempt that is out is late ([`Attempt::hedge_at`]): the second one that goes out beside it, or
    /// none. It pays from the hedges' own budget, but for a probe: that borrowed the client's request, and there
    /// is one at a time.
    pub fn hedge(&mut self, pool: &mut Pool, now: Timestamp, rng: &mut Rng) -> Option<Attempt> {
        let Phase::Attempting(first) = self.phase else { return None };
        if !self.may_be_hedged(pool) || now >= self.deadline {
            return None;
        }
        let free = first.choice.is_probe() || !pool.spec().keeps(Rule::HedgeBudget);
        let paid = free || (pool.spec().hedge.enabled && pool.hedge_budget().covers(now));
        if !paid {
            return None;
        }
        let wish = self.wish(pool);
        let choice = pool.choose_beside(wish, now, rng)?;
        let passed = pool.passed(&wish, Some(&choice), now);
        if !free {
            pool.hedge_budget().withdraw(now);
        }
        let second = self.goes_out((choice, passed), false, true, now);
        self.phase = Phase::Racing(first, second);
        Some(self.plan(pool, second, None, now))
    }

    /// The upstream of the only attempt that is out was ejected: true when the request gives that attempt up, to
    /// choose again at once. It amplifies nothing, so it costs no budget (design rule 3).
    pub fn leave(&mut self, pool: &mut Pool, now: Timestamp, rng: &mut Rng) -> bool {
        let Phase::Attempting(out) = self.phase else { return false };
        let may = self.may_leave() && self.has_attempts_left(pool) && now < self.deadline;
        if !may || !pool.spec().keeps(Rule::LeaveAtOnce) || !pool.is_better_left(out.choice, self.terms.page)
        {
            return false;
        }
        pool.settle(out.choice, self.outcome(Class::Moved, None), now, rng);
        self.attempts.end(out.number, Class::Moved, now);
        self.phase = Phase::Choosing;
        true
    }

    /// The attempt that lost the race, once, for whoever lets it run on.
    pub const fn take_straggler(&mut self) -> Option<Straggler> {
        self.straggler.take()
    }

    /// When a second attempt is to be thought of, while this one is out.
    pub(super) fn hedge_at(&self, pool: &Pool, out: Out, now: Timestamp) -> Option<Timestamp> {
        if !self.may_be_hedged(pool) {
            return None;
        }
        let at = now + pool.hedge_delay(out.choice.is_probe())?;
        (at < self.deadline).then_some(at)
    }

    /// One of two attempts came to nothing: the other one is waited for.
    pub(super) fn wait(&mut self, pool: &Pool, class: Class, now: Timestamp) -> Option<Verdict> {
        let Phase::Attempting(other) = self.phase else { return None };
        // The other one is the one move that such a refusal allows.
        self.moved_once |= class.repeat() == Repeat::AnyOnce;
        Some(Verdict::Wait { hedge_at: self.hedge_at(pool, other, now) })
    }

    /// An answer won: what is still out lost.
    pub(super) fn overtake(&mut self, pool: &Pool, now: Timestamp) {
        let Phase::Attempting(Out { number, choice }) = self.phase else { return };
        let Some(started) = self.attempts.get(number).map(|attempt| attempt.started) else { return };
        let deadline = pool.spec().timeouts.attempt_deadline(started, self.deadline);
        let cut_short = self.was_cut_short(pool, number, Class::TimedOut, deadline);
        self.attempts.end(number, Class::Overtaken, now);
        // A probed upstream may be cold: only silence to the end is held against it.
        let until = match () {
            () if choice.is_probe() => deadline,
            () if pool.spec().keeps(Rule::LosersRunOn) => {
                (started + pool.patience(choice.upstream, now)).max(now)
            }
            () => now,
        };
        self.straggler = Some(Straggler {
            choice,
            started,
            until: until.min(deadline),
            silence: match () {
                () if until < deadline => Class::Slow,
                () if cut_short => Class::ClientFault,
                () => Class::TimedOut,
            },
            client: self.terms.client,
        });
    }

    /// It only reads, and can be sent again.
    pub(super) fn may_leave(&self) -> bool {
        self.terms.safety == Safety::Safe && self.terms.replayable
    }

    fn may_be_hedged(&self, pool: &Pool) -> bool {
        let reads = self.terms.safety == Safety::Safe || !pool.spec().keeps(Rule::HedgeReads);
        reads && self.terms.replayable && self.has_attempts_left(pool)
    }

    fn has_attempts_left(&self, pool: &Pool) -> bool {
        let max = usize::from(pool.spec().retry.attempts_max.get()).min(retry::ATTEMPTS_CEILING);
        self.attempts.len() < max
    }
}
