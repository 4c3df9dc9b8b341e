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
//! [`Verdict`]. There is one way back, and only this file takes it.

mod failure;

pub use failure::Failure;

use crate::classify::{self, AnswerFacts, Class, Repeat};
use crate::fhir_safety::Safety;
use crate::pool::{Choice, Outcome, Pool, Rule, Tier, Wish};
use crate::receipt::{AttemptRecord, Attempts, End, Receipt};
use crate::retry::{self, Denial, RetryFacts};
use crate::time::Timestamp;
use crate::verdict::{Refusal, Verdict};
use fastrand::Rng;
use std::time::Duration;

/// What is known of a request when its first attempt begins.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What repeating it would do.
    pub safety: Safety,
    /// A hash of who the client is: only for telling one client from another.
    pub client: u64,
    /// What a hashing policy of the pool hashes it by; none when it has no such thing.
    pub key: Option<u64>,
    /// The whole request body is in memory.
    pub replayable: bool,
    /// When the client itself gives up; none when it did not say. It can only shorten the pool's time.
    pub deadline: Option<Timestamp>,
    /// It follows a link that this upstream made, so only those who know the page are asked.
    pub page: Option<usize>,
}

/// The next thing to do: one try at one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Index of the upstream in its pool.
    pub upstream: usize,
    /// One for the first.
    pub number: usize,
    /// The moment it must be judged.
    pub deadline: Timestamp,
    /// The end of the whole request's time.
    pub request_deadline: Timestamp,
    /// The longest its connection may take to stand.
    pub connect: Duration,
    /// It borrows the request to find out whether an ejected upstream is back.
    pub probe: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Between attempts.
    Choosing,
    /// One attempt is out.
    Attempting(Choice),
    /// The answer's head went to the client, its body is on the way.
    Streaming(Choice),
    /// Aorta has answered while an attempt was out; its end is booked when the exchange closes.
    Interrupted(Choice, Refusal),
    /// Nothing more will happen.
    Ended(End),
}

/// One request and its response, with all its attempts.
#[derive(Debug)]
pub struct Exchange {
    terms: Terms,
    deadline: Timestamp,
    phase: Phase,
    attempts: Attempts,
    /// The first upstream that may have carried it out.
    carried_out: Option<usize>,
    moved_once: bool,
    next_is_paid: bool,
    denial: Option<Denial>,
}

