//! A resource as a client sent it: parsed once, its type and id typed, all else kept as JSON, number for number.

mod unique;

use std::fmt;

use fhir::{Id, ResourceType, VersionId};
use serde_json::{Map, Value};

use crate::time::Timestamp;

/// A resource that may be stored. Elements beyond `resourceType`, `id` and `meta` are not judged: profiles, cardinality
/// and value sets are the business of whoever wrote it.
#[derive(Clone, Debug)]
pub struct Resource {
    kind: ResourceType,
    id: Option<Id>,
    members: Map<String, Value>,
}

/// Why the text is no resource. The words are for the client and quote nothing of what it sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidResource {
    /// Not JSON: the place is a line and a column.
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// JSON in which one object has a member twice.
    MemberTwice {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// JSON, but no object.
    NotAnObject,
    /// `resourceType` is absent or not a type of R4.
    UnknownType,
    /// `id` is there and breaks the grammar of ids.
    InvalidId,
    /// `meta` is there and is no object.
    InvalidMeta,
}

impl Resource {
    /// Reads a resource from the bytes of a body.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidResource> {
        let value = serde_json::from_slice(bytes)
            .map_err(|error| InvalidResource::NotJson { line: error.line(), column: error.column() })?;
        unique::check(bytes)
            .map_err(|error| InvalidResource::MemberTwice { line: error.line(), column: error.column() })?;
        Self::from_value(value)
    }

    /// Takes a resource that is JSON already, such as an entry of a Bundle.
    pub fn from_value(value: Value) -> Result<Self, InvalidResource> {
        let Value::Object(members) = value else { return Err(InvalidResource::NotAnObject) };
        let kind = members.get("resourceType").and_then(Value::as_str).ok_or(InvalidResource::UnknownType)?;
        let kind = kind.parse().map_err(|_| InvalidResource::UnknownType)?;
        let id = match members.get("id") {
            None => None,
            Some(id) => Some(id.as_str().and_then(|id| id.parse().ok()).ok_or(InvalidResource::InvalidId)?),
        };
        if members.get("meta").is_some_and(|meta| !meta.is_object()) {
            return Err(InvalidResource::InvalidMeta);
        }
        Ok(Self { kind, id, members })
    }

    /// What `resourceType` says.
    pub fn kind(&self) -> ResourceType {
        self.kind
    }

    /// What `id` says, if it is there.
    pub fn id(&self) -> Option<&Id> {
        self.id.as_ref()
    }

    /// The resource as it is stored: under that id, its `meta` carrying the server's version and time, which win over
    /// the client's (<https://hl7.org/fhir/R4/http.html#update>). The order of the other members is kept.
    pub fn stamped(&self, id: &Id, version: VersionId, updated: Timestamp) -> Value {
        let mut meta = match self.members.get("meta") {
            Some(Value::Object(meta)) => meta.clone(),
            _ => Map::new(),
        };
        meta.insert("versionId".into(), version.to_string().into());
        meta.insert("lastUpdated".into(), updated.to_string().into());
        let mut stamped = Map::new();
        stamped.insert("resourceType".into(), self.kind.as_str().into());
        stamped.insert("id".into(), id.as_str().into());
        stamped.insert("meta".into(), meta.into());
        for (name, value) in &self.members {
            if !matches!(name.as_str(), "resourceType" | "id" | "meta") {
                stamped.insert(name.clone(), value.clone());
            }
        }
        Value::Object(stamped)
    }

    /// Whether both say the same, but for what the server stamps.
    pub fn says_the_same_as(&self, stored: &Value) -> bool {
        Self::from_value(stored.clone()).is_ok_and(|stored| self.unstamped() == stored.unstamped())
    }

    fn unstamped(&self) -> Map<String, Value> {
        let mut members = self.members.clone();
        members.shift_remove("id");
        if let Some(Value::Object(meta)) = members.get_mut("meta") {
            meta.shift_remove("versionId");
            meta.shift_remove("lastUpdated");
            if meta.is_empty() {
                members.shift_remove("meta");
            }
        }
        members
    }
}

