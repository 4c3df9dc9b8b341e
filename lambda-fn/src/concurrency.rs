//! Version-aware requests: `ETag`, `If-Match`, `If-None-Match` (<https://hl7.org/fhir/R4/http.html#concurrency>).

use fhir::VersionId;

/// What an `If-Match` or `If-None-Match` header lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: any version at all.
    Any,
    /// These versions. A tag that this server cannot have given is left out: it matches nothing.
    These(Vec<VersionId>),
}

/// What must hold of the current version before a write happens.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Precondition {
    /// The current version must be among these.
    pub matching: Option<Tags>,
    /// The current version must not be among these.
    pub not_matching: Option<Tags>,
}

/// The header is no list of entity tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTags;

/// The entity tag of a version: weak, because two servers may write the same version with different bytes.
pub fn etag(version: VersionId) -> String {
    format!("W/\"{version}\"")
}

impl Tags {
    /// Reads `*` or `W/"1", "2"`.
    pub fn parse(text: &str) -> Result<Self, InvalidTags> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let mut versions = Vec::new();
        for tag in text.split(',') {
            let tag = tag.trim();
            let opaque = tag
                .strip_prefix("W/")
                .unwrap_or(tag)
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .ok_or(InvalidTags)?;
            versions.extend(opaque.parse::<VersionId>());
        }
        Ok(Self::These(versions))
    }

    /// Whether the version is listed.
    pub fn contain(&self, version: VersionId) -> bool {
        match self {
            Self::Any => true,
            Self::These(versions) => versions.contains(&version),
        }
    }
}

impl Precondition {
    /// Whether it holds of a resource whose current version is this; a deleted or unknown one has none.
    pub fn holds(&self, current: Option<VersionId>) -> bool {
        let listed = |tags: &Tags| current.is_some_and(|version| tags.contain(version));
        self.matching.as_ref().is_none_or(listed) && !self.not_matching.as_ref().is_some_and(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64) -> VersionId {
        VersionId::new(number).unwrap()
    }

    #[test]
    fn tags_are_read_weak_or_strong() {
        assert_eq!(Tags::parse("*"), Ok(Tags::Any));
        assert_eq!(Tags::parse(r#"W/"1", "2""#), Ok(Tags::These(vec![version(1), version(2)])));
        assert_eq!(Tags::parse(r#"W/"abc""#), Ok(Tags::These(vec![])));
        for wrong in ["", "1", "W/1", "\"", "W/\"1"] {
            assert_eq!(Tags::parse(wrong), Err(InvalidTags), "{wrong:?}");
        }
        assert_eq!(etag(version(3)), r#"W/"3""#);
    }

    #[test]
    fn a_precondition_speaks_of_the_current_version_only() {
        let matching = |tags| Precondition { matching: Some(tags), not_matching: None };
        assert!(matching(Tags::These(vec![version(2)])).holds(Some(version(2))));
        assert!(!matching(Tags::These(vec![version(2)])).holds(Some(version(3))));
        assert!(!matching(Tags::Any).holds(None));
        let absent = Precondition { matching: None, not_matching: Some(Tags::Any) };
        assert!(absent.holds(None));
        assert!(!absent.holds(Some(version(1))));
        assert!(Precondition::default().holds(None));
    }
}
