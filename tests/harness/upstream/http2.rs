//! HTTP/2 through hyper, with a connection underneath that can be broken.

use super::Shared;
use super::http1::ARRIVAL;
use super::ledger::{Seen, hash};
use super::script::{Answer, Behaviour};
use super::wire::{Breakable, Io, Switch};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::error::Error;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::time::Sleep;

/// Serves one connection to its end.
pub(super) async fn serve(io: Io, shared: Arc<Shared>, connection: usize) -> io::Result<()> {
    let switch = Switch::default();
    let handle = {
        let switch = switch.clone();
        move |request| answer(request, Arc::clone(&shared), connection, switch.clone())
    };
    let breakable = TokioIo::new(Breakable { io, switch });
    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(breakable, service_fn(handle))
        .await
        .map_err(io::Error::other)
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    connection: usize,
    switch: Switch,
) -> Result<Response<Script>, Box<dyn Error + Send + Sync>> {
    let seen = read(request, connection).await?;
    let head_only = seen.method == "HEAD";
    let plan = shared.receive(seen);
    let whole = Half::All;
    let half = match plan.behaviour {
        Behaviour::Serve | Behaviour::Say(_) | Behaviour::Leave | Behaviour::Early(_) => whole,
        Behaviour::Refuse => return Err(h2::Error::from(h2::Reason::REFUSED_STREAM).into()),
        Behaviour::Slow(late) => {
            tokio::time::sleep(late).await;
            whole
        }
        Behaviour::Hang => pending().await,
        Behaviour::ResetBefore => {
            switch.reset();
            whole
        }
        Behaviour::Garbage => {
            switch.junk();
            whole
        }
        Behaviour::Goodbye => {
            switch.say_goodbye();
            whole
        }
        Behaviour::ResetInside => Half::ThenReset,
        Behaviour::Truncate | Behaviour::TruncateChunked => Half::ThenEnd,
    };
    Ok(respond(&plan.answer, half, head_only))
}

async fn read(request: Request<Incoming>, connection: usize) -> io::Result<Seen> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let authority = parts.uri.authority().map(|authority| ("host".to_owned(), authority.to_string()));
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(Seen {
        at: Instant::now(),
        connection,
        version: "2",
        method: parts.method.to_string(),
        target: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: authority.into_iter().chain(parts.headers.iter().map(field)).collect(),
        body_len: body.len(),
        body_hash: hash(&body),
    })
}

fn respond(answer: &Answer, half: Half, head_only: bool) -> Response<Script> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    if !answer.chunked && !matches!(answer.status, 204 | 304) {
        response = response.header("content-length", answer.body.len());
    }
    let body = if head_only { Script::default() } else { Script::new(&answer.body, half) };
    response.body(body).expect("a scripted answer is a sound response")
}

#[derive(Clone, Copy)]
enum Half {
    All,
    ThenEnd,
    ThenReset,
}

/// A body that may stop half-way.
#[derive(Default)]
struct Script {
    chunk: Option<Bytes>,
    reset: Option<Pin<Box<Sleep>>>,
}

impl Script {
    fn new(body: &Bytes, half: Half) -> Self {
        let chunk = match half {
            Half::All => body.clone(),
            Half::ThenEnd | Half::ThenReset => body.slice(..body.len() / 2),
        };
        let reset = matches!(half, Half::ThenReset).then(|| Box::pin(tokio::time::sleep(ARRIVAL)));
        Self { chunk: Some(chunk).filter(|chunk| !chunk.is_empty()), reset }
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if let Some(chunk) = this.chunk.take() {
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match &mut this.reset {
            None => Poll::Ready(None),
            Some(arrival) => {
                ready!(arrival.as_mut().poll(cx));
                Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.chunk.is_none() && self.reset.is_none()
    }
}
