//! The live page: how the pools stand, for a person, without a script. It is made anew for each look.

mod view;

use super::answer::{Answer, json, text, whole, with};
use crate::reload::Reloads;
use crate::service::Proxy;
use askama::Template as _;
use http::{HeaderMap, StatusCode, header};
use view::Live;

/// Nothing may run, nothing may be fetched but the stylesheet, nobody may frame it.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page where a browser asks, and JSON otherwise.
pub(super) fn show(proxy: &Proxy, reloads: &Reloads, headers: &HeaderMap) -> Answer {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if !accepts.into_iter().any(|accepts| accepts.contains("text/html")) {
        return json(&super::pools::all(proxy));
    }
    match Live::of(proxy, reloads).render() {
        Ok(page) => safe(whole(StatusCode::OK, "text/html; charset=utf-8", page.into_bytes())),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

/// What the page looks like.
pub(super) fn style() -> Answer {
    safe(whole(StatusCode::OK, "text/css; charset=utf-8", include_bytes!("style.css").to_vec()))
}

fn safe(answer: Answer) -> Answer {
    let answer = with(answer, header::CONTENT_SECURITY_POLICY, POLICY);
    let answer = with(answer, header::VARY, "accept");
    with(answer, header::REFERRER_POLICY, "no-referrer")
}
