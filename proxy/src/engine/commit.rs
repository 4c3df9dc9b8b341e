//! From here on the answer belongs to the client: no more attempts.

use super::Call;
use super::answer::Answer;
use super::attempt::Connection;
use super::outlet::Outlet;
use crate::clock;
use crate::config::Reveal;
use crate::downstream::Downstream;
use crate::headers::{self, name};
use crate::quota::Standing;
use crate::record::Visit;
use crate::shape::{self, Media};
use crate::wire::Head;
use aorta_core::classify::{AnswerFacts, BodyFacts};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use std::time::Duration;
use tokio::time::timeout;

/// How a delivery ended.
pub(super) enum Delivery {
    Done,
    UpstreamBroke,
    ClientGone,
}

/// Sends the answer: what is held, then what still comes.
pub(super) async fn deliver(
    call: &Call<'_>,
    session: &mut Downstream,
    mut answer: Answer,
    facts: &AnswerFacts,
    visit: &mut Visit,
) -> Delivery {
    if call.pool.config.unwrap_envelope && matches!(facts.body, BodyFacts::Envelope { .. }) {
        open_envelope(&mut answer);
    }
    let served_by = call.pool.upstream(visit.upstream);
    let mut outlet = Outlet::open(call, &session.head().headers, served_by.as_deref(), &mut answer);
    let Some(head) = head(call, session, &mut answer, &outlet, visit) else { return Delivery::UpstreamBroke };
    visit.status = head.status.as_u16();
    let rest = answer.rest.take();
    let pause_max = call.pool.config.spec.timeouts.idle;
    let (held, more) = if answer.is_bodiless() {
        (Bytes::new(), Vec::new())
    } else {
        (std::mem::take(&mut answer.held), std::mem::take(&mut answer.more))
    };
    // What was held has served: a slow client must not keep others' buffers.
    drop(answer);
    visit.sent += held.len() + more.iter().map(Bytes::len).sum::<usize>();
    let sending = session.send(head, held, more, rest.is_none());
    if !matches!(clock::in_time(|| clock::after(pause_max), sending).await, Some(Ok(()))) {
        return Delivery::ClientGone;
    }
    match rest {
        None => Delivery::Done,
        Some(connection) => Box::pin(stream(call, session, connection, &mut outlet, visit)).await,
    }
}

/// Passes the rest on piece by piece. A break is passed on as a break: the client sees that bytes are missing.
async fn stream(
    call: &Call<'_>,
    session: &mut Downstream,
    mut connection: Box<Connection>,
    outlet: &mut Outlet<'_>,
    visit: &mut Visit,
) -> Delivery {
    let pause_max = call.pool.config.spec.timeouts.idle;
    // An early answer may stream while the upload is unread: watching the client would then eat its bytes.
    let request_is_read = session.is_body_done();
    loop {
        let next = tokio::select! {
            biased;
            next = timeout(pause_max, connection.wire.read_body()) => next,
            () = session.gone(), if request_is_read => return Delivery::ClientGone,
        };
        let Ok(Ok(chunk)) = next else { return Delivery::UpstreamBroke };
        let Some(chunk) = chunk else { break };
        let Some(chunk) = outlet.pass(chunk) else { return Delivery::UpstreamBroke };
        // An empty piece would be written as the last chunk, and end the body early.
        if chunk.is_empty() {
            continue;
        }
        visit.sent += chunk.len();
        if !matches!(timeout(pause_max, session.send_piece(chunk, false)).await, Ok(Ok(()))) {
            return Delivery::ClientGone;
        }
    }
    connection.release(call.way());
    let Some(end) = outlet.end() else { return Delivery::UpstreamBroke };
    visit.sent += end.len();
    match timeout(pause_max, session.send_piece(end, true)).await {
        Ok(Ok(())) => Delivery::Done,
        _ => Delivery::ClientGone,
    }
}

/// The answer inside an envelope takes the envelope's place.
pub(super) fn open_envelope(answer: &mut Answer) {
    let Some(opened) = shape::open(&answer.held) else { return };
    let Ok(status) = StatusCode::from_u16(opened.status) else { return };
    answer.head.status = status;
    let fields = &mut answer.head.headers;
    for (name, _) in &opened.headers {
        fields.remove(name);
    }
    for (name, value) in opened.headers {
        if name != header::CONTENT_LENGTH && !headers::is_hop_by_hop(&name) {
            fields.append(name, value);
        }
    }
    answer.media = Media::of(fields);
    answer.replace_body(opened.body);
}

/// The head as the client sees it.
fn head(
    call: &Call<'_>,
    session: &Downstream,
    answer: &mut Answer,
    outlet: &Outlet<'_>,
    visit: &Visit,
) -> Option<Head> {
    let mut fields = std::mem::take(&mut answer.head.headers);
    outlet.amend(&mut fields);
    frame(&mut fields, session, answer);
    Some(Head { status: answer.head.status, headers: fields, said: marks(call, visit)? })
}

fn frame(fields: &mut HeaderMap, session: &Downstream, answer: &Answer) {
    if answer.is_bodiless() {
        return;
    }
    if answer.is_whole() {
        let mut stand = fields.get_all(header::CONTENT_LENGTH).iter();
        let (stands, is_one) = (stand.next(), stand.next().is_none());
        let mut digits = itoa::Buffer::new();
        let length = digits.format(answer.held.len());
        if !is_one || stands.is_none_or(|stands| stands != length) {
            fields.insert(header::CONTENT_LENGTH, headers::number(answer.held.len() as u64));
        }
    } else if !fields.contains_key(header::CONTENT_LENGTH) && session.head().version == Version::HTTP_11 {
        fields.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// What Aorta says about the way the answer came.
fn marks(call: &Call<'_>, visit: &Visit) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let upstream = call.pool.upstream(visit.upstream)?;
    let shown = match call.pool.config.reveal_upstream {
        Reveal::Off => None,
        Reveal::Name => Some(&upstream.config.name),
        Reveal::Url => Some(&upstream.config.url),
    };
    let mut marks = Vec::with_capacity(MARKS);
    marks.push((name::X_REQUEST_ID.clone(), visit.request_id.clone()));
    marks.push((name::X_AORTA_ATTEMPTS.clone(), headers::number(visit.attempts as u64)));
    if let Some(shown) = shown {
        marks.push((name::X_AORTA_UPSTREAM.clone(), HeaderValue::from_str(shown).ok()?));
    }
    marks.push((name::SERVER_TIMING.clone(), timing(visit.elapsed())?));
    marks.extend(visit.standing.iter().flat_map(Standing::fields));
    Some(marks)
}

/// Those of an answer without a quota.
const MARKS: usize = 4;

/// Milliseconds with three decimals (W3C Server Timing).
fn timing(span: Duration) -> Option<HeaderValue> {
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let decimals = [micros / 100 % 10, micros / 10 % 10, micros % 10];
    let mut text = Vec::with_capacity("aorta;dur=99999.999".len());
    text.extend_from_slice(b"aorta;dur=");
    text.extend_from_slice(itoa::Buffer::new().format(micros / 1000).as_bytes());
    text.push(b'.');
    text.extend(decimals.map(|decimal| b'0' + decimal as u8));
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}
