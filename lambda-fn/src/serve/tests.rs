//! The server over a store of its own, request by request: `reading` and `writing` hold the promises.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

mod reading;
mod writing;

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
