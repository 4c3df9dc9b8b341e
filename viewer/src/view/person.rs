//! How people and places are written: HumanName, Address, ContactPoint.

use serde_json::Value;

use super::Field;
use super::fhirpath::{field, first_where, items, joined, scalar};

/// `iif(text.exists(), text, given.combine(family).join(' '))`. Repeats stay: Lee Lee is a name.
#[must_use]
pub fn name(name: &Value) -> Field {
    match field(name, "text") {
        Field::Absent => joined(items(name, "given").chain(items(name, "family")).filter_map(scalar), " "),
        known => known,
    }
}

/// `line`, `city`, `state`, `postalCode`, `country`, joined with commas.
#[must_use]
pub fn address(address: &Value) -> Field {
    let parts = ["line", "city", "state", "postalCode", "country"];
    joined(parts.into_iter().flat_map(|part| items(address, part)).filter_map(scalar), ", ")
}

/// `telecom.where(system = …).first().value`: found by its system, wherever it stands.
#[must_use]
pub fn telecom(owner: &Value, system: &str) -> Field {
    field(first_where(owner, "telecom", "system", &Value::from(system)), "value")
}
