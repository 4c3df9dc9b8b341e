//! **The heart**: one request's life, with all its attempts.
//!
//! ```text
//!            .------------------ Verdict::Retry ------------------.
//!            v                                                    |
//!  open -> choose -> (attempt) -> failed / answered --------------'
//!                                    |
//!                                    +-> Verdict::Forward -> delivered / broke
//!                                    '-> Verdict::Refuse
//!  abandoned: from anywhere, when the client goes away          close -> Receipt
//! ```
//!
//! The adapter calls [`Exchange::choose`], does what it says, reports what happened, and obeys the
//! [`Verdict`]. There is one way back, and only this file takes it. Beside an attempt that is late a second one
//! may go out ([`Exchange::hedge`]); one whose upstream is ejected may leave it ([`Exchange::leave`]).

mod beside;
mod drilled;
mod failure;
mod plan;
mod signing;
mod straggler;

pub use failure::Failure;
pub use plan::{Attempt, Terms};
pub use straggler::{Came, Late, Straggler};

use crate::classify::{self, AnswerFacts, Class, Repeat};
use crate::drill::Met;
use crate::fhir_safety::Safety;
use crate::pool::{Choice, Passed, Pool, Rule};
use crate::receipt::{AttemptRecord, Attempts, End, Receipt};
use crate::retry::{self, Denial, RetryFacts};
use crate::time::Timestamp;
use crate::upstream::{DomainKey, UpstreamKey};
use crate::verdict::{Refusal, Verdict};
use fastrand::Rng;
use signing::Signing;
use std::time::Duration;

/// An attempt that is out.
#[derive(Clone, Copy, Debug)]
struct Out {
    number: usize,
    choice: Choice,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Between attempts.
    Choosing,
    /// One attempt is out.
    Attempting(Out),
    /// Two attempts are out: the first answer that would be forwarded wins.
    Racing(Out, Out),
    /// The answer's head went to the client, its body is on the way.
    Streaming(Out),
    /// Aorta has answered while attempts were out; their ends are booked when the exchange closes.
    Interrupted(Out, Option<Out>, Refusal),
    /// Nothing more will happen.
    Ended(End),
}

/// One request and its response, with all its attempts.
#[derive(Debug)]
pub struct Exchange {
    terms: Terms,
    opened: Timestamp,
    deadline: Timestamp,
    met: Met,
    phase: Phase,
    attempts: Attempts,
    /// The first upstream that may have carried it out, with its record store as it was known then.
    carried_out: Option<(UpstreamKey, Option<DomainKey>)>,
    moved_once: bool,
    next_is_paid: bool,
    signing: Signing,
    denial: Option<Denial>,
    straggler: Option<Straggler>,
    /// Why nobody was chosen, when that was so.
    passed: Passed,
}

impl Exchange {
    /// A request whose body has arrived and whose time now runs.
    #[must_use]
    pub fn open(terms: Terms, pool: &mut Pool, now: Timestamp) -> Self {
        pool.deposit(now);
        let own = now + pool.spec().timeouts.request;
        Self {
            terms,
            opened: now,
            met: Met::Nothing,
            deadline: terms.deadline.map_or(own, |asked| asked.min(own)),
            phase: Phase::Choosing,
            attempts: Attempts::default(),
            carried_out: None,
            moved_once: false,
            next_is_paid: false,
            signing: Signing::Accepted,
            denial: None,
            straggler: None,
            passed: Passed::default(),
        }
    }

    /// The attempts so far.
    #[must_use]
    pub const fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// Chooses the upstream of the next attempt.
    ///
    /// # Errors
    /// The refusal to answer with when nobody can be asked, or the request's time is up.
    pub fn choose(&mut self, pool: &mut Pool, now: Timestamp, rng: &mut Rng) -> Result<Attempt, Refusal> {
        if now >= self.deadline {
            let untried = self.attempts.is_empty();
            return Err(self.refuse(if untried { Refusal::DeadlinePassed } else { Refusal::TimedOut }));
        }
        self.draw(pool, now, rng);
        let wish = self.wish(pool);
        let choice = match self.phase {
            Phase::Choosing => pool.choose(wish, now, rng),
            _ => None,
        };
        let passed = pool.passed(&wish, choice.as_ref(), now);
        let Some(mut choice) = choice else {
            let nobody = match self.terms.page {
                _ if pool.lacks_room() => Refusal::Overloaded,
                Some(_) => Refusal::PageGone,
                None => Refusal::NoUpstream,
            };
            self.passed = passed;
            return Err(self.refuse(nobody));
        };
        self.meet(pool, &mut choice, now);
        let paid = std::mem::take(&mut self.next_is_paid);
        self.signing.goes_out();
        let out = self.goes_out((choice, passed), paid, false, now);
        self.phase = Phase::Attempting(out);
        let hedge_at = self.hedge_at(pool, out, now);
        Ok(self.plan(pool, out, hedge_at, now))
    }

