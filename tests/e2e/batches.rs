//! Batches and transactions: repeated only when each of their entries may be.

use crate::world::World;
use bytes::Bytes;
use harness::client::Reply;
use harness::upstream::Speech;
use harness::upstream::ledger::MARKER;
use harness::upstream::script::{Behaviour, Order};
use http::Request;

fn bundle(kind: &str, requests: &[&str]) -> String {
    let entries: Vec<_> = requests.iter().map(|request| format!(r#"{{"request":{{{request}}}}}"#)).collect();
    format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{}]}}"#, entries.join(","))
}

const READ: &str = r#""method":"GET","url":"Patient/1""#;
const DELETE: &str = r#""method":"DELETE","url":"Patient/2""#;
const UPDATE: &str = r#""method":"PUT","url":"Patient/3","ifMatch":"W/\"1\"""#;
const CREATE: &str = r#""method":"POST","url":"Patient""#;
const CREATE_ONCE: &str = r#""method":"POST","url":"Patient","ifNoneExist":"identifier=a|b""#;

async fn post(world: &World, marker: &str, body: String) -> Reply {
    let request = Request::post("/").header("content-type", "application/fhir+json").header(MARKER, marker);
    world.client().send(request.body(Bytes::from(body)).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_is_repeated_only_when_each_entry_may_be() {
    for (requests, repeated) in [
        (&[READ][..], true),
        (&[READ, DELETE, UPDATE], true),
        (&[READ, CREATE], false),
        (&[r#""method":"PUT","url":"Patient/3""#], false),
        // A condition on a create holds only inside one data domain, and none is named here.
        (&[CREATE_ONCE], false),
    ] {
        for kind in ["batch", "transaction"] {
            let world = World::new().await;
            world.virginia.obey(Order::after(Behaviour::ResetBefore));
            let reply = post(&world, "m", bundle(kind, requests)).await;
            let (status, executed) = if repeated { (201, 2) } else { (502, 1) };
            assert_eq!((reply.status, world.executed("m")), (status, executed), "{kind}: {requests:?}");
        }
    }
}

#[tokio::test]
async fn a_batch_of_conditional_creates_is_repeated_inside_its_data_domain() {
    let world = World::with(Speech::Http1, |setup, _| {
        setup.upstream(0, "data_domain: one").upstream(1, "data_domain: one")
    })
    .await;
    world.virginia.obey(Order::after(Behaviour::ResetBefore));
    let reply = post(&world, "m", bundle("transaction", &[CREATE_ONCE, READ])).await;
    assert_eq!((reply.status, reply.upstream(), world.executed("m")), (201, "ohio", 2));
}

#[tokio::test]
async fn a_body_that_can_be_read_in_two_ways_is_sent_once() {
    let doubtful = [
        r#"{"resourceType":"Bundle","type":"batch","entry":[],"entry":[{"request":{"method":"POST","url":"Patient"}}]}"#,
        r#"{"resourceType":"Bundle","type":"batch","entry":["#,
        "<Bundle/>",
    ];
    for body in doubtful {
        let world = World::new().await;
        world.virginia.obey(Order::after(Behaviour::ResetBefore));
        let reply = post(&world, "m", body.to_owned()).await;
        assert_eq!((reply.status, reply.attempts(), world.executed("m")), (502, 1, 1), "{body}");
    }
}
