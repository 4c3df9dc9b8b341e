//! No request, whatever it holds, makes the server panic, fail an invocation or answer anything but JSON of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use aorta_fhir::serve::Server;
use aorta_fhir::store::Store;
use aorta_fhir::store::sqlite::Sqlite;
use aorta_fhir::time::Timestamp;
use aorta_fhir::{clock, event};
use serde_json::{Map, Value, json};

/// A small generator (SplitMix64): the same seed, the same requests.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn pick<'a>(&mut self, pieces: &[&'a str]) -> &'a str {
        pieces[self.below(pieces.len())]
    }

    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        (0..=self.below(most)).map(|_| self.pick(pieces)).collect()
    }
}

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "get", "", "\u{0}"];
const PATHS: &[&str] = &[
    "/",
    "/Patient",
    "/a",
    "/_history",
    "/_search",
    "/1",
    "/metadata",
    "/$x",
    "%2e%2e",
    "%ff",
    "%",
    "é",
    "\u{0}",
    "//",
    "?",
    "/Observation",
    "/\u{10ffff}",
];
const NAMES: &[&str] = &[
    "_id",
    "_count",
    "_sort",
    "_cursor",
    "_summary",
    "_format",
    "_lastUpdated",
    "identifier",
    "name",
    "name:exact",
    "name:contains",
    "birthdate",
    "gender",
    "patient",
    "subject:Patient",
    ":",
    "",
    "\u{0}",
    "organization",
    "_id:x",
];
const VALUES: &[&str] = &[
    "",
    "a",
    ",",
    "|",
    "\\",
    "\\,",
    "ge",
    "1985",
    "-04",
    "T10",
    ":00",
    "Z",
    "+",
    "é",
    "\u{301}",
    "İ",
    "\u{0}",
    "%",
    "*",
    "count",
    "99999999999999999999",
    "-1",
    "AAAA",
    "\u{10ffff}",
    "W/\"1\"",
    "\"",
    "Patient/1",
    "urn:",
    "' OR 1=1 --",
    "json",
];
const BODIES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\"resourceType\":\"Patient\"",
    "\"id\":\"a\"",
    "\"meta\":{}",
    "\"name\":[{\"family\":\"é\"}]",
    "1.50",
    "1e999999",
    "null",
    "\\ud800",
    "\u{0}",
    "{\"resourceType\":\"Patient\",\"id\":\"a\"}",
    "\"$serde_json::private::Number\":\"1\"",
    "name=a&",
    "%ff",
    "\"birthDate\":\"9999-99\"",
];
const HEADERS: &[&str] = &[
    "content-type",
    "accept",
    "prefer",
    "if-match",
    "if-none-match",
    "if-none-exist",
    "x-forwarded-host",
    "host",
    "x-request-id",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "bad name",
    "",
];
const HEADER_VALUES: &[&str] = &[
    "application/fhir+json",
    "application/x-www-form-urlencoded",
    "*/*",
    "W/\"1\"",
    "*",
    "return=minimal",
    "h",
    "//",
    "a b",
    "\n",
    "é",
    "identifier=a",
    "?name=",
    "handling=strict",
    "q=0;",
    ",",
    "",
];

fn event(chance: &mut Chance) -> Value {
    let mut headers = Map::new();
    let mut query = Map::new();
    for _ in 0..chance.below(4) {
        headers.insert(chance.pick(HEADERS).to_owned(), chance.text(HEADER_VALUES, 2).into());
        query.insert(chance.pick(NAMES).to_owned(), chance.text(VALUES, 3).into());
    }
    if chance.below(2) == 0 {
        headers.insert("content-type".into(), "application/fhir+json".into());
    }
    // Half of each part is well formed, so that the other parts are reached.
    let path = match chance.below(2) {
        0 => chance.pick(&["/Patient", "/Patient/a", "/Patient/_search", "/Patient/a/_history"]).to_owned(),
        _ => chance.text(PATHS, 4),
    };
    let body = match chance.below(2) {
        0 => r#"{"resourceType":"Patient","id":"a","name":[{"family":"é"}]}"#.to_owned(),
        _ => chance.text(BODIES, 6),
    };
    json!({
        "httpMethod": chance.pick(METHODS),
        "path": path,
        "headers": headers,
        "multiValueQueryStringParameters": query.into_iter().map(|(name, value)| (name, json!([value]))).collect::<Map<_, _>>(),
        "body": body,
        "requestContext": {"path": format!("/Server1{path}"), "stage": "Server1"},
    })
}

#[tokio::test]
async fn five_thousand_hostile_events_are_answered_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("records.db")).await.unwrap();
    let cursor_key = store.cursor_key().await.unwrap();
    let server = Server { store, cursor_key, root: None };
    let mut chance = Chance(20_261_123);
    let mut seen = std::collections::BTreeMap::<u64, usize>::new();
    for _ in 0..5_000 {
        let event = event(&mut chance);
        let now = Timestamp::from_ms(1_000);
        let answer = event::answer(&server, &event, now, clock::new_id(now)).await;
        let status = answer["statusCode"].as_u64().unwrap();
        let body = answer["body"].as_str().unwrap();
        *seen.entry(status).or_default() += 1;
        assert!(status < 500, "{event} {answer}");
        assert!(body.is_empty() || serde_json::from_str::<Value>(body).is_ok(), "{event} {answer}");
    }
    // The generator must reach more than the front door.
    for status in [200, 201, 400, 404, 405] {
        assert!(seen.contains_key(&status), "{seen:?}");
    }
}
