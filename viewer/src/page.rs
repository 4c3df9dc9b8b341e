//! Views to HTML: pure functions. Only the templates write markup, and they escape every value.
//!
//! - [`patient`]: the record
//! - [`failure`]: no record, and what to do
//! - [`notice`]: everything else that is not the record

pub mod failure;
pub mod notice;
pub mod patient;

use askama::Template;
use http::StatusCode;

use crate::source::Fetched;
use crate::view;
use crate::view::reading::Reading;

/// A finished page.
#[derive(Debug, Clone)]
pub struct Page {
    /// The status it is sent with.
    pub status: StatusCode,
    /// The document.
    pub html: String,
}

impl Page {
    fn render(status: StatusCode, template: &impl Template) -> Self {
        match template.render() {
            Ok(html) => Self { status, html },
            // Formatting into memory does not fail; should it ever, a bare page is better than half of one.
            Err(_) => Self { status: StatusCode::INTERNAL_SERVER_ERROR, html: String::new() },
        }
    }
}

#[derive(Template)]
#[template(path = "front.html")]
struct Front<'a> {
    title: &'a str,
}

/// The front page: a title and one button.
#[must_use]
pub fn front(title: &str) -> Page {
    Page::render(StatusCode::OK, &Front { title })
}

/// The page for what a fetch brought.
#[must_use]
pub fn fetched(title: &str, fetched: &Fetched, reading: &Reading) -> Page {
    let fetch = view::fetch::rows(fetched);
    let id = &fetched.request_id;
    match reading {
        Reading::Patient(record) => patient::patient(title, &view::patient::rows(record), &fetch),
        Reading::OtherType(name) => notice::not_a_patient(title, name, id),
        Reading::NotFound => notice::record_not_found(title, id),
        Reading::Deleted => notice::record_deleted(title, id),
        Reading::Trouble(trouble) => failure::failure(title, *trouble, id, &fetch),
    }
}
