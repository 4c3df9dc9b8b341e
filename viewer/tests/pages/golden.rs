//! FHIR in, HTML out: every `golden/NAME.json` makes exactly `golden/NAME.html`.
//! `UPDATE_GOLDEN=1 cargo test -p aorta-viewer` writes the pages anew; read the difference before committing it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aorta_viewer::page;
use aorta_viewer::request_id::RequestId;
use aorta_viewer::source::{Answer, Failure, Fetched};
use aorta_viewer::view::reading::judge;
use aorta_viewer::view::{Field, patient};
use http::{HeaderMap, HeaderValue, StatusCode};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn page_of(outcome: Result<Answer, Failure>) -> page::Page {
    let request_id = RequestId::from_header(&HeaderValue::from_static("golden-request")).unwrap();
    let fetched = Fetched { request_id, elapsed: Duration::from_millis(84), outcome };
    page::fetched("Centralised Medical Data", &fetched, &judge(&fetched.outcome))
}

fn answer(status: u16, body: Vec<u8>) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("x-aorta-upstream", HeaderValue::from_static("https://virginia.fhir.example.org/Server1"));
    headers.insert("x-aorta-attempts", HeaderValue::from_static("2"));
    Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: body.into() }
}

fn check(name: &str, html: &str) {
    let file = folder().join(format!("{name}.html"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, html).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(html == expected, "{name}.html differs; UPDATE_GOLDEN=1 shows how in git diff. Now:\n{html}");
}

#[test]
fn every_record_makes_its_golden_page() {
    let mut seen = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let page = page_of(Ok(answer(200, fs::read(&path).unwrap())));
            check(path.file_stem().unwrap().to_str().unwrap(), &page.html);
            seen += 1;
        }
    }
    assert!(seen >= 6, "only {seen} records");
}

#[test]
fn every_failure_makes_its_golden_page() {
    let cases = [
        ("unreachable", Err(Failure::Unreachable)),
        ("timed-out", Err(Failure::TimedOut)),
        ("unavailable", Ok(answer(503, b"{\"resourceType\":\"OperationOutcome\"}".to_vec()))),
        ("not-found", Ok(answer(404, Vec::new()))),
        ("deleted", Ok(answer(410, Vec::new()))),
    ];
    for (name, outcome) in cases {
        check(name, &page_of(outcome).html);
    }
}

#[test]
fn the_seed_patient_has_the_rows_of_the_original_page() {
    let seed = serde_json::from_slice(&fs::read(folder().join("seed.json")).unwrap()).unwrap();
    let rows: Vec<(&str, String)> = patient::rows(&seed)
        .into_iter()
        .map(|row| match row.value {
            Field::Known(text) => (row.label, text),
            other => panic!("{}: {other:?}", row.label),
        })
        .collect();
    let expected = [
        ("Resource Type", "Patient"),
        ("Identifier System", "http://hospital.smarthealth.org/patients"),
        ("Identifier Value", "P123456"),
        ("Active", "true"),
        ("Name", "John Doe"),
        ("Phone", "+1-555-123-4567"),
        ("Email", "johndoe@example.com"),
        ("Gender", "male"),
        ("Birth Date", "1985-04-23"),
        ("Address", "123 Main St, Springfield, IL, 62704, USA"),
        ("Marital Status", "Married"),
        ("Contact Name", "Jane Doe"),
        ("Contact Phone", "+1-555-765-4321"),
        ("Contact Address", "456 Oak St, Springfield, IL, 62705, USA"),
        ("Contact Organization", "Springfield General Hospital"),
        ("Preferred Language", "English"),
        ("General Practitioner", "Dr. Emily Smith"),
        ("Managing Organization", "Springfield General Hospital"),
        ("Link", "Jane Doe"),
    ];
    assert_eq!(rows, expected.map(|(label, text)| (label, text.to_owned())));
}

#[test]
fn hostile_text_in_any_field_is_inert() {
    let page = page_of(Ok(answer(200, fs::read(folder().join("hostile.json")).unwrap()))).html;
    let own = page_of(Ok(answer(200, b"{\"resourceType\":\"Patient\"}".to_vec()))).html;
    // The record may change text, never structure: both pages open the same elements in the same number.
    let opened = |html: &str| html.matches('<').count();
    assert_eq!(opened(&page), opened(&own));
    for hostile in ["<script", "<img src=x", "<svg/", "<form action=//", "<base", "<!--", "' onmouseover='"] {
        assert!(!page.contains(hostile), "{hostile}");
    }
    assert!(!page.chars().any(|character| character.is_control() && character != '\n'));
}

#[test]
fn a_megabyte_of_text_makes_a_small_page() {
    let body = format!("{{\"resourceType\":\"Patient\",\"birthDate\":\"{}\"}}", "<".repeat(1 << 20));
    let page = page_of(Ok(answer(200, body.into_bytes()))).html;
    assert!(page.len() < 64 * 1024, "{}", page.len());
    assert!(page.contains("the record holds 1048576 characters"));
}

#[test]
fn markup_in_the_proxys_headers_is_inert() {
    let mut answer = answer(200, b"{\"resourceType\":\"Patient\"}".to_vec());
    answer.headers.insert("x-aorta-upstream", HeaderValue::from_bytes(b"<script>\xff\"").unwrap());
    let page = page_of(Ok(answer)).html;
    assert!(page.contains("data-field=\"api-details\">&#60;script&#62;\u{FFFD}&#34;</td>"), "{page}");
}
