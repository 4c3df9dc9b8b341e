//! Which page an answer deserves. The proxy's and the upstreams' own words are not repeated: they may name internals.

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::json;
use super::text::clean;
use crate::source::{Answer, Failure};

/// What an answer turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A Patient.
    Patient(Value),
    /// A resource of another type, named.
    OtherType(String),
    /// No such record.
    NotFound,
    /// A record that was deleted.
    Deleted,
    /// No record, for a reason that is not the record's.
    Trouble(Trouble),
}

/// Why no record can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The proxy cannot be reached.
    Unreachable,
    /// No whole answer in time, or an upstream gave none to the proxy.
    TimedOut,
    /// No endpoint can take the request now.
    Unavailable,
    /// Too many requests.
    Busy,
    /// The endpoints answered, with an error.
    Failed,
    /// The endpoints want credentials that this page does not have.
    Refused,
    /// An answer came that is no FHIR record.
    Unreadable,
    /// An answer came that is larger than allowed.
    TooLarge,
    /// An answer began and broke off.
    Broken,
}

impl Trouble {
    /// The status of the page that tells it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Unavailable | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreachable
            | Self::Failed
            | Self::Refused
            | Self::Unreadable
            | Self::TooLarge
            | Self::Broken => StatusCode::BAD_GATEWAY,
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable => Self::Unreachable,
            Failure::TimedOut => Self::TimedOut,
            Failure::Broken => Self::Broken,
            Failure::TooLarge => Self::TooLarge,
        }
    }
}

/// Judges the end of a fetch.
#[must_use]
pub fn judge(outcome: &Result<Answer, Failure>) -> Reading {
    match outcome {
        Err(failure) => Reading::Trouble((*failure).into()),
        Ok(answer) => judge_answer(answer),
    }
}

fn judge_answer(answer: &Answer) -> Reading {
    match answer.status.as_u16() {
        200..=299 => judge_body(&answer.headers, &answer.body),
        404 => Reading::NotFound,
        410 => Reading::Deleted,
        401 | 403 => Reading::Trouble(Trouble::Refused),
        408 | 504 => Reading::Trouble(Trouble::TimedOut),
        429 => Reading::Trouble(Trouble::Busy),
        503 => Reading::Trouble(Trouble::Unavailable),
        _ => Reading::Trouble(Trouble::Failed),
    }
}

fn judge_body(headers: &HeaderMap, body: &[u8]) -> Reading {
    let encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    let parsed = if encoded { Err(Trouble::Unreadable) } else { json::parse(body) };
    let record = match parsed {
        Ok(record) => record,
        Err(trouble) => return Reading::Trouble(trouble),
    };
    match record.get("resourceType").and_then(Value::as_str) {
        Some("Patient") => Reading::Patient(record),
        // An error inside a success: some gateways answer so.
        Some("OperationOutcome") => Reading::Trouble(Trouble::Failed),
        Some(other) if !other.trim().is_empty() => Reading::OtherType(clean(other)),
        _ => Reading::Trouble(Trouble::Unreadable),
    }
}
