//! One try at one upstream: connect, send, and take the answer in until it can be judged.

use super::answer::{Answer, receive};
use super::request::{BodyLength, sign};
use super::{Call, Open, connect, drill, unless_gone};
use crate::clock;
use crate::downstream::Downstream;
use crate::headers::name;
use crate::intake::{self, Body, Lost};
use crate::service::Proxy;
use crate::snapshot::{LivePool, Peer, Purpose};
use crate::wire::{RequestHead, Wire};
use aorta_core::exchange::{Attempt, Exchange, Failure};
use aorta_core::fhir_safety::Safety;
use aorta_core::tape::Question;
use aorta_core::upstream::UpstreamKey;
use aorta_core::verdict::Refusal;
use bytes::Bytes;
use http::Method;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// An answer that came before the request was taken is there already, or is not to be.
const EARLY_ANSWER: Duration = Duration::from_millis(500);
/// A connection for a request that may not be repeated is used again only within this time.
const JUST_USED: Duration = Duration::from_secs(2);

/// What an attempt works with beside its request: little enough to outlive the call.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) proxy: &'a Arc<Proxy>,
    pub(super) pool: &'a Arc<LivePool>,
    /// Which connections will do.
    pub(super) purpose: Purpose,
    /// An answer has no body, whatever its head says.
    pub(super) head_only: bool,
}

impl<'a> Call<'a> {
    pub(super) fn way(&self) -> Way<'a> {
        Way {
            proxy: self.proxy,
            pool: self.pool,
            purpose: match self.terms.safety {
                Safety::Unsafe => Purpose::Once,
                _ => Purpose::Repeatable,
            },
            head_only: *self.outgoing.method() == Method::HEAD,
        }
    }
}

/// An upstream connection with the address it belongs to.
pub(super) struct Connection {
    pub(super) wire: Wire,
    peer: Arc<Peer>,
    fresh: bool,
    /// The request could not be sent to its end, so nothing else can be sent here.
    spent: bool,
}

/// Why an attempt brought no answer.
pub(super) enum Ended {
    Failed(Failure),
    /// The client is to blame, and is to be told this.
    Client(Refusal),
    ClientGone,
    /// Its upstream was ejected, and the core let the request go.
    Left,
}

impl From<Lost> for Ended {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Refused(refusal) => Self::Client(refusal),
            Lost::ClientGone => Self::ClientGone,
        }
    }
}

pub(super) async fn attempt(
    call: &Call<'_>,
    plan: &Attempt,
    session: &mut Downstream,
    body: &mut Body,
    open: &mut Open<'_>,
) -> Result<Answer, Ended> {
    let head = head(call, plan, body).map_err(Ended::Client)?;
    if body.whole {
        let trying = pin!(exchange(call.way(), plan, head, body.held.clone()));
        return unless_gone_or_left(call, plan, session, open, trying).await;
    }
    let connection = connection(call.way(), plan).await.map_err(Ended::Failed)?;
    Box::pin(streamed(call, connection, head, session, body)).await
}

/// Sends a body that is not held, which only one attempt can.
async fn streamed(
    call: &Call<'_>,
    mut connection: Connection,
    head: RequestHead,
    session: &mut Downstream,
    body: &mut Body,
) -> Result<Answer, Ended> {
    let limit = call.pool.config.spec.timeouts.attempt;
    let uploading = upload(&mut connection.wire, &head, session, body, limit);
    match before_the_client_gives_up(call, uploading).await {
        Ok(()) => {}
        // The body is still there, so another attempt can send it.
        Err(Ended::Failed(Failure::Unsent)) => return Err(Ended::Failed(Failure::Unsent)),
        Err(Ended::Failed(failure)) => {
            return early_answer(call.way(), connection, failure).await.map_err(body_is_gone);
        }
        Err(ended) => return Err(ended),
    }
    // The client's time to upload was its own; the upstream's begins now.
    let until = Instant::now() + limit;
    let until = gives_up(call).map_or(until, |gives_up| until.min(gives_up));
    let receiving = pin!(timeout_at(until, receive(call.way(), connection)));
    let timed = unless_gone(session, true, receiving).await.ok_or(Ended::ClientGone)?;
    timed.unwrap_or(Err(Failure::TimedOut)).map_err(body_is_gone)
}

/// The client sent its body once: even where nobody looked at it, nothing is left to send elsewhere.
const fn body_is_gone(failure: Failure) -> Ended {
    match failure {
        Failure::Unsent | Failure::Broken => Ended::Failed(Failure::Broken),
        Failure::Unprocessed | Failure::TimedOut => Ended::Failed(failure),
    }
}

/// Connects, sends, and takes the answer in, within the attempt's time.
pub(super) async fn exchange(
    way: Way<'_>,
    plan: &Attempt,
    head: RequestHead,
    body: Bytes,
) -> Result<Answer, Failure> {
    if plan.fault.is_some()
        && let Some(ended) = Box::pin(drill::meet(way, plan)).await
    {
        return ended;
    }
    let mut connection = connection(way, plan).await?;
    let exchange = async {
        match connection.wire.send(&head, body, false).await {
            Ok(()) => receive(way, connection).await,
            // What such a connection may still say, an upstream's "408" to its silence, answers no request.
            Err(Failure::Unsent) => Err(Failure::Unsent),
            Err(failure) => Box::pin(early_answer(way, connection, failure)).await,
        }
    };
    timeout_at(clock::instant(plan.deadline), exchange).await.unwrap_or(Err(Failure::TimedOut))
}

