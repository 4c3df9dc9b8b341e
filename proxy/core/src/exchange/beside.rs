//! A second attempt beside a late one, and leaving an upstream that was just ejected. Only for what reads and can
//! be sent again: whoever loses such a race may have carried the request out.
//!
//! An attempt that could use up all that is left of the request's time gets half of it: then another one goes out
//! beside it, wherever hedging is switched off too. Ending it there instead would lose what is merely slow.

use super::straggler::Straggler;
use super::{Attempt, Exchange, Out, Phase};
use crate::classify::{Class, Repeat};
use crate::fhir_safety::Safety;
use crate::pool::{Pool, Rule};
use crate::retry;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use fastrand::Rng;

/// Who pays for a second attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purse {
    /// A probe borrowed the client's request, and there is one at a time.
    Nobody,
    /// The hedges' own budget.
    Hedges,
    /// The budget of retries: it is one, only that what it repeats has not ended.
    Retries,
}

impl Purse {
    /// None: nobody can pay.
    fn of(pool: &mut Pool, first: Out, last_call: Option<Timestamp>, now: Timestamp) -> Option<Self> {
        if first.choice.is_probe() || !pool.spec().keeps(Rule::HedgeBudget) {
            return Some(Self::Nobody);
        }
        if pool.spec().hedge.enabled && pool.hedge_budget().covers(now) {
            return Some(Self::Hedges);
        }
        let is_called = last_call.is_some_and(|at| at <= now);
        (is_called && pool.budget().covers(now)).then_some(Self::Retries)
    }

    fn pay(self, pool: &mut Pool, now: Timestamp) {
        let budget = match self {
            Self::Nobody => return,
            Self::Hedges => pool.hedge_budget(),
            Self::Retries => pool.budget(),
        };
        budget.withdraw(now);
    }
}

impl Exchange {
    /// The only attempt that is out is late ([`Attempt::hedge_at`]): the second one that goes out beside it.
    ///
    /// # Errors
    /// None goes out now; when to ask again, if ever.
    pub fn hedge(
        &mut self,
        pool: &mut Pool,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Result<Attempt, Option<Timestamp>> {
        let Phase::Attempting(first) = self.phase else { return Err(None) };
        if !self.may_be_hedged(pool) || now >= self.deadline {
            return Err(None);
        }
        let started = self.attempts.get(first.number).map_or(now, |attempt| attempt.started);
        let last_call = self.last_call(pool, started);
        let Some(purse) = Purse::of(pool, first, last_call, now) else {
            return Err(last_call.filter(|at| now < *at));
        };
        let wish = self.wish(pool);
        let choice = pool.choose_beside(wish, now, rng).ok_or(None)?;
        let passed = pool.passed(&wish, Some(&choice), now);
        purse.pay(pool, now);
        let second = self.goes_out((choice, passed), purse == Purse::Retries, true, now);
        self.phase = Phase::Racing(first, second);
        Ok(self.plan(pool, second, None, now))
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
        pool.settle(out.choice, self.outcome(out, Class::Moved, None), now, rng);
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
        let late = pool.hedge_delay(out.choice.is_probe()).map(|delay| now + delay);
        let at = late.into_iter().chain(self.last_call(pool, now)).min()?;
        (at < self.deadline).then_some(at)
    }

    /// When another upstream must be asked for its answer to come in time, while an attempt from `started` on is
    /// out: after half of what is left, but not before nearly every answer would have come. None where the attempt
    /// ends by itself before.
    fn last_call(&self, pool: &Pool, started: Timestamp) -> Option<Timestamp> {
        let half = started.until(self.deadline) / 2;
        if pool.spec().timeouts.attempt <= half || !pool.spec().keeps(Rule::LastCall) {
            return None;
        }
        let at = started + half.max(pool.usual_time());
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
