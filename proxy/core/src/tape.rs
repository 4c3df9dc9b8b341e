//! A tape: everything that was asked of a pool, in order, with what it said. The same questions at the same moments,
//! with the same dice, come to the same decisions: [`Replay`] asks them again.
//!
//! Who records names the [`Question`] beside each decision, and writes the answer down as [`told`]. How a tape is
//! written and read is the adapter's.

use crate::check::CheckResult;
use crate::classify::AnswerFacts;
use crate::exchange::{Came, Exchange, Failure, Straggler, Terms};
use crate::pool::{CheckOut, Pool, PoolEvent, PoolSpec};
use crate::time::Timestamp;
use crate::upstream::UpstreamKey;
use crate::verdict::Refusal;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

/// One question to the core. Its moment, its pool and the number of its exchange stand beside it.
#[derive(Clone, Copy, Debug)]
pub enum Question {
    /// [`Exchange::open`].
    Open(Terms),
    /// [`Exchange::choose`].
    Choose,
    /// [`Exchange::failed`]: the attempt's number, and how.
    Failed(usize, Failure),
    /// [`Exchange::answered`]: the attempt's number, the answer, and whether it was whole.
    Answered(usize, AnswerFacts, bool),
    /// [`Exchange::hedge`].
    Hedge,
    /// [`Exchange::leave`].
    Leave,
    /// [`Exchange::delivered`].
    Delivered,
    /// [`Exchange::broke`].
    Broke,
    /// [`Exchange::abandoned`].
    Abandoned,
    /// [`Exchange::refuse`].
    Refuse(Refusal),
    /// [`Exchange::close`].
    Close,
    /// [`Straggler::end`]: what came, if anything did.
    Late(Option<Result<AnswerFacts, Failure>>),
    /// [`Pool::begin_check`] of this upstream.
    BeginCheck(UpstreamKey),
    /// [`Pool::checked`]: of this upstream, and what was found.
    Checked(UpstreamKey, CheckResult),
    /// [`Pool::verified`]: of this upstream, and what was found.
    Verified(UpstreamKey, CheckResult),
}

/// What a decision said, in one line that can be compared.
#[must_use]
pub fn told(answer: &impl Debug, events: &[PoolEvent]) -> String {
    if events.is_empty() { format!("{answer:?}") } else { format!("{answer:?} {events:?}") }
}

/// A pool that is asked anew what was recorded.
#[derive(Debug)]
pub struct Replay {
    pool: Pool,
    rng: Rng,
    /// Those that are open, by their numbers.
    exchanges: BTreeMap<u64, Exchange>,
    /// Attempts that lost a race and have not ended, by their exchange's number.
    stragglers: BTreeMap<u64, Straggler>,
    /// Checks that are out, by upstream.
    checks: BTreeMap<UpstreamKey, CheckOut>,
}

impl Replay {
    /// A pool as it was when the recording began.
    #[must_use]
    pub fn new(spec: Arc<PoolSpec>, seed: u64, began: Timestamp) -> Self {
        Self {
            pool: Pool::new(spec, began),
            rng: Rng::with_seed(seed),
            exchanges: BTreeMap::new(),
            stragglers: BTreeMap::new(),
            checks: BTreeMap::new(),
        }
    }

    /// Asks a question again and tells what the pool says; none when it belongs to nothing that was begun.
    pub fn ask(&mut self, exchange: u64, question: Question, now: Timestamp) -> Option<String> {
        let answer = match question {
            Question::Open(terms) => {
                self.exchanges.insert(exchange, Exchange::open(terms, &mut self.pool, now));
                told(&(), &[])
            }
            Question::Close => self.close(exchange, now)?,
            Question::Late(came) => self.late(exchange, came, now)?,
            Question::BeginCheck(upstream) => {
                let out = self.pool.begin_check(upstream);
                out.map(|out| self.checks.insert(upstream, out));
                told(&out, &[])
            }
            Question::Checked(upstream, result) => {
                let out = self.checks.remove(&upstream)?;
                self.pool.checked(out, result, now, &mut self.rng);
                told(&(), &[])
            }
            Question::Verified(upstream, result) => {
                self.pool.verified(upstream, result, now, &mut self.rng);
                told(&(), &[])
            }
            of_an_attempt => self.step(exchange, of_an_attempt, now)?,
        };
        let events = self.pool.take_events();
        Some(if events.is_empty() { answer } else { format!("{answer} {events:?}") })
    }

    fn step(&mut self, exchange: u64, question: Question, now: Timestamp) -> Option<String> {
        let Self { pool, rng, exchanges, .. } = self;
        let open = exchanges.get_mut(&exchange)?;
        Some(match question {
            Question::Choose => told(&open.choose(pool, now, rng), &[]),
            Question::Failed(number, failure) => told(&open.failed(pool, number, failure, now, rng), &[]),
            Question::Answered(number, facts, whole) => {
                told(&open.answered(pool, number, (&facts, whole), now, rng), &[])
            }
            Question::Hedge => told(&open.hedge(pool, now, rng), &[]),
            Question::Leave => told(&open.leave(pool, now, rng), &[]),
            Question::Delivered => told(&open.delivered(pool, now, rng), &[]),
            Question::Broke => told(&open.broke(pool, now, rng), &[]),
            Question::Abandoned => told(&open.abandoned(pool, now, rng), &[]),
            Question::Refuse(refusal) => told(&open.refuse(refusal), &[]),
            _ => return None,
        })
    }

    /// A loser may outlive its exchange: then it was taken before that closed.
    fn close(&mut self, exchange: u64, now: Timestamp) -> Option<String> {
        let mut open = self.exchanges.remove(&exchange)?;
        if let Some(straggler) = open.take_straggler() {
            self.stragglers.insert(exchange, straggler);
        }
        Some(told(&open.close(&mut self.pool, now, &mut self.rng), &[]))
    }

    fn late(
        &mut self,
        exchange: u64,
        came: Option<Result<AnswerFacts, Failure>>,
        now: Timestamp,
    ) -> Option<String> {
        let open = self.exchanges.get_mut(&exchange);
        let straggler = open.and_then(Exchange::take_straggler);
        let straggler = straggler.or_else(|| self.stragglers.remove(&exchange))?;
        let came = match &came {
            Some(Ok(facts)) => Came::Answer(facts),
            Some(Err(failure)) => Came::Failed(*failure),
            None => Came::Nothing,
        };
        Some(told(&straggler.end(came, &mut self.pool, now, &mut self.rng), &[]))
    }
}
