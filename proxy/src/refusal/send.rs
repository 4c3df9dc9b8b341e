//! Sends a refusal, so that it arrives.

use super::{Words, words};
use crate::downstream::Downstream;
use crate::headers::{self, name};
use crate::quota::Standing;
use crate::record::Visit;
use crate::wire::Head;
use aorta_core::verdict::Refusal;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::time::Duration;
use tokio::time::timeout;

/// A refused upload is read on for so long and so far, because closing on unread bytes would reset the
/// connection and lose the refusal on its way (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;
/// A refusal is small: a client that has not taken it by then does not read.
const WRITE_MAX: Duration = Duration::from_secs(5);

/// Whether the rest of a request is read before its connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The connection stays open.
    No,
    /// It closes after what the client still sends was read for a while.
    Lingering,
    /// It closes at once: there is no head, so nobody knows what is still to come.
    AtOnce,
}

/// Writes an answer of Aorta's own; false when the client did not take it.
pub async fn send(
    session: &mut Downstream,
    refusal: Refusal,
    fhir: bool,
    closing: Closing,
    visit: &mut Visit,
) -> bool {
    visit.status = refusal.status();
    let said = words(refusal, fhir, visit.request_id.to_str().unwrap_or_default());
    if closing != Closing::No {
        session.close_after();
    }
    let Some(head) = refusal_head(refusal, &said, visit) else { return false };
    visit.sent = said.body.len();
    let body = if visit.method == http::Method::HEAD { Bytes::new() } else { said.body.into() };
    let written = matches!(timeout(WRITE_MAX, session.send(head, body, Vec::new(), true)).await, Ok(Ok(())));
    if closing == Closing::Lingering && written {
        linger(session).await;
    }
    written
}

fn refusal_head(refusal: Refusal, words: &Words, visit: &Visit) -> Option<Head> {
    let status = StatusCode::from_u16(refusal.status()).ok()?;
    let mut fields = HeaderMap::with_capacity(12);
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(words.media_type));
    fields.insert(header::CONTENT_LENGTH, headers::number(words.body.len() as u64));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(&name::X_REQUEST_ID, visit.request_id.clone());
    fields.insert(&name::X_AORTA_ATTEMPTS, headers::number(visit.attempts as u64));
    for (name, value) in visit.standing.iter().flat_map(Standing::fields) {
        fields.insert(name, value);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        fields.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if refusal == Refusal::MethodNotAllowed {
        let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        fields.insert(header::ALLOW, methods);
    }
    Some(Head { status, headers: fields, said: Vec::new() })
}

async fn linger(session: &mut Downstream) {
    let drain = async {
        let mut read = 0;
        while let Ok(Some(chunk)) = session.read_body().await {
            read += chunk.len();
            if read > LINGER_BYTES {
                return;
            }
        }
    };
    let _ = timeout(LINGER, drain).await;
}
