//! Which route a request belongs to: the most specific match wins, and two routes that cannot be told apart
//! are refused when the table is built.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::cmp::Ordering;

/// The part of a route's match that looks at the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostMatch {
    /// Every host.
    Any,
    /// Every name below this one: `*.example.org` is held as `.example.org`.
    Below(String),
    /// Exactly this name, in lower case, without port.
    Exact(String),
}

impl HostMatch {
    /// Reads `*`, `*.example.org` or `fhir.example.org`.
    ///
    /// # Errors
    /// When the pattern is empty or has a star anywhere else; the text says what would be right.
    pub fn parse(pattern: &str) -> Result<Self, &'static str> {
        let lower = pattern.to_ascii_lowercase();
        match lower.as_str() {
            "" => Err("a host pattern is a name, `*.name` or `*`"),
            "*" => Ok(Self::Any),
            _ => match lower.strip_prefix('*') {
                Some(rest) if rest.starts_with('.') && rest.len() > 1 && !rest.contains('*') => {
                    Ok(Self::Below(rest.to_owned()))
                }
                Some(_) => Err("a star stands alone or as the first label: `*` or `*.example.org`"),
                None if lower.contains('*') => Err("a star stands only at the front: `*.example.org`"),
                None => Ok(Self::Exact(lower)),
            },
        }
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(suffix) => {
                host.len() > suffix.len()
                    && host
                        .get(host.len() - suffix.len()..)
                        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }
            Self::Exact(name) => host.eq_ignore_ascii_case(name),
        }
    }

    fn specificity(&self) -> (u8, usize) {
        match self {
            Self::Any => (0, 0),
            Self::Below(suffix) => (1, suffix.len()),
            Self::Exact(_) => (2, 0),
        }
    }
}

/// A path prefix that ends at a segment: `/Server1` covers `/Server1` and `/Server1/Patient`, not `/Server10`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// # Errors
    /// When the prefix does not start with `/`.
    pub fn parse(prefix: &str) -> Result<Self, &'static str> {
        if !prefix.starts_with('/') {
            return Err("a path prefix starts with `/`");
        }
        Ok(Self(prefix.trim_end_matches('/').to_owned()))
    }

    /// The prefix without its closing slash; empty for `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the prefix (empty, or from a slash on), when it covers `path`.
    #[must_use]
    pub fn strip<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.0.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// What a request must look like to belong to a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMatch {
    /// The host asked for.
    pub host: HostMatch,
    /// The start of the path.
    pub path_prefix: PathPrefix,
    /// The methods taken; empty takes all.
    pub methods: Vec<Method>,
    /// Headers that must stand with exactly this value.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// One route: a name for people and metrics, a match, and the pool behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Unique, bounded by the configuration: safe as a metric label.
    pub name: String,
    /// What belongs here.
    pub matches: RouteMatch,
    /// Index of the pool in the configuration.
    pub pool: usize,
}

/// What routing looks at.
#[derive(Clone, Copy, Debug)]
pub struct RouteFacts<'a> {
    /// The host asked for, without port.
    pub host: &'a str,
    /// The path, without query.
    pub path: &'a str,
    /// The method.
    pub method: &'a Method,
    /// All request headers.
    pub headers: &'a HeaderMap,
}

/// Two routes that some request would match equally well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteConflict {
    /// Position of the earlier route as configured.
    pub first: usize,
    /// Position of the later route as configured.
    pub second: usize,
}

/// All routes, the most specific first.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
}

impl RouteTable {
    /// Orders the routes by specificity: host, then path, then method, then number of headers.
    ///
    /// # Errors
    /// Every pair of routes of equal specificity that one request could match both.
    pub fn build(routes: Vec<Route>) -> Result<Self, Vec<RouteConflict>> {
        let conflicts = conflicts(&routes);
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
        let mut routes = routes;
        routes.sort_by(by_specificity);
        Ok(Self { routes })
    }

    /// The route of a request, and its position in the table.
    #[must_use]
    pub fn find(&self, facts: RouteFacts<'_>) -> Option<(usize, &Route)> {
        self.routes.iter().enumerate().find(|(_, route)| route.matches.covers(facts))
    }

    /// All routes, the most specific first.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }
}

