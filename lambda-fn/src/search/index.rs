//! What a resource can be found by: its rows of the typed index.

use fhir::{Reference, ResourceType};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::date::Interval;
use super::fold::fold;
use super::parameter::{self, Kind, Parameter};

/// One row. What the two columns hold depends on the parameter's kind:
///
/// | kind | `sys` | `val` |
/// | --- | --- | --- |
/// | token | the system, or nothing | the code or value |
/// | string | the text as it is written | the text folded; of a `text`, each beginning of a word on its own as well |
/// | date | the first moment | the last moment |
/// | reference | the target's id, or nothing | `Type/id`, or the whole reference |
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The parameter's name.
    pub param: &'static str,
    /// See above.
    pub sys: String,
    /// See above.
    pub val: String,
}

/// The rows of a resource, sorted, none twice.
pub fn rows(kind: ResourceType, resource: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    for parameter in parameter::of(kind) {
        for path in parameter.path.split('|') {
            walk(resource, path, &mut |value| extract(parameter, value, &mut rows));
        }
    }
    rows.sort();
    rows.dedup();
    rows
}

/// A token as the index holds it: one of immoderate length by its beginning and a digest.
pub fn token(value: &str) -> String {
    const BYTES_MAX: usize = 512;
    if value.len() <= BYTES_MAX {
        return value.to_owned();
    }
    let digest: String = Sha256::digest(value.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}#{digest}", &value[..value.floor_char_boundary(BYTES_MAX / 2)])
}

fn walk(value: &Value, path: &str, found: &mut impl FnMut(&Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, path, found)),
        _ if path.is_empty() => found(value),
        Value::Object(members) => {
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            if let Some(member) = members.get(first) {
                walk(member, rest, found);
            }
        }
        _ => {}
    }
}

fn extract(parameter: &'static Parameter, value: &Value, rows: &mut Vec<Row>) {
    let mut push = |sys: String, val: String| rows.push(Row { param: parameter.name, sys, val });
    match parameter.kind {
        Kind::Token => tokens(value, parameter.system, &mut push),
        Kind::String => {
            texts(value, &mut |text| push(text.to_owned(), fold(text)));
            if let Some(text) = value.get("text").and_then(Value::as_str) {
                later_words(&fold(text), &mut |words| push(String::new(), words.to_owned()));
            }
        }
        Kind::Date => {
            if let Some(Interval { low, high }) = interval(value) {
                push(low.to_string(), high.to_string());
            }
        }
        Kind::Reference => {
            if let Some(text) = value.get("reference").and_then(Value::as_str) {
                let (sys, val) = reference(text);
                push(sys, val);
            }
        }
    }
}

/// A code, a truth value, a Coding, a CodeableConcept or an Identifier.
fn tokens(value: &Value, implied: &str, push: &mut impl FnMut(String, String)) {
    match value {
        Value::String(code) => push(implied.to_owned(), token(code)),
        Value::Bool(truth) => push(String::new(), truth.to_string()),
        Value::Object(members) => {
            if let Some(codings) = members.get("coding") {
                walk(codings, "", &mut |coding| tokens(coding, "", push));
            }
            let value = members.get("value").or_else(|| members.get("code")).and_then(Value::as_str);
            if let Some(value) = value {
                let system = members.get("system").and_then(Value::as_str).unwrap_or_default();
                push(token(system), token(value));
            }
        }
        _ => {}
    }
}

/// A string, or the parts of a HumanName or an Address.
fn texts(value: &Value, found: &mut impl FnMut(&str)) {
    const PARTS: [&str; 11] = [
        "text",
        "family",
        "given",
        "prefix",
        "suffix",
        "line",
        "city",
        "district",
        "state",
        "postalCode",
        "country",
    ];
    match value {
        Value::String(text) => found(text),
        Value::Object(_) => {
            for part in PARTS {
                walk(value, part, &mut |value| value.as_str().into_iter().for_each(&mut *found));
            }
        }
        _ => {}
    }
}

/// What follows each blank: a name that is one text is found by the family name at its end, too.
fn later_words(folded: &str, found: &mut impl FnMut(&str)) {
    const WORDS_MAX: usize = 8;
    folded.match_indices(' ').take(WORDS_MAX).for_each(|(blank, _)| found(&folded[blank + 1..]));
}

/// A date, dateTime or instant, or a Period. What is no date is not found by date.
fn interval(value: &Value) -> Option<Interval> {
    let member = |name| value.get(name).and_then(Value::as_str);
    match value {
        Value::String(text) => Interval::parse(text).ok(),
        Value::Object(_) => {
            let start = member("start").map(Interval::parse).transpose().ok()?;
            let end = member("end").map(Interval::parse).transpose().ok()?;
            (start.is_some() || end.is_some()).then(|| Interval::between(start, end))
        }
        _ => None,
    }
}

/// The two columns for a literal reference; a reference to one version is one to the resource.
pub fn reference(text: &str) -> (String, String) {
    match text.parse::<Reference>() {
        Ok(Reference::Relative(kind, id, _)) => (id.to_string(), format!("{kind}/{id}")),
        Ok(Reference::Absolute(base, kind, id, _)) => (id.to_string(), token(&format!("{base}{kind}/{id}"))),
        Ok(Reference::Contained(_) | Reference::Urn(_)) | Err(_) => (String::new(), token(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(kind: &str, resource: &Value) -> Vec<(&'static str, String, String)> {
        rows(kind.parse().unwrap(), resource).into_iter().map(|row| (row.param, row.sys, row.val)).collect()
    }

    #[test]
    fn a_patient_is_found_by_what_identifies_a_person() {
        let patient = json!({
            "resourceType": "Patient", "gender": "male", "birthDate": "1985-04-23",
            "identifier": [{"system": "urn:s", "value": "P1"}, {"value": "bare"}],
            "name": [{"family": "Doe", "given": ["Jöhn", "Q"]}],
        });
        let rows = found("Patient", &patient);
        for row in [
            ("identifier", "urn:s", "P1"),
            ("identifier", "", "bare"),
            ("name", "Jöhn", "john"),
            ("family", "Doe", "doe"),
            ("gender", "http://hl7.org/fhir/administrative-gender", "male"),
            ("birthdate", "1985-04-23T00:00:00.000Z", "1985-04-23T23:59:59.999Z"),
        ] {
            assert!(rows.contains(&(row.0, row.1.into(), row.2.into())), "{row:?}");
        }
    }

    #[test]
    fn an_observation_is_found_by_patient_code_and_date() {
        let observation = json!({
            "subject": {"reference": "Patient/7/_history/2"},
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}], "text": "pulse"},
            "effectivePeriod": {"start": "2024"},
        });
        let rows = found("Observation", &observation);
        for row in [
            ("patient", "7", "Patient/7"),
            ("subject", "7", "Patient/7"),
            ("code", "http://loinc.org", "8867-4"),
            ("date", "2024-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"),
        ] {
            assert!(rows.contains(&(row.0, row.1.into(), row.2.into())), "{row:?}");
        }
    }

    #[test]
    fn elements_of_the_wrong_shape_are_passed_over() {
        let odd = json!({"name": 7, "identifier": "x", "birthDate": {"a": []}, "gender": [null, {}], "address": [[[]]]});
        assert_eq!(found("Patient", &odd), [("identifier", String::new(), "x".to_owned())]);
    }

    #[test]
    fn an_immoderate_token_is_held_by_its_digest() {
        let long = "é".repeat(100_000);
        assert!(token(&long).len() < 512);
        assert_ne!(token(&long), token(&format!("{long}!")));
        assert_eq!(token("short"), "short");
    }
}
