//! Traces: the client's is continued and told to the upstream, and spans reach a collector without a word about a patient.

use crate::world::World;
use bytes::Bytes;
use harness::collector::{Collector, attribute, hex};
use harness::eventually;
use harness::port::Lease;
use harness::upstream::Speech;
use harness::upstream::script::{Behaviour, Order};
use http::Request;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};

const ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn get(path: &str, fields: &[(&str, &str)]) -> Request<Bytes> {
    let request =
        fields.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    request.body(Bytes::new()).unwrap()
}

async fn traced(endpoint: &str, sampled: f64) -> World {
    let traces = format!("{{endpoint: \"{endpoint}\", sampled: {sampled}}}");
    World::with(Speech::Http1, |setup, _| setup.top("traces", &traces)).await
}

/// The spans of the trace [`ID`]: the exchange's, then those of its attempts in order.
fn of_the_client(spans: Vec<Span>) -> Vec<Span> {
    let mut spans: Vec<_> = spans.into_iter().filter(|span| hex(&span.trace_id) == ID).collect();
    spans.sort_by_key(|span| (span.kind != SpanKind::Server as i32, span.start_time_unix_nano));
    spans
}

#[tokio::test]
async fn a_trace_that_came_goes_on_and_stands_in_the_access_line() {
    let world = World::with(Speech::Plain, |setup, _| setup).await;
    let came = format!("00-{ID}-{SPAN}-01");
    let fields = [("traceparent", came.as_str()), ("tracestate", "vendor=1")];
    assert_eq!(world.client().send(get("/Patient/1", &fields)).await.unwrap().status, 200);
    let seen = world.virginia.last();
    assert_eq!(
        (seen.header("traceparent"), seen.header("tracestate")),
        (Some(came.as_str()), Some("vendor=1"))
    );
    assert_eq!(world.proxy.access(1).await[0]["trace_id"], ID);
}

#[tokio::test]
async fn a_malformed_trace_is_replaced_and_its_state_forgotten() {
    let world = World::with(Speech::Plain, |setup, _| setup).await;
    let came = format!("00-{}-{SPAN}-01", ID.to_uppercase());
    let fields = [("traceparent", came.as_str()), ("tracestate", "vendor=1")];
    assert_eq!(world.client().send(get("/Patient/1", &fields)).await.unwrap().status, 200);
    let seen = world.virginia.last();
    let told = seen.header("traceparent").unwrap();
    let line = &world.proxy.access(1).await[0];
    assert!(told.starts_with("00-") && told.len() == 55 && !told.contains(SPAN), "{told}");
    assert_eq!(line["trace_id"], told[3..35]);
    assert_eq!(seen.header("tracestate"), None);
}

#[tokio::test]
async fn a_collector_is_told_the_exchange_and_each_attempt_below_it() {
    let collector = Collector::start().await;
    let world = traced(&collector.endpoint(), 0.0).await;
    world.virginia.obey(Order::before(Behaviour::ResetBefore));
    let came = format!("00-{ID}-{SPAN}-01");
    let request = get("/Patient/SECRET-ID?name=SECRET-NAME", &[("traceparent", &came)]);
    assert_eq!(world.client().send(request).await.unwrap().status, 200);
    let spans = of_the_client(collector.spans(3).await);
    let [exchange, first, second] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(hex(&exchange.parent_span_id), SPAN);
    assert_eq!(exchange.name, "GET /Patient/{id}");
    let told = ["http.response.status_code", "aorta.route", "aorta.outcome", "aorta.attempts"];
    assert_eq!(told.map(|key| attribute(exchange, key)), ["200", "ehr", "rescued", "2"]);
    for attempt in [first, second] {
        assert_eq!((attempt.kind, &attempt.parent_span_id), (SpanKind::Client as i32, &exchange.span_id));
        assert!(attempt.start_time_unix_nano >= exchange.start_time_unix_nano);
        assert!(attempt.end_time_unix_nano <= exchange.end_time_unix_nano + 1_000_000);
    }
    assert_eq!([first, second].map(|attempt| attribute(attempt, "aorta.upstream")), ["virginia", "ohio"]);
    assert_eq!(attribute(second, "aorta.class"), "answered");
    let failed = first.status.as_ref().map(|status| status.code);
    assert_eq!(failed, Some(StatusCode::Error as i32), "{first:?}");
    // What the upstream does is told below the attempt that asked it.
    let parent = format!("00-{ID}-{}-01", hex(&second.span_id));
    assert_eq!(world.ohio.last().header("traceparent"), Some(parent.as_str()));
    let bytes = collector.bytes();
    assert!(!bytes.windows(6).any(|window| window == b"SECRET"), "{}", String::from_utf8_lossy(&bytes));
}

#[tokio::test]
async fn only_the_configured_share_of_new_traces_is_told() {
    let collector = Collector::start().await;
    let world = traced(&collector.endpoint(), 0.3).await;
    let mut client = world.client();
    for _ in 0..200 {
        client.get("/Patient/1").await;
    }
    // The last is told for sure, so that the others have been by then.
    let last = format!("00-{ID}-{SPAN}-01");
    client.send(get("/Patient/1", &[("traceparent", &last)])).await.unwrap();
    let sampled = || of_the_client(collector.told()).first().map(|_| collector.told().len() / 2);
    let told = eventually::found("the last span", sampled).await;
    // 60 are expected of 200; six standard deviations are 39.
    assert!((21..=100).contains(&told), "{told} of 200");
}

// The collector must be able to take spans while the proxy is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_queue_is_told_before_the_proxy_ends() {
    let collector = Collector::start().await;
    let mut world = traced(&collector.endpoint(), 1.0).await;
    world.client().get("/Patient/1").await;
    assert_eq!(world.proxy.stop(), 0);
    assert_eq!(collector.told().len(), 2);
}

#[tokio::test]
async fn a_dead_collector_costs_no_request() {
    let nobody = Lease::take();
    let world = traced(&format!("http://{}/v1/traces", nobody.address()), 1.0).await;
    let mut client = world.client();
    for _ in 0..50 {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    let failed = || {
        let failed = world.proxy.metrics().count("aorta_traced_requests_total", &[("result", "failed")]);
        (failed == 50).then_some(())
    };
    eventually::found("all are counted as failed", failed).await;
}
