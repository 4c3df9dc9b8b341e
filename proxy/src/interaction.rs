//! What a request does in FHIR's words, so that it can be counted: one of a fixed set, whatever the path says.
//!
//! Source: FHIR R4 "RESTful API", section 3.1.0 (the interactions and their paths). Nothing is decided by this:
//! what may be repeated is the core's to say.

use crate::path;
use http::Method;

/// The resource types that are told apart, in order; logs and metrics know no others, because a segment of a path
/// may as well be somebody's name. They are those of the US Core profiles and of FHIR's own housekeeping.
pub const RESOURCE_TYPES: [&str; 25] = [
    "AllergyIntolerance",
    "Appointment",
    "AuditEvent",
    "Binary",
    "Bundle",
    "CarePlan",
    "Claim",
    "Composition",
    "Condition",
    "Coverage",
    "Device",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "ExplanationOfBenefit",
    "Immunization",
    "Location",
    "Medication",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "Procedure",
    "ServiceRequest",
];
/// Stands for every other type.
const OTHER_TYPE: &str = "other";
/// Stands where FHIR names no type: interactions with the whole system.
const SYSTEM: &str = "system";

/// With resources of one type.
const OF_TYPE: [&str; 9] =
    ["create", "delete", "history", "operation", "patch", "read", "search", "update", "vread"];
/// With the whole system; what fits nowhere is `other`.
const OF_SYSTEM: [&str; 6] = ["capabilities", "history", "operation", "other", "search", "transaction"];

/// One interaction: its place in [`Interaction::all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interaction(usize);

impl Interaction {
    /// All there can be, as `(resource_type, interaction)`, in the order of [`Interaction::place`].
    pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        let types = RESOURCE_TYPES.into_iter().chain([OTHER_TYPE]);
        let typed = types.flat_map(|of| OF_TYPE.into_iter().map(move |what| (of, what)));
        typed.chain(OF_SYSTEM.into_iter().map(|what| (SYSTEM, what)))
    }

    /// Its place in [`Interaction::all`].
    #[must_use]
    pub const fn place(self) -> usize {
        self.0
    }

    /// The resource type and what is done to it.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        Self::all().nth(self.0).unwrap_or((SYSTEM, "other"))
    }

    /// What a request is; `path` starts where FHIR's own path starts.
    #[must_use]
    pub fn of(method: &Method, path: &str) -> Self {
        let mut words = path::words(path).filter(|word| !word.is_empty());
        let five = [words.next(), words.next(), words.next(), words.next(), words.next()];
        match five {
            [None, ..] => Self::system(root(method)),
            [Some("metadata"), None, ..] => Self::system("capabilities"),
            [Some(word), None, ..] if underscored(word).is_some() => {
                Self::system(underscored(word).unwrap_or("other"))
            }
            [Some(of), rest @ ..] => match within(method, of, rest) {
                Some((of, what)) => Self::typed(of, what),
                None => Self::system("other"),
            },
        }
    }

    fn typed(of: &str, what: &str) -> Self {
        let of = RESOURCE_TYPES.binary_search(&of).unwrap_or(RESOURCE_TYPES.len());
        let what = OF_TYPE.binary_search(&what).unwrap_or_default();
        Self(of * OF_TYPE.len() + what)
    }

    fn system(what: &str) -> Self {
        let before = (RESOURCE_TYPES.len() + 1) * OF_TYPE.len();
        Self(before + OF_SYSTEM.binary_search(&what).unwrap_or_default())
    }
}

fn root(method: &Method) -> &'static str {
    match *method {
        Method::POST => "transaction",
        Method::GET | Method::HEAD => "search",
        _ => "other",
    }
}

/// What `_search`, `_history` and `$operation` mean wherever they stand last.
fn underscored(word: &str) -> Option<&'static str> {
    match word {
        "_search" => Some("search"),
        "_history" => Some("history"),
        _ if word.starts_with('$') => Some("operation"),
        _ => None,
    }
}

