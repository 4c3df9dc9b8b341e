//! The attempt loop: asks the core whom to try, tries, reports, and obeys.
//!
//! It runs on Pingora's upstream connector and not on Pingora's proxy path, because an answer must be held
//! until it is judged, and an attempt must end exactly at its deadline.

mod answer;
mod attempt;
mod commit;
mod confirm;
mod connect;
mod drill;
mod hedge;
mod outlet;
mod own;
mod request;

pub use own::{OwnAnswer, own_request};
pub use request::{Origin, Outgoing};

use crate::clock;
use crate::downstream::Downstream;
use crate::intake::Body;
use crate::links::ClientSide;
use crate::record::Visit;
use crate::service::Proxy;
use crate::shape;
use crate::sign::Signer;
use crate::snapshot::LivePool;
use crate::trace::Trace;
use crate::translate;
use answer::Answer;
use aorta_core::classify::{AnswerFacts, BodyFacts};
use aorta_core::exchange::{Attempt, Exchange, Failure, Terms};
use aorta_core::fhir_safety::Errand;
use aorta_core::pool::Pool;
use aorta_core::receipt::Receipt;
use aorta_core::tape::Question;
use aorta_core::time::Timestamp;
use aorta_core::verdict::{Refusal, Verdict};
use attempt::Ended;
use commit::Delivery;
use fastrand::Rng;
use std::fmt::Debug;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

/// What the attempts of one request work with.
pub struct Call<'a> {
    /// The process.
    pub proxy: &'a Arc<Proxy>,
    /// The pool that serves the route.
    pub pool: &'a Arc<LivePool>,
    /// The request as it is to go out.
    pub outgoing: &'a Outgoing,
    /// What repeating it would do, and for whom.
    pub terms: Terms,
    /// The client expects FHIR.
    pub fhir_expected: bool,
    /// What it is sent for.
    pub errand: Errand,
    /// The base that the client knows.
    pub client: ClientSide<'a>,
    /// The trace it belongs to.
    pub trace: Trace,
}

/// How the loop ended.
pub struct Served {
    /// What happened; in a box, because it passes through many hands.
    pub receipt: Box<Receipt>,
    /// Nothing was sent to the client; this is to be.
    pub refusal: Option<Refusal>,
    /// The client's connection is in a state that can be used again.
    pub reusable: bool,
}

enum Step {
    Done,
    Broken,
    Again,
    Refuse(Refusal),
}

/// An answer that belongs to the client.
struct Won {
    plan: Attempt,
    answer: Answer,
    facts: AnswerFacts,
}

/// Why one attempt, or two that raced, brought no answer for the client.
enum Unanswered {
    /// The core says what follows.
    Told(Verdict),
    /// The upstream was ejected, and the request left it.
    Left,
    Refused(Refusal),
    ClientGone,
}

/// Serves one request.
pub async fn run(call: &Call<'_>, session: &mut Downstream, body: &mut Body, visit: &mut Visit) -> Served {
    let mut open = Open::new(call);
    let (refusal, reusable) = loop {
        match step(call, &mut open, session, body, visit).await {
            Step::Again => {}
            Step::Done => break (None, true),
            Step::Broken => break (None, false),
            Step::Refuse(refusal) => break (Some(refusal), body.whole),
        }
    };
    Served { receipt: open.close(), refusal, reusable }
}

