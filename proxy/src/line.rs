//! One way to an address of an upstream: how to connect, and the HTTP/1 connections that wait for a request.
//!
//! Pingora's own pool watches each idle connection from a task of its own: a start, an end and two wake-ups for
//! each request, often on another thread. Here a connection waits on the thread that drives it, and is looked
//! at when it is taken and by [`Line::sweep`]. HTTP/2 connections stay with Pingora, which shares them.

use crate::clock;
use crate::wire::Wire;
use aorta_core::time::Timestamp;
use pingora::connectors::http::Connector;
use pingora::protocols::Stream;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use thread_local::ThreadLocal;
use tokio::io::{AsyncRead as _, ReadBuf};

/// Connections that wait on one thread for one address: beyond them the one that waited longest is closed.
const WAITING_MAX: usize = 256;

/// How to connect to one address, and who is connected already.
#[derive(Debug)]
pub struct Line {
    /// How to connect.
    pub peer: HttpPeer,
    waiting: ThreadLocal<Mutex<VecDeque<Waiting>>>,
}

#[derive(Debug)]
struct Waiting {
    stream: Stream,
    until: Timestamp,
}

impl Line {
    /// A line nobody has used yet.
    #[must_use]
    pub fn new(peer: HttpPeer) -> Self {
        Self { peer, waiting: ThreadLocal::new() }
    }

    /// A connection that waits on this thread.
    pub fn waiting(&self) -> Option<Wire> {
        self.take().map(Wire::http1)
    }

    /// A new connection, or a stream of one that is shared; none when it cannot be made.
    pub async fn open(&self, connector: &Connector) -> Option<Wire> {
        match connector.get_http_session(&self.peer).await {
            Ok((HttpSession::H1(http1), _)) => Some(Wire::http1(http1.into_inner())),
            Ok((http2, _)) => Some(Wire::Http2(Box::new(http2))),
            Err(error) => {
                tracing::debug!(error = %error.etype().as_str(), "connect failed");
                None
            }
        }
    }

    /// Gives a connection back, to be used again within `idle`.
    pub fn release(&self, connector: &Connector, wire: Wire, idle: Duration) {
        match wire {
            // A connection that cannot be used again is dropped.
            Wire::Http1(http1) => {
                if let Some(stream) = http1.into_idle() {
                    self.put(Waiting { stream, until: clock::now() + idle });
                }
            }
            // Only a return to the pool: nothing in it waits.
            Wire::Http2(http2) => {
                let _ = at_once(connector.release_http_session(*http2, &self.peer, Some(idle)));
            }
        }
    }

    /// Closes what waited too long or was closed by the other end.
    pub fn sweep(&self) {
        let now = clock::now();
        for waiting in &self.waiting {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.retain_mut(|one| one.until > now && is_quiet(&mut one.stream));
        }
    }

    fn take(&self) -> Option<Stream> {
        let mut waiting = self.waiting.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        while let Some(mut last) = waiting.pop_back() {
            if last.until > now && is_quiet(&mut last.stream) {
                return Some(last.stream);
            }
        }
        None
    }

    fn put(&self, one: Waiting) {
        let mut waiting = self.waiting.get_or_default().lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back(one);
    }
}

/// Neither closed nor ahead of its time: what an idle server sends belongs to no request of ours.
fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0];
    let mut read = ReadBuf::new(&mut byte);
    let look = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut read));
    // A task that has had its share of time would be told that nothing is there to read.
    at_once(tokio::task::unconstrained(look)).is_none()
}

/// What a future has to say without waiting.
fn at_once<F: Future>(work: F) -> Option<F::Output> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}
