//! Every official example goes in and comes out unchanged, number for number, but for what the server stamps.
//!
//! The examples lie beside the project, in `../shared/data`, or where `AORTA_SHARED_DATA` says. Without them this test has
//! nothing to do and says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::path::PathBuf;

use aorta_fhir::concurrency::Precondition;
use aorta_fhir::resource::Resource;
use aorta_fhir::store::sqlite::Sqlite;
use aorta_fhir::store::{Key, Put, Store};
use aorta_fhir::time::Timestamp;
use serde_json::Value;

fn examples() -> Vec<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("AORTA_SHARED_DATA").map_or_else(beside, PathBuf::from).join("r4-examples");
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

/// What is left of a resource without the server's stamp.
fn unstamped(mut resource: Value) -> Value {
    let members = resource.as_object_mut().unwrap();
    let mut meta = members.shift_remove("meta").unwrap_or_default();
    if let Some(meta) = meta.as_object_mut() {
        meta.shift_remove("versionId");
        meta.shift_remove("lastUpdated");
    }
    if meta.as_object().is_some_and(|meta| !meta.is_empty()) {
        members.insert("meta".into(), meta);
    }
    // The server writes the type and the id first.
    let (kind, id) = (members.shift_remove("resourceType"), members.shift_remove("id"));
    members.insert("resourceType".into(), kind.unwrap_or_default());
    members.insert("id".into(), id.unwrap_or_default());
    resource
}

#[tokio::test]
async fn every_official_example_comes_back_unchanged() {
    let files = examples();
    if files.is_empty() {
        eprintln!("skipped: no r4-examples in ../shared/data nor in AORTA_SHARED_DATA");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("records.db")).await.unwrap();
    for (number, file) in files.iter().enumerate() {
        let bytes = std::fs::read(file).unwrap();
        let resource = Resource::parse(&bytes).unwrap();
        let id = resource.id().cloned().unwrap_or_else(|| format!("n{number}").parse().unwrap());
        let key = Key { kind: resource.kind(), id: id.clone() };
        let now = Timestamp::from_ms(1_000);
        let put =
            Put { key: key.clone(), resource, precondition: Precondition::default(), unless: vec![], now };
        store.put_if(put).await.unwrap();
        let stored = store.get(&key).await.unwrap().unwrap().body.unwrap();
        let mut sent: Value = serde_json::from_slice(&bytes).unwrap();
        sent["id"] = id.as_str().into();
        let stored: Value = serde_json::from_str(&stored).unwrap();
        assert_eq!(unstamped(stored).to_string(), unstamped(sent).to_string(), "{}", file.display());
    }
}
