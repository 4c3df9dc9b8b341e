//! What a scripted upstream does with a request: the behaviours, and whom an order hits.

use super::ledger::Seen;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One way to answer, or not to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// The right answer.
    Serve,
    /// This answer instead.
    Say(Answer),
    /// The right answer, this much later.
    Slow(Duration),
    /// The request is read and never answered.
    Hang,
    /// TCP reset, not one byte of an answer.
    ResetBefore,
    /// Head and half of the body, then a reset (HTTP/2: of the stream).
    ResetInside,
    /// Head with the full length and half of the body, then a clean close (HTTP/2: a clean end of the stream).
    Truncate,
    /// Chunked, half of the body, no last chunk, then a clean close (HTTP/2: like [`Self::Truncate`]).
    TruncateChunked,
    /// Bytes that are no HTTP.
    Garbage,
    /// The right answer, and then the connection is closed, which the answer did not say (HTTP/2: not closed).
    Leave,
    /// HTTP/2: the stream is refused, which says that nobody looked at it (HTTP/1.1: like [`Self::ResetBefore`]).
    Refuse,
    /// HTTP/2: the connection says goodbye, that it has looked at no request, and ends (HTTP/1.1: like
    /// [`Self::ResetBefore`]).
    Goodbye,
    /// The answer comes when this much of the body has been read, and then a reset (HTTP/1.1 only).
    Early(usize),
}

/// An answer, byte for byte as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers beyond the length.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
    /// Sent without a length: chunked, so that the reader cannot know when it ends.
    pub chunked: bool,
}

impl Answer {
    /// An answer with one media type.
    #[must_use]
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into(), chunked: false }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// When a listener itself misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// Connections are served.
    #[default]
    Open,
    /// Connections are accepted and never spoken to: no TLS, no byte.
    Mute,
    /// TLS is spoken, and no request is ever read.
    Deaf,
}

/// Which requests an order hits.
pub type Matcher = Arc<dyn Fn(&Seen) -> bool + Send + Sync>;

/// A behaviour, whom it hits, and whether the request takes effect first.
#[derive(Clone)]
pub struct Order {
    /// What is shown.
    pub behaviour: Behaviour,
    /// The request is executed (and entered in the ledger) although the answer is spoilt.
    pub executed: bool,
    /// Only these; none hits all.
    pub matcher: Option<Matcher>,
    /// What the behaviour is shown on; none is the right answer.
    pub answer: Option<Answer>,
}

impl Order {
    /// Before execution, everybody.
    #[must_use]
    pub const fn before(behaviour: Behaviour) -> Self {
        Self { behaviour, executed: false, matcher: None, answer: None }
    }

    /// After execution, everybody.
    #[must_use]
    pub const fn after(behaviour: Behaviour) -> Self {
        Self { behaviour, executed: true, matcher: None, answer: None }
    }

    /// Only requests that `matcher` is true of.
    #[must_use]
    pub fn only(mut self, matcher: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Self {
        self.matcher = Some(Arc::new(matcher));
        self
    }

    /// Shows the behaviour on this answer.
    #[must_use]
    pub fn on(mut self, answer: Answer) -> Self {
        self.answer = Some(answer);
        self
    }

    /// Whether this request is hit.
    #[must_use]
    pub fn hits(&self, seen: &Seen) -> bool {
        self.matcher.as_ref().is_none_or(|matcher| matcher(seen))
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, executed: {}, of all: {}", self.behaviour, self.executed, self.matcher.is_none())
    }
}
