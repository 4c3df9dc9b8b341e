use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::store::sqlite::Sqlite;

async fn store() -> (TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("records.db")).await.unwrap();
    (folder, store)
}

async fn load_value(store: &Sqlite, value: &Value) -> Result<Report, LoadError> {
    let now = Timestamp::from_ms(1_000);
    load(store, value.to_string().as_bytes(), now, || crate::clock::new_id(now)).await
}

async fn read(store: &Sqlite, kind: &str, id: &str) -> Value {
    let key = Key { kind: kind.parse().unwrap(), id: id.parse().unwrap() };
    serde_json::from_str(&store.get(&key).await.unwrap().unwrap().body.unwrap()).unwrap()
}

#[tokio::test]
async fn a_bundle_is_unpacked_and_its_references_point_at_records() {
    let (_folder, store) = store().await;
    let doctor = json!({"resourceType": "Practitioner", "id": "d", "identifier": [{"system": "urn:npi", "value": "9"}]});
    load_value(&store, &doctor).await.unwrap();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Observation", "id": "o", "subject": {"reference": "urn:uuid:2"},
            "performer": [{"reference": "Practitioner?identifier=urn:npi|9"}, {"reference": "Practitioner?identifier=none"}]}},
        {"fullUrl": "urn:uuid:2", "resource": {"resourceType": "Patient", "id": "p"}},
    ]});
    let report = load_value(&store, &bundle).await.unwrap();
    assert_eq!(report, Report { created: 2, unresolved: 1, ..Report::default() });
    let observation = read(&store, "Observation", "o").await;
    assert_eq!(observation["subject"]["reference"], "Patient/p");
    assert_eq!(observation["performer"][0]["reference"], "Practitioner/d");
    assert_eq!(observation["performer"][1]["reference"], "Practitioner?identifier=none");
    let again = load_value(&store, &bundle).await.unwrap();
    assert_eq!((again.created, again.updated, again.unchanged), (0, 0, 2));
}

#[tokio::test]
async fn a_resource_without_an_id_is_given_one_and_a_document_stays_whole() {
    let (_folder, store) = store().await;
    assert_eq!(load_value(&store, &json!({"resourceType": "Patient"})).await.unwrap().created, 1);
    let document = json!({"resourceType": "Bundle", "type": "document", "id": "b", "entry": [{"resource": {"resourceType": "Patient"}}]});
    assert_eq!(load_value(&store, &document).await.unwrap().created, 1);
    assert_eq!(read(&store, "Bundle", "b").await["type"], "document");
}

#[tokio::test]
async fn a_file_with_something_else_is_refused_by_its_place() {
    let (_folder, store) = store().await;
    let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": [{"resource": {"resourceType": "Patient"}}, {"resource": {}}]});
    let error = load_value(&store, &bundle).await.unwrap_err().to_string();
    assert!(error.starts_with("resource 2: "), "{error}");
}
