//! Promises of the view.

use std::time::Duration;

use serde_json::{Value, json};

use super::patient::rows;
use super::*;

fn value(record: &Value, field: &str) -> Field {
    rows(record).into_iter().find(|row| row.field == field).unwrap().value
}

fn check(record: Value, field: &str, expected: &str) {
    assert_eq!(value(&record, field), Field::Known(expected.to_owned()), "{record}");
}

#[test]
fn a_reordered_telecom_still_gives_phone_and_email() {
    let telecom = json!([
        {"system": "email", "value": "a@example.org"},
        {"system": "fax", "value": "1"},
        {"system": "phone", "value": "2"},
        {"system": "phone", "value": "3"},
    ]);
    check(json!({"telecom": telecom}), "phone", "2");
    check(json!({"telecom": telecom}), "email", "a@example.org");
}

#[test]
fn a_given_name_equal_to_the_family_name_is_kept() {
    check(json!({"name": [{"use": "official", "family": "Lee", "given": ["Lee"]}]}), "name", "Lee Lee");
}

#[test]
fn the_name_is_the_official_one_and_its_text_wins() {
    let names = json!([
        {"use": "nickname", "text": "Jo"},
        {"use": "official", "text": "Dr John Doe", "family": "Doe"},
    ]);
    check(json!({"name": names}), "name", "Dr John Doe");
    assert_eq!(value(&json!({"name": [{"use": "usual", "family": "Doe"}]}), "name"), Field::Absent);
}

#[test]
fn every_given_name_and_address_line_is_shown_in_order() {
    let name = json!([{"use": "official", "family": "Doe", "given": ["John", null, "Quincy"]}]);
    check(json!({"name": name}), "name", "John Quincy Doe");
    let address =
        json!([{"country": "UK", "line": ["Flat 1", "2 High St"], "city": "Leeds"}, {"city": "York"}]);
    check(json!({"address": address}), "address", "Flat 1, 2 High St, Leeds, UK");
}

#[test]
fn a_concept_is_told_by_its_text_else_by_its_first_coding() {
    let concept = json!({"coding": [{"display": "Married"}, {"display": "Other"}]});
    check(json!({"maritalStatus": concept}), "marital-status", "Married");
    check(
        json!({"maritalStatus": {"text": "wed", "coding": [{"display": "Married"}]}}),
        "marital-status",
        "wed",
    );
}

#[test]
fn the_language_is_the_preferred_one() {
    let language = |text: &str| json!({"text": text});
    let list = json!([{"language": language("Welsh")}, {"language": language("English"), "preferred": true}]);
    check(json!({"communication": list}), "preferred-language", "English");
    let unpreferred = json!({"communication": [{"language": language("Welsh")}]});
    assert_eq!(value(&unpreferred, "preferred-language"), Field::Absent);
}

#[test]
fn an_empty_record_has_nineteen_rows_all_absent() {
    for record in [json!({}), json!(null), json!([]), json!("x"), json!({"name": [], "birthDate": ""})] {
        let rows = rows(&record);
        assert_eq!(rows.len(), 19);
        assert!(rows.iter().all(|row| row.value == Field::Absent), "{record}");
    }
}

#[test]
fn a_value_of_a_wrong_type_is_never_called_absent_nor_fails() {
    check(json!({"birthDate": 1985, "gender": true}), "birth-date", "1985");
    assert_eq!(value(&json!({"birthDate": {"year": 1985}}), "birth-date"), Field::Unreadable);
    assert_eq!(value(&json!({"gender": [["male"]]}), "gender"), Field::Unreadable);
    // As in FHIRPath, one value is a collection of one.
    check(json!({"name": {"use": "official", "given": "John", "family": ["Doe"]}}), "name", "John Doe");
}

#[test]
fn no_type_in_any_place_of_the_record_fails_the_rows() {
    let odd =
        [json!(null), json!(true), json!(-1.5e300), json!("x"), json!([]), json!([[]]), json!({"a": 1})];
    let seed: Value = serde_json::from_str(include_str!("../../tests/golden/seed.json")).unwrap();
    for pointer in pointers(&seed) {
        for value in &odd {
            let mut record = seed.clone();
            *record.pointer_mut(&pointer).unwrap() = value.clone();
            assert_eq!(rows(&record).len(), 19, "{pointer} {value}");
        }
    }
}

fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, child)| (key.clone(), child)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, child)| (index.to_string(), child)).collect()
        }
        _ => Vec::new(),
    };
    let below = children.iter().flat_map(|(key, child)| {
        pointers(child).into_iter().map(move |rest| format!("/{key}{rest}")).collect::<Vec<_>>()
    });
    std::iter::once(String::new()).chain(below).collect()
}

#[test]
fn characters_that_hide_or_reorder_text_are_made_visible() {
    assert_eq!(text::clean("a\u{202E}b\u{0}c\u{200B}d\r\ne"), "a\u{FFFD}b\u{FFFD}c\u{FFFD}d  e");
    for kept in ["Zoë O’Brien-Ødegård", "王小明", "شريف", "न्‍यू", "👩‍⚕️", "a\u{200F}b"]
    {
        assert_eq!(text::clean(kept), kept);
    }
}

#[test]
fn an_overlong_value_is_cut_and_says_so() {
    let shown = text::clean(&"é".repeat(1 << 20));
    assert!(shown.ends_with("… (cut here: the record holds 1048576 characters)"));
    assert!(shown.chars().count() < text::CHARS_MAX + 80);
    let longest = "é".repeat(text::CHARS_MAX);
    assert_eq!(text::clean(&longest), longest);
}

#[test]
fn a_time_carries_the_unit_that_fits_it() {
    let check = |micros: u64, expected: &str| {
        assert_eq!(fetch::duration(Duration::from_micros(micros)), expected);
    };
    check(300, "under 1 ms");
    check(84_900, "84 ms");
    check(999_999, "999 ms");
    check(1_250_000, "1.2 s");
    check(35_000_000, "35.0 s");
}
