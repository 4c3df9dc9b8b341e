//! Short pages: a headline, a sentence, a way on.

use askama::Template;
use http::StatusCode;

use super::Page;
use crate::request_id::RequestId;

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    title: &'a str,
    headline: &'a str,
    happened: &'a str,
    advice: &'a str,
    request_id: &'a str,
}

/// The record does not exist.
#[must_use]
pub fn record_not_found(title: &str, request_id: &RequestId) -> Page {
    let notice = Notice {
        title,
        headline: "No record found",
        happened: "The records service answered, but it has no record at the address this page asks for.",
        advice: "If there should be one, tell the on-call engineer and quote the request number.",
        request_id: request_id.as_str(),
    };
    Page::render(StatusCode::NOT_FOUND, &notice)
}

/// The record existed once.
#[must_use]
pub fn record_deleted(title: &str, request_id: &RequestId) -> Page {
    let notice = Notice {
        title,
        headline: "Record deleted",
        happened: "The records service answered that this record has been deleted.",
        advice: "If it should still be there, tell the on-call engineer and quote the request number.",
        request_id: request_id.as_str(),
    };
    Page::render(StatusCode::GONE, &notice)
}

/// The record is of another type; there is no patient at this address, hence 404.
#[must_use]
pub fn not_a_patient(title: &str, resource_type: &str, request_id: &RequestId) -> Page {
    let notice = Notice {
        title,
        headline: "Not a Patient",
        happened: &format!(
            "The record is of type {resource_type}, not a Patient. This page shows Patients only."
        ),
        advice: "Tell the on-call engineer, who can correct the address this page fetches.",
        request_id: request_id.as_str(),
    };
    Page::render(StatusCode::NOT_FOUND, &notice)
}

/// No page has this address.
#[must_use]
pub fn unknown_path(title: &str) -> Page {
    let happened = "There is no page at this address.";
    plain(title, StatusCode::NOT_FOUND, "Page not found", happened, "Start again from the front page.")
}

/// The page exists, but not for this method.
#[must_use]
pub fn wrong_method(title: &str) -> Page {
    let happened = "This page can only be read; nothing can be sent to it.";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    plain(title, status, "Method not allowed", happened, "Start again from the front page.")
}

/// The browser used a name that is not this viewer's.
#[must_use]
pub fn unknown_host(title: &str) -> Page {
    let happened = "This viewer does not answer under the name in your address bar.";
    let advice =
        "Use the address you were given. The operator can add names under hosts in the configuration.";
    plain(title, StatusCode::MISDIRECTED_REQUEST, "Unknown address", happened, advice)
}

fn plain(title: &str, status: StatusCode, headline: &str, happened: &str, advice: &str) -> Page {
    Page::render(status, &Notice { title, headline, happened, advice, request_id: "" })
}
