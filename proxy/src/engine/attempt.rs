//! One try at one upstream: connect, send, and take the answer in until it can be judged.

use super::request::BodyLength;
use super::{Call, connect, unless_gone};
use crate::buffers::Reservation;
use crate::clock;
use crate::config::PoolConfig;
use crate::intake::{self, Body, Lost};
use crate::shape::{self, Media};
use crate::snapshot::{Peer, Purpose};
use aorta_core::exchange::{Attempt, Failure};
use aorta_core::fhir_safety::Safety;
use aorta_core::verdict::Refusal;
use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::client::HttpSession;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// AWS Lambda's limit for a synchronous answer: an envelope cannot be larger ("Lambda quotas").
const ENVELOPE_MAX: usize = 6 * 1024 * 1024;
/// An answer that came before the request was taken is there already, or is not to be.
const EARLY_ANSWER: Duration = Duration::from_millis(500);
/// A connection for a request that may not be repeated is used again only within this time.
const JUST_USED: Duration = Duration::from_secs(2);

/// An upstream connection with the address it belongs to.
pub(super) struct Connection {
    pub(super) session: HttpSession,
    peer: Arc<Peer>,
    fresh: bool,
    /// The request could not be sent to its end, so nothing else can be sent here.
    spent: bool,
}

/// An answer as far as it was taken in.
pub(super) struct Answer {
    pub(super) head: Box<ResponseHeader>,
    pub(super) held: Bytes,
    /// The rest is still to come from here.
    pub(super) rest: Option<Connection>,
    bodiless: bool,
    _reservation: Reservation,
}

impl Answer {
    pub(super) const fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// It has no body by its nature: an answer to HEAD, 204, 304.
    pub(super) const fn is_bodiless(&self) -> bool {
        self.bodiless
    }

