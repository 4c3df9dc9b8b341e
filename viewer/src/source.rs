//! Where records come from: one fetch, bounded in time and size, that always ends in an answer or a failure.
//!
//! - [`http`]: over HTTP, through the proxy; there is no other way to a record

pub mod http;

use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;

use crate::request_id::RequestId;

/// One fetch, however it ended.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The id under which the proxy logged it (ours, unless the proxy named another).
    pub request_id: RequestId,
    /// Wall time from the first step of the connection to the last byte of the body.
    pub elapsed: Duration,
    /// What came.
    pub outcome: Result<Answer, Failure>,
}

/// A whole answer of the proxy, not yet judged.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, complete.
    pub body: Bytes,
}

impl Answer {
    /// The upstream that answered, as the proxy tells it (`x-aorta-upstream`; a URL in the demo).
    #[must_use]
    pub fn upstream(&self) -> Option<&HeaderValue> {
        self.headers.get("x-aorta-upstream")
    }

    /// How many upstreams the proxy tried (`x-aorta-attempts`).
    #[must_use]
    pub fn attempts(&self) -> Option<&HeaderValue> {
        self.headers.get("x-aorta-attempts")
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection to the proxy
    #[error("the proxy cannot be reached")]
    Unreachable,
    /// Connected, but no whole answer within the time allowed
    #[error("the proxy did not answer in time")]
    TimedOut,
    /// The answer ended before it was complete, or was not HTTP
    #[error("the proxy's answer broke off or was not HTTP")]
    Broken,
    /// The body is larger than `limits.answer_bytes`
    #[error("the proxy's answer is larger than allowed")]
    TooLarge,
}
