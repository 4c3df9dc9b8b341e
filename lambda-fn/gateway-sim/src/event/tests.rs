//! What the function gets to see.

use http::HeaderValue;
use serde_json::{Value, json};

use super::*;

fn event_of(path: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Value {
    let ids = RequestIds { request: "id".into(), extended: "ext=".into(), trace: "Root=1-0-0".into() };
    let path_with_stage = format!("/Server1{path}");
    let event = proxy_event(&Accepted {
        method: "POST",
        path_with_stage: &path_with_stage,
        path,
        query,
        protocol: "HTTP/1.1",
        headers,
        host: "a1.execute-api.us-east-1.amazonaws.com",
        body,
        source: [127, 0, 0, 9].into(),
        api_id: "a1",
        stage: "Server1",
        ids: &ids,
        now: std::time::UNIX_EPOCH,
    });
    serde_json::from_slice(&event).unwrap()
}

#[test]
fn the_path_comes_without_and_the_context_path_with_the_stage() {
    let event = event_of("/Patient/a%20b", "", &HeaderMap::new(), b"");
    assert_eq!(event["path"], "/Patient/a%20b");
    assert_eq!(event["resource"], "/{proxy+}");
    assert_eq!(event["pathParameters"], json!({"proxy": "Patient/a b"}));
    assert_eq!(event["requestContext"]["path"], "/Server1/Patient/a%20b");
    assert_eq!(event["requestContext"]["stage"], "Server1");
    assert_eq!(event["requestContext"]["requestTime"], "01/Jan/1970:00:00:00 +0000");
    assert_eq!(event["requestContext"]["identity"]["sourceIp"], "127.0.0.9");
}

#[test]
fn what_is_absent_is_null() {
    let event = event_of("/", "", &HeaderMap::new(), b"");
    assert_eq!(event["resource"], "/");
    for key in [
        "body",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
    ] {
        assert_eq!(event[key], Value::Null, "{key}");
    }
    assert_eq!(event["isBase64Encoded"], false);
}

#[test]
fn parameters_are_decoded_and_semicolons_split_them() {
    let event =
        event_of("/Patient", "identifier=a%7Cb&name=J+%2B%3B&name=K;_format=x;flag", &HeaderMap::new(), b"");
    assert_eq!(
        event["multiValueQueryStringParameters"],
        json!({"identifier": ["a|b"], "name": ["J +;", "K"], "_format": ["x"], "flag": [""]})
    );
    assert_eq!(event["queryStringParameters"]["name"], "K");
}

#[test]
fn raw_delimiters_are_recognised() {
    for (query, expected) in [("a=b|c", true), ("a={b}", true), ("a=b%7Cc&d=%7B", false), ("", false)] {
        assert_eq!(has_raw_delimiter(query), expected, "{query}");
    }
}

#[test]
fn headers_come_once_and_with_all_values() {
    let mut headers = HeaderMap::new();
    headers.append("accept", HeaderValue::from_static("a"));
    headers.append("accept", HeaderValue::from_static("b"));
    headers.append("x-forwarded-for", HeaderValue::from_static("10.0.0.1"));
    headers.append("connection", HeaderValue::from_static("close"));
    let event = event_of("/", "", &headers, b"");
    assert_eq!(event["headers"]["accept"], "b");
    assert_eq!(event["multiValueHeaders"]["accept"], json!(["a", "b"]));
    assert_eq!(event["headers"]["x-forwarded-for"], "10.0.0.1, 127.0.0.9");
    assert_eq!(event["headers"]["x-forwarded-proto"], "https");
    assert_eq!(event["headers"]["host"], "a1.execute-api.us-east-1.amazonaws.com");
    assert_eq!(event["headers"]["connection"], Value::Null);
}

#[test]
fn text_stays_text_and_the_rest_is_base64() {
    for (media_type, body, expected, encoded) in [
        ("application/fhir+json; charset=utf-8", &b"{}"[..], "{}", false),
        ("application/json-patch+json", b"[]", "[]", false),
        ("application/x-www-form-urlencoded", b"a=b", "a=b", false),
        ("application/fhir+xml", b"<a/>", "<a/>", false),
        ("text/csv", b"a,b", "a,b", false),
        ("application/json", b"\xff", "/w==", true),
        ("application/octet-stream", b"ab", "YWI=", true),
        ("image/png", b"ab", "YWI=", true),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(media_type));
        let event = event_of("/", "", &headers, body);
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!(expected), &json!(encoded)),
            "{media_type}"
        );
    }
}