impl fmt::Display for InvalidResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column } => write!(f, "the body is not JSON: line {line}, column {column}"),
            Self::MemberTwice { line, column } => {
                write!(f, "an object of the body has a member twice: line {line}, column {column}")
            }
            Self::NotAnObject => f.write_str("the body is no JSON object"),
            Self::UnknownType => f.write_str("resourceType is missing or names no resource type of FHIR R4"),
            Self::InvalidId => write!(f, "the resource's id is not allowed: {}", fhir::InvalidId),
            Self::InvalidMeta => f.write_str("the resource's meta is no JSON object"),
        }
    }
}

impl std::error::Error for InvalidResource {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_order_survive_and_the_server_stamps_meta() {
        let text = r#"{"z":1.50,"resourceType":"Observation","meta":{"versionId":"9","tag":[{"code":"t"}]},"a":1e-7}"#;
        let stamped = Resource::parse(text.as_bytes()).unwrap().stamped(
            &"x".parse().unwrap(),
            VersionId::FIRST,
            Timestamp::from_ms(0),
        );
        assert_eq!(
            stamped.to_string(),
            concat!(
                r#"{"resourceType":"Observation","id":"x","meta":{"versionId":"1","tag":[{"code":"t"}],"#,
                r#""lastUpdated":"1970-01-01T00:00:00.000Z"},"z":1.50,"a":1e-7}"#
            )
        );
    }

    #[test]
    fn what_is_no_resource_is_refused_for_its_reason() {
        let deep =
            format!("{{\"resourceType\":\"Patient\",\"a\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
        let long_id = format!(r#"{{"resourceType":"Patient","id":"{}"}}"#, "x".repeat(100_000));
        for (text, expected) in [
            ("", "the body is not JSON: line 1, column 0"),
            ("{\n x", "the body is not JSON: line 2, column 2"),
            (deep.as_str(), "the body is not JSON: line 1, column 157"),
            (r#"{"id":"a","id":"b"}"#, "an object of the body has a member twice: line 1, column 14"),
            ("[]", "the body is no JSON object"),
            ("{}", "resourceType is missing or names no resource type of FHIR R4"),
            (r#"{"resourceType":7}"#, "resourceType is missing or names no resource type of FHIR R4"),
            (r#"{"resourceType":"Patient","meta":[]}"#, "the resource's meta is no JSON object"),
        ] {
            assert_eq!(Resource::parse(text.as_bytes()).unwrap_err().to_string(), expected);
        }
        for text in
            [r#"{"resourceType":"Patient","id":""}"#, r#"{"resourceType":"Patient","id":1}"#, &long_id]
        {
            assert_eq!(Resource::parse(text.as_bytes()).unwrap_err(), InvalidResource::InvalidId);
        }
        assert!(Resource::parse(b"{\"resourceType\":\"Patient\",\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_number_keeps_its_digits() {
        let text = r#"{"resourceType":"Basic","a":[1.50,-0.0,100000000000000000000.000,0.10e-7,1E+5,1e400]}"#;
        let resource = Resource::parse(text.as_bytes()).unwrap();
        let stamped =
            resource.stamped(&"x".parse().unwrap(), VersionId::FIRST, Timestamp::from_ms(0)).to_string();
        // Every digit stays; an exponent is written with a small letter and its sign.
        assert!(stamped.ends_with("[1.50,-0.0,100000000000000000000.000,0.10e-7,1e+5,1e+400]}"), "{stamped}");
    }

    #[test]
    fn a_resource_says_the_same_whatever_the_server_stamped() {
        let resource = Resource::parse(br#"{"resourceType":"Patient","active":true}"#).unwrap();
        let stamped = resource.stamped(&"x".parse().unwrap(), VersionId::FIRST, Timestamp::from_ms(7));
        assert!(resource.says_the_same_as(&stamped));
        assert!(!Resource::parse(br#"{"resourceType":"Patient"}"#).unwrap().says_the_same_as(&stamped));
    }
}
