//! Tells spans to an OpenTelemetry collector, as OTLP over HTTP with protobuf; the only file that names
//! OpenTelemetry. Names are those of its semantic conventions for HTTP, and `aorta.*`.

use super::{Counts, Message, Told, ToldAttempt};
use crate::clock;
use aorta_core::classify::Class;
use aorta_core::receipt::Felt;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;

/// Exchanges that are told at once.
const BATCH_MAX: usize = 256;
/// A batch waits so long for more of them.
const GATHER: Duration = Duration::from_millis(500);
/// A collector that takes longer takes nothing.
const TAKE_MAX: Duration = Duration::from_secs(5);

/// The way to a collector.
#[derive(Debug)]
pub struct Collector(SpanExporter);

impl Collector {
    /// The collector at this address, such as `http://127.0.0.1:4318/v1/traces`.
    ///
    /// # Errors
    /// When it is no address.
    pub fn new(endpoint: &str) -> anyhow::Result<Self> {
        let client = HyperClient::with_default_connector(TAKE_MAX, None);
        let builder = SpanExporter::builder().with_http().with_http_client(client);
        let mut exporter = builder.with_endpoint(endpoint).with_timeout(TAKE_MAX).build()?;
        let resource = Resource::builder_empty().with_service_name("aorta-proxy");
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        exporter.set_resource(&resource.with_attribute(version).build());
        Ok(Self(exporter))
    }

    /// Tells everything that comes out of the queue, until the queue is closed.
    pub async fn tell(&self, mut queue: Receiver<Message>, counts: &Counts) {
        let mut works = true;
        while let Some((batch, flushes)) = gather(&mut queue).await {
            let exchanges = batch.len() as u64;
            let spans: Vec<_> = batch.iter().flat_map(|told| spans(told)).collect();
            let told = if spans.is_empty() { Ok(()) } else { self.0.export(spans).await };
            let count = if told.is_ok() { &counts.sent } else { &counts.failed };
            count.fetch_add(exchanges, Ordering::Relaxed);
            // Said once, not for every batch.
            match (&told, works) {
                (Err(error), true) => tracing::warn!(%error, "the collector takes no spans"),
                (Ok(()), false) => tracing::info!("the collector takes spans again"),
                _ => {}
            }
            works = told.is_ok();
            for flush in flushes {
                let _ = flush.send(());
            }
        }
    }
}

/// What is there, or comes within a short time after the first; a flush ends the wait.
async fn gather(queue: &mut Receiver<Message>) -> Option<(Vec<Box<Told>>, Vec<oneshot::Sender<()>>)> {
    let (mut batch, mut flushes) = (Vec::new(), Vec::new());
    let mut next = Some(queue.recv().await?);
    let end = clock::instant(clock::now() + GATHER);
    while let Some(message) = next {
        match message {
            Message::Exchange(told) => batch.push(told),
            Message::Flush(done) => flushes.push(done),
        }
        if batch.len() >= BATCH_MAX || !flushes.is_empty() {
            break;
        }
        next = tokio::time::timeout_at(end, queue.recv()).await.ok().flatten();
    }
    Some((batch, flushes))
}

/// The exchange's span, and one below it for each attempt.
fn spans(told: &Told) -> Vec<SpanData> {
    let attempts = told.attempts.iter().enumerate().map(|(index, one)| attempt(told, index + 1, one));
    std::iter::once(exchange(told)).chain(attempts).collect()
}

fn exchange(told: &Told) -> SpanData {
    // Only methods that HTTP knows become words; anything else could be anybody's.
    let method =
        if crate::head::judge_method(&told.method).is_ok() { told.method.as_str() } else { "_OTHER" };
    let attributes = vec![
        KeyValue::new("http.request.method", method.to_owned()),
        KeyValue::new("http.route", told.template.clone()),
        KeyValue::new("http.response.status_code", i64::from(told.status)),
        KeyValue::new("aorta.route", told.route.clone()),
        KeyValue::new("aorta.pool", told.pool.clone()),
        KeyValue::new("aorta.outcome", told.felt.name()),
        KeyValue::new("aorta.attempts", told.attempts.len() as i64),
    ];
    let status = if told.felt == Felt::Failed { Status::error(told.felt.name()) } else { Status::Unset };
    SpanData {
        parent_span_id: told.trace.parent.map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: told.trace.parent.is_some(),
        span_kind: SpanKind::Server,
        name: format!("{method} {}", told.template).into(),
        ..span(told, told.trace.span, (told.started, told.ended), attributes, status)
    }
}

fn attempt(told: &Told, number: usize, attempt: &ToldAttempt) -> SpanData {
    let attributes = vec![
        KeyValue::new("aorta.pool", told.pool.clone()),
        KeyValue::new("aorta.upstream", attempt.upstream.clone()),
        KeyValue::new("aorta.class", attempt.class.name()),
        KeyValue::new("http.request.resend_count", number as i64 - 1),
    ];
    let failed = attempt.class != Class::Answered;
    let status = if failed { Status::error(attempt.class.name()) } else { Status::Unset };
    SpanData {
        parent_span_id: SpanId::from(told.trace.span),
        span_kind: SpanKind::Client,
        name: format!("attempt {}", attempt.upstream).into(),
        ..span(told, told.trace.attempt(number), (attempt.started, attempt.ended), attributes, status)
    }
}

fn span(
    told: &Told,
    id: u64,
    (started, ended): (Duration, Duration),
    attributes: Vec<KeyValue>,
    status: Status,
) -> SpanData {
    let trace = told.trace.id.into();
    let flags = TraceFlags::SAMPLED;
    SpanData {
        span_context: SpanContext::new(trace, SpanId::from(id), flags, false, TraceState::default()),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "".into(),
        start_time: UNIX_EPOCH + started,
        end_time: UNIX_EPOCH + ended,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: InstrumentationScope::builder("aorta-proxy").build(),
    }
}