/// One attempt, from the choice to what its outcome leads to.
async fn step(
    call: &Call<'_>,
    open: &mut Open<'_>,
    session: &mut Downstream,
    body: &mut Body,
    visit: &mut Visit,
) -> Step {
    if let Some(signer) = open.refused_signer.take() {
        signer.renew().await;
    }
    let plan = match open.report(Question::Choose, Exchange::choose) {
        Ok(plan) => plan,
        Err(refusal) => return Step::Refuse(refusal),
    };
    visit.attempted(plan.upstream, plan.number);
    // A future of its own, so that the ordinary path does not carry its size.
    let turn = if plan.hedge_at.is_some() {
        Box::pin(hedge::race(call, open, session, body, plan, visit)).await
    } else {
        alone(call, open, session, body, plan, visit).await
    };
    match turn {
        Ok(won) => deliver(call, open, session, won, body, visit).await,
        Err(Unanswered::Told(verdict)) => obey(verdict, session, body).await,
        Err(Unanswered::Left) => Step::Again,
        Err(Unanswered::Refused(refusal)) => Step::Refuse(open.refuse(refusal)),
        Err(Unanswered::ClientGone) => {
            open.report(Question::Abandoned, Exchange::abandoned);
            Step::Broken
        }
    }
}

/// One attempt beside which no other goes out.
async fn alone(
    call: &Call<'_>,
    open: &mut Open<'_>,
    session: &mut Downstream,
    body: &mut Body,
    plan: Attempt,
    visit: &mut Visit,
) -> Result<Won, Unanswered> {
    match attempt::attempt(call, &plan, session, body, open).await {
        Err(Ended::ClientGone) => Err(Unanswered::ClientGone),
        Err(Ended::Client(refusal)) => Err(Unanswered::Refused(refusal)),
        Err(Ended::Left) => Err(Unanswered::Left),
        Err(Ended::Failed(failure)) => Err(Unanswered::Told(open.failed(plan.number, failure))),
        Ok(answer) => open.answered(call, plan, answer, visit),
    }
}

async fn deliver(
    call: &Call<'_>,
    open: &mut Open<'_>,
    session: &mut Downstream,
    Won { plan, answer, facts }: Won,
    body: &mut Body,
    visit: &mut Visit,
) -> Step {
    let status = match facts.body {
        BodyFacts::Envelope { status } if call.pool.config.unwrap_envelope => status,
        _ => facts.status,
    };
    let answer = if open.exchange().needs_confirmation(status) {
        Box::pin(confirm::confirm(call, &plan, &body.held)).await.unwrap_or(answer)
    } else {
        answer
    };
    body.let_go();
    match commit::deliver(call, session, answer, &facts, visit).await {
        Delivery::Done => {
            open.report(Question::Delivered, Exchange::delivered);
            Step::Done
        }
        Delivery::UpstreamBroke => {
            open.report(Question::Broke, Exchange::broke);
            Step::Broken
        }
        Delivery::ClientGone => {
            open.report(Question::Abandoned, Exchange::abandoned);
            Step::Broken
        }
    }
}

async fn obey(verdict: Verdict, session: &mut Downstream, body: &Body) -> Step {
    match verdict {
        Verdict::Refuse(refusal) => Step::Refuse(refusal),
        // Nothing else is out when an attempt alone is judged, and a race waits by itself.
        Verdict::Forward | Verdict::Wait { .. } => Step::Done,
        Verdict::Retry { not_before } if not_before <= clock::now() => Step::Again,
        Verdict::Retry { not_before } => {
            let pause = pin!(tokio::time::sleep_until(clock::instant(not_before)));
            if unless_gone(session, body.whole, pause).await.is_some() { Step::Again } else { Step::Broken }
        }
    }
}

/// Waits for `work`, or for the client to go away, in which case there is nothing.
///
/// Watching a client means reading from it, so it is watched only once its request has been read to the end:
/// before that the watch would eat a byte of the body. The work stays where it is: moved in, it would be there
/// twice.
pub(crate) async fn unless_gone<T>(
    session: &mut Downstream,
    request_is_read: bool,
    work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    if !request_is_read {
        return Some(work.await);
    }
    tokio::select! {
        biased;
        done = work => Some(done),
        () = session.gone() => None,
    }
}

/// What the core needs to know of an answer.
fn facts(pool: &LivePool, fhir_expected: bool, answer: &Answer) -> AnswerFacts {
    let headers = &answer.head.headers;
    let body = if answer.is_bodiless() {
        BodyFacts::Withheld
    } else {
        shape::body(headers, answer.media, answer.is_whole().then_some(&answer.held))
    };
    let dialect = pool.config.spec.dialect;
    let status = answer.head.status.as_u16();
    translate::answer(dialect, (status, headers, answer.media), fhir_expected, body)
}

