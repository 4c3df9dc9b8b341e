//! What goes into an exchange, and what it asks of the adapter.

use super::{Exchange, Out};
use crate::chronicle::Heard;
use crate::classify::Class;
use crate::drill::Fault;
use crate::fhir_safety::Safety;
use crate::pool::{Choice, Outcome, Passed, Pool, Wish};
use crate::receipt::AttemptRecord;
use crate::time::Timestamp;
use crate::upstream::UpstreamKey;
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
    pub page: Option<UpstreamKey>,
}

/// The next thing to do: one try at one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// At which upstream of the pool.
    pub upstream: UpstreamKey,
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
    /// A drill wants this done to it, before anything is sent.
    pub fault: Option<Fault>,
    /// If no answer has come by then, [`Exchange::hedge`] is to be asked; none: it never is.
    ///
    /// [`Exchange::hedge`]: super::Exchange::hedge
    pub hedge_at: Option<Timestamp>,
    /// When its upstream is ejected, [`Exchange::leave`] is to be asked.
    ///
    /// [`Exchange::leave`]: super::Exchange::leave
    pub may_leave: bool,
}

impl Exchange {
    /// What was answered to the attempt of this number, before [`Exchange::answered`] judges it: for people who ask,
    /// never for decisions.
    pub fn hears(&mut self, number: usize, heard: Heard) {
        self.attempts.hear(number, heard);
    }

    /// What is booked of the end of an attempt.
    pub(super) fn outcome(&self, out: Out, class: Class, retry_after: Option<Duration>) -> Outcome {
        let Terms { safety, client, .. } = self.terms;
        let heard = self.attempts.get(out.number).and_then(|attempt| attempt.heard);
        Outcome { class, retry_after, client, wrote: safety != Safety::Safe, heard }
    }

    pub(super) fn wish(&self, pool: &Pool) -> Wish<'_> {
        let reads = self.terms.safety == Safety::Safe;
        Wish {
            tried: self.attempts.upstreams(),
            may_probe: reads && self.terms.replayable,
            key: self.terms.key,
            inside: self.inside(pool),
            reader: reads.then_some(self.terms.client),
            page: self.terms.page,
            avoid: self.avoids(),
            again_at: self.signing.again_at(),
        }
    }

    pub(super) fn goes_out(
        &mut self,
        (choice, passed): (Choice, Passed),
        paid: bool,
        hedge: bool,
        now: Timestamp,
    ) -> Out {
        self.attempts.push(AttemptRecord {
            upstream: choice.upstream,
            tier: choice.tier,
            class: Class::default(),
            started: now,
            ended: now,
            paid,
            hedge,
            drilled: self.fault(self.attempts.len() + 1).is_some(),
            heard: None,
            passed,
        });
        Out { number: self.attempts.len(), choice }
    }

    pub(super) fn plan(&self, pool: &Pool, out: Out, hedge_at: Option<Timestamp>, now: Timestamp) -> Attempt {
        let timeouts = pool.spec().timeouts;
        Attempt {
            upstream: out.choice.upstream,
            number: out.number,
            deadline: timeouts.attempt_deadline(now, self.deadline),
            request_deadline: self.deadline,
            connect: timeouts.connect,
            probe: out.choice.is_probe(),
            fault: self.fault(out.number),
            hedge_at,
            may_leave: self.may_leave(),
        }
    }
}