/// One that waits already, or a new one.
async fn connection(way: Way<'_>, plan: &Attempt) -> Result<Connection, Failure> {
    match waiting(way, plan.upstream) {
        Some(connection) => Ok(connection),
        // What is rare and large stands in a box, here and elsewhere: the ordinary request does not carry it.
        None => Box::pin(connect(way, plan.upstream, connect_by(plan))).await.ok_or(Failure::Unsent),
    }
}

fn connect_by(plan: &Attempt) -> Instant {
    clock::instant(plan.deadline).min(Instant::now() + plan.connect)
}

/// Waits for the attempt to end, while the client waits too, and while the core does not send the request
/// elsewhere because the upstream was ejected.
async fn unless_gone_or_left(
    call: &Call<'_>,
    plan: &Attempt,
    session: &mut Downstream,
    open: &mut Open<'_>,
    mut trying: Pin<&mut impl Future<Output = Result<Answer, Failure>>>,
) -> Result<Answer, Ended> {
    loop {
        tokio::select! {
            biased;
            came = &mut trying => return came.map_err(Ended::Failed),
            () = session.gone() => return Err(Ended::ClientGone),
            () = call.pool.ejection(plan.upstream), if plan.may_leave => {
                if open.report(Question::Leave, Exchange::leave) {
                    return Err(Ended::Left);
                }
            }
        }
    }
}

/// When the client gives up by its own deadline, which counts from no upload's end.
fn gives_up(call: &Call<'_>) -> Option<Instant> {
    call.terms.deadline.map(clock::instant)
}

async fn before_the_client_gives_up(
    call: &Call<'_>,
    uploading: impl Future<Output = Result<(), Ended>>,
) -> Result<(), Ended> {
    match gives_up(call) {
        None => uploading.await,
        Some(moment) => timeout_at(moment, uploading).await.unwrap_or(Err(Ended::Failed(Failure::TimedOut))),
    }
}

/// An upstream that does not take the whole request may have answered already (413, 403, 429): then that is
/// the answer, and no failure of the upstream's.
async fn early_answer(way: Way<'_>, mut connection: Connection, failure: Failure) -> Result<Answer, Failure> {
    connection.spent = true;
    match timeout(EARLY_ANSWER, receive(way, connection)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Failure::Unprocessed)) => Err(Failure::Unprocessed),
        Ok(Err(_)) | Err(_) => Err(failure),
    }
}

/// A connection that waits for a request already.
fn waiting(way: Way<'_>, upstream: UpstreamKey) -> Option<Connection> {
    let (wire, peer) = connect::waiting(&way.pool.upstream(upstream)?.site, way.purpose)?;
    Some(Connection { wire, peer, fresh: way.purpose == Purpose::Once, spent: false })
}

/// Connects to whichever of the upstream's addresses stands first.
pub(super) async fn connect(way: Way<'_>, upstream: UpstreamKey, by: Instant) -> Option<Connection> {
    let live = way.pool.upstream(upstream)?;
    let (wire, peer) = connect::connect(&way.proxy.connector, &live.site, way.purpose, by).await?;
    Some(Connection { wire, peer, fresh: way.purpose == Purpose::Once, spent: false })
}

pub(super) fn head(call: &Call<'_>, plan: &Attempt, body: &Body) -> Result<RequestHead, Refusal> {
    let live = call.pool.upstream(plan.upstream).ok_or(Refusal::NoUpstream)?;
    let writes = matches!(*call.outgoing.method(), Method::POST | Method::PUT | Method::PATCH);
    let length = match body.whole {
        true if body.held.is_empty() && !writes => BodyLength::None,
        true => BodyLength::Known(body.held.len()),
        false => body.declared.map_or(BodyLength::Unknown, BodyLength::Known),
    };
    // The time for what the client still sends comes on top: the upstream's begins when it has sent all.
    let upload =
        if body.whole { Duration::ZERO } else { body.deadline.saturating_duration_since(Instant::now()) };
    let deadline = plan.request_deadline + upload;
    let deadline = call.terms.deadline.map_or(deadline, |gives_up| deadline.min(gives_up));
    let mut head = call.outgoing.head(&live.config, length, (deadline, clock::now(), clock::unix()))?;
    if call.trace.exported {
        head.set(&name::TRACEPARENT, call.trace.header(plan.number));
    }
    // A pool that signs takes no body that it cannot hold; it may have begun to sign since this one came.
    if live.signer.is_some() && !body.whole {
        return Err(Refusal::BodyTooLarge);
    }
    sign(&live, &mut head, &body.held)?;
    Ok(head)
}

/// Sends what was held of the body and streams the rest from the client. The upstream has `limit` to take each
/// piece; the client has its own time.
async fn upload(
    upstream: &mut Wire,
    head: &RequestHead,
    session: &mut Downstream,
    body: &mut Body,
    limit: Duration,
) -> Result<(), Ended> {
    within(limit, upstream.send(head, Bytes::new(), true)).await?;
    let held = std::mem::take(&mut body.held);
    let mut sent = held.len();
    within(limit, upstream.send_piece(held)).await?;
    while let Some(chunk) = intake::next(session, body.deadline).await? {
        sent += chunk.len();
        if sent > body.bytes_max {
            return Err(Ended::Client(Refusal::BodyTooLarge));
        }
        within(limit, upstream.send_piece(chunk)).await?;
    }
    within(limit, upstream.finish()).await
}

async fn within(limit: Duration, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Ended> {
    timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut)).map_err(Ended::Failed)
}

impl Connection {
    /// Gives the connection back to be used again.
    pub(super) fn release(self, way: Way<'_>) {
        if self.spent {
            return;
        }
        let idle = way.pool.config.spec.timeouts.idle;
        let (line, idle) =
            if self.fresh { (&self.peer.fresh, idle.min(JUST_USED)) } else { (&self.peer.shared, idle) };
        line.release(&way.proxy.connector, self.wire, idle);
    }
}
