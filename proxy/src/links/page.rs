//! A page of a search leads back to the upstream that made the link to it, because it may be the only one that
//! knows the search: the link carries a mark, and the request that follows it is stripped of the mark again.
//!
//! A mark names an upstream of its pool and nothing else. It is no secret and needs no seal: whoever makes one up
//! chooses among the upstreams that serve him anyway.

use aorta_core::balance::ring_hash;

/// The query parameter; FHIR's own parameters begin with a letter after the underscore too, but none with this
/// product's name.
const NAME: &str = "_aorta";

/// The mark of an upstream, the same in every proxy of a fleet and after every restart.
#[must_use]
pub fn mark(pool: &str, upstream: &str) -> String {
    format!("{NAME}={:016x}", ring_hash::hash(format!("{pool}\0{upstream}")))
}

/// A query that carries a mark: the query without it, and the mark; none when it carries none.
///
/// Where several stand the first one counts, and none of them travels on.
#[must_use]
pub fn take(query: &str) -> Option<(String, &str)> {
    let is_mark = |pair: &&str| pair.strip_prefix(NAME).is_some_and(|rest| rest.starts_with('='));
    let mark = query.split('&').find(is_mark)?;
    let rest: Vec<_> = query.split('&').filter(|pair| !is_mark(pair)).collect();
    Some((rest.join("&"), mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_taken_off_wherever_it_stands_and_nothing_else_is() {
        for (query, expected) in [
            ("_aorta=1", Some(("", "_aorta=1"))),
            ("a=b&_aorta=1&c=%7C", Some(("a=b&c=%7C", "_aorta=1"))),
            ("_aorta=1&a&_aorta=2", Some(("a", "_aorta=1"))),
            ("_aorta=", Some(("", "_aorta="))),
            ("a=_aorta=1", None),
            ("_aortal=1&_aorta", None),
            ("", None),
        ] {
            let expected = expected.map(|(rest, mark)| (rest.to_owned(), mark));
            assert_eq!(take(query), expected, "{query}");
        }
    }

    #[test]
    fn each_upstream_of_each_pool_has_its_own_mark() {
        let marks = [mark("a", "b"), mark("a", "c"), mark("b", "b"), mark("ab", "")];
        let different: std::collections::BTreeSet<_> = marks.iter().collect();
        assert_eq!(different.len(), marks.len());
        assert!(marks.iter().all(|mark| mark.len() == "_aorta=".len() + 16));
    }
}
