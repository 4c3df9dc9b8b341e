//! Aorta's own answers in words: a FHIR OperationOutcome where the pool speaks FHIR, else problem details.
//! Never a stack trace, never an internal address.
//!
//! Sources: FHIR R4 "OperationOutcome" and its value set issue-type; RFC 9457.

mod send;

pub use send::{Closing, send};

use aorta_core::verdict::Refusal;

/// A refusal's body and its media type.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    /// `Content-Type`.
    pub media_type: &'static str,
    /// JSON.
    pub body: String,
}

/// Words a refusal.
#[must_use]
pub fn words(refusal: Refusal, fhir: bool, request_id: &str) -> Words {
    let text = external(refusal);
    if fhir {
        let severity = if refusal.is_clients_fault() { "error" } else { "fatal" };
        let code = issue_type(refusal);
        let body = serde_json::json!({
            "resourceType": "OperationOutcome",
            "issue": [{
                "severity": severity,
                "code": code,
                "diagnostics": format!("{text} (request {request_id})"),
            }],
        });
        return Words { media_type: "application/fhir+json; charset=utf-8", body: body.to_string() };
    }
    let body = serde_json::json!({
        "type": "about:blank",
        "title": text,
        "status": refusal.status(),
        "detail": format!("{}; request {request_id}", refusal.name()),
    });
    Words { media_type: "application/problem+json", body: body.to_string() }
}

const fn external(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoRoute => "No route serves this host, path and method.",
        Refusal::NoUpstream | Refusal::Unreachable => "No endpoint could be reached. Try again shortly.",
        Refusal::BadAnswer => "Every endpoint that was tried gave an unusable answer. Try again shortly.",
        Refusal::TimedOut => {
            "No endpoint answered in time. The request may or may not have been carried out."
        }
        Refusal::DeadlinePassed => "The deadline that came with the request has passed.",
        Refusal::PageGone => "The endpoint that holds this search is out. Begin the search anew.",
        Refusal::UnknownAtGateway => "The endpoints know no such path or method.",
        Refusal::BadPath => "The path is not absolute, climbs, or hides a separator in its encoding.",
        Refusal::BadRequest => "The request is malformed or contradicts itself.",
        Refusal::MethodNotAllowed => "This method is not forwarded.",
        Refusal::BodyTooLarge => "The request body is larger than is accepted here.",
        Refusal::ClientTooSlow => "The request did not arrive in time.",
        Refusal::UriTooLong => {
            "The request target is longer than any endpoint accepts. Search by POST instead."
        }
        Refusal::HeaderTooLarge => "The request header is larger than is accepted here.",
        Refusal::Overloaded => "The proxy is at its limit. Try again shortly.",
        Refusal::AuditUnavailable => "The request cannot be recorded as it must be. Try again shortly.",
        Refusal::QuotaUsedUp => {
            "This client asks more often than it may. Try again later: Retry-After says when."
        }
    }
}

const fn issue_type(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoRoute | Refusal::UnknownAtGateway | Refusal::PageGone => "not-found",
        Refusal::NoUpstream | Refusal::Unreachable | Refusal::BadAnswer | Refusal::AuditUnavailable => {
            "transient"
        }
        Refusal::TimedOut | Refusal::DeadlinePassed | Refusal::ClientTooSlow => "timeout",
        Refusal::BadPath | Refusal::BadRequest => "structure",
        Refusal::MethodNotAllowed => "not-supported",
        Refusal::BodyTooLarge | Refusal::UriTooLong | Refusal::HeaderTooLarge => "too-long",
        Refusal::Overloaded | Refusal::QuotaUsedUp => "throttled",
    }
}

/// After these the connection's framing, or the client's patience with it, cannot be trusted.
#[must_use]
pub const fn closes(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::BadRequest | Refusal::BodyTooLarge | Refusal::ClientTooSlow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fhir_client_is_told_in_fhir() {
        let words = words(Refusal::TimedOut, true, "r1");
        let outcome: serde_json::Value = serde_json::from_str(&words.body).unwrap();
        assert_eq!(outcome["resourceType"], "OperationOutcome");
        assert_eq!(outcome["issue"][0]["code"], "timeout");
        assert!(words.media_type.starts_with("application/fhir+json"));
    }

    #[test]
    fn any_other_client_is_told_in_problem_details() {
        let words = words(Refusal::NoRoute, false, "r1");
        let problem: serde_json::Value = serde_json::from_str(&words.body).unwrap();
        assert_eq!(problem["status"], 404);
        assert_eq!(words.media_type, "application/problem+json");
    }
}
