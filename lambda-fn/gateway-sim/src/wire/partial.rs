//! A body that stops in the middle of what its head promised.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use super::{End, Saboteur};

/// Sends one part and, once it has left, ends the connection or just the body.
#[derive(Debug)]
pub struct Partial {
    part: Option<Bytes>,
    leaves_at: u64,
    saboteur: Arc<Saboteur>,
    /// How the connection ends; none: only the body ends, short.
    end: Option<End>,
}

impl Partial {
    /// A body of `part` alone.
    #[must_use]
    pub fn new(part: Bytes, saboteur: Arc<Saboteur>, end: Option<End>) -> Self {
        Self { part: Some(part), leaves_at: 0, saboteur, end }
    }
}

impl Body for Partial {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Some(part) = this.part.take() {
            // The head leaves in the same stretch and counts too, so that this is reached no sooner than the part.
            this.leaves_at = this.saboteur.flushed() + part.len() as u64 + 1;
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        let Some(end) = this.end else { return Poll::Ready(None) };
        ready!(this.saboteur.poll_flushed(cx, this.leaves_at));
        this.saboteur.end(end);
        Poll::Pending
    }
}