impl RouteMatch {
    fn covers(&self, facts: RouteFacts<'_>) -> bool {
        self.host.matches(facts.host)
            && self.path_prefix.strip(facts.path).is_some()
            && (self.methods.is_empty() || self.methods.contains(facts.method))
            && self.headers.iter().all(|(name, value)| facts.headers.get(name) == Some(value))
    }

    fn overlaps(&self, other: &Self) -> bool {
        let methods_meet = match (self.methods.is_empty(), other.methods.is_empty()) {
            (true, true) => true,
            (false, false) => self.methods.iter().any(|method| other.methods.contains(method)),
            // One names methods, the other takes all: the one that names is more specific.
            _ => false,
        };
        let headers_meet = self.headers.len() == other.headers.len()
            && self.headers.iter().all(|(name, value)| {
                other
                    .headers
                    .iter()
                    .all(|(other_name, other_value)| name != other_name || value == other_value)
            });
        self.host == other.host && self.path_prefix == other.path_prefix && methods_meet && headers_meet
    }
}

fn conflicts(routes: &[Route]) -> Vec<RouteConflict> {
    let mut found = Vec::new();
    for (second, later) in routes.iter().enumerate() {
        for (first, earlier) in routes.iter().enumerate().take(second) {
            if earlier.matches.overlaps(&later.matches) {
                found.push(RouteConflict { first, second });
            }
        }
    }
    found
}

fn by_specificity(a: &Route, b: &Route) -> Ordering {
    let key = |route: &Route| {
        let m = &route.matches;
        (m.host.specificity(), m.path_prefix.as_str().len(), !m.methods.is_empty(), m.headers.len())
    };
    key(b).cmp(&key(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, host: &str, prefix: &str, methods: &[Method]) -> Route {
        Route {
            name: name.to_owned(),
            matches: RouteMatch {
                host: HostMatch::parse(host).unwrap(),
                path_prefix: PathPrefix::parse(prefix).unwrap(),
                methods: methods.to_vec(),
                headers: Vec::new(),
            },
            pool: 0,
        }
    }

    fn check(table: &RouteTable, method: Method, host: &str, path: &str, expected: Option<&str>) {
        let headers = HeaderMap::new();
        let found = table.find(RouteFacts { host, path, method: &method, headers: &headers });
        assert_eq!(found.map(|(_, route)| route.name.as_str()), expected, "{method} {host}{path}");
    }

    #[test]
    fn the_most_specific_route_wins_whatever_the_order() {
        let table = RouteTable::build(vec![
            route("all", "*", "/", &[]),
            route("below", "*.example.org", "/", &[]),
            route("exact", "fhir.example.org", "/", &[]),
            route("deep", "fhir.example.org", "/Server1/Patient", &[]),
            route("writes", "fhir.example.org", "/Server1/Patient", &[Method::POST]),
        ])
        .unwrap();
        check(&table, Method::GET, "other", "/x", Some("all"));
        check(&table, Method::GET, "a.example.org", "/x", Some("below"));
        check(&table, Method::GET, "FHIR.example.org", "/x", Some("exact"));
        check(&table, Method::GET, "fhir.example.org", "/Server1/Patient/1", Some("deep"));
        check(&table, Method::GET, "fhir.example.org", "/Server1/Patients", Some("exact"));
        check(&table, Method::POST, "fhir.example.org", "/Server1/Patient", Some("writes"));
    }

    #[test]
    fn no_match_is_none() {
        let table = RouteTable::build(vec![route("one", "fhir.example.org", "/", &[])]).unwrap();
        check(&table, Method::GET, "example.org", "/", None);
    }

    #[test]
    fn two_routes_that_cannot_be_told_apart_are_refused() {
        let pair = vec![route("a", "*", "/x", &[]), route("b", "*", "/x/", &[])];
        assert_eq!(RouteTable::build(pair).unwrap_err(), [RouteConflict { first: 0, second: 1 }]);
        let by_method = vec![
            route("reads", "*", "/x", &[Method::GET]),
            route("writes", "*", "/x", &[Method::POST]),
            route("rest", "*", "/x", &[]),
        ];
        assert!(RouteTable::build(by_method).is_ok());
    }

    #[test]
    fn a_star_stands_only_at_the_front() {
        for wrong in ["", "a.*.org", "*a.org", "*.", "*.*.org"] {
            assert!(HostMatch::parse(wrong).is_err(), "{wrong}");
        }
    }
}
