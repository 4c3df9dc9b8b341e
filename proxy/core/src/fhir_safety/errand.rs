//! What a request is sent for, by its method and the shape of its path (FHIR R4, "RESTful API"): as coarse as
//! decisions are. Metrics count FHIR's interactions more finely, and decide nothing.

use crate::admission::Priority;
use http::Method;

/// What a request is sent for, as far as decisions differ by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Errand {
    /// One record, or one version of it, or what the server offers.
    Read,
    /// Records that match, or versions: the answer is a Bundle.
    Search,
    /// One record is created, changed or deleted.
    Write,
    /// Several in one request.
    Batch,
    /// A named operation.
    Operation,
    /// Very many records at once: `$export`, `$everything`, the history of a type or of all.
    Bulk,
    /// Not of FHIR's shapes.
    Other,
}

impl Errand {
    /// What this request is sent for; `path` stands below the base and carries no query.
    #[must_use]
    pub fn of(method: &Method, path: &str) -> Self {
        let path = path.trim_matches('/');
        let mut segments = [""; 5];
        let mut count = 0;
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let Some(slot) = segments.get_mut(count) else { return Self::Other };
            *slot = segment;
            count += 1;
        }
        match *method {
            Method::GET | Method::HEAD => Self::of_get(&segments[..count]),
            Method::POST => Self::of_post(&segments[..count]),
            Method::PUT | Method::PATCH | Method::DELETE => Self::Write,
            _ => Self::Other,
        }
    }

    fn of_get(segments: &[&str]) -> Self {
        match *segments {
            [.., last] if last.starts_with('$') => Self::operation(last),
            [] => Self::Search,
            ["metadata"] => Self::Read,
            ["_history"] | [_, "_history"] => Self::Bulk,
            [kind] if is_kind(kind) => Self::Search,
            [kind, _] if is_kind(kind) => Self::Read,
            [kind, _, "_history"] if is_kind(kind) => Self::Search,
            [kind, _, "_history", _] if is_kind(kind) => Self::Read,
            [kind, _, other] if is_kind(kind) && is_kind(other) => Self::Search,
            _ => Self::Other,
        }
    }

    fn of_post(segments: &[&str]) -> Self {
        match *segments {
            [.., last] if last.starts_with('$') => Self::operation(last),
            [.., "_search"] => Self::Search,
            [] => Self::Batch,
            [kind] if is_kind(kind) => Self::Write,
            _ => Self::Other,
        }
    }

    fn operation(name: &str) -> Self {
        if matches!(name, "$export" | "$everything") { Self::Bulk } else { Self::Operation }
    }

    /// What is let in first when not everything can be.
    #[must_use]
    pub const fn priority(self) -> Priority {
        match self {
            Self::Read => Priority::Record,
            Self::Write | Self::Batch => Priority::Write,
            Self::Search | Self::Operation | Self::Other => Priority::Search,
            Self::Bulk => Priority::Bulk,
        }
    }

    /// Its answer is one record and no Bundle that the server composed. (A stored Bundle is a record too.)
    #[must_use]
    pub const fn answers_with_one_record(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }
}

/// Resource types begin with a capital letter; no other word of FHIR's paths does.
fn is_kind(segment: &str) -> bool {
    segment.starts_with(|first: char| first.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errand_is_told_by_its_method_and_the_shape_of_its_path() {
        use Errand::{Batch, Bulk, Operation, Other, Read, Search, Write};
        for (method, path, expected) in [
            (Method::GET, "/Patient/1", Read),
            (Method::HEAD, "/Patient/1", Read),
            (Method::GET, "/Patient/1/_history/2", Read),
            (Method::GET, "/metadata", Read),
            (Method::GET, "/", Search),
            (Method::GET, "", Search),
            (Method::GET, "/Patient", Search),
            (Method::GET, "/Patient/", Search),
            (Method::GET, "/Patient/1/Observation", Search),
            (Method::GET, "/Patient/1/_history", Search),
            (Method::POST, "/Patient/_search", Search),
            (Method::POST, "/Patient/1/Observation/_search", Search),
            (Method::GET, "/Patient/_history", Bulk),
            (Method::GET, "/_history", Bulk),
            (Method::GET, "/$export", Bulk),
            (Method::GET, "/Group/1/$export", Bulk),
            (Method::POST, "/Patient/1/$everything", Bulk),
            (Method::POST, "/ValueSet/$expand", Operation),
            (Method::POST, "/", Batch),
            (Method::POST, "/Patient", Write),
            (Method::PUT, "/Patient/1", Write),
            (Method::PATCH, "/Patient/1", Write),
            (Method::DELETE, "/Patient", Write),
            (Method::GET, "/a/b/c", Other),
            (Method::GET, "/Patient/1/2/3/4/5", Other),
            (Method::OPTIONS, "/", Other),
        ] {
            assert_eq!(Errand::of(&method, path), expected, "{method} {path}");
        }
    }
}
