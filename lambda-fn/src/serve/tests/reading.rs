use super::*;
use crate::resource::Resource;

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
