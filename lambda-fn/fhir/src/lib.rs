//! The words every side of Aorta speaks: what a FHIR R4 name, id, reference, answer or refusal looks like.
//!
//! Everything here is parsed where it is made, so that a value in hand is a right one. Reading order:
//! [`ResourceType`], [`Id`] and [`VersionId`], [`Reference`], then what is answered: [`Bundle`] and
//! [`OperationOutcome`]; [`media`] names the content types.
//!
//! Not here: views (the viewer's business), storage (the server's), and any element of a resource.

mod bundle;
mod id;
pub mod media;
mod outcome;
mod reference;
mod resource_type;

pub use bundle::{Bundle, BundleKind, Entry};
pub use id::{Id, InvalidId, InvalidVersionId, VersionId};
pub use outcome::{IssueCode, OperationOutcome, Severity};
pub use reference::{InvalidReference, Reference};
pub use resource_type::{ResourceType, UnknownResourceType};
