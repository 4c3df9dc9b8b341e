//! A small OpenTelemetry collector: takes traces as OTLP over HTTP with protobuf, and remembers them.

use crate::eventually;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

#[derive(Debug, Default)]
struct Taken {
    spans: Vec<Span>,
    bytes: Vec<u8>,
}

/// A running collector; it ends with its test.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Collector {
    /// Starts one.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let taken: Arc<Mutex<Taken>> = Arc::default();
        let shared = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let taken = Arc::clone(&shared);
                let service = service_fn(move |request| take(Arc::clone(&taken), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, taken }
    }

    /// Where it takes traces.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// Waits for so many spans, and returns all there are.
    pub async fn spans(&self, count: usize) -> Vec<Span> {
        let look = || Some(self.told()).filter(|spans| spans.len() >= count);
        eventually::found(&format!("{count} spans"), look).await
    }

    /// All spans so far.
    #[must_use]
    pub fn told(&self) -> Vec<Span> {
        self.taken().spans.clone()
    }

    /// Everything that was sent to it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.taken().bytes.clone()
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(
    taken: Arc<Mutex<Taken>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_otlp = request.uri().path() == "/v1/traces"
        && request.headers().get("content-type").is_some_and(|kind| kind == "application/x-protobuf");
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let decoded = ExportTraceServiceRequest::decode(body.clone());
    let status = match decoded {
        Ok(export) if is_otlp => {
            let scopes = export.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.spans.extend(scopes.flat_map(|scope| scope.spans));
            taken.bytes.extend_from_slice(&body);
            200
        }
        _ => 400,
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    Ok(response)
}

/// An attribute of a span, as text; empty when it is absent.
#[must_use]
pub fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()).and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// Bytes as they are written in `traceparent`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