/// Behind a type: the type it is about, and what it does.
fn within<'a>(method: &Method, of: &'a str, rest: [Option<&'a str>; 4]) -> Option<(&'a str, &'static str)> {
    let what = match rest {
        [None, ..] => on_type(method)?,
        [Some(word), None, ..] => underscored(word).or_else(|| on_one(method))?,
        // A compartment is searched for another type: /Patient/1/Observation.
        [Some(_), Some(word), None, _] => match underscored(word) {
            Some(what) => what,
            None => return Some((word, "search")),
        },
        [Some(_), Some("_history"), Some(_), None] => on_version(method)?,
        _ => return None,
    };
    Some((of, what))
}

fn on_type(method: &Method) -> Option<&'static str> {
    match *method {
        Method::GET | Method::HEAD => Some("search"),
        Method::POST => Some("create"),
        // Conditional ones name no id.
        _ => on_one(method),
    }
}

fn on_one(method: &Method) -> Option<&'static str> {
    match *method {
        Method::GET | Method::HEAD => Some("read"),
        Method::PUT => Some("update"),
        Method::PATCH => Some("patch"),
        Method::DELETE => Some("delete"),
        _ => None,
    }
}

fn on_version(method: &Method) -> Option<&'static str> {
    match *method {
        Method::GET | Method::HEAD => Some("vread"),
        Method::DELETE => Some("delete"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, path: &str, expected: (&str, &str)) {
        let place = Interaction::of(&method, path).place();
        assert_eq!(Interaction::all().nth(place), Some(expected), "{method} {path}");
    }

    #[test]
    fn interactions_are_told_apart_as_fhir_does() {
        check(Method::GET, "/Patient/1", ("Patient", "read"));
        check(Method::HEAD, "/Patient/1/", ("Patient", "read"));
        check(Method::GET, "/Patient/1/_history/2", ("Patient", "vread"));
        check(Method::GET, "/Patient/1/_history", ("Patient", "history"));
        check(Method::GET, "/Patient/_history", ("Patient", "history"));
        check(Method::GET, "/Patient", ("Patient", "search"));
        check(Method::POST, "/Patient/_search", ("Patient", "search"));
        check(Method::GET, "/Patient/1/Observation", ("Observation", "search"));
        check(Method::POST, "/Observation", ("Observation", "create"));
        check(Method::PUT, "/Observation/1", ("Observation", "update"));
        check(Method::PUT, "/Observation", ("Observation", "update"));
        check(Method::PATCH, "/Observation/1", ("Observation", "patch"));
        check(Method::DELETE, "/Observation/1", ("Observation", "delete"));
        check(Method::GET, "/Patient/1/$everything", ("Patient", "operation"));
        check(Method::POST, "/Patient/$match", ("Patient", "operation"));
        check(Method::GET, "/Observation/$lastn", ("Observation", "operation"));
        check(Method::GET, "/metadata", ("system", "capabilities"));
        check(Method::POST, "/", ("system", "transaction"));
        check(Method::GET, "/", ("system", "search"));
        check(Method::GET, "/_history", ("system", "history"));
        check(Method::POST, "/$process-message", ("system", "operation"));
    }

    #[test]
    fn what_names_no_known_type_is_other_and_never_itself() {
        check(Method::GET, "/Johnson/1", ("other", "read"));
        check(Method::GET, "/Patient/1/Johnson", ("other", "search"));
        check(Method::OPTIONS, "/Patient/1", ("system", "other"));
        check(Method::GET, "/a/b/c/d/e/f", ("system", "other"));
        check(Method::POST, "/Patient/1", ("system", "other"));
    }

    #[test]
    fn every_list_is_in_order_so_that_it_can_be_searched() {
        for list in [&RESOURCE_TYPES[..], &OF_TYPE[..], &OF_SYSTEM[..]] {
            assert!(list.is_sorted(), "{list:?}");
        }
        assert_eq!(Interaction::all().count(), 26 * 9 + 6);
    }
}
