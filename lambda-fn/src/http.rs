//! The door of sockets: `serve` behind hyper, for laptops, containers and tests.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fhir::IssueCode;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::clock;
use crate::outcome::Refusal;
use crate::request::{Request, decode_form};
use crate::serve::{Server, refused};
use crate::store::Store;

/// The largest body: what a Lambda event holds.
pub const BODY_BYTES_MAX: usize = 6 * 1024 * 1024;
/// The largest request line and headers together; API Gateway allows 10 KiB.
const HEAD_BYTES_MAX: usize = 32 * 1024;
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// Beyond it connections wait in the operating system's queue.
const CONNECTIONS_MAX: usize = 1024;
/// How long requests in flight may take once a stop was asked for.
const STOP_TIME_MAX: Duration = Duration::from_secs(20);

/// Serves until `stop` completes, then lets what is in flight finish.
pub async fn run<S: Store>(listener: TcpListener, server: Arc<Server<S>>, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let served = connection(stream, Arc::clone(&server), &graceful);
                tokio::spawn(async move {
                    let _place = place;
                    served.await;
                });
            }
            Err(error) => {
                // Out of file descriptors, mostly: going round at once would only burn the processor.
                tracing::warn!(kind = ?error.kind(), "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    tracing::info!("stopping");
    if tokio::time::timeout(STOP_TIME_MAX, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests in flight were cut off");
    }
}

fn connection<S: Store>(
    stream: TcpStream,
    server: Arc<Server<S>>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<S> {
    // Nagle's algorithm holds small answers back for tens of milliseconds.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(kind = ?error.kind(), "no TCP_NODELAY");
    }
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(answer(&server, request).await.map(Full::new)) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX).max_buf_size(HEAD_BYTES_MAX);
    let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
    async move {
        // A client that goes away or speaks no HTTP is its own affair.
        if let Err(error) = connection.await {
            tracing::debug!(
                timeout = error.is_timeout(),
                parse = error.is_parse(),
                "a connection ended early"
            );
        }
    }
}

async fn answer<S: Store>(server: &Server<S>, request: hyper::Request<Incoming>) -> Response<Bytes> {
    let (head, body) = request.into_parts();
    let query = decode_form(head.uri.query().unwrap_or_default().as_bytes());
    let mut request = Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: Vec::new(),
        headers: head.headers,
        body: Bytes::new(),
        prefix: String::new(),
        scheme: "http",
    };
    match query {
        Ok(query) => request.query = query,
        Err(_) => {
            let refusal = Refusal::bad_request(IssueCode::Value, "the query is not UTF-8");
            return refused(&request, &refusal);
        }
    }
    match collect(body).await {
        Ok(body) => request.body = body,
        Err(refusal) => return refused(&request, &refusal),
    }
    let now = clock::now();
    server.serve(&request, now, clock::new_id(now)).await
}

async fn collect(body: Incoming) -> Result<Bytes, Refusal> {
    let too_long = || {
        let words = format!("a body has at most {BODY_BYTES_MAX} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, IssueCode::TooLong, words)
    };
    // A length that is announced need not be waited for.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_long());
    }
    let collected = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIME_MAX, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => Err(Refusal::bad_request(IssueCode::Incomplete, "the body ended early")),
        Err(_) => {
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, IssueCode::Timeout, "the body took too long"))
        }
    }
}
