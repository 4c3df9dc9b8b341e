//! What a request asks for. One table says what is offered; the routing here and the CapabilityStatement both read it.

use fhir::{Id, IssueCode, ResourceType, VersionId};
use http::Method;
use percent_encoding::percent_decode_str;

use crate::outcome::Refusal;
use crate::store::Key;

/// An interaction of FHIR's RESTful API (<https://hl7.org/fhir/R4/http.html>), its parts parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interaction {
    /// The stage's root, which the original system answered with its one record.
    Root,
    /// What this server can do.
    Capabilities,
    /// The current version of a resource.
    Read(Key),
    /// One version. `None` is a version id that this server never gives.
    Vread(Key, Option<VersionId>),
    /// The versions of a resource.
    History(Key),
    /// A search whose parameters are in the query.
    Search(ResourceType),
    /// A search whose parameters are in the body as well.
    SearchPost(ResourceType),
    /// A new resource under an id of the server's.
    Create(ResourceType),
    /// A new version, or a new resource under an id of the client's.
    Update(Key),
    /// A deletion.
    Delete(Key),
}

/// Where an interaction is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/`
    Root,
    /// `/metadata`
    Metadata,
    /// `/Patient`
    Type,
    /// `/Patient/_search`
    Search,
    /// `/Patient/1`
    Instance,
    /// `/Patient/1/_history`
    History,
    /// `/Patient/1/_history/1`
    Version,
}

/// One row of what is offered.
#[derive(Debug)]
pub struct Offer {
    /// With this method;
    pub method: Method,
    /// at this place;
    pub place: Place,
    /// under this code of the value set `type-restful-interaction`; nothing for what FHIR does not list.
    pub code: Option<&'static str>,
}

/// All that is offered. HEAD goes wherever GET does.
pub const OFFERS: &[Offer] = &[
    Offer { method: Method::GET, place: Place::Root, code: None },
    Offer { method: Method::GET, place: Place::Metadata, code: None },
    Offer { method: Method::GET, place: Place::Instance, code: Some("read") },
    Offer { method: Method::GET, place: Place::Version, code: Some("vread") },
    Offer { method: Method::PUT, place: Place::Instance, code: Some("update") },
    Offer { method: Method::DELETE, place: Place::Instance, code: Some("delete") },
    Offer { method: Method::GET, place: Place::History, code: Some("history-instance") },
    Offer { method: Method::POST, place: Place::Type, code: Some("create") },
    Offer { method: Method::GET, place: Place::Type, code: Some("search-type") },
    Offer { method: Method::POST, place: Place::Search, code: None },
];

impl Interaction {
    /// Reads method and path.
    pub fn parse(method: &Method, path: &str) -> Result<Self, Refusal> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let path = percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| Refusal::bad_request(IssueCode::Value, "the path is not UTF-8"))?;
        let trimmed = path.trim_start_matches('/').trim_end_matches('/');
        let segments: Vec<&str> =
            if trimmed.is_empty() { Vec::new() } else { trimmed.split('/').take(5).collect() };
        let place = Place::of(&segments)?;
        if !OFFERS.iter().any(|offer| offer.place == place && offer.method == *method) {
            let offered = OFFERS.iter().filter(|offer| offer.place == place);
            return Err(Refusal::not_allowed(offered.map(|offer| offer.method.clone()).collect()));
        }
        Ok(match (place, segments.as_slice()) {
            (Place::Metadata, _) => Self::Capabilities,
            (Place::Type, [name]) if method == Method::POST => Self::Create(kind(name)?),
            (Place::Type, [name]) => Self::Search(kind(name)?),
            (Place::Search, [name, _]) => Self::SearchPost(kind(name)?),
            (Place::Instance, [name, id]) if method == Method::PUT => Self::Update(key(name, id)?),
            (Place::Instance, [name, id]) if method == Method::DELETE => Self::Delete(key(name, id)?),
            (Place::Instance, [name, id]) => Self::Read(key(name, id)?),
            (Place::History, [name, id, _]) => Self::History(key(name, id)?),
            (Place::Version, [name, id, _, version]) => Self::Vread(key(name, id)?, version.parse().ok()),
            _ => Self::Root,
        })
    }

    /// Its name in logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Capabilities => "capabilities",
            Self::Read(_) => "read",
            Self::Vread(..) => "vread",
            Self::History(_) => "history",
            Self::Search(_) | Self::SearchPost(_) => "search",
            Self::Create(_) => "create",
            Self::Update(_) => "update",
            Self::Delete(_) => "delete",
        }
    }

    /// The resource type it is about.
    pub fn kind(&self) -> Option<ResourceType> {
        match self {
            Self::Root | Self::Capabilities => None,
            Self::Read(key)
            | Self::Vread(key, _)
            | Self::History(key)
            | Self::Update(key)
            | Self::Delete(key) => Some(key.kind),
            Self::Search(kind) | Self::SearchPost(kind) | Self::Create(kind) => Some(*kind),
        }
    }
}

