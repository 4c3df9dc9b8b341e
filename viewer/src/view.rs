//! What came from the proxy, turned into what a page needs. Pure, and tolerant: no input makes it fail.
//!
//! - [`reading`]: which page an answer deserves
//! - [`json`]: bytes to values, bounded
//! - [`patient`]: the 19 rows of a Patient
//! - [`fhirpath`]: the few steps of FHIRPath that the rows are made of
//! - [`codeable`], [`person`]: the best human words for a concept, a name, an address
//! - [`fetch`]: endpoint, time and attempts of a fetch
//! - [`text`]: text that is safe to put before a reader

pub mod codeable;
pub mod fetch;
pub mod fhirpath;
pub mod json;
pub mod patient;
pub mod person;
pub mod reading;
pub mod text;

#[cfg(test)]
mod tests;

/// One line of a table: a label, a stable name for tests and tools, a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What the reader sees.
    pub label: &'static str,
    /// The label in kebab case: the cell's `data-field`.
    pub field: &'static str,
    /// What is known.
    pub value: Field,
}

/// What is known of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The record has it; the text is clean.
    Known(String),
    /// The record does not have it.
    Absent,
    /// The record has something there, but of a type that cannot be shown: to call it absent would mislead.
    Unreadable,
}
