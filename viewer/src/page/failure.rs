//! No record: what happened in plain words, and what to do. Nothing of the proxy's or the upstreams' own words.

use askama::Template;

use super::Page;
use crate::request_id::RequestId;
use crate::view::reading::Trouble;
use crate::view::{Field, Row};

#[derive(Template)]
#[template(path = "failure.html")]
struct Failure<'a> {
    title: &'a str,
    happened: &'static str,
    advice: &'static str,
    request_id: &'a str,
    fetch: &'a [Row],
}

/// The page of a failed fetch.
#[must_use]
pub fn failure(title: &str, trouble: Trouble, request_id: &RequestId, fetch: &[Row]) -> Page {
    let (happened, advice) = words(trouble);
    let template = Failure { title, happened, advice, request_id: request_id.as_str(), fetch };
    Page::render(trouble.status(), &template)
}

/// What happened; what the user can do about it.
fn words(trouble: Trouble) -> (&'static str, &'static str) {
    const SOON: &str = "Wait a moment, then try again.";
    const NOT_BY_WAITING: &str = "Trying again is unlikely to help.";
    match trouble {
        Trouble::Unreachable => ("The service that carries records to this page could not be reached.", SOON),
        Trouble::TimedOut => ("The records service took too long to answer.", SOON),
        Trouble::Unavailable => ("None of the record endpoints can answer at the moment.", SOON),
        Trouble::Busy => {
            ("The records service is handling too many requests.", "Wait a minute, then try again.")
        }
        Trouble::Failed => ("The record endpoints answered with an error.", SOON),
        Trouble::Refused => ("The records service did not accept this page's request.", NOT_BY_WAITING),
        Trouble::Unreadable => {
            ("The answer was not a health record that this page can read.", NOT_BY_WAITING)
        }
        Trouble::TooLarge => ("The record is larger than this page may show.", NOT_BY_WAITING),
        Trouble::Broken => ("The answer broke off before the record was complete.", SOON),
    }
}