impl Place {
    fn of(segments: &[&str]) -> Result<Self, Refusal> {
        match segments {
            [] => Ok(Self::Root),
            ["metadata"] => Ok(Self::Metadata),
            [name] => kind(name).map(|_| Self::Type),
            [name, "_search"] => kind(name).map(|_| Self::Search),
            [name, last] if !last.starts_with(['$', '_']) => kind(name).map(|_| Self::Instance),
            [name, _, "_history"] => kind(name).map(|_| Self::History),
            [name, _, "_history", _] => kind(name).map(|_| Self::Version),
            _ => Err(Refusal::not_found("there is nothing at this path")),
        }
    }
}

fn kind(name: &str) -> Result<ResourceType, Refusal> {
    name.parse().map_err(|_| Refusal::not_found("the path names no resource type of FHIR R4"))
}

fn key(name: &str, id: &str) -> Result<Key, Refusal> {
    let id: Id = id.parse().map_err(|error: fhir::InvalidId| {
        Refusal::bad_request(IssueCode::Value, format!("the path's id is not allowed: {error}"))
    })?;
    Ok(Key { kind: kind(name)?, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: Method, path: &str) -> (u16, Vec<Method>) {
        let refusal = Interaction::parse(&method, path).unwrap_err();
        (refusal.status.as_u16(), refusal.allow)
    }

    #[test]
    fn every_interaction_has_its_place() {
        let key = Key { kind: ResourceType::PATIENT, id: "1".parse().unwrap() };
        for (method, path, expected) in [
            (Method::GET, "", Interaction::Root),
            (Method::GET, "/", Interaction::Root),
            (Method::GET, "/metadata", Interaction::Capabilities),
            (Method::HEAD, "/Patient/1", Interaction::Read(key.clone())),
            (Method::GET, "/Patient/%31/", Interaction::Read(key.clone())),
            (Method::GET, "/Patient/1/_history/2", Interaction::Vread(key.clone(), VersionId::new(2))),
            (Method::GET, "/Patient/1/_history/x", Interaction::Vread(key.clone(), None)),
            (Method::GET, "/Patient/1/_history", Interaction::History(key.clone())),
            (Method::GET, "/Patient", Interaction::Search(ResourceType::PATIENT)),
            (Method::POST, "/Patient/_search", Interaction::SearchPost(ResourceType::PATIENT)),
            (Method::POST, "/Patient", Interaction::Create(ResourceType::PATIENT)),
            (Method::PUT, "/Patient/1", Interaction::Update(key.clone())),
            (Method::DELETE, "/Patient/1", Interaction::Delete(key)),
        ] {
            assert_eq!(Interaction::parse(&method, path).unwrap(), expected, "{method} {path}");
        }
    }

    #[test]
    fn what_is_not_offered_names_what_is() {
        assert_eq!(refused(Method::POST, "/"), (405, vec![Method::GET]));
        assert_eq!(
            refused(Method::PATCH, "/Patient/1"),
            (405, vec![Method::GET, Method::PUT, Method::DELETE])
        );
        assert_eq!(refused(Method::DELETE, "/Patient"), (405, vec![Method::POST, Method::GET]));
        assert_eq!(refused(Method::GET, "/Patient/_search"), (405, vec![Method::POST]));
    }

    #[test]
    fn a_path_that_leads_nowhere_is_not_found_and_a_wrong_id_is_a_wrong_request() {
        for path in [
            "/patient/1",
            "/Patient/1/x",
            "/Patient/$everything",
            "/Patient/1/$everything",
            "/Patient//1",
            "/_history",
            "/Patient/_history",
            "/Patient/1/_history/1/2",
            "/x/y/z",
            "/Patient/../../etc/passwd",
        ] {
            assert_eq!(refused(Method::GET, path).0, 404, "{path}");
        }
        let long = format!("/Patient/{}", "x".repeat(100_000));
        for path in ["/Patient/a b", "/Patient/%00", "/Patient/%2525", "/Patient/é", "/Patient/%ff", &long] {
            assert_eq!(refused(Method::GET, path).0, 400, "{path}");
        }
    }
}
