use super::*;
use fastrand::Rng;
use serde_json::Value;

const MARK: &str = "_aorta=77";

fn links() -> Links<'static> {
    Links {
        client: ClientSide { tls: false, authority: "aorta.test:8080", prefix: "/fhir" },
        upstream: UpstreamSide { tls: true, host: "virginia.example.org", port: 443, base_path: "/Server1" },
        mark: Some(MARK),
    }
}

/// The body, cut at these places, after the editor.
fn edit(body: &str, cuts: &[usize]) -> String {
    let mut editor = Editor::new(links());
    let whole = Bytes::copy_from_slice(body.as_bytes());
    let mut passed = Vec::new();
    let mut from = 0;
    for &to in cuts.iter().chain([&body.len()]) {
        passed.extend_from_slice(&editor.pass(whole.slice(from..to)));
        from = to;
    }
    passed.extend_from_slice(&editor.end());
    String::from_utf8(passed).unwrap()
}

/// The result is the same however the body is cut.
fn check(body: &str, expected: &str) {
    assert_eq!(edit(body, &[]), expected);
    for cut in 0..=body.len() {
        if body.is_char_boundary(cut) {
            assert_eq!(edit(body, &[cut]), expected, "cut at {cut}");
        }
    }
    let everywhere: Vec<_> = (0..body.len()).filter(|&cut| body.is_char_boundary(cut)).collect();
    assert_eq!(edit(body, &everywhere), expected, "cut everywhere");
}

#[test]
fn the_links_of_a_composed_bundle_become_the_clients_and_every_other_byte_stays() {
    check(
        r#"{ "resourceType":"Bundle" , "type": "searchset", "total":1.10, "total":1e2,
 "link":[{"relation":"self","url":"https://virginia.example.org/Server1/Patient?name=%C3%A9"},
 {"relation":"next","url":"https:\/\/virginia.example.org\/Server1\/Patient?p=2"},
 {"relation":"previous","url":"http://virginia.example.org/Server1"}],
 "entry":[{"fullUrl":"https://virginia.example.org/Server1/Patient/1",
  "resource":{"resourceType":"Patient","id":"1","url":"https://virginia.example.org/Server1/x",
   "link":[{"url":"https://virginia.example.org/Server1/x"}],"n":0.50,"s":"\"}]\\"}, "search":{"mode":"match"},
  "response":{"status":"201","location":"https://virginia.example.org/Server1/Patient/1/_history/1"}}]}"#,
        r#"{ "resourceType":"Bundle" , "type": "searchset", "total":1.10, "total":1e2,
 "link":[{"relation":"self","url":"http://aorta.test:8080/fhir/Patient?name=%C3%A9"},
 {"relation":"next","url":"http://aorta.test:8080/fhir\/Patient?p=2&_aorta=77"},
 {"relation":"previous","url":"http://aorta.test:8080/fhir?_aorta=77"}],
 "entry":[{"fullUrl":"http://aorta.test:8080/fhir/Patient/1",
  "resource":{"resourceType":"Patient","id":"1","url":"https://virginia.example.org/Server1/x",
   "link":[{"url":"https://virginia.example.org/Server1/x"}],"n":0.50,"s":"\"}]\\"}, "search":{"mode":"match"},
  "response":{"status":"201","location":"http://aorta.test:8080/fhir/Patient/1/_history/1"}}]}"#,
    );
}

