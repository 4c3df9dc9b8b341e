//! What every store must do: one suite, which each engine's tests run against fresh stores of its own.

use fhir::{ResourceType, VersionId};
use serde_json::{Value, json};

use super::{DeleteOutcome, Key, Put, PutOutcome, Store, Stored};
use crate::concurrency::{Precondition, Tags};
use crate::resource::Resource;
use crate::search::{Order, Query, Search};
use crate::time::Timestamp;

/// Makes the suite's tests for a store: `conformance!(open)`, where `open` is an async function that returns what keeps the
/// store's place alive, and the store.
macro_rules! conformance {
    ($open:path) => {
        $crate::store::conformance::conformance!($open:
            what_was_put_is_found_version_by_version,
            a_deletion_is_a_version_and_can_be_undone,
            a_write_depends_on_its_precondition,
            a_conditional_create_writes_only_where_nothing_matches,
            only_the_current_version_is_found,
            every_parameter_finds_what_it_should,
            pages_follow_each_other_without_gap_or_repetition,
            a_page_ends_early_where_its_bodies_are_large,
            history_is_paged_newest_first,
            of_concurrent_writers_exactly_one_wins,
            the_cursor_key_stays
        );
    };
    ($open:path: $($name:ident),*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                let (_place, store) = $open().await;
                $crate::store::conformance::$name(&store).await;
            }
        )*
    };
}
pub(crate) use conformance;

pub(crate) fn key(id: &str) -> Key {
    Key { kind: ResourceType::PATIENT, id: id.parse().unwrap() }
}

pub(crate) fn put(id: &str, mut resource: Value) -> Put {
    resource["resourceType"] = "Patient".into();
    Put {
        key: key(id),
        resource: Resource::from_value(resource).unwrap(),
        precondition: Precondition::default(),
        unless: vec![],
        now: Timestamp::from_ms(1_000),
    }
}

fn version(number: u64) -> VersionId {
    VersionId::new(number).unwrap()
}

fn if_match(number: u64) -> Precondition {
    Precondition { matching: Some(Tags::These(vec![version(number)])), not_matching: None }
}

pub(crate) fn query(pairs: &[(&str, &str)]) -> Query {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Search::parse(ResourceType::PATIENT, &pairs).unwrap().query
}

async fn ids(store: &impl Store, pairs: &[(&str, &str)]) -> Vec<String> {
    let page = store.query(query(pairs)).await.unwrap();
    assert_eq!(page.total, page.matches.len() as u64);
    page.matches.iter().map(|stored| stored.key.id.to_string()).collect()
}

fn created(outcome: PutOutcome) -> Stored {
    match outcome {
        PutOutcome::Created(stored) => stored,
        other => panic!("not created: {other:?}"),
    }
}

pub(crate) async fn what_was_put_is_found_version_by_version(store: &impl Store) {
    assert_eq!(store.get(&key("a")).await.unwrap(), None);
    let first = created(store.put_if(put("a", json!({"x": 1}))).await.unwrap());
    assert_eq!(first.version, VersionId::FIRST);
    let body = first.body.as_deref().unwrap();
    assert!(
        body.contains(r#""id":"a","meta":{"versionId":"1","lastUpdated":"1970-01-01T00:00:01.000Z"}"#),
        "{body}"
    );
    let second = Put { now: Timestamp::from_ms(2_000), ..put("a", json!({"x": 2})) };
    let PutOutcome::Updated(second) = store.put_if(second).await.unwrap() else { panic!("not updated") };
    assert_eq!(second.version, version(2));
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(second.clone()));
    assert_eq!(store.get_version(&key("a"), version(1)).await.unwrap(), Some(first));
    assert_eq!(store.get_version(&key("a"), version(2)).await.unwrap(), Some(second));
    assert_eq!(store.get_version(&key("a"), version(3)).await.unwrap(), None);
    assert_eq!(store.get_version(&key("a"), version(u64::MAX)).await.unwrap(), None);
    assert_eq!(store.get_version(&key("b"), version(1)).await.unwrap(), None);
}

pub(crate) async fn a_deletion_is_a_version_and_can_be_undone(store: &impl Store) {
    let now = Timestamp::from_ms(5_000);
    let delete = |precondition| store.delete_if(&DELETED, precondition, now);
    static DELETED: std::sync::LazyLock<Key> = std::sync::LazyLock::new(|| key("a"));
    assert_eq!(delete(Precondition::default()).await.unwrap(), DeleteOutcome::Absent);
    store.put_if(put("a", json!({"active": true}))).await.unwrap();
    assert_eq!(delete(if_match(7)).await.unwrap(), DeleteOutcome::Unmet);
    assert_eq!(delete(if_match(1)).await.unwrap(), DeleteOutcome::Deleted(version(2)));
    assert_eq!(delete(Precondition::default()).await.unwrap(), DeleteOutcome::Absent);
    let gone = store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!((gone.version, gone.updated, gone.body), (version(2), now, None));
    assert!(ids(store, &[("active", "true")]).await.is_empty());
    let back = created(store.put_if(put("a", json!({"active": true}))).await.unwrap());
    assert_eq!(back.version, version(3));
    assert_eq!(ids(store, &[("active", "true")]).await, ["a"]);
}

