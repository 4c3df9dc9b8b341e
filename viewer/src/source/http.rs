//! The proxy as a source of records: a pooled HTTP/1.1 client.

use std::error::Error as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::{Answer, Failure, Fetched};
use crate::request_id::RequestId;

/// The proxy is on this machine or the next one: a connection takes milliseconds or does not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Shorter than the proxy's own idle time-out (60 s), so that a kept connection is not one the proxy just closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// FHIR first; plain JSON because the first generation of functions answers with it.
const ACCEPT: HeaderValue = HeaderValue::from_static("application/fhir+json, application/json;q=0.9");

/// Fetches through the proxy. Cheap to share; keeps its connections between requests.
#[derive(Debug, Clone)]
pub struct Proxy {
    client: Client<HttpConnector, Empty<Bytes>>,
    timeout: Duration,
    answer_bytes_max: usize,
}

impl Proxy {
    /// A client that waits at most `timeout` for a whole answer of at most `answer_bytes_max` bytes.
    #[must_use]
    pub fn new(timeout: Duration, answer_bytes_max: usize) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        Self { client, timeout, answer_bytes_max }
    }

    /// Fetches one record. Dropping the future gives the connection up, so a user who left costs nothing more.
    pub async fn read(&self, record: &Uri) -> Fetched {
        let request_id = RequestId::new();
        let start = Instant::now();
        let exchange = self.exchange(record, &request_id);
        let outcome = tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(Failure::TimedOut));
        let named = outcome.as_ref().ok().and_then(|answer| answer.headers.get("x-request-id"));
        let request_id = named.and_then(RequestId::from_header).unwrap_or(request_id);
        Fetched { request_id, elapsed: start.elapsed(), outcome }
    }

    async fn exchange(&self, record: &Uri, request_id: &RequestId) -> Result<Answer, Failure> {
        let response = match self.send(record, request_id).await {
            // A kept connection can close while the request is on its way (the proxy restarts). Reading twice harms
            // nobody, an error page does.
            Err(error) if broke_off(&error) => self.send(record, request_id).await,
            sent => sent,
        };
        let response = response.map_err(|error| match error.is_connect() {
            true => Failure::Unreachable,
            false => Failure::Broken,
        })?;
        let (head, body) = response.into_parts();
        let body =
            Limited::new(body, self.answer_bytes_max).collect().await.map_err(|error| match error
                .is::<LengthLimitError>(
            ) {
                true => Failure::TooLarge,
                false => Failure::Broken,
            })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }
    fn send(&self, record: &Uri, request_id: &RequestId) -> ResponseFuture {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = record.clone();
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, ACCEPT);
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert("x-request-id", request_id.to_header());
        self.client.request(request)
    }
}

/// The connection ended before the head of an answer; not so when one came that is no HTTP.
fn broke_off(error: &Error) -> bool {
    let cause = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
    cause.is_some_and(|cause| cause.is_incomplete_message() || cause.is_canceled())
}
