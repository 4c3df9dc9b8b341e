use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::concurrency::Tags;
use crate::search::cursor::Position;
use crate::store::chain::Link;
use crate::store::conformance::{conformance, join_all, key, put, query};

async fn open() -> (TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("records.db")).await.unwrap();
    (folder, store)
}

conformance!(open);

async fn tamper(folder: &TempDir, sql: &str) {
    let connection = Connection::open(folder.path().join("records.db")).unwrap();
    assert_eq!(connection.execute(sql, []).unwrap(), 1);
}

fn corrupt_version<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> u64 {
    match outcome {
        Err(StoreError::Corrupt { version, .. }) => version,
        other => panic!("not noticed: {other:?}"),
    }
}

#[tokio::test]
async fn a_flipped_byte_is_noticed_by_every_way_to_it() {
    let (folder, store) = open().await;
    for number in 1..=3 {
        store.put_if(put("a", json!({"active": true, "x": number}))).await.unwrap();
    }
    tamper(&folder, "UPDATE res SET body = replace(body, '\"x\":3', '\"x\":4') WHERE vid = 3").await;
    assert_eq!(corrupt_version(store.get(&key("a")).await), 3);
    assert_eq!(corrupt_version(store.query(query(&[("active", "true")])).await), 3);
    assert_eq!(corrupt_version(store.history(&key("a"), None, 9).await), 3);
    assert_eq!(corrupt_version(store.put_if(put("a", json!({}))).await), 3);
    assert!(store.get_version(&key("a"), VersionId::new(2).unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_version_replaced_with_its_own_hash_breaks_the_chain() {
    let (folder, store) = open().await;
    for number in 1..=3 {
        store.put_if(put("a", json!({"x": number}))).await.unwrap();
    }
    let body = r#"{"resourceType":"Patient","id":"a","x":"forged"}"#;
    let old = store.history(&key("a"), None, 9).await.unwrap().0;
    let updated = old[1].updated.to_string();
    let first = Link {
        prev_hash: "",
        key: "Patient/a",
        version: 1,
        deleted: false,
        updated: &updated,
        body: old[2].body.as_deref().unwrap(),
    };
    let forged = Link {
        prev_hash: &first.hash(),
        key: "Patient/a",
        version: 2,
        deleted: false,
        updated: &updated,
        body,
    };
    tamper(&folder, &format!("UPDATE res SET body = '{body}', hash = '{}' WHERE vid = 2", forged.hash()))
        .await;
    assert_eq!(corrupt_version(store.history(&key("a"), None, 9).await), 3);
}

#[tokio::test]
async fn a_body_that_is_no_text_any_more_is_damage_and_no_panic() {
    let (folder, store) = open().await;
    store.put_if(put("a", json!({}))).await.unwrap();
    tamper(&folder, "UPDATE res SET body = x'ff00ff'").await;
    assert_eq!(corrupt_version(store.get(&key("a")).await), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_processes_may_open_one_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.db");
    let stores = join_all((0..12).map(|_| Sqlite::open(&path)).collect()).await;
    let mut keys = Vec::new();
    for store in stores {
        let position = Position { key: String::new(), id: "a".parse().unwrap() };
        keys.push(store.unwrap().cursor_key().await.unwrap().seal("s", &position));
    }
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_over_one_file_agree_on_who_wins() {
    let (folder, one) = open().await;
    let two = Sqlite::open(&folder.path().join("records.db")).await.unwrap();
    one.put_if(put("a", json!({}))).await.unwrap();
    for round in 1..=20 {
        let tags = Tags::These(vec![VersionId::new(round).unwrap()]);
        let precondition = Precondition { matching: Some(tags), not_matching: None };
        let contender = |x: &str| Put { precondition: precondition.clone(), ..put("a", json!({"x": x})) };
        let outcomes = join_all(vec![one.put_if(contender("one")), two.put_if(contender("two"))]).await;
        let won = outcomes.iter().filter(|outcome| matches!(outcome, Ok(PutOutcome::Updated(_)))).count();
        assert_eq!(won, 1, "{outcomes:?}");
    }
    assert_eq!(one.history(&key("a"), None, 1).await.unwrap().1, 21);
    assert_eq!(one.get(&key("a")).await.unwrap(), two.get(&key("a")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_create_one_record_where_both_ask_that_none_exist() {
    let (folder, one) = open().await;
    let two = Sqlite::open(&folder.path().join("records.db")).await.unwrap();
    let contender = |id: String| Put {
        unless: query(&[("identifier", "urn:s|1")]).criteria,
        ..put(&id, json!({"identifier": [{"system": "urn:s", "value": "1"}]}))
    };
    let stores = [&one, &two];
    let writers = (0..10).map(|number| stores[number % 2].put_if(contender(format!("p{number}"))));
    let outcomes = join_all(writers.collect()).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let created = outcomes.iter().filter(|outcome| matches!(outcome, Ok(PutOutcome::Created(_)))).count();
    assert_eq!(created, 1);
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_left_alone() {
    let (folder, store) = open().await;
    drop(store);
    let path = folder.path().join("records.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = Sqlite::open(&path).await.err().unwrap().to_string();
    assert!(error.contains("version 99"), "{error}");
}

#[tokio::test]
async fn what_is_written_is_synchronous_and_logged_ahead() {
    let (_folder, store) = open().await;
    let pragmas = store.run(|connection| {
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        let synchronous: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
        Ok((mode, synchronous))
    });
    assert_eq!(pragmas.await.unwrap(), ("wal".to_owned(), 2));
}

#[tokio::test]
async fn a_process_frozen_inside_a_write_blocks_writers_for_a_bounded_time_and_readers_not_at_all() {
    let (folder, store) = open().await;
    store.put_if(put("a", json!({}))).await.unwrap();
    let path = folder.path().join("records.db");
    let impatient = Sqlite::open_waiting(&path, Duration::ZERO).await.unwrap();
    let frozen = Connection::open(&path).unwrap();
    frozen.execute_batch("BEGIN IMMEDIATE; DELETE FROM cur").unwrap();
    assert!(matches!(impatient.put_if(put("a", json!({}))).await, Err(StoreError::Busy(_))));
    assert_eq!(impatient.query(query(&[])).await.unwrap().total, 1);
    frozen.execute_batch("ROLLBACK").unwrap();
    assert!(matches!(impatient.put_if(put("a", json!({}))).await, Ok(PutOutcome::Updated(_))));
}
