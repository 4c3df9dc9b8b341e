//! One patient: the rows of the record, then how it was fetched.

use askama::Template;
use http::StatusCode;

use super::Page;
use crate::view::{Field, Row};

#[derive(Template)]
#[template(path = "patient.html")]
struct Patient<'a> {
    title: &'a str,
    record: &'a [Row],
    fetch: &'a [Row],
}

/// The page of a record.
#[must_use]
pub fn patient(title: &str, record: &[Row], fetch: &[Row]) -> Page {
    Page::render(StatusCode::OK, &Patient { title, record, fetch })
}