impl Exchange {
    /// A request whose body has arrived and whose time now runs.
    #[must_use]
    pub fn open(terms: Terms, pool: &mut Pool, now: Timestamp) -> Self {
        pool.budget().deposit(now);
        let own = now + pool.spec().timeouts.request;
        Self {
            terms,
            deadline: terms.deadline.map_or(own, |asked| asked.min(own)),
            phase: Phase::Choosing,
            attempts: Attempts::default(),
            carried_out: None,
            moved_once: false,
            next_is_paid: false,
            denial: None,
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
        let reads = self.terms.safety == Safety::Safe;
        let wish = Wish {
            tried: self.attempts.upstreams(),
            may_probe: reads && self.terms.replayable,
            key: self.terms.key,
            inside: self.inside(pool),
            reader: reads.then_some(self.terms.client),
            page: self.terms.page,
        };
        let choice = match self.phase {
            Phase::Choosing => pool.choose(wish, now, rng),
            _ => None,
        };
        let nobody = match self.terms.page {
            _ if pool.lacks_room() => Refusal::Overloaded,
            Some(_) => Refusal::PageGone,
            None => Refusal::NoUpstream,
        };
        let Some(choice) = choice else { return Err(self.refuse(nobody)) };
        self.phase = Phase::Attempting(choice);
        self.attempts.push(AttemptRecord {
            upstream: choice.upstream,
            tier: choice.tier,
            class: Class::default(),
            started: now,
            ended: now,
            paid: std::mem::take(&mut self.next_is_paid),
        });
        let timeouts = pool.spec().timeouts;
        Ok(Attempt {
            upstream: choice.upstream,
            number: self.attempts.len(),
            deadline: timeouts.attempt_deadline(now, self.deadline),
            request_deadline: self.deadline,
            connect: timeouts.connect,
            probe: choice.tier == Tier::Probe,
        })
    }

    /// The attempt brought no answer.
    pub fn failed(&mut self, pool: &mut Pool, failure: Failure, now: Timestamp, rng: &mut Rng) -> Verdict {
        let cut_short = self.was_cut_short(pool, failure.class(), now);
        let refusal = if cut_short { Refusal::TimedOut } else { failure.refusal() };
        if !self.settle(pool, failure.class(), None, now, rng) {
            return Verdict::Refuse(refusal);
        }
        self.retry(pool, failure.class(), now, rng).unwrap_or_else(|| Verdict::Refuse(self.refuse(refusal)))
    }

    /// An answer came: whole, or as much of it as is held before it must stream.
    pub fn answered(
        &mut self,
        pool: &mut Pool,
        facts: &AnswerFacts,
        whole: bool,
        now: Timestamp,
        rng: &mut Rng,
    ) -> Verdict {
        let class = classify::classify(pool.spec().dialect, facts);
        if class == Class::Answered && !whole {
            return self.stream(pool, now);
        }
        if !self.settle(pool, class, facts.retry_after, now, rng) {
            return Verdict::Refuse(Refusal::BadAnswer);
        }
        if class == Class::Answered {
            return self.forward();
        }
        if let Some(again) = self.retry(pool, class, now, rng) {
            return again;
        }
        // The last attempt forwards what the upstream said, unless what it said is a lie or not for clients.
        match class {
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
        if let Phase::Streaming(choice) = self.phase {
            pool.settle(choice, self.outcome(Class::Answered, None), now, rng);
            self.phase = Phase::Ended(End::Delivered);
        }
    }

    /// A streaming answer broke off: the upstream's failure, and nothing can be repeated any more.
    pub fn broke(&mut self, pool: &mut Pool, now: Timestamp, rng: &mut Rng) {
        if let Phase::Streaming(choice) = self.phase {
            pool.settle(choice, self.outcome(Class::Broken, None), now, rng);
            self.attempts.end_last(Class::Broken, now);
            self.denial = Some(Denial::ResponseStarted);
            self.phase = Phase::Ended(End::BrokeOff);
        }
    }

    /// The client went away, or failed to send its body: nobody else's fault.
    pub fn abandoned(&mut self, pool: &mut Pool, now: Timestamp, rng: &mut Rng) {
        match self.phase {
            Phase::Attempting(choice) => {
                pool.settle(choice, self.outcome(Class::ClientFault, None), now, rng);
                self.attempts.end_last(Class::ClientFault, now);
            }
            Phase::Streaming(choice) => {
                pool.settle(choice, self.outcome(Class::ClientFault, None), now, rng);
            }
            Phase::Interrupted(choice, refusal) => {
                pool.settle(choice, self.outcome(Class::ClientFault, None), now, rng);
                self.attempts.end_last(Class::ClientFault, now);
                self.phase = Phase::Ended(End::Refused(refusal));
                return;
            }
            Phase::Choosing => {}
            Phase::Ended(_) => return,
        }
        self.phase = Phase::Ended(End::Abandoned);
    }

    /// Ends the exchange with an answer of Aorta's own that no attempt caused.
    pub fn refuse(&mut self, refusal: Refusal) -> Refusal {
        self.phase = match self.phase {
            Phase::Attempting(choice) | Phase::Streaming(choice) | Phase::Interrupted(choice, _) => {
                Phase::Interrupted(choice, refusal)
            }
            Phase::Choosing | Phase::Ended(_) => Phase::Ended(End::Refused(refusal)),
        };
        refusal
    }

    /// What happened; an exchange that is closed before it ended was abandoned.
    pub fn close(mut self, pool: &mut Pool, now: Timestamp, rng: &mut Rng) -> Receipt {
        self.abandoned(pool, now, rng);
        let end = match self.phase {
            Phase::Ended(end) => end,
            _ => End::Abandoned,
        };
        Receipt { end, attempts: self.attempts, denial: self.denial }
    }

    fn stream(&mut self, pool: &mut Pool, now: Timestamp) -> Verdict {
        if let Phase::Attempting(choice) = self.phase {
            self.attempts.end_last(Class::Answered, now);
            self.phase = Phase::Streaming(pool.streams(choice, now));
        }
        Verdict::Forward
    }

    fn forward(&mut self) -> Verdict {
        self.phase = Phase::Ended(End::Delivered);
        Verdict::Forward
    }

    fn settle(
        &mut self,
        pool: &mut Pool,
        class: Class,
        retry_after: Option<Duration>,
        now: Timestamp,
        rng: &mut Rng,
    ) -> bool {
        let Phase::Attempting(choice) = self.phase else { return false };
        let taught = if self.was_cut_short(pool, class, now) { Class::ClientFault } else { class };
        pool.settle(choice, self.outcome(taught, retry_after), now, rng);
        self.attempts.end_last(class, now);
        self.phase = Phase::Choosing;
        if class.repeat() == Repeat::SafeOrIdempotent {
            self.carried_out.get_or_insert(choice.upstream);
        }
        true
    }

    /// The request's own end came before the attempt had its due: its silence says nothing about its upstream.
    fn was_cut_short(&self, pool: &Pool, class: Class, now: Timestamp) -> bool {
        let timeouts = pool.spec().timeouts;
        let Some(last) = self.attempts.last().filter(|_| pool.spec().keeps(Rule::BlameNoHaste)) else {
            return false;
        };
        let had = last.started.until(self.deadline);
        let hurried = self.terms.deadline == Some(self.deadline);
        match class {
            Class::Unsent => now >= self.deadline && had < timeouts.connect,
            // The client's upload used up the time, and how much of it cannot be told from here.
            Class::TimedOut if hurried && !self.terms.replayable => now >= self.deadline,
            Class::TimedOut if hurried => had < timeouts.attempt.min(timeouts.request),
            // Half of it is enough where earlier attempts used up the request's time.
            Class::TimedOut => had < timeouts.attempt.min(timeouts.request) / 2,
            _ => false,
        }
    }

    /// The upstream whose record store an unsure write must not leave.
    fn inside(&self, pool: &Pool) -> Option<usize> {
        let stays = self.terms.safety != Safety::Safe && pool.spec().keeps(Rule::StayInDomain);
        self.carried_out.filter(|_| stays)
    }

    /// A condition holds where it was judged: elsewhere a second create would be a second record.
    fn safety_now(&self, pool: &Pool) -> Safety {
        match (self.terms.safety, self.carried_out) {
            (Safety::Unsafe, _) if !pool.spec().keeps(Rule::SpareWrites) => Safety::Idempotent,
            (Safety::Conditional, Some(upstream)) if !pool.knows_store(upstream) => Safety::Unsafe,
            (safety, _) => safety,
        }
    }

    fn outcome(&self, class: Class, retry_after: Option<Duration>) -> Outcome {
        let Terms { safety, client, .. } = self.terms;
        Outcome { class, retry_after, client, wrote: safety != Safety::Safe }
    }

    fn retry(&mut self, pool: &mut Pool, class: Class, now: Timestamp, rng: &mut Rng) -> Option<Verdict> {
        let policy = pool.spec().retry;
        let others = match self.terms.page {
            Some(maker) => pool.has_untried_page(self.attempts.upstreams(), maker),
            None => pool.has_untried(self.attempts.upstreams(), self.inside(pool)),
        };
        let failures = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        let not_before =
            if class == Class::Unsent && others { now } else { now + policy.backoff.wait(failures, rng) };
        let facts = RetryFacts {
            class,
            safety: self.safety_now(pool),
            replayable: self.terms.replayable,
            attempts: self.attempts.len(),
            ambiguous: self.carried_out.is_some(),
            moved_once: self.moved_once,
            others,
            not_before,
            deadline: self.deadline,
        };
        let left_freely = |last: &AttemptRecord| pool.is_left_freely(last.upstream, last.started);
        let free = class == Class::Unsent || self.attempts.last().is_some_and(left_freely);
        let verdict = retry::allowed(&policy, &facts)
            .and_then(|()| if free || pool.budget().withdraw(now) { Ok(()) } else { Err(Denial::Budget) });
        match verdict {
            Ok(()) => {
                let is_one_move = class.repeat() == Repeat::AnyOnce;
                self.moved_once |= is_one_move && pool.spec().keeps(Rule::MoveOnce);
                self.next_is_paid = !free;
                Some(Verdict::Retry { not_before })
            }
            Err(denial) => {
                if class.repeat() != Repeat::Never {
                    self.denial = Some(denial);
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
