//! The 19 rows of a Patient, in the order and with the labels of the original system's page.

use serde_json::Value;

use super::fhirpath::{field, first, first_where};
use super::{Field, Row, codeable, person};

/// The rows; always 19, whatever the record holds.
#[must_use]
pub fn rows(patient: &Value) -> Vec<Row> {
    let official = Value::from("official");
    let identifier = first_where(patient, "identifier", "use", &official);
    let contact = first(patient, "contact");
    let language = first_where(patient, "communication", "preferred", &Value::Bool(true));
    vec![
        row("Resource Type", "resource-type", field(patient, "resourceType")),
        row("Identifier System", "identifier-system", field(identifier, "system")),
        row("Identifier Value", "identifier-value", field(identifier, "value")),
        row("Active", "active", field(patient, "active")),
        row("Name", "name", person::name(first_where(patient, "name", "use", &official))),
        row("Phone", "phone", person::telecom(patient, "phone")),
        row("Email", "email", person::telecom(patient, "email")),
        row("Gender", "gender", field(patient, "gender")),
        row("Birth Date", "birth-date", field(patient, "birthDate")),
        row("Address", "address", person::address(first(patient, "address"))),
        row("Marital Status", "marital-status", codeable::words(first(patient, "maritalStatus"))),
        row("Contact Name", "contact-name", person::name(first(contact, "name"))),
        row("Contact Phone", "contact-phone", person::telecom(contact, "phone")),
        row("Contact Address", "contact-address", person::address(first(contact, "address"))),
        row("Contact Organization", "contact-organization", field(first(contact, "organization"), "display")),
        row("Preferred Language", "preferred-language", codeable::words(first(language, "language"))),
        row("General Practitioner", "general-practitioner", display(patient, "generalPractitioner")),
        row("Managing Organization", "managing-organization", display(patient, "managingOrganization")),
        row("Link", "link", display(first(patient, "link"), "other")),
    ]
}

fn display(parent: &Value, reference: &str) -> Field {
    field(first(parent, reference), "display")
}

fn row(label: &'static str, field: &'static str, value: Field) -> Row {
    Row { label, field, value }
}