pub(crate) async fn a_write_depends_on_its_precondition(store: &impl Store) {
    let unmet = Put { precondition: if_match(1), ..put("a", json!({})) };
    assert_eq!(store.put_if(unmet).await.unwrap(), PutOutcome::Unmet);
    assert_eq!(store.get(&key("a")).await.unwrap(), None);
    let absent = Precondition { matching: None, not_matching: Some(Tags::Any) };
    let first = Put { precondition: absent.clone(), ..put("a", json!({})) };
    created(store.put_if(first.clone()).await.unwrap());
    assert_eq!(store.put_if(first).await.unwrap(), PutOutcome::Unmet);
    let second = Put { precondition: if_match(1), ..put("a", json!({})) };
    assert!(matches!(store.put_if(second.clone()).await.unwrap(), PutOutcome::Updated(_)));
    assert_eq!(store.put_if(second).await.unwrap(), PutOutcome::Unmet);
    assert_eq!(store.get(&key("a")).await.unwrap().unwrap().version, version(2));
}

pub(crate) async fn a_conditional_create_writes_only_where_nothing_matches(store: &impl Store) {
    let conditional = |id: &str| Put {
        unless: query(&[("identifier", "urn:s|1")]).criteria,
        ..put(id, json!({"identifier": [{"system": "urn:s", "value": "1"}]}))
    };
    let first = created(store.put_if(conditional("a")).await.unwrap());
    assert_eq!(store.put_if(conditional("b")).await.unwrap(), PutOutcome::Found(first));
    store.put_if(Put { unless: vec![], ..conditional("c") }).await.unwrap();
    assert_eq!(store.put_if(conditional("d")).await.unwrap(), PutOutcome::SeveralFound);
    assert_eq!(ids(store, &[]).await, ["a", "c"]);
}

pub(crate) async fn only_the_current_version_is_found(store: &impl Store) {
    store.put_if(put("a", json!({"gender": "male"}))).await.unwrap();
    store.put_if(put("a", json!({"gender": "female"}))).await.unwrap();
    assert!(ids(store, &[("gender", "male")]).await.is_empty());
    assert_eq!(ids(store, &[("gender", "female")]).await, ["a"]);
}

pub(crate) async fn every_parameter_finds_what_it_should(store: &impl Store) {
    let people = [
        (
            "a",
            json!({"name": [{"family": "Muñoz", "given": ["Ana"]}], "birthDate": "1985-04-23", "gender": "female",
                     "identifier": [{"system": "urn:s", "value": "1"}]}),
        ),
        (
            "b",
            json!({"name": [{"text": "Jon Muller"}], "birthDate": "1985", "gender": "male",
                     "identifier": [{"value": "1"}, {"system": "urn:t", "value": "1"}]}),
        ),
        (
            "c",
            json!({"name": [{"family": "MUN%"}], "birthDate": "1986-01", "managingOrganization": {"reference": "Organization/o"}}),
        ),
    ];
    for (id, person) in people {
        store.put_if(put(id, person)).await.unwrap();
    }
    for (pairs, expected) in [
        (vec![], "a b c"),
        (vec![("_id", "a,c")], "a c"),
        (vec![("_id", "no/id")], ""),
        (vec![("identifier", "1")], "a b"),
        (vec![("identifier", "urn:s|1")], "a"),
        (vec![("identifier", "|1")], "b"),
        (vec![("identifier", "urn:t|")], "b"),
        (vec![("identifier", "urn:s|1,urn:t|1")], "a b"),
        (vec![("name", "mun")], "a c"),
        (vec![("name", "MUN%")], "c"),
        (vec![("name", "mu"), ("gender", "male")], "b"),
        (vec![("name:contains", "ULL")], "b"),
        (vec![("name:exact", "Muñoz")], "a"),
        (vec![("name:exact", "munoz")], ""),
        (vec![("name", "' OR 1=1 --")], ""),
        (vec![("gender", "http://hl7.org/fhir/administrative-gender|female")], "a"),
        (vec![("birthdate", "1985")], "a b"),
        (vec![("birthdate", "1985-04-23")], "a"),
        (vec![("birthdate", "ne1985")], "c"),
        (vec![("birthdate", "lt1985-04-23")], "b"),
        (vec![("birthdate", "gt1985-04-23")], "b c"),
        (vec![("birthdate", "le1985-04-23")], "a b"),
        (vec![("birthdate", "ge1985-04-23")], "a b c"),
        (vec![("birthdate", "sa1985")], "c"),
        (vec![("birthdate", "eb1986")], "a b"),
        (vec![("birthdate", "ge1985"), ("birthdate", "lt1986")], "a b"),
        (vec![("organization", "o")], "c"),
        (vec![("organization", "Organization/o")], "c"),
        (vec![("_lastUpdated", "gt1970")], ""),
        (vec![("_lastUpdated", "1970-01-01")], "a b c"),
    ] {
        assert_eq!(ids(store, &pairs).await.join(" "), expected, "{pairs:?}");
    }
}

