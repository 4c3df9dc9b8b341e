use super::*;

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
