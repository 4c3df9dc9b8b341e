//! Method and path to page, on one screen; and what every answer carries.

mod guard;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, header};

use crate::config::Config;
use crate::page::{self, Page};
use crate::source::http::Proxy;
use crate::source::{Answer, Failure, Fetched};
use crate::view::reading::{Reading, judge};

/// What the pages share.
pub(crate) struct App {
    config: Config,
    hosts: guard::Hosts,
    proxy: Proxy,
}

/// Every address of the viewer.
pub fn build(config: Config) -> Router {
    let proxy = Proxy::new(config.proxy_timeout, config.limits.answer_bytes);
    let hosts = guard::Hosts::new(&config);
    let app = Arc::new(App { config, hosts, proxy });
    Router::new()
        .route("/", get(front))
        .route("/patient", get(patient))
        .route("/style.css", get(style))
        .route("/icon.svg", get(icon))
        .route("/livez", get(livez))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard::guard))
        .with_state(app)
}

async fn front(State(app): State<Arc<App>>) -> Response {
    respond(page::front(&app.config.title))
}

async fn patient(State(app): State<Arc<App>>) -> Response {
    let fetched = app.proxy.read(&app.config.record).await;
    let reading = judge(&fetched.outcome);
    log_fetch(&fetched, &reading);
    let mut response = respond(page::fetched(&app.config.title, &fetched, &reading));
    response.headers_mut().insert("x-request-id", fetched.request_id.to_header());
    if let Some(seconds) = retry_after(&fetched.outcome) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// Facts about the exchange, nothing of the record.
fn log_fetch(fetched: &Fetched, reading: &Reading) {
    let reading = match reading {
        Reading::Patient(_) => "patient",
        Reading::OtherType(_) => "other type",
        Reading::NotFound => "not found",
        Reading::Deleted => "deleted",
        Reading::Trouble(_) => "trouble",
    };
    let status = fetched.outcome.as_ref().ok().map(|answer| answer.status.as_u16());
    let failure = fetched.outcome.as_ref().err().map(tracing::field::display);
    let elapsed_ms = fetched.elapsed.as_millis() as u64;
    tracing::info!(request_id = %fetched.request_id, status, failure, reading, elapsed_ms, "fetched");
}

/// The proxy's advice when to come back, if it is a plain number of seconds.
fn retry_after(outcome: &Result<Answer, Failure>) -> Option<HeaderValue> {
    let answer = outcome.as_ref().ok().filter(|answer| matches!(answer.status.as_u16(), 429 | 503))?;
    let value = answer.headers.get(header::RETRY_AFTER)?;
    let seconds: u32 = value.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.into())
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("style.css"))
}

async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], include_str!("icon.svg"))
}

/// Alive, whatever the proxy does: a supervisor must not restart the viewer because a region is down.
async fn livez() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "ok\n")
}

async fn unknown_path(State(app): State<Arc<App>>) -> Response {
    respond(page::notice::unknown_path(&app.config.title))
}

async fn wrong_method(State(app): State<Arc<App>>) -> Response {
    let mut response = respond(page::notice::wrong_method(&app.config.title));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn respond(page: Page) -> Response {
    (page.status, Html(page.html)).into_response()
}
