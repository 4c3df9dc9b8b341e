//! Each fault of a region, coming and going in mid-run: a thousand reads lose nothing, no create is executed
//! twice, and where the region refused before execution, each create is executed once, elsewhere.

mod run;

use harness::upstream::Speech::{Http1, Http2};
use harness::upstream::answer::{
    Wrapped, bad_gateway, envelope, forbidden, gateway_timeout, html, lambda_error, outcome, throttled,
};
use harness::upstream::script::{Behaviour, Door, Order};
use run::{Down, Show, survive};
use std::time::Duration;

#[tokio::test]
async fn a_refused_connection_loses_no_read_and_every_create_is_executed_once_elsewhere() {
    survive(Show::Refuse, Http1, Down::Http1).await;
}

#[tokio::test]
async fn a_disabled_endpoint_loses_no_read_and_every_create_is_executed_once_elsewhere() {
    survive(Show::Refusal(Order::before(Behaviour::Say(forbidden()))), Http2, Down::Http1).await;
}

#[tokio::test]
async fn a_throttling_gateway_loses_no_read_and_every_create_is_executed_once_elsewhere() {
    survive(Show::Refusal(Order::before(Behaviour::Say(throttled()))), Http1, Down::Http2).await;
}

#[tokio::test]
async fn a_frozen_region_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Freeze, Http1, Down::Http1).await;
}

#[tokio::test]
async fn a_frozen_region_behind_http2_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Freeze, Http2, Down::Http2).await;
}

#[tokio::test]
async fn a_hang_after_accept_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Door(Door::Mute), Http1, Down::Http2).await;
}

#[tokio::test]
async fn a_region_that_never_reads_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Door(Door::Deaf), Http2, Down::Http1).await;
}

#[tokio::test]
async fn a_request_that_is_never_answered_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::Hang), Http2, Down::Http1).await;
}

#[tokio::test]
async fn two_seconds_of_slowness_lose_no_read_and_execute_no_create_twice() {
    survive(Show::Spoil(Behaviour::Slow(Duration::from_secs(2))), Http1, Down::Http1).await;
}

#[tokio::test]
async fn a_500_of_the_function_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::Say(outcome(500, "exception"))), Http1, Down::Http2).await;
}

#[tokio::test]
async fn a_502_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::Say(bad_gateway())), Http2, Down::Http1).await;
}

#[tokio::test]
async fn a_503_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::Say(outcome(503, "transient"))), Http2, Down::Http2).await;
}

#[tokio::test]
async fn a_504_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::Say(gateway_timeout())), Http1, Down::Http1).await;
}

#[tokio::test]
async fn a_reset_before_the_answer_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::ResetBefore), Http1, Down::Http1).await;
}

#[tokio::test]
async fn a_reset_before_the_answer_over_http2_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::ResetBefore), Http2, Down::Http1).await;
}

#[tokio::test]
async fn a_reset_inside_the_body_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::ResetInside), Http1, Down::Http2).await;
}

#[tokio::test]
async fn a_stream_reset_inside_the_body_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::ResetInside), Http2, Down::Http1).await;
}

#[tokio::test]
async fn a_body_shorter_than_its_length_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::Truncate), Http1, Down::Http1).await;
}

#[tokio::test]
async fn a_stream_shorter_than_its_length_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::Truncate), Http2, Down::Http2).await;
}

#[tokio::test]
async fn chunks_without_an_end_lose_no_read_and_execute_no_create_twice() {
    survive(Show::Spoil(Behaviour::TruncateChunked), Http1, Down::Http2).await;
}

#[tokio::test]
async fn garbage_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::Garbage), Http1, Down::Http1).await;
}

#[tokio::test]
async fn garbage_over_http2_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::Garbage), Http2, Down::Http2).await;
}

#[tokio::test]
async fn an_envelope_that_says_500_loses_no_read_and_executes_no_create_twice() {
    let envelope = envelope(&outcome(500, "exception"), Wrapped::Text);
    survive(Show::Spoil(Behaviour::Say(envelope)), Http2, Down::Http1).await;
}

#[tokio::test]
async fn a_lambda_error_in_a_200_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::Say(lambda_error())), Http1, Down::Http1).await;
}

#[tokio::test]
async fn html_instead_of_fhir_loses_no_read_and_executes_no_create_twice() {
    survive(Show::Spoil(Behaviour::Say(html())), Http2, Down::Http2).await;
}
