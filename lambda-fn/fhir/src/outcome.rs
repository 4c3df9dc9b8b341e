//! OperationOutcome: how FHIR says that something went wrong, or well.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// How bad an issue is (<https://hl7.org/fhir/R4/valueset-issue-severity.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The action could not be carried out and the server is not sure of anything else.
    Fatal,
    /// The action failed.
    Error,
    /// The action succeeded; something about it deserves attention.
    Warning,
    /// The action succeeded.
    Information,
}

/// What kind of issue it is: those of <https://hl7.org/fhir/R4/valueset-issue-type.html> that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the specification's own; as_str spells them")]
pub enum IssueCode {
    Conflict,
    Deleted,
    Duplicate,
    Exception,
    Forbidden,
    Incomplete,
    Informational,
    Invalid,
    LockError,
    Login,
    MultipleMatches,
    NoStore,
    NotFound,
    NotSupported,
    Processing,
    Required,
    Security,
    Structure,
    Throttled,
    Timeout,
    TooCostly,
    TooLong,
    Transient,
    Value,
}

/// An answer about the request rather than about a record. At least one issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationOutcome {
    issues: Vec<(Severity, IssueCode, String)>,
}

impl OperationOutcome {
    /// An outcome of one issue. `diagnostics` is read by people and must hold nothing internal.
    pub fn new(severity: Severity, code: IssueCode, diagnostics: impl Into<String>) -> Self {
        Self { issues: vec![(severity, code, diagnostics.into())] }
    }

    /// A failure.
    pub fn error(code: IssueCode, diagnostics: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, diagnostics)
    }

    /// The same outcome with one more issue.
    #[must_use]
    pub fn and(mut self, severity: Severity, code: IssueCode, diagnostics: impl Into<String>) -> Self {
        self.issues.push((severity, code, diagnostics.into()));
        self
    }

    /// The resource as JSON.
    pub fn to_value(&self) -> Value {
        let issue = |(severity, code, diagnostics): &(Severity, IssueCode, String)| json!({"severity": severity.as_str(), "code": code.as_str(), "diagnostics": diagnostics});
        json!({"resourceType": "OperationOutcome", "issue": self.issues.iter().map(issue).collect::<Vec<_>>()})
    }
}

impl Serialize for OperationOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl Severity {
    /// The code of the value set.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

impl IssueCode {
    /// The code of the value set.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Deleted => "deleted",
            Self::Duplicate => "duplicate",
            Self::Exception => "exception",
            Self::Forbidden => "forbidden",
            Self::Incomplete => "incomplete",
            Self::Informational => "informational",
            Self::Invalid => "invalid",
            Self::LockError => "lock-error",
            Self::Login => "login",
            Self::MultipleMatches => "multiple-matches",
            Self::NoStore => "no-store",
            Self::NotFound => "not-found",
            Self::NotSupported => "not-supported",
            Self::Processing => "processing",
            Self::Required => "required",
            Self::Security => "security",
            Self::Structure => "structure",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::TooCostly => "too-costly",
            Self::TooLong => "too-long",
            Self::Transient => "transient",
            Self::Value => "value",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_says_severity_code_and_words() {
        let outcome = OperationOutcome::error(IssueCode::NotFound, "no such Patient").and(
            Severity::Information,
            IssueCode::Informational,
            "it never was",
        );
        assert_eq!(
            outcome.to_value().to_string(),
            concat!(
                r#"{"resourceType":"OperationOutcome","issue":["#,
                r#"{"severity":"error","code":"not-found","diagnostics":"no such Patient"},"#,
                r#"{"severity":"information","code":"informational","diagnostics":"it never was"}]}"#
            )
        );
    }
}
