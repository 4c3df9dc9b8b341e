//! What one resource says to point at another: parsed, never spliced.

use std::fmt;
use std::str::FromStr;

use crate::{Id, ResourceType, VersionId};

/// The text of a `Reference.reference` (<https://hl7.org/fhir/R4/references.html#literal>).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// `Patient/123`, or one version of it: `Patient/123/_history/2`.
    Relative(ResourceType, Id, Option<VersionId>),
    /// `https://…/Patient/123`: the base with its last slash, and what follows it.
    Absolute(String, ResourceType, Id, Option<VersionId>),
    /// `#name`: inside the resource that holds the reference.
    Contained(String),
    /// `urn:uuid:…`, `urn:oid:…`: inside the Bundle that holds the resource.
    Urn(String),
}

/// The text is no literal reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidReference;

impl Reference {
    /// The type and id that are pointed at, where the reference says them.
    pub fn target(&self) -> Option<(ResourceType, &Id)> {
        match self {
            Self::Relative(kind, id, _) | Self::Absolute(_, kind, id, _) => Some((*kind, id)),
            Self::Contained(_) | Self::Urn(_) => None,
        }
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if let Some(name) = text.strip_prefix('#') {
            return Ok(Self::Contained(name.to_owned()));
        }
        if text.starts_with("urn:") {
            return Ok(Self::Urn(text.to_owned()));
        }
        let (rest, version) = match text.rsplit_once("/_history/") {
            Some((rest, version)) => (rest, Some(version.parse().map_err(|_| InvalidReference)?)),
            None => (text, None),
        };
        let (front, id) = rest.rsplit_once('/').ok_or(InvalidReference)?;
        let id = id.parse().map_err(|_| InvalidReference)?;
        match front.rsplit_once('/') {
            None => Ok(Self::Relative(front.parse().map_err(|_| InvalidReference)?, id, version)),
            Some((base, kind)) if base.starts_with("http://") || base.starts_with("https://") => {
                let kind = kind.parse().map_err(|_| InvalidReference)?;
                Ok(Self::Absolute(format!("{base}/"), kind, id, version))
            }
            Some(_) => Err(InvalidReference),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, kind, id, version) = match self {
            Self::Contained(name) => return write!(f, "#{name}"),
            Self::Urn(urn) => return f.write_str(urn),
            Self::Relative(kind, id, version) => ("", kind, id, version),
            Self::Absolute(base, kind, id, version) => (base.as_str(), kind, id, version),
        };
        write!(f, "{base}{kind}/{id}")?;
        version.map_or(Ok(()), |version| write!(f, "/_history/{version}"))
    }
}

impl fmt::Display for InvalidReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a reference: Type/id, an absolute URL, #contained or urn:")
    }
}

impl std::error::Error for InvalidReference {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_reference_prints_as_it_was_read() {
        for text in [
            "Patient/P123456",
            "Patient/1/_history/2",
            "https://fhir.example.org/Server1/Patient/1",
            "http://fhir.example.org/Observation/a.b/_history/7",
            "#careplan",
            "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_target_is_known_only_where_it_is_said() {
        let reference: Reference = "https://fhir.example.org/Patient/1".parse().unwrap();
        assert_eq!(reference.target().unwrap().0, ResourceType::PATIENT);
        assert_eq!("#p1".parse::<Reference>().unwrap().target(), None);
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for wrong in [
            "",
            "Patient",
            "Patient/",
            "/Patient/1",
            "patient/1",
            "a/Patient/1",
            "Patient/1/2",
            "Patient/1/_history/x",
        ] {
            assert_eq!(wrong.parse::<Reference>(), Err(InvalidReference), "{wrong:?}");
        }
    }
}