    /// The attempt of this number brought no answer.
    pub fn failed(
        &mut self,
        pool: &mut Pool,
        number: usize,
        failure: Failure,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Verdict {
        let class = failure.class();
        let cut_short = self.was_cut_short(pool, number, class, now);
        let refusal = if cut_short { Refusal::TimedOut } else { failure.refusal() };
        if !self.settle(pool, number, class, None, now, rng) {
            return Verdict::Refuse(refusal);
        }
        if let Some(wait) = self.wait(pool, class, now) {
            return wait;
        }
        self.retry(pool, number, class, now, rng).unwrap_or_else(|| Verdict::Refuse(self.refuse(refusal)))
    }

    /// An answer to the attempt of this number came: whole, or as much of it as is held before it must stream.
    pub fn answered(
        &mut self,
        pool: &mut Pool,
        number: usize,
        (facts, whole): (&AnswerFacts, bool),
        now: Timestamp,
        rng: &mut Rng,
    ) -> Verdict {
        let class = classify::classify(pool.spec().dialect, facts);
        if class == Class::Answered && !whole {
            return self.stream(pool, number, now);
        }
        if !self.settle(pool, number, class, facts.retry_after, now, rng) {
            return Verdict::Refuse(Refusal::BadAnswer);
        }
        if class == Class::Answered {
            self.overtake(pool, now);
            return self.forward();
        }
        if let Some(wait) = self.wait(pool, class, now) {
            return wait;
        }
        if let Some(again) = self.retry(pool, number, class, now, rng) {
            return again;
        }
        // The last attempt forwards what the upstream said, unless what it said is a lie or not for clients.
        match class {
            _ if self.fault(number).is_some() => Verdict::Refuse(self.refuse(Refusal::Unreachable)),
            Class::LambdaFailed => Verdict::Refuse(self.refuse(Refusal::BadAnswer)),
            Class::RouteMissing => Verdict::Refuse(self.refuse(Refusal::UnknownAtGateway)),
            _ => self.forward(),
        }
    }

    /// This status may be the echo of an earlier attempt of the same write that was carried out and whose answer
    /// was lost (FHIR R4, "version-aware updates": a second try finds another version).
    #[must_use]
    pub fn needs_confirmation(&self, status: u16) -> bool {
        status == 412 && self.carried_out.is_some() && self.terms.safety == Safety::Idempotent
    }

    /// The rest of a streaming answer went to the client.
    pub fn delivered(&mut self, pool: &mut Pool, now: Timestamp, rng: &mut Rng) {
        if let Phase::Streaming(out) = self.phase {
            pool.settle(out.choice, self.outcome(out, Class::Answered, None), now, rng);
            self.phase = Phase::Ended(End::Delivered);
        }
    }

    /// A streaming answer broke off: the upstream's failure, and nothing can be repeated any more.
    pub fn broke(&mut self, pool: &mut Pool, now: Timestamp, rng: &mut Rng) {
        if let Phase::Streaming(out) = self.phase {
            pool.settle(out.choice, self.outcome(out, Class::Broken, None), now, rng);
            self.attempts.end(out.number, Class::Broken, now);
            self.denial = Some(Denial::ResponseStarted);
            self.phase = Phase::Ended(End::BrokeOff);
        }
    }

    /// The client went away, or failed to send its body: nobody else's fault.
    pub fn abandoned(&mut self, pool: &mut Pool, now: Timestamp, rng: &mut Rng) {
        let (outs, end) = match self.phase {
            Phase::Choosing => ([None, None], End::Abandoned),
            Phase::Attempting(out) | Phase::Streaming(out) => ([Some(out), None], End::Abandoned),
            Phase::Racing(out, other) => ([Some(out), Some(other)], End::Abandoned),
            Phase::Interrupted(out, other, refusal) => ([Some(out), other], End::Refused(refusal)),
            Phase::Ended(_) => return,
        };
        let was_judged = matches!(self.phase, Phase::Streaming(_));
        for out in outs.into_iter().flatten() {
            pool.settle(out.choice, self.outcome(out, Class::ClientFault, None), now, rng);
            if !was_judged {
                self.attempts.end(out.number, Class::ClientFault, now);
            }
        }
        self.phase = Phase::Ended(end);
    }

    /// Ends the exchange with an answer of Aorta's own that no attempt caused.
    pub fn refuse(&mut self, refusal: Refusal) -> Refusal {
        self.phase = match self.phase {
            Phase::Attempting(out) | Phase::Streaming(out) => Phase::Interrupted(out, None, refusal),
            Phase::Racing(out, other) => Phase::Interrupted(out, Some(other), refusal),
            Phase::Interrupted(out, other, _) => Phase::Interrupted(out, other, refusal),
            Phase::Choosing | Phase::Ended(_) => Phase::Ended(End::Refused(refusal)),
        };
        refusal
    }

    /// What happened; an exchange that is closed before it ended was abandoned.
    pub fn close(mut self, pool: &mut Pool, now: Timestamp, rng: &mut Rng) -> Receipt {
        self.abandoned(pool, now, rng);
        if let Some(straggler) = self.straggler.take() {
            straggler.end(Came::Nothing, pool, now, rng);
        }
        let end = match self.phase {
            Phase::Ended(end) => end,
            _ => End::Abandoned,
        };
        let receipt = Receipt { end, attempts: self.attempts, denial: self.denial, passed: self.passed };
        drilled::book((self.met, self.opened), &receipt, pool, now, rng);
        receipt
    }

    fn stream(&mut self, pool: &mut Pool, number: usize, now: Timestamp) -> Verdict {
        if let Some(out) = self.take(number) {
            self.attempts.end(number, Class::Answered, now);
            self.overtake(pool, now);
            self.phase = Phase::Streaming(Out { choice: pool.streams(out.choice, now), ..out });
        }
        Verdict::Forward
    }

    fn forward(&mut self) -> Verdict {
        self.phase = Phase::Ended(End::Delivered);
        Verdict::Forward
    }

    /// Takes an attempt that is out from among those that are.
    fn take(&mut self, number: usize) -> Option<Out> {
        let (out, left) = match self.phase {
            Phase::Attempting(out) => (out, Phase::Choosing),
            Phase::Racing(out, other) if out.number == number => (out, Phase::Attempting(other)),
            Phase::Racing(other, out) => (out, Phase::Attempting(other)),
            _ => return None,
        };
        let is_out = out.number == number;
        if is_out {
            self.phase = left;
        }
        is_out.then_some(out)
    }

    fn settle(
        &mut self,
        pool: &mut Pool,
        number: usize,
        class: Class,
        retry_after: Option<Duration>,
        now: Timestamp,
        rng: &mut Rng,
    ) -> bool {
        let Some(out) = self.take(number) else { return false };
        let choice = out.choice;
        let taught = if self.was_cut_short(pool, number, class, now) { Class::ClientFault } else { class };
        pool.settle(choice, self.outcome(out, taught, retry_after), now, rng);
        self.attempts.end(number, class, now);
        if self.as_sent(number, class).repeat() == Repeat::SafeOrIdempotent {
            self.carried_out.get_or_insert((choice.upstream, choice.store));
        }
        true
    }

    /// The upstream whose record store an unsure write must not leave.
    fn inside(&self, pool: &Pool) -> Option<DomainKey> {
        let stays = self.terms.safety != Safety::Safe && pool.spec().keeps(Rule::StayInDomain);
        self.carried_out.filter(|_| stays).and_then(|(_, store)| store)
    }

    /// A condition holds where it was judged: elsewhere a second create would be a second record.
    fn safety_now(&self, pool: &Pool) -> Safety {
        match (self.terms.safety, self.carried_out) {
            (Safety::Unsafe, _) if !pool.spec().keeps(Rule::SpareWrites) => Safety::Idempotent,
            (Safety::Conditional, Some((upstream, None))) if !pool.is_only(upstream) => Safety::Unsafe,
            (safety, _) => safety,
        }
    }

    fn retry(
        &mut self,
        pool: &mut Pool,
        number: usize,
        class: Class,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Option<Verdict> {
        let class = self.as_sent(number, class);
        let policy = pool.spec().retry;
        let others = match self.terms.page {
            Some(maker) => pool.has_untried_page(self.attempts.upstreams(), maker),
            None => pool.has_untried(self.attempts.upstreams(), self.inside(pool)),
        };
        let failures = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        let anew = self.signed_anew(pool, number, class);
        let moves = matches!(class, Class::Unsent | Class::Unprocessed) && others;
        let at_once = moves || anew.is_some();
        let not_before = if at_once { now } else { now + policy.backoff.wait(failures, rng) };
        let facts = RetryFacts {
            class,
            safety: self.safety_now(pool),
            replayable: self.terms.replayable,
            attempts: self.attempts.len(),
            ambiguous: self.carried_out.is_some() && pool.spec().keeps(Rule::CapUnsure),
            moved_once: self.moved_once,
            others,
            resigns: anew.is_some(),
            not_before,
            deadline: self.deadline,
        };
        let left_freely = |last: &AttemptRecord| pool.is_left_freely(last.upstream, last.started);
        let paid = self.is_paid(number);
        // To ask those again that took nothing is a retry like any other.
        let took_nothing = class == Class::Unsent || (class == Class::Unprocessed && others);
        let free = !paid && (took_nothing || self.attempts.get(number).is_some_and(left_freely));
        let covered = |pool: &mut Pool| free || paid || pool.budget().withdraw(now);
        // Whom an operator has drained is not asked once more either.
        let nobody = !others && !pool.has_anybody(self.inside(pool), self.terms.page);
        let allowed = if nobody { Err(Denial::NoOtherUpstream) } else { retry::allowed(&policy, &facts) };
        match allowed.and_then(|()| if covered(pool) { Ok(()) } else { Err(Denial::Budget) }) {
            Ok(()) => {
                let is_one_move = class.repeat() == Repeat::AnyOnce;
                self.moved_once |= is_one_move && pool.spec().keeps(Rule::MoveOnce);
                self.next_is_paid = !free;
                self.signing = anew.map_or(self.signing, Signing::Anew);
                Some(Verdict::Retry { not_before })
            }
            Err(denial) => {
                let was_thought_of = !matches!(class.repeat(), Repeat::Never | Repeat::Resigned);
                if was_thought_of || anew.is_some() {
                    self.denial = Some(denial);
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
