//! Every failure as status and OperationOutcome: the words for the client, and apart from them the cause for the log.

use fhir::{IssueCode, OperationOutcome};
use http::{Method, StatusCode};

use crate::resource::InvalidResource;
use crate::search::InvalidSearch;
use crate::store::StoreError;

/// A request that is not carried out.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What HTTP says.
    pub status: StatusCode,
    /// What FHIR says.
    pub code: IssueCode,
    /// What a person reads. Nothing internal, nothing the client sent.
    pub words: String,
    /// What the log keeps. Never leaves the program.
    pub cause: Option<String>,
    /// What may be done instead: the `Allow` header of a 405.
    pub allow: Vec<Method>,
}

impl Refusal {
    /// A refusal without an internal cause.
    pub fn new(status: StatusCode, code: IssueCode, words: impl Into<String>) -> Self {
        Self { status, code, words: words.into(), cause: None, allow: Vec::new() }
    }

    /// 400: the request itself is wrong.
    pub fn bad_request(code: IssueCode, words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, words)
    }

    /// 404: there is no such thing.
    pub fn not_found(words: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, IssueCode::NotFound, words)
    }

    /// 405: the thing is there, and this cannot be done with it.
    pub fn not_allowed(allow: Vec<Method>) -> Self {
        let words = "this interaction is not offered here; the Allow header lists those that are";
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, IssueCode::NotSupported, words);
        Self { allow, ..refusal }
    }

    /// 410: it was there and was deleted.
    pub fn gone() -> Self {
        Self::new(StatusCode::GONE, IssueCode::Deleted, "the resource was deleted")
    }

    /// 412: what the request depends on does not hold.
    pub fn unmet(code: IssueCode, words: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, code, words)
    }

    /// The answer's body.
    pub fn outcome(&self) -> OperationOutcome {
        OperationOutcome::error(self.code, self.words.clone())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let (status, code, words) = match &error {
            StoreError::Busy(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                IssueCode::LockError,
                "the record store is busy; nothing was written; try again",
            ),
            StoreError::Corrupt { .. } => (
                StatusCode::INTERNAL_SERVER_ERROR,
                IssueCode::Exception,
                "a stored record fails its integrity check and is withheld",
            ),
            StoreError::Failed(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, IssueCode::Exception, "the record store failed")
            }
        };
        Self { cause: Some(error.to_string()), ..Self::new(status, code, words) }
    }
}

impl From<InvalidResource> for Refusal {
    fn from(error: InvalidResource) -> Self {
        let code = match error {
            InvalidResource::NotJson { .. }
            | InvalidResource::MemberTwice { .. }
            | InvalidResource::NotAnObject => IssueCode::Structure,
            InvalidResource::UnknownType | InvalidResource::InvalidId | InvalidResource::InvalidMeta => {
                IssueCode::Value
            }
        };
        Self::bad_request(code, error.to_string())
    }
}

impl From<InvalidSearch> for Refusal {
    fn from(error: InvalidSearch) -> Self {
        Self::bad_request(IssueCode::Invalid, error.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_a_failure_stays_inside() {
        for error in [
            StoreError::Busy("cause".into()),
            StoreError::Failed("cause".into()),
            StoreError::Corrupt { kind: fhir::ResourceType::PATIENT, version: 3, hash: "cause".into() },
        ] {
            let refusal = Refusal::from(error);
            assert!(refusal.cause.as_ref().unwrap().contains("cause"));
            assert!(!refusal.outcome().to_value().to_string().contains("cause"));
        }
    }
}
