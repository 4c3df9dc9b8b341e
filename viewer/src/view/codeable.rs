//! The best human words for a CodeableConcept.

use serde_json::Value;

use super::Field;
use super::fhirpath::{field, items};

/// `text`, else the `display` of the first coding.
#[must_use]
pub fn words(concept: &Value) -> Field {
    match field(concept, "text") {
        Field::Absent => {
            items(concept, "coding").next().map_or(Field::Absent, |coding| field(coding, "display"))
        }
        known => known,
    }
}
