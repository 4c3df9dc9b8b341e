use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::resource::Resource;
use crate::store::sqlite::Sqlite;
use crate::{clock, seed};

async fn server() -> (TempDir, Server<Sqlite>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("records.db")).await.unwrap();
    let resource = Resource::parse(seed::BUILTIN.as_bytes()).unwrap();
    seed::plant(&store, seed::builtin_key(), resource, Timestamp::from_ms(0)).await.unwrap();
    let cursor_key = store.cursor_key().await.unwrap();
    (folder, Server { store, cursor_key, root: Some(seed::builtin_key()) })
}

async fn invoke(server: &Server<Sqlite>, event: Value) -> Value {
    let now = Timestamp::from_ms(1_000);
    answer(server, &event, now, clock::new_id(now)).await
}

fn inner(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
}

/// As API Gateway sends it: both forms of headers and parameters, and the stage apart from the path.
fn proxy_event(method: &str, path: &str) -> Value {
    json!({
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {"Host": "abc.execute-api.us-east-1.amazonaws.com", "X-Forwarded-Proto": "https"},
        "multiValueHeaders": {"Host": ["abc.execute-api.us-east-1.amazonaws.com"], "X-Forwarded-Proto": ["https"]},
        "queryStringParameters": null,
        "multiValueQueryStringParameters": null,
        "pathParameters": {"proxy": path.trim_start_matches('/')},
        "stageVariables": null,
        "requestContext": {"stage": "Server1", "path": format!("/Server1{path}"), "httpMethod": method},
        "body": null,
        "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn an_event_that_is_no_request_gets_the_original_envelope() {
    let (_folder, server) = server().await;
    for event in [json!({}), json!({"key1": "value1"}), json!(null), json!([]), json!("x")] {
        let envelope = invoke(&server, event).await;
        assert_eq!(envelope["statusCode"], 200);
        assert_eq!(envelope["headers"], json!({"Content-Type": "application/json"}));
        assert_eq!(envelope.as_object().unwrap().len(), 3);
        assert_eq!(inner(&envelope)["id"], "P123456");
    }
}

#[tokio::test]
async fn an_envelope_without_a_record_says_so_inside() {
    let (_folder, server) = server().await;
    let server = Server { root: None, ..server };
    let envelope = invoke(&server, json!({})).await;
    assert_eq!(envelope["statusCode"], 404);
    assert_eq!(inner(&envelope)["resourceType"], "OperationOutcome");
}

#[tokio::test]
async fn a_proxy_event_is_answered_with_status_headers_and_text() {
    let (_folder, server) = server().await;
    let read = invoke(&server, proxy_event("GET", "/Patient/P123456")).await;
    assert_eq!((&read["statusCode"], &read["isBase64Encoded"]), (&json!(200), &json!(false)));
    assert_eq!(read["headers"]["etag"], "W/\"1\"");
    assert_eq!(inner(&read)["id"], "P123456");
    let root = invoke(&server, proxy_event("GET", "/")).await;
    assert_eq!(root["headers"]["content-type"], "application/json; charset=utf-8");
    let missing = invoke(&server, proxy_event("GET", "/Patient/none")).await;
    assert_eq!(
        (&missing["statusCode"], inner(&missing)["issue"][0]["code"].as_str()),
        (&json!(404), Some("not-found"))
    );
    let head = invoke(&server, proxy_event("HEAD", "/Patient/P123456")).await;
    assert_eq!((&head["statusCode"], &head["body"]), (&json!(200), &json!("")));
}

#[tokio::test]
async fn a_create_is_placed_under_the_stage_or_where_the_client_came_from() {
    let (_folder, server) = server().await;
    let mut event = proxy_event("POST", "/Patient");
    event["multiValueHeaders"]["Content-Type"] = json!(["application/fhir+json"]);
    event["body"] = json!(r#"{"resourceType":"Patient"}"#);
    let place = |answer: &Value| answer["headers"]["location"].as_str().unwrap().to_owned();
    let created = invoke(&server, event.clone()).await;
    assert!(place(&created).starts_with("https://abc.execute-api.us-east-1.amazonaws.com/Server1/Patient/"));
    event["requestContext"].as_object_mut().unwrap().remove("path");
    let created = invoke(&server, event.clone()).await;
    assert!(place(&created).starts_with("https://abc.execute-api.us-east-1.amazonaws.com/Server1/Patient/"));
    event["multiValueHeaders"]["X-Forwarded-Host"] = json!(["ehr.example.org"]);
    let created = invoke(&server, event.clone()).await;
    assert!(place(&created).starts_with("https://ehr.example.org/Patient/"), "{created}");
    event["body"] = json!(STANDARD.encode(r#"{"resourceType":"Patient"}"#));
    event["isBase64Encoded"] = json!(true);
    assert_eq!(invoke(&server, event).await["statusCode"], 201);
}

#[tokio::test]
async fn parameters_arrive_decoded_and_are_not_decoded_again() {
    let (_folder, server) = server().await;
    let mut event = proxy_event("GET", "/Patient");
    event["queryStringParameters"] =
        json!({"identifier": "http://hospital.smarthealth.org/patients|P123456", "name": "100%25"});
    event["multiValueQueryStringParameters"] =
        json!({"identifier": ["P123456", "http://hospital.smarthealth.org/patients|P123456"]});
    let found = inner(&invoke(&server, event.clone()).await);
    assert_eq!(found["total"], 0);
    let link = found["link"][0]["url"].as_str().unwrap();
    assert!(link.ends_with("identifier=P123456&identifier=http%3A%2F%2Fhospital.smarthealth.org%2Fpatients%7CP123456&name=100%2525"), "{link}");
    event["queryStringParameters"].as_object_mut().unwrap().remove("name");
    assert_eq!(inner(&invoke(&server, event).await)["total"], 1);
}

#[tokio::test]
async fn a_malformed_event_is_answered_and_never_fails_the_invocation() {
    let (_folder, server) = server().await;
    for (event, status) in [
        (json!({"requestContext": {}}), 400),
        (json!({"httpMethod": 7}), 400),
        (json!({"httpMethod": "G T"}), 400),
        (json!({"httpMethod": "GET"}), 200),
        (json!({"httpMethod": "GET", "path": "/Patient/%ff"}), 400),
        (json!({"httpMethod": "GET", "path": 7, "headers": [], "requestContext": "x"}), 200),
        (json!({"httpMethod": "GET", "path": "/Patient", "headers": {"a b": "c\n", "x": null}}), 200),
        (json!({"httpMethod": "POST", "path": "/Patient", "body": "!", "isBase64Encoded": true}), 400),
        (json!({"httpMethod": "POST", "path": "/Patient", "body": {"a": 1}}), 415),
        (json!({"httpMethod": "GET", "path": "/Patient", "queryStringParameters": {"_count": "\u{0}"}}), 400),
    ] {
        let answer = invoke(&server, event.clone()).await;
        assert_eq!(answer["statusCode"], status, "{event}");
    }
}
