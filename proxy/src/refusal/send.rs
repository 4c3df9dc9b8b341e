//! Sends a refusal, so that it arrives.

use super::{Words, words};
use crate::quota::Standing;
use crate::record::Visit;
use aorta_core::verdict::Refusal;
use http::{Version, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
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
    session: &mut ServerSession,
    refusal: Refusal,
    fhir: bool,
    closing: Closing,
    visit: &mut Visit,
) -> bool {
    visit.status = refusal.status();
    let said = words(refusal, fhir, visit.request_id.to_str().unwrap_or_default());
    if closing != Closing::No {
        session.set_keepalive(None);
    }
    let Ok(head) = refusal_head(refusal, &said, visit) else { return false };
    visit.sent = said.body.len();
    let body = if visit.method == http::Method::HEAD { String::new() } else { said.body };
    let write = async {
        session.write_response_header(Box::new(head)).await.is_ok()
            && session.write_response_body(body.into(), true).await.is_ok()
    };
    let written = timeout(WRITE_MAX, write).await.unwrap_or(false);
    if closing == Closing::Lingering && written {
        linger(session).await;
    }
    written
}

fn refusal_head(refusal: Refusal, words: &Words, visit: &Visit) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build_no_case(refusal.status(), Some(9))?;
    head.set_version(Version::HTTP_11);
    head.insert_header(header::CONTENT_TYPE, words.media_type)?;
    head.insert_header(header::CONTENT_LENGTH, words.body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header("x-request-id", visit.request_id.clone())?;
    head.insert_header("x-aorta-attempts", visit.attempts)?;
    for (name, value) in visit.standing.iter().flat_map(Standing::fields) {
        head.insert_header(name, value)?;
    }
    if refusal.status() == 503 {
        head.insert_header(header::RETRY_AFTER, "1")?;
    }
    if refusal == Refusal::MethodNotAllowed {
        head.insert_header(header::ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")?;
    }
    Ok(head)
}

async fn linger(session: &mut ServerSession) {
    let drain = async {
        let mut read = 0;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            read += chunk.len();
            if read > LINGER_BYTES {
                return;
            }
        }
    };
    let _ = timeout(LINGER, drain).await;
}