    /// Another body takes this one's place; a status without a body has none.
    pub(super) fn replace_body(&mut self, body: Bytes) {
        self.bodiless |= matches!(self.head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        self.held = body;
    }
}

/// Why an attempt brought no answer.
pub(super) enum Ended {
    Failed(Failure),
    /// The client is to blame, and is to be told this.
    Client(Refusal),
    ClientGone,
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
    session: &mut ServerSession,
    body: &mut Body,
) -> Result<Answer, Ended> {
    let deadline = clock::instant(plan.deadline);
    let mut connection = match waiting(call, plan.upstream) {
        Some(connection) => connection,
        None => {
            // What is rare and large stands in a box, here and below: the ordinary request does not carry it.
            let by = deadline.min(Instant::now() + plan.connect);
            let mut connecting = Box::pin(connect(call, plan.upstream, by));
            let connection = unless_gone(session, body.whole, connecting.as_mut()).await;
            connection.ok_or(Ended::ClientGone)?.ok_or(Ended::Failed(Failure::Unsent))?
        }
    };
    let header = header(call, plan, body).map_err(Ended::Client)?;

    if body.whole {
        let held = body.held.clone();
        let exchange = async {
            match send(&mut connection.session, header, held).await {
                Ok(()) => receive(call, connection).await,
                Err(failure) => Box::pin(early_answer(call, connection, failure)).await,
            }
        };
        let timed = pin!(timeout_at(deadline, exchange));
        let timed = unless_gone(session, true, timed).await.ok_or(Ended::ClientGone)?;
        return timed.unwrap_or(Err(Failure::TimedOut)).map_err(Ended::Failed);
    }
    Box::pin(streamed(call, connection, header, session, body)).await
}

/// Sends a body that is not held, which only one attempt can.
async fn streamed(
    call: &Call<'_>,
    mut connection: Connection,
    header: Box<RequestHeader>,
    session: &mut ServerSession,
    body: &mut Body,
) -> Result<Answer, Ended> {
    let limit = call.pool.config.spec.timeouts.attempt;
    let uploading = upload(&mut connection.session, header, session, body, limit);
    match before_the_client_gives_up(call, uploading).await {
        Ok(()) => {}
        Err(Ended::Failed(failure)) => {
            return early_answer(call, connection, failure).await.map_err(Ended::Failed);
        }
        Err(ended) => return Err(ended),
    }
    // The client's time to upload was its own; the upstream's begins now.
    let until = Instant::now() + limit;
    let until = gives_up(call).map_or(until, |gives_up| until.min(gives_up));
    let receiving = pin!(timeout_at(until, receive(call, connection)));
    let timed = unless_gone(session, true, receiving).await.ok_or(Ended::ClientGone)?;
    timed.unwrap_or(Err(Failure::TimedOut)).map_err(Ended::Failed)
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
async fn early_answer(
    call: &Call<'_>,
    mut connection: Connection,
    failure: Failure,
) -> Result<Answer, Failure> {
    connection.spent = true;
    match timeout(EARLY_ANSWER, receive(call, connection)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) | Err(_) => Err(failure),
    }
}

const fn purpose(call: &Call<'_>) -> Purpose {
    match call.terms.safety {
        Safety::Unsafe => Purpose::Once,
        _ => Purpose::Repeatable,
    }
}

/// A connection that waits for a request already.
fn waiting(call: &Call<'_>, upstream: usize) -> Option<Connection> {
    let purpose = purpose(call);
    let (session, peer) = connect::waiting(call.pool.upstreams.get(upstream)?, purpose)?;
    Some(Connection { session, peer, fresh: purpose == Purpose::Once, spent: false })
}

/// Connects to whichever of the upstream's addresses stands first.
pub(super) async fn connect(call: &Call<'_>, upstream: usize, by: Instant) -> Option<Connection> {
    let (purpose, live) = (purpose(call), call.pool.upstreams.get(upstream)?);
    let (session, peer) = connect::connect(&call.proxy.connector, live, purpose, by).await?;
    Some(Connection { session, peer, fresh: purpose == Purpose::Once, spent: false })
}

fn header(call: &Call<'_>, plan: &Attempt, body: &Body) -> Result<Box<RequestHeader>, Refusal> {
    let config = call.pool.config.upstreams.get(plan.upstream).ok_or(Refusal::NoUpstream)?;
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
    let mut header = call.outgoing.header(config, length, (deadline, clock::now(), clock::unix()))?;
    if call.trace.exported {
        let parent = call.trace.header(plan.number);
        header.insert_header("traceparent", parent).map_err(|_| Refusal::BadRequest)?;
    }
    Ok(header)
}

pub(super) async fn send(
    upstream: &mut HttpSession,
    header: Box<RequestHeader>,
    body: Bytes,
) -> Result<(), Failure> {
    write_header(upstream, header, body.is_empty()).await?;
    if !body.is_empty() {
        upstream.write_request_body(body, true).await.map_err(|_| Failure::Broken)?;
        upstream.finish_request_body().await.map_err(|_| Failure::Broken)?;
    }
    Ok(())
}

async fn write_header(
    upstream: &mut HttpSession,
    header: Box<RequestHeader>,
    bodiless: bool,
) -> Result<(), Failure> {
    if let HttpSession::H2(h2) = upstream {
        let header = for_h2(header)?;
        return h2.write_request_header(header, bodiless).map_err(|_| Failure::Broken);
    }
    upstream.write_request_header(header).await.map_err(|_| Failure::Broken)?;
    if bodiless { upstream.finish_request_body().await.map_err(|_| Failure::Broken) } else { Ok(()) }
}

/// HTTP/2 carries the host as `:authority` and frames by itself (RFC 9113 section 8.3.1).
fn for_h2(mut header: Box<RequestHeader>) -> Result<Box<RequestHeader>, Failure> {
    let host = header.remove_header(&http::header::HOST).ok_or(Failure::Unsent)?;
    header.remove_header(&http::header::TRANSFER_ENCODING);
    let target = header.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let uri = http::Uri::builder().scheme("https").authority(host.as_bytes()).path_and_query(target).build();
    header.set_uri(uri.map_err(|_| Failure::Unsent)?);
    header.set_version(Version::HTTP_2);
    Ok(header)
}

/// Sends what was held of the body and streams the rest from the client. The upstream has `limit` to take each
/// piece; the client has its own time.
async fn upload(
    upstream: &mut HttpSession,
    header: Box<RequestHeader>,
    session: &mut ServerSession,
    body: &mut Body,
    limit: Duration,
) -> Result<(), Ended> {
    let held = std::mem::take(&mut body.held);
    let mut sent = held.len();
    within(limit, write_header(upstream, header, false)).await?;
    within(limit, write_piece(upstream, held)).await?;
    while let Some(chunk) = intake::next(session, body.deadline).await? {
        sent += chunk.len();
        if sent > body.bytes_max {
            return Err(Ended::Client(Refusal::BodyTooLarge));
        }
        within(limit, write_piece(upstream, chunk)).await?;
    }
    let end = async { upstream.finish_request_body().await.map_err(|_| Failure::Broken) };
    within(limit, end).await
}

async fn write_piece(upstream: &mut HttpSession, piece: Bytes) -> Result<(), Failure> {
    // An empty piece would be written as the last chunk, and end the body early.
    if piece.is_empty() {
        return Ok(());
    }
    upstream.write_request_body(piece, false).await.map_err(|_| Failure::Broken)
}

async fn within(limit: Duration, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Ended> {
    timeout(limit, work).await.unwrap_or(Err(Failure::TimedOut)).map_err(Ended::Failed)
}

/// Reads the answer until it is whole, or as much as is held before it must stream.
pub(super) async fn receive(call: &Call<'_>, mut connection: Connection) -> Result<Answer, Failure> {
    let head = read_head(&mut connection.session).await?;
    let mut reservation = call.proxy.buffers.reservation();
    let media = Media::of(&head.headers);
    let bodiless = *call.outgoing.method() == Method::HEAD
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !bodiless && !media.is_judged() {
        let rest = Some(connection);
        return Ok(Answer { head, held: Bytes::new(), rest, bodiless, _reservation: reservation });
    }
    let mut held = Held::default();
    let mut limit = call.pool.config.hold_max;
    loop {
        let chunk = connection.session.read_response_body().await.map_err(|_| Failure::Broken)?;
        let Some(chunk) = chunk else {
            connection.release(call);
            return Ok(Answer { head, held: held.join(), rest: None, bodiless, _reservation: reservation });
        };
        let fits = reservation.grow(chunk.len());
        held.push(chunk);
        if held.bytes > limit || !fits {
            let beginning = held.join();
            if !must_open(&call.pool.config, &beginning) {
                let rest = Some(connection);
                return Ok(Answer { head, held: beginning, rest, bodiless, _reservation: reservation });
            }
            // Streaming an envelope wrapped would hand the client a 200 that may be a failure.
            if beginning.len() > ENVELOPE_MAX || !fits {
                return Err(Failure::Broken);
            }
            limit = ENVELOPE_MAX;
            held = Held::from(beginning);
        }
    }
}

fn must_open(config: &PoolConfig, beginning: &Bytes) -> bool {
    config.unwrap_envelope && shape::may_be_envelope(beginning)
}

pub(super) async fn read_head(upstream: &mut HttpSession) -> Result<Box<ResponseHeader>, Failure> {
    loop {
        upstream.read_response_header().await.map_err(|_| Failure::Broken)?;
        let head = upstream.response_header().ok_or(Failure::Broken)?;
        // Interim answers are for the hop; an upgrade was never asked for.
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::Broken);
        }
        if !head.status.is_informational() {
            return Ok(Box::new(head.clone()));
        }
    }
}

