//! The Lambda Runtime API, as one environment sees it: a loopback HTTP server that hands out events and takes replies.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::function::{Event, Outcome, REPLY_BYTES_MAX, Shared};
use crate::ids::unix_millis;

const PREFIX: &str = "/2018-06-01/runtime/";

/// What one environment is doing.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    in_flight: Mutex<Option<InFlight>>,
    deadline: watch::Sender<Option<Instant>>,
    asked: AtomicBool,
    /// Whether this is the first process of its slot, which the start of the region waits for.
    first: bool,
}

#[derive(Debug)]
struct InFlight {
    id: String,
    outcome: oneshot::Sender<Outcome>,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, first: bool) -> Self {
        Self {
            shared,
            in_flight: Mutex::default(),
            deadline: watch::channel(None).0,
            asked: AtomicBool::new(false),
            first,
        }
    }

    /// Whether the process ever asked for an event.
    pub fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Ends the event at hand, if there is one.
    pub fn fail(&self, outcome: Outcome) {
        self.finish(None, outcome);
    }

    /// Returns once an event has been at hand for longer than the function's time limit.
    pub async fn overdue(&self) {
        let mut deadline = self.deadline.subscribe();
        loop {
            let current = *deadline.borrow_and_update();
            let moved = match current {
                None => deadline.changed().await.is_ok(),
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => return,
                    changed = deadline.changed() => changed.is_ok(),
                },
            };
            if !moved {
                return std::future::pending().await;
            }
        }
    }

    /// True when an event was at hand (with that id, where one is given) and has its outcome now.
    fn finish(&self, id: Option<&str>, outcome: Outcome) -> bool {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if in_flight.as_ref().is_none_or(|known| id.is_some_and(|id| id != known.id)) {
            return false;
        }
        let finished = in_flight.take();
        drop(in_flight);
        self.deadline.send_replace(None);
        if let Some(finished) = finished {
            let _ = finished.outcome.send(outcome);
        }
        true
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        if !self.asked.swap(true, Ordering::AcqRel) && self.first {
            self.shared.settled.send_modify(|settled| *settled += 1);
        }
        self.fail(Outcome::failed("Runtime.NoResponse", "Error: the function asked again without a reply"));
        let event = self.shared.queue.lock().await.recv().await;
        match event {
            Some(event) => self.hand_out(event),
            None => text(StatusCode::SERVICE_UNAVAILABLE, r#"{"errorMessage":"the region stops"}"#),
        }
    }

    fn hand_out(&self, event: Event) -> Response<Full<Bytes>> {
        let limit = self.shared.function.timeout;
        let arn = format!("arn:aws:lambda:{}:123456789012:function:local", self.shared.region);
        let deadline_ms = unix_millis(SystemTime::now() + limit).to_string();
        let response = Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", &event.id)
            .header("lambda-runtime-deadline-ms", deadline_ms)
            .header("lambda-runtime-invoked-function-arn", arn)
            .header("lambda-runtime-trace-id", &event.trace)
            .body(Full::new(event.payload));
        let Ok(response) = response else {
            let _ = event
                .outcome
                .send(Outcome::failed("Runtime.Unknown", "Error: the event has no valid headers"));
            return text(StatusCode::INTERNAL_SERVER_ERROR, r#"{"errorMessage":"no valid event"}"#);
        };
        self.shared.counters.executed(&event.method);
        let in_flight = InFlight { id: event.id, outcome: event.outcome };
        *self.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = Some(in_flight);
        self.deadline.send_replace(Some(Instant::now() + limit));
        response
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET, "invocation/next") => self.next().await,
            (&Method::POST, "init/error") => self.init_error(request.into_body()).await,
            (&Method::POST, path) => {
                match path.strip_prefix("invocation/").and_then(|rest| rest.split_once('/')) {
                    Some((id, "response")) => self.reply(id, request.into_body()).await,
                    Some((id, "error")) => self.error(id, request.into_body()).await,
                    _ => not_found(),
                }
            }
            _ => not_found(),
        }
    }

    async fn reply(&self, id: &str, body: Incoming) -> Response<Full<Bytes>> {
        let Ok(reply) = Limited::new(body, REPLY_BYTES_MAX).collect().await else {
            let message = format!(
                "Response payload size exceeded maximum allowed payload size ({REPLY_BYTES_MAX} bytes)."
            );
            self.finish(Some(id), Outcome::failed("Function.ResponseSizeTooLarge", &message));
            return text(
                StatusCode::PAYLOAD_TOO_LARGE,
                r#"{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}"#,
            );
        };
        accepted(self.finish(Some(id), Outcome::Replied(reply.to_bytes())))
    }

    async fn error(&self, id: &str, body: Incoming) -> Response<Full<Bytes>> {
        let outcome = match Limited::new(body, REPLY_BYTES_MAX).collect().await.map(|body| body.to_bytes()) {
            Ok(error) if serde_json::from_slice::<serde::de::IgnoredAny>(&error).is_ok() => {
                Outcome::Failed(error)
            }
            _ => Outcome::failed("Runtime.Unknown", "Error: the function reported an error that is no JSON"),
        };
        accepted(self.finish(Some(id), outcome))
    }

    async fn init_error(&self, body: Incoming) -> Response<Full<Bytes>> {
        let size = Limited::new(body, REPLY_BYTES_MAX).collect().await.map(|body| body.to_bytes().len());
        tracing::error!(bytes = size.unwrap_or_default(), "the function reported that it cannot start");
        accepted(true)
    }
}

/// Serves one environment until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, session: Arc<Session>) {
    // A descriptor shortage passes; spinning on it would not help.
    const PAUSE: Duration = Duration::from_millis(50);
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Without it one exchange takes 40 ms: Nagle on this side meets the delayed acknowledgement of the other.
        let _ = stream.set_nodelay(true);
        while connections.try_join_next().is_some() {}
        let session = Arc::clone(&session);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let session = Arc::clone(&session);
                async move { Ok::<_, Infallible>(session.answer(request).await) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn accepted(known: bool) -> Response<Full<Bytes>> {
    if known {
        text(StatusCode::ACCEPTED, r#"{"status":"OK"}"#)
    } else {
        text(
            StatusCode::BAD_REQUEST,
            r#"{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}"#,
        )
    }
}

fn not_found() -> Response<Full<Bytes>> {
    text(StatusCode::NOT_FOUND, r#"{"errorMessage":"not found"}"#)
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