/// An exchange that is closed whatever happens: also when the task that serves it is dropped or panics.
struct Open<'a> {
    call: &'a Call<'a>,
    exchange: Option<Box<Exchange>>,
    /// Its number on the tape, if there is one.
    number: u64,
    /// A gateway refused what it signed.
    refused_signer: Option<Arc<Signer>>,
}

impl<'a> Open<'a> {
    fn new(call: &'a Call<'a>) -> Self {
        let (number, mut exchange) = (call.pool.state.exchange_number(), None);
        let open =
            |pool: &mut _, now, _: &mut _| exchange = Some(Box::new(Exchange::open(call.terms, pool, now)));
        call.decide((number, Question::Open(call.terms)), open);
        Self { call, exchange, number, refused_signer: None }
    }

    fn exchange(&mut self) -> &mut Exchange {
        self.exchange.as_mut().expect("only `close` takes it, and `close` takes `self`")
    }

    fn report<T: Debug>(
        &mut self,
        question: Question,
        tell: impl FnOnce(&mut Exchange, &mut Pool, Timestamp, &mut Rng) -> T,
    ) -> T {
        let (call, number) = (self.call, self.number);
        let exchange = self.exchange();
        call.decide((number, question), |pool, now, rng| tell(exchange, pool, now, rng))
    }

    fn refuse(&mut self, refusal: Refusal) -> Refusal {
        self.report(Question::Refuse(refusal), |exchange, _, _, _| exchange.refuse(refusal))
    }

    fn failed(&mut self, number: usize, failure: Failure) -> Verdict {
        self.report(Question::Failed(number, failure), |exchange, pool, now, rng| {
            exchange.failed(pool, number, failure, now, rng)
        })
    }

    fn answered(
        &mut self,
        call: &Call<'_>,
        plan: Attempt,
        answer: Answer,
        visit: &mut Visit,
    ) -> Result<Won, Unanswered> {
        let facts = facts(call.pool, call.fhir_expected, &answer);
        let live = call.pool.upstream(plan.upstream);
        let refused = live.and_then(|live| live.refused_signer(&facts, &answer.head.headers));
        let heard = translate::heard(answer.head.status.as_u16(), &answer.head.headers);
        let (number, whole) = (plan.number, answer.is_whole());
        visit.answered(call, plan.upstream, &facts);
        let verdict = self.report(Question::Answered(number, facts, whole), |exchange, pool, now, rng| {
            exchange.hears(number, heard);
            exchange.answered(pool, number, (&facts, whole), now, rng)
        });
        match (refused, verdict) {
            (None, _) => {}
            (signer, Verdict::Retry { .. }) => self.refused_signer = signer,
            (Some(signer), _) => drop(tokio::spawn(async move { signer.renew().await })),
        }
        if verdict == Verdict::Forward {
            Ok(Won { plan, answer, facts })
        } else {
            Err(Unanswered::Told(verdict))
        }
    }

    fn close(mut self) -> Box<Receipt> {
        self.end().expect("only `close` takes it, and `close` takes `self`")
    }

    fn end(&mut self) -> Option<Box<Receipt>> {
        let exchange = self.exchange.take()?;
        let close = |pool: &mut _, now, rng: &mut _| Box::new(exchange.close(pool, now, rng));
        Some(self.call.decide((self.number, Question::Close), close))
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

impl Call<'_> {
    /// Asks the core, and passes on what it wants told.
    fn decide<T: Debug>(
        &self,
        question: (u64, Question),
        ask: impl FnOnce(&mut Pool, Timestamp, &mut Rng) -> T,
    ) -> T {
        let (answer, events) = self.pool.decide(question, ask);
        self.proxy.tell(self.pool, &events);
        answer
    }
}
