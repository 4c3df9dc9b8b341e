//! What this server says of itself, built from the tables that it works by.

use fhir::ResourceType;
use serde_json::{Value, json};

use crate::interaction::OFFERS;
use crate::search::parameter;

/// The CapabilityStatement (<https://hl7.org/fhir/R4/capabilitystatement.html>) of a server at that base URL.
pub fn statement(base_url: &str) -> Value {
    json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-23",
        "kind": "instance",
        "software": {"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "Aorta's FHIR record server", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{
            "mode": "server",
            "documentation": "Resources are kept as they are written: profiles, cardinality and value sets are not checked.",
            "resource": ResourceType::all().map(resource).collect::<Vec<_>>(),
        }],
    })
}

fn resource(kind: ResourceType) -> Value {
    let codes = OFFERS.iter().filter_map(|offer| offer.code);
    let mut parameters =
        vec![json!({"name": "_id", "type": "token"}), json!({"name": "_lastUpdated", "type": "date"})];
    parameters.extend(
        parameter::of(kind).map(|parameter| json!({"name": parameter.name, "type": parameter.kind.as_str()})),
    );
    json!({
        "type": kind,
        "interaction": codes.map(|code| json!({"code": code})).collect::<Vec<_>>(),
        "versioning": "versioned-update",
        "readHistory": true,
        "updateCreate": true,
        "conditionalCreate": true,
        "conditionalRead": "not-match",
        "conditionalUpdate": false,
        "conditionalDelete": "not-supported",
        "searchParam": parameters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_lists_what_the_tables_hold() {
        let statement = statement("https://h/Server1");
        let resources = statement["rest"][0]["resource"].as_array().unwrap();
        let patient = resources.iter().find(|resource| resource["type"] == "Patient").unwrap();
        let names: Vec<_> = patient["searchParam"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
        for name in ["_id", "identifier", "name", "birthdate", "gender"] {
            assert!(names.contains(&&json!(name)), "{name}");
        }
        assert_eq!(patient["interaction"].as_array().unwrap().len(), 7);
    }
}