#[test]
fn a_bundle_inside_the_answer_to_a_batch_is_edited_and_a_stored_one_is_not() {
    let inner = r#""link":[{"relation":"next","url":"https://virginia.example.org/Server1/Patient?p=2"}]"#;
    let edited = r#""link":[{"relation":"next","url":"http://aorta.test:8080/fhir/Patient?p=2&_aorta=77"}]"#;
    let outer = |kind: &str, inner: &str| {
        format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{{"resource":{inner}}}]}}"#)
    };
    let search = |links: &str| format!(r#"{{"resourceType":"Bundle","type":"searchset",{links}}}"#);
    let document = format!(r#"{{"resourceType":"Bundle","type":"document",{inner}}}"#);
    check(&outer("batch-response", &search(inner)), &outer("batch-response", &search(edited)));
    check(&outer("batch-response", &document), &outer("batch-response", &document));
    check(&outer("searchset", &search(inner)), &outer("searchset", &search(inner)));
    for kind in ["document", "message", "collection", "batch", "transaction"] {
        let stored = format!(r#"{{"resourceType":"Bundle","type":"{kind}",{inner}}}"#);
        check(&stored, &stored);
    }
}

#[test]
fn a_link_of_somebody_else_stays_and_a_relative_one_is_only_marked() {
    let bundle =
        |url: &str| format!(r#"{{"resourceType":"Bundle","link":[{{"relation":"next","url":"{url}"}}]}}"#);
    for (url, expected) in [
        ("https://elsewhere.example/Server1/x?a", "https://elsewhere.example/Server1/x?a"),
        (
            "https://virginia.example.org.evil.example/Server1/",
            "https://virginia.example.org.evil.example/Server1/",
        ),
        ("urn:uuid:5", "urn:uuid:5"),
        ("https://virginia.example.org/Server1/x#f", "http://aorta.test:8080/fhir/x#f"),
        ("Patient?p=2", "Patient?p=2&_aorta=77"),
        (r"\u0068ttps:\/\/virginia.example.org\/Server1", "http://aorta.test:8080/fhir?_aorta=77"),
        (r"https://virginia.example.org/Server1\u00e9", r"https://virginia.example.org/Server1\u00e9"),
    ] {
        check(&bundle(url), &bundle(expected));
    }
}

#[test]
fn a_whole_record_is_known_even_when_its_type_comes_last() {
    let body = Bytes::from_static(
        br#"{"link":[{"url":"https://virginia.example.org/Server1/a"}],"type":"document","resourceType":"Bundle"}"#,
    );
    let mut editor = Editor::new(links());
    assert_eq!(editor.begin(body.clone(), &mut []), body);
    assert!(!editor.has_edited() && editor.is_done());
}

#[test]
fn a_beginning_in_pieces_is_edited_as_one_in_one_is() {
    let bundle = br#"{"resourceType":"Bundle","link":[{"relation":"next","url":"https://virginia.example.org/Server1/a"}]}"#;
    let record = br#"{"link":[{"url":"https://virginia.example.org/Server1/a"}],"type":"document","resourceType":"Bundle"}"#;
    for body in [Bytes::from_static(bundle), Bytes::from_static(record)] {
        let whole = Editor::new(links()).begin(body.clone(), &mut []);
        for cut in 0..body.len() {
            let mut more = [body.slice(cut..body.len() - 1), body.slice(body.len() - 1..)];
            let mut editor = Editor::new(links());
            let first = editor.begin(body.slice(..cut), &mut more);
            assert_eq!([&[first], &more[..]].concat().concat(), whole, "cut at {cut}");
            assert!(editor.is_done() && editor.end().is_empty());
        }
    }
}

#[test]
fn an_answer_without_links_is_passed_on_without_a_copy() {
    for body in [
        r#"{"resourceType":"Patient","id":"1"}"#,
        r#"{"id":"1","resourceType":"Patient","link":[{"url":"https://virginia.example.org/Server1"}]}"#,
        r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"}}]}"#,
        "[1,2]",
        "not json",
        "",
    ] {
        let body = Bytes::from(body);
        let mut editor = Editor::new(links());
        let passed = editor.begin(body.clone(), &mut []);
        assert!(passed == body && passed.as_ptr() == body.as_ptr(), "{body:?}");
        assert!(!editor.has_edited());
    }
}

#[test]
fn a_body_that_breaks_off_inside_a_url_loses_no_byte() {
    for end in ["https:", r"https:\", r"https://virginia.example.org/Server", "x?\\u00"] {
        let body = format!(r#"{{"resourceType":"Bundle","entry":[{{"fullUrl":"{end}"#);
        check(&body, &body);
    }
}

/// A value of random shape in which the words of a Bundle stand everywhere.
fn random(rng: &mut Rng, depth: usize) -> Value {
    const KEYS: [&str; 12] = [
        "resourceType",
        "type",
        "link",
        "entry",
        "relation",
        "url",
        "fullUrl",
        "response",
        "resource",
        "location",
        "id",
        "a\"\\b",
    ];
    const TEXTS: [&str; 10] = [
        "Bundle",
        "Patient",
        "searchset",
        "batch-response",
        "self",
        "next",
        "https://virginia.example.org/Server1/Patient/1",
        "https://virginia.example.org/Server1?x=\"",
        "é\u{1f600}\n\\\"",
        "",
    ];
    match rng.u32(0..if depth > 6 { 3 } else { 6 }) {
        0 => Value::from(rng.i64(..)),
        1 | 2 => Value::from(TEXTS[rng.usize(..TEXTS.len())]),
        3 => (0..rng.usize(0..4)).map(|_| random(rng, depth + 1)).collect(),
        _ => {
            let mut fields = serde_json::Map::new();
            for _ in 0..rng.usize(0..6) {
                fields.insert(KEYS[rng.usize(..KEYS.len())].to_owned(), random(rng, depth + 1));
            }
            Value::Object(fields)
        }
    }
}

/// Every link undone again, by plain replacement.
fn undone(text: &str) -> String {
    text.replace("?_aorta=77", "").replace("&_aorta=77", "").replace("http://aorta.test:8080/fhir", "")
}

#[test]
fn whatever_json_comes_only_beginnings_and_marks_of_links_change_however_it_is_cut() {
    for seed in 0..4000 {
        let mut rng = Rng::with_seed(seed);
        let mut value = random(&mut rng, 0);
        if let Some(fields) = value.as_object_mut().filter(|_| rng.bool()) {
            fields.shift_insert(0, "resourceType".to_owned(), "Bundle".into());
        }
        let body = if rng.bool() { value.to_string() } else { serde_json::to_string_pretty(&value).unwrap() };
        let mut cuts: Vec<_> = (0..rng.usize(0..6)).map(|_| rng.usize(0..=body.len())).collect();
        cuts.sort_unstable();
        cuts.retain(|&cut| body.is_char_boundary(cut));
        let whole = edit(&body, &[]);
        assert_eq!(edit(&body, &cuts), whole, "seed {seed}, cut at {cuts:?}: {body}");
        let base = "https://virginia.example.org/Server1";
        assert_eq!(undone(&whole).replace(base, ""), undone(&body).replace(base, ""), "seed {seed}: {body}");
        let parsed: Value =
            serde_json::from_str(&whole).unwrap_or_else(|error| panic!("seed {seed}: {error}: {whole}"));
        assert_eq!(parsed.is_object(), value.is_object());
    }
}

#[test]
fn whatever_bytes_come_nothing_breaks_and_what_is_no_link_stays() {
    const ALPHABET: &[u8] = b"{}[]:,\"\\u0/\xff link";
    for seed in 0..20_000 {
        let mut rng = Rng::with_seed(seed);
        let mut body: Vec<u8> = if rng.bool() { br#"{"link":[{"url":""#.to_vec() } else { Vec::new() };
        body.extend((0..rng.usize(0..80)).map(|_| ALPHABET[rng.usize(..ALPHABET.len())]));
        let mut editor = Editor::new(Links { mark: None, ..links() });
        let mut passed = Vec::new();
        for piece in body.chunks(rng.usize(1..20)) {
            passed.extend_from_slice(&editor.pass(Bytes::copy_from_slice(piece)));
        }
        passed.extend_from_slice(&editor.end());
        // No base stands in it, so nothing may change; the client's prefix is no base of a bare path here.
        assert_eq!(passed, body, "seed {seed}");
    }
}
