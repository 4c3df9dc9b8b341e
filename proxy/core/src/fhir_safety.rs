//! Which request may be repeated, and when. All that the core knows of FHIR is in this module.
//!
//! Sources: RFC 9110 section 9.2 (safe and idempotent methods), FHIR R4 "RESTful API" (conditional create,
//! version-aware update, search by POST, operations).

mod errand;

pub use errand::Errand;

use http::Method;

/// What repeating a request would do; of several things done together the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Safety {
    /// It reads: repeating it changes nothing.
    Safe,
    /// It writes, and a second execution leaves what the first one left.
    Idempotent,
    /// It creates on a condition: idempotent within the record store that judges the condition, nowhere else.
    Conditional,
    /// A second execution would be a second effect.
    Unsafe,
}

impl Safety {
    /// What repeating both would do, when one cannot be repeated without the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

/// What the judgement looks at.
#[derive(Clone, Copy, Debug)]
pub struct SafetyFacts<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's path, without query.
    pub path: &'a str,
    /// An `If-Match` header stands.
    pub if_match: bool,
    /// An `If-None-Exist` header stands (FHIR conditional create).
    pub if_none_exist: bool,
    /// The pool speaks FHIR, so paths and conditional headers mean what FHIR says.
    pub fhir: bool,
    /// Some upstream's record store is known by name, or there is only one upstream: a conditional create can be
    /// repeated inside it.
    pub data_domain: bool,
    /// The operator allows repeating `PUT` without `If-Match` (each repeat makes another version).
    pub retry_unconditional_put: bool,
}

/// FHIR R4 operations that do not affect state (their definitions say `affectsState = false`), by name.
const READING_OPERATIONS: [&str; 12] = [
    "$conforms",
    "$document",
    "$everything",
    "$expand",
    "$graph",
    "$lastn",
    "$lookup",
    "$match",
    "$meta",
    "$subsumes",
    "$translate",
    "$validate",
];

/// The path segment names an operation that reads.
#[must_use]
pub fn is_reading_operation(segment: &str) -> bool {
    READING_OPERATIONS.contains(&segment)
}

/// Judges a request before its first attempt.
#[must_use]
pub fn judge(facts: SafetyFacts<'_>) -> Safety {
    match *facts.method {
        Method::GET | Method::HEAD | Method::OPTIONS => Safety::Safe,
        Method::DELETE => Safety::Idempotent,
        Method::PUT if facts.if_match || facts.retry_unconditional_put => Safety::Idempotent,
        // Outside FHIR a PUT replaces (RFC 9110 section 9.3.4); in FHIR each one makes a version.
        Method::PUT if !facts.fhir => Safety::Idempotent,
        Method::PATCH if facts.if_match && facts.fhir => Safety::Idempotent,
        Method::POST if facts.fhir => judge_fhir_post(facts),
        _ => Safety::Unsafe,
    }
}

fn judge_fhir_post(facts: SafetyFacts<'_>) -> Safety {
    let last = facts.path.rsplit('/').next().unwrap_or_default();
    if last == "_search" || is_reading_operation(last) {
        return Safety::Safe;
    }
    let is_operation = last.starts_with('$');
    if facts.if_none_exist && facts.data_domain && !is_operation {
        return Safety::Conditional;
    }
    Safety::Unsafe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, path: &str, headers: &[&str], expected: Safety) {
        let facts = SafetyFacts {
            method: &method,
            path,
            if_match: headers.contains(&"if-match"),
            if_none_exist: headers.contains(&"if-none-exist"),
            fhir: true,
            data_domain: !headers.contains(&"no domain"),
            retry_unconditional_put: headers.contains(&"put allowed"),
        };
        assert_eq!(judge(facts), expected, "{method} {path} {headers:?}");
    }

    #[test]
    fn reads_are_safe_and_so_is_a_search_by_post() {
        check(Method::GET, "/Patient/1", &[], Safety::Safe);
        check(Method::HEAD, "/Patient/1", &[], Safety::Safe);
        check(Method::OPTIONS, "/", &[], Safety::Safe);
        check(Method::POST, "/Server1/Patient/_search", &[], Safety::Safe);
        check(Method::POST, "/Patient/1/$everything", &[], Safety::Safe);
    }

    #[test]
    fn a_create_may_be_repeated_only_under_if_none_exist_and_where_a_data_domain_is_known() {
        check(Method::POST, "/Patient", &[], Safety::Unsafe);
        check(Method::POST, "/Patient", &["if-none-exist"], Safety::Conditional);
        check(Method::POST, "/Patient", &["if-none-exist", "no domain"], Safety::Unsafe);
        check(Method::POST, "/", &[], Safety::Unsafe);
        check(Method::POST, "/Patient/1/$process-message", &["if-none-exist"], Safety::Unsafe);
    }

    #[test]
    fn an_update_may_be_repeated_only_under_if_match_or_the_operators_switch() {
        check(Method::PUT, "/Patient/1", &[], Safety::Unsafe);
        check(Method::PUT, "/Patient/1", &["if-match"], Safety::Idempotent);
        check(Method::PUT, "/Patient/1", &["put allowed"], Safety::Idempotent);
        check(Method::PATCH, "/Patient/1", &[], Safety::Unsafe);
        check(Method::PATCH, "/Patient/1", &["if-match"], Safety::Idempotent);
        check(Method::DELETE, "/Patient/1", &[], Safety::Idempotent);
    }
}
