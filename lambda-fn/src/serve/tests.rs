use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::store::sqlite::Sqlite;

struct House {
    _folder: TempDir,
    server: Server<Sqlite>,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn issue(&self) -> &str {
        self.body["issue"][0]["code"].as_str().unwrap_or_default()
    }

    fn ids(&self) -> Vec<&str> {
        let entries = self.body["entry"].as_array().map_or(&[][..], Vec::as_slice);
        entries.iter().filter_map(|entry| entry["resource"]["id"].as_str()).collect()
    }

    fn link(&self, relation: &str) -> Option<&str> {
        let links = self.body["link"].as_array()?;
        links.iter().find(|link| link["relation"] == relation)?["url"].as_str()
    }
}

async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("records.db")).await.unwrap();
    let cursor_key = store.cursor_key().await.unwrap();
    House { _folder: folder, server: Server { store, cursor_key, root: Some(crate::seed::builtin_key()) } }
}

impl House {
    /// `line` is `METHOD path?query`; the body is sent as FHIR JSON unless a header says otherwise.
    async fn ask(&self, line: &str, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut map = HeaderMap::new();
        map.insert("host", HeaderValue::from_static("h.example.org"));
        map.insert("content-type", HeaderValue::from_static("application/fhir+json"));
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let request = Request {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            path: path.to_owned(),
            query: crate::request::decode_form(query.as_bytes()).unwrap(),
            headers: map,
            body: Bytes::from(body.to_owned()),
            prefix: "/Server1".into(),
            scheme: "https",
        };
        let now = Timestamp::from_ms(1_000);
        let (parts, body) = self.server.serve(&request, now, crate::clock::new_id(now)).await.into_parts();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask(&format!("GET {target}"), &[], "").await
    }

    async fn put(&self, id: &str, mut resource: Value) -> Answer {
        resource["resourceType"] = "Patient".into();
        resource["id"] = id.into();
        self.ask(&format!("PUT /Patient/{id}"), &[], &resource.to_string()).await
    }
}

const JOHN: &str = r#"{"resourceType":"Patient","id":"mine","name":[{"family":"Doe"}],"x":1.50}"#;

#[tokio::test]
async fn a_created_record_is_read_back_as_it_was_sent() {
    let house = house().await;
    let created = house.ask("POST /Patient", &[("x-request-id", "r-1")], JOHN).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("etag"), "W/\"1\"");
    assert_eq!(created.header("x-request-id"), "r-1");
    assert_eq!(created.header("cache-control"), "no-store");
    assert_eq!(created.header("last-modified"), "Thu, 01 Jan 1970 00:00:01 GMT");
    let id = created.body["id"].as_str().unwrap();
    assert_ne!(id, "mine");
    let place = format!("https://h.example.org/Server1/Patient/{id}/_history/1");
    assert_eq!(created.header("location"), place);
    let read = house.get(&format!("/Patient/{id}")).await;
    assert_eq!(read.status, 200);
    assert_eq!(read.header("content-type"), "application/fhir+json; charset=utf-8");
    assert_eq!(read.body["x"].to_string(), "1.50");
    assert_eq!(read.body, created.body);
    assert_eq!(house.get(&format!("/Patient/{id}/_history/1")).await.body, created.body);
}

#[tokio::test]
async fn an_update_makes_a_version_and_an_unknown_id_makes_a_record() {
    let house = house().await;
    assert_eq!(house.put("a", json!({"x": 1})).await.status, 201);
    let updated = house.put("a", json!({"x": 2, "meta": {"versionId": "77"}})).await;
    assert_eq!((updated.status, updated.header("etag")), (200, "W/\"2\""));
    assert_eq!(updated.body["meta"]["versionId"], "2");
    assert_eq!(house.get("/Patient/a/_history/1").await.body["x"], 1);
    assert_eq!(house.get("/Patient/a/_history/3").await.status, 404);
    assert_eq!(house.get("/Patient/a/_history/x").await.status, 404);
}