/// A body in pieces: one piece, the usual case, is never copied.
#[derive(Default)]
pub(super) struct Held {
    one: Bytes,
    more: BytesMut,
    pub(super) bytes: usize,
}

impl Held {
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        if self.one.is_empty() && self.more.is_empty() {
            self.one = chunk;
            return;
        }
        if self.more.is_empty() {
            self.more.extend_from_slice(&std::mem::take(&mut self.one));
        }
        self.more.extend_from_slice(&chunk);
    }

    pub(super) fn join(&mut self) -> Bytes {
        if self.more.is_empty() {
            std::mem::take(&mut self.one)
        } else {
            std::mem::take(&mut self.more).freeze()
        }
    }
}

impl From<Bytes> for Held {
    fn from(one: Bytes) -> Self {
        Self { bytes: one.len(), one, more: BytesMut::new() }
    }
}

impl Connection {
    /// Gives the connection back to be used again.
    pub(super) fn release(self, call: &Call<'_>) {
        if self.spent {
            return;
        }
        let idle = call.pool.config.spec.timeouts.idle;
        let (line, idle) =
            if self.fresh { (&self.peer.fresh, idle.min(JUST_USED)) } else { (&self.peer.shared, idle) };
        line.release(&call.proxy.connector, self.session, idle);
    }
}
