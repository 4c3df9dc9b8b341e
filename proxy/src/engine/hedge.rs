//! A second attempt beside a late first one: both run, the first answer that would be forwarded wins, and the
//! loser runs on in the background until it can be judged.

use super::answer::Answer;
use super::attempt::{self, Way};
use super::{Call, Open, Unanswered, Won, facts};
use crate::clock;
use crate::downstream::Downstream;
use crate::intake::Body;
use crate::record::Visit;
use crate::service::Proxy;
use crate::snapshot::LivePool;
use aorta_core::exchange::{Attempt, Came, Exchange, Failure, Straggler};
use aorta_core::tape::Question;
use aorta_core::time::Timestamp;
use aorta_core::verdict::Verdict;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::{sleep_until, timeout_at};

type Trying = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send>>;

/// An attempt that is out; it holds all it needs, so that it can outlive the call.
struct Lane {
    plan: Attempt,
    trying: Trying,
}

/// Why a race is looked at although nothing has come.
enum Woken {
    Late,
    Ejected,
}

/// Makes the attempt, and a second one beside it if it is late and the core agrees.
pub(super) async fn race(
    call: &Call<'_>,
    open: &mut Open<'_>,
    session: &mut Downstream,
    body: &Body,
    first: Attempt,
    visit: &mut Visit,
) -> Result<Won, Unanswered> {
    let mut hedge_at = first.hedge_at;
    let mut lanes = vec![lane(call, first, body)?];
    loop {
        let alone = if let [lane] = &lanes[..] { Some(lane.plan) } else { None };
        let came = tokio::select! {
            biased;
            came = next(&mut lanes) => Ok(came),
            () = session.gone() => return Err(Unanswered::ClientGone),
            () = late(hedge_at.filter(|_| alone.is_some())) => Err(Woken::Late),
            () = ejected(call.pool, alone) => Err(Woken::Ejected),
        };
        let turn = match came {
            Ok((lane, Err(failure))) => Err(Unanswered::Told(open.failed(lane.plan.number, failure))),
            Ok((lane, Ok(answer))) => open.answered(call, lane.plan, answer, visit),
            Err(Woken::Ejected) if open.report(Question::Leave, Exchange::leave) => {
                return Err(Unanswered::Left);
            }
            Err(Woken::Ejected) => continue,
            Err(Woken::Late) => {
                let second = open.report(Question::Hedge, Exchange::hedge);
                hedge_at = second.err().flatten();
                if let Ok(plan) = second {
                    visit.attempted(plan.upstream, plan.number);
                    lanes.push(lane(call, plan, body)?);
                }
                continue;
            }
        };
        if let Err(Unanswered::Told(Verdict::Wait { hedge_at: at })) = turn {
            hedge_at = at;
            continue;
        }
        if let (Some(lane), Some(straggler)) = (lanes.pop(), open.exchange().take_straggler()) {
            run_on(call, lane, (open.number, straggler), body.held.len());
        }
        return turn;
    }
}

fn lane(call: &Call<'_>, plan: Attempt, body: &Body) -> Result<Lane, Unanswered> {
    let head = attempt::head(call, &plan, body).map_err(Unanswered::Refused)?;
    let (proxy, pool, body) = (Arc::clone(call.proxy), Arc::clone(call.pool), body.held.clone());
    let Way { purpose, head_only, .. } = call.way();
    let trying = async move {
        let way = Way { proxy: &proxy, pool: &pool, purpose, head_only };
        attempt::exchange(way, &plan, head, body).await
    };
    Ok(Lane { plan, trying: Box::pin(trying) })
}

/// The lane that comes to its end first, taken from among those that are out.
async fn next(lanes: &mut Vec<Lane>) -> (Lane, Result<Answer, Failure>) {
    poll_fn(|context| {
        for index in 0..lanes.len() {
            if let Poll::Ready(came) = lanes[index].trying.as_mut().poll(context) {
                return Poll::Ready((lanes.remove(index), came));
            }
        }
        Poll::Pending
    })
    .await
}

async fn late(hedge_at: Option<Timestamp>) {
    match hedge_at {
        Some(moment) => sleep_until(clock::instant(moment)).await,
        None => pending().await,
    }
}

async fn ejected(pool: &LivePool, alone: Option<Attempt>) {
    match alone {
        Some(plan) if plan.may_leave => pool.ejection(plan.upstream).await,
        _ => pending().await,
    }
}

/// Lets a loser run on, and tells the core what came of it.
fn run_on(call: &Call<'_>, lane: Lane, (exchange, straggler): (u64, Straggler), holds: usize) {
    let until = clock::instant(straggler.until());
    let (proxy, pool) = (Arc::clone(call.proxy), Arc::clone(call.pool));
    let fhir_expected = call.fhir_expected;
    let mut loser = Loser { proxy, pool, exchange, straggler: Some(straggler) };
    // What the request held is free once its client has its answer; a loser holds it for longer.
    let mut kept = call.proxy.buffers.reservation();
    if !kept.grow(holds) {
        return;
    }
    tokio::spawn(async move {
        let _kept = kept;
        match timeout_at(until, lane.trying).await {
            Ok(Ok(answer)) => {
                let facts = facts(&loser.pool, fhir_expected, &answer);
                loser.end(Came::Answer(&facts));
            }
            Ok(Err(failure)) => loser.end(Came::Failed(failure)),
            Err(_) => loser.end(Came::Nothing),
        }
    });
}

/// A loser that is ended whatever happens: also when its task is dropped or panics.
struct Loser {
    proxy: Arc<Proxy>,
    pool: Arc<LivePool>,
    /// The number of the one it belonged to.
    exchange: u64,
    straggler: Option<Straggler>,
}

impl Loser {
    fn end(&mut self, came: Came<'_>) {
        let Some(straggler) = self.straggler.take() else { return };
        let question = Question::Late(match came {
            Came::Answer(facts) => Some(Ok(*facts)),
            Came::Failed(failure) => Some(Err(failure)),
            Came::Nothing => None,
        });
        let end = |pool: &mut _, now, rng: &mut _| straggler.end(came, pool, now, rng);
        let (late, events) = self.pool.decide((self.exchange, question), end);
        self.proxy.tell(&self.pool, &events);
        self.proxy.metrics.late(&self.pool, &late);
    }
}

impl Drop for Loser {
    fn drop(&mut self) {
        self.end(Came::Nothing);
    }
}