#[tokio::test]
async fn a_body_that_does_not_fit_its_place_is_refused() {
    let house = house().await;
    for (line, body, expected) in [
        ("PUT /Patient/a", r#"{"resourceType":"Patient","id":"b"}"#, (400, "value")),
        ("PUT /Patient/a", r#"{"resourceType":"Patient"}"#, (400, "value")),
        ("PUT /Patient/a", r#"{"resourceType":"Observation","id":"a"}"#, (400, "value")),
        ("POST /Patient", r#"{"resourceType":"Patient""#, (400, "structure")),
        ("POST /Patient", "", (400, "structure")),
        ("POST /", r#"{"resourceType":"Bundle","type":"transaction"}"#, (405, "not-supported")),
        ("PATCH /Patient/a", "[]", (405, "not-supported")),
    ] {
        let answer = house.ask(line, &[], body).await;
        assert_eq!((answer.status, answer.issue()), expected, "{line} {body}");
    }
    let xml = house.ask("POST /Patient", &[("content-type", "application/fhir+xml")], JOHN).await;
    assert_eq!(xml.status, 415);
    let patch = house.ask("PATCH /Patient/a", &[], "").await;
    assert_eq!(patch.header("allow"), "GET, PUT, DELETE");
    assert_eq!(house.get("/Patient").await.body["total"], 0);
}

#[tokio::test]
async fn a_write_on_a_stale_version_is_refused_and_leaves_no_trace() {
    let house = house().await;
    house.put("a", json!({})).await;
    let put = |tag: &'static str| {
        house.ask("PUT /Patient/a", tag_header(tag), r#"{"resourceType":"Patient","id":"a"}"#)
    };
    fn tag_header(tag: &'static str) -> &'static [(&'static str, &'static str)] {
        match tag {
            "1" => &[("if-match", "W/\"1\"")],
            "9" => &[("if-match", "W/\"9\"")],
            "*" => &[("if-none-match", "*")],
            _ => &[("if-match", "nonsense")],
        }
    }
    assert_eq!(put("9").await.status, 412);
    assert_eq!(put("*").await.status, 412);
    assert_eq!(put("nonsense").await.status, 400);
    assert_eq!(put("1").await.status, 200);
    assert_eq!(put("1").await.issue(), "conflict");
    assert_eq!(house.get("/Patient/a").await.header("etag"), "W/\"2\"");
    let delete = house.ask("DELETE /Patient/a", &[("if-match", "W/\"1\"")], "").await;
    assert_eq!(delete.status, 412);
}

#[tokio::test]
async fn a_deleted_record_answers_gone_and_keeps_its_history() {
    let house = house().await;
    house.put("a", json!({"x": 1})).await;
    assert_eq!(house.ask("DELETE /Patient/a", &[], "").await.status, 204);
    assert_eq!(house.ask("DELETE /Patient/a", &[], "").await.status, 204);
    assert_eq!(house.ask("DELETE /Patient/never", &[], "").await.status, 204);
    let gone = house.get("/Patient/a").await;
    assert_eq!((gone.status, gone.issue()), (410, "deleted"));
    assert_eq!(house.get("/Patient/a/_history/2").await.status, 410);
    assert_eq!(house.get("/Patient/a/_history/1").await.body["x"], 1);
    let history = house.get("/Patient/a/_history").await;
    assert_eq!(history.body["total"], 2);
    assert_eq!(history.body["entry"][0]["request"]["method"], "DELETE");
    assert_eq!(history.body["entry"][0]["response"]["etag"], "W/\"2\"");
    assert_eq!(history.body["entry"][1]["resource"]["x"], 1);
    assert_eq!(house.get("/Patient/never/_history").await.status, 404);
}

#[tokio::test]
async fn history_is_paged_by_links() {
    let house = house().await;
    for _ in 0..5 {
        house.put("a", json!({})).await;
    }
    let mut versions = Vec::new();
    let mut url = "https://h.example.org/Server1/Patient/a/_history?_count=2".to_owned();
    loop {
        let page = house.get(url.strip_prefix("https://h.example.org/Server1").unwrap()).await;
        for entry in page.body["entry"].as_array().unwrap() {
            versions.push(entry["resource"]["meta"]["versionId"].as_str().unwrap().to_owned());
        }
        match page.link("next") {
            Some(next) => url = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(versions, ["5", "4", "3", "2", "1"]);
    assert_eq!(house.get("/Patient/a/_history?_cursor=AAAA").await.status, 400);
}

#[tokio::test]
async fn a_read_of_the_version_one_has_is_not_modified() {
    let house = house().await;
    house.put("a", json!({})).await;
    let answer = house.ask("GET /Patient/a", &[("if-none-match", "W/\"1\"")], "").await;
    assert_eq!((answer.status, answer.header("etag"), &answer.body), (304, "W/\"1\"", &Value::Null));
    assert_eq!(house.ask("GET /Patient/a", &[("if-none-match", "W/\"2\"")], "").await.status, 200);
}

#[tokio::test]
async fn a_conditional_create_happens_once() {
    let house = house().await;
    let body = r#"{"resourceType":"Patient","identifier":[{"system":"urn:s","value":"1"}]}"#;
    let create = || house.ask("POST /Patient", &[("if-none-exist", "identifier=urn:s%7C1")], body);
    let first = create().await;
    let second = create().await;
    assert_eq!((first.status, second.status), (201, 200));
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("location"), second.header("location"));
    house.ask("POST /Patient", &[], body).await;
    let third = create().await;
    assert_eq!((third.status, third.issue()), (412, "multiple-matches"));
    for unclear in ["", "shoe-size=45", "identifier=1&shoe-size=45", "identifier="] {
        let answer = house.ask("POST /Patient", &[("if-none-exist", unclear)], body).await;
        assert_eq!(answer.status, 400, "{unclear}");
    }
    assert_eq!(house.get("/Patient").await.body["total"], 2);
}

#[tokio::test]
async fn a_search_is_a_bundle_with_links_that_can_be_followed() {
    let house = house().await;
    for id in ["a", "b", "c"] {
        house
            .put(id, json!({"name": [{"family": "Doe"}], "identifier": [{"system": "urn:s", "value": id}]}))
            .await;
    }
    let first = house.get("/Patient?name=doe&_count=2").await;
    assert_eq!((first.body["type"].as_str(), &first.body["total"]), (Some("searchset"), &json!(3)));
    assert_eq!(first.body["entry"][0]["fullUrl"], "https://h.example.org/Server1/Patient/a");
    assert_eq!(first.link("self"), Some("https://h.example.org/Server1/Patient?name=doe&_count=2"));
    let next = first.link("next").unwrap().strip_prefix("https://h.example.org/Server1").unwrap();
    let second = house.get(next).await;
    assert_eq!((first.ids(), second.ids(), second.link("next")), (vec!["a", "b"], vec!["c"], None));
    let token = house.get("/Patient?identifier=urn:s%7Cb").await;
    assert_eq!(token.ids(), ["b"]);
    assert_eq!(token.link("self"), Some("https://h.example.org/Server1/Patient?identifier=urn%3As%7Cb"));
    let counted = house.get("/Patient?_summary=count").await;
    assert_eq!((&counted.body["total"], counted.body.get("entry")), (&json!(3), None));
}

#[tokio::test]
async fn a_tampered_cursor_is_refused() {
    let house = house().await;
    for id in ["a", "b", "c"] {
        house.put(id, json!({"name": [{"family": "Doe"}]})).await;
    }
    let first = house.get("/Patient?name=doe&_count=1").await;
    let cursor = first.link("next").unwrap().split_once("_cursor=").unwrap().1.to_owned();
    assert_eq!(house.get(&format!("/Patient?name=doe&_count=1&_cursor={cursor}")).await.ids(), ["b"]);
    for forged in [
        format!("/Patient?name=d&_count=1&_cursor={cursor}"),
        format!("/Observation?_count=1&_cursor={cursor}"),
        format!("/Patient?name=doe&_count=1&_cursor=A{cursor}"),
        "/Patient?name=doe&_count=1&_cursor=%00".to_owned(),
    ] {
        let answer = house.get(&forged).await;
        assert_eq!((answer.status, answer.issue()), (400, "invalid"), "{forged}");
    }
}

#[tokio::test]
async fn a_search_by_post_reads_form_and_query() {
    let house = house().await;
    house.put("a", json!({"gender": "male", "name": [{"family": "Doe"}]})).await;
    house.put("b", json!({"gender": "female", "name": [{"family": "Doe"}]})).await;
    let form = &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    assert_eq!(house.ask("POST /Patient/_search?gender=male", form, "name=doe").await.ids(), ["a"]);
    assert_eq!(house.ask("POST /Patient/_search", form, "name=%ff").await.status, 400);
    assert_eq!(house.ask("POST /Patient/_search", &[], "{}").await.status, 415);
}

#[tokio::test]
async fn an_unknown_parameter_is_told_of_or_refused_as_the_client_prefers() {
    let house = house().await;
    house.put("a", json!({})).await;
    let lenient = house.get("/Patient?shoe-size=45").await;
    assert_eq!(
        (lenient.ids(), lenient.link("self")),
        (vec!["a"], Some("https://h.example.org/Server1/Patient"))
    );
    assert_eq!(lenient.body["entry"][1]["search"]["mode"], "outcome");
    let strict = house.ask("GET /Patient?shoe-size=45", &[("prefer", "handling=strict")], "").await;
    assert_eq!((strict.status, strict.issue()), (400, "not-supported"));
    assert_eq!(house.get("/Patient?birthdate=yesterday").await.status, 400);
    assert_eq!(house.get("/Patient?name:missing=true").await.status, 400);
}

#[tokio::test]
async fn the_client_chooses_how_much_comes_back_and_under_which_name() {
    let house = house().await;
    let minimal = house.ask("POST /Patient", &[("prefer", "return=minimal")], JOHN).await;
    assert_eq!((minimal.status, &minimal.body, minimal.header("content-type")), (201, &Value::Null, ""));
    let outcome = house.ask("POST /Patient", &[("prefer", "return=OperationOutcome")], JOHN).await;
    assert_eq!(outcome.body["resourceType"], "OperationOutcome");
    house.put("a", json!({})).await;
    let json = house.ask("GET /Patient/a", &[("accept", "application/json")], "").await;
    assert_eq!(json.header("content-type"), "application/json; charset=utf-8");
    let format =
        house.ask("GET /Patient/a?_format=application/fhir%2Bjson", &[("accept", "text/xml")], "").await;
    assert_eq!(format.header("content-type"), "application/fhir+json; charset=utf-8");
    assert_eq!(house.get("/Patient/a?_format=xml").await.status, 406);
    assert_eq!(house.ask("GET /Patient/a", &[("accept", "text/html")], "").await.status, 406);
}

#[tokio::test]
async fn the_root_answers_the_record_that_is_set_as_the_original_system_did() {
    let house = house().await;
    assert_eq!(house.get("/").await.status, 404);
    let seed = Resource::parse(crate::seed::BUILTIN.as_bytes()).unwrap();
    let now = Timestamp::from_ms(0);
    assert!(
        crate::seed::plant(&house.server.store, crate::seed::builtin_key(), seed.clone(), now).await.unwrap()
    );
    assert!(!crate::seed::plant(&house.server.store, crate::seed::builtin_key(), seed, now).await.unwrap());
    let root = house.get("/").await;
    assert_eq!(root.header("content-type"), "application/json; charset=utf-8");
    assert_eq!((root.status, &root.body["id"]), (200, &json!("P123456")));
}

#[tokio::test]
async fn the_capability_statement_keeps_its_word() {
    let house = house().await;
    let metadata = house.get("/metadata").await;
    assert_eq!(metadata.status, 200);
    let resource = &metadata.body["rest"][0]["resource"];
    let patient = resource.as_array().unwrap().iter().find(|one| one["type"] == "Patient").unwrap();
    for parameter in patient["searchParam"].as_array().unwrap() {
        let value = if parameter["type"] == "date" { "2024" } else { "x" };
        let target = format!("GET /Patient?{}={value}", parameter["name"].as_str().unwrap());
        assert_eq!(house.ask(&target, &[("prefer", "handling=strict")], "").await.status, 200, "{target}");
    }
}

use crate::resource::Resource;