pub(crate) async fn pages_follow_each_other_without_gap_or_repetition(store: &impl Store) {
    for number in 0..7_i64 {
        // Two share each moment, so that the id must decide between them.
        let now = Timestamp::from_ms(number / 2 * 1_000);
        store.put_if(Put { now, ..put(&format!("p{number}"), json!({})) }).await.unwrap();
    }
    for (order, descending) in [
        (Order::Id, false),
        (Order::IdDescending, true),
        (Order::Updated, false),
        (Order::UpdatedDescending, true),
    ] {
        let mut found = Vec::new();
        let mut query = Query { count: 2, order, ..query(&[]) };
        loop {
            let page = store.query(query.clone()).await.unwrap();
            assert_eq!(page.total, 7);
            found.extend(page.matches.iter().map(|stored| stored.key.id.to_string()));
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        let mut expected: Vec<String> = (0..7).map(|number| format!("p{number}")).collect();
        if descending {
            expected.reverse();
        }
        assert_eq!(found, expected, "{order:?}");
    }
    let counted = store.query(Query { count: 0, ..query(&[]) }).await.unwrap();
    assert_eq!((counted.total, counted.matches.len(), counted.next), (7, 0, None));
}

pub(crate) async fn a_page_ends_early_where_its_bodies_are_large(store: &impl Store) {
    for id in ["a", "b", "c"] {
        store.put_if(put(id, json!({"x": "y".repeat(super::PAGE_BYTES / 2)}))).await.unwrap();
    }
    let page = store.query(query(&[])).await.unwrap();
    assert_eq!(page.matches.len(), 2);
    assert_eq!(page.next.unwrap().id.as_str(), "b");
}

pub(crate) async fn history_is_paged_newest_first(store: &impl Store) {
    for number in 1..=4 {
        store.put_if(put("a", json!({"x": number}))).await.unwrap();
    }
    store.delete_if(&key("a"), Precondition::default(), Timestamp::from_ms(9_000)).await.unwrap();
    let numbers =
        |versions: &[Stored]| versions.iter().map(|stored| stored.version.number()).collect::<Vec<_>>();
    let (versions, total) = store.history(&key("a"), None, 2).await.unwrap();
    assert_eq!((numbers(&versions), total), (vec![5, 4], 5));
    assert_eq!(versions[0].body, None);
    let (versions, _) = store.history(&key("a"), Some(version(4)), 10).await.unwrap();
    assert_eq!(numbers(&versions), [3, 2, 1]);
    assert_eq!(store.history(&key("b"), None, 2).await.unwrap(), (vec![], 0));
}

pub(crate) async fn of_concurrent_writers_exactly_one_wins(store: &impl Store) {
    store.put_if(put("a", json!({}))).await.unwrap();
    let writers = (0..16)
        .map(|number| store.put_if(Put { precondition: if_match(1), ..put("a", json!({"x": number})) }));
    let outcomes = join_all(writers.collect()).await;
    let won = outcomes.iter().filter(|outcome| matches!(outcome, Ok(PutOutcome::Updated(_)))).count();
    let lost = outcomes.iter().filter(|outcome| matches!(outcome, Ok(PutOutcome::Unmet))).count();
    assert_eq!((won, lost), (1, 15));
    assert_eq!(store.history(&key("a"), None, 99).await.unwrap().1, 2);
}

pub(crate) async fn the_cursor_key_stays(store: &impl Store) {
    let position = crate::search::cursor::Position { key: String::new(), id: "a".parse().unwrap() };
    let cursor = store.cursor_key().await.unwrap().seal("s", &position);
    assert_eq!(store.cursor_key().await.unwrap().open("s", &cursor), Ok(position));
}

/// Polls all at once until all are done.
pub(crate) async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(ready) => *output = Some(ready),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}
