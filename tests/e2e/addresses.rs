//! An upstream with several addresses is one upstream: one that leads nowhere costs a moment, and no attempt.

use harness::authority::Authority;
use harness::client::Client;
use harness::eventually;
use harness::proxy::Proxy;
use harness::setup::Setup;
use harness::upstream::script::Door;
use harness::upstream::{Speech, Upstream};
use std::time::Duration;

/// Virginia, another listener that bears her name too, and the authority, whose files they need.
fn two() -> (Authority, Upstream, Upstream) {
    let authority = Authority::new();
    let virginia = Upstream::start("virginia", Speech::Http1, &authority);
    let other = Upstream::start_as("other", Speech::Http1, &authority, "virginia.fhir.test");
    (authority, virginia, other)
}

/// A proxy before one upstream, Virginia, with these addresses in this order.
async fn before(virginia: &Upstream, addresses: [&Upstream; 2]) -> Proxy {
    let setup = Setup::new(&[virginia]).pool("timeouts", "{connect: 5s, attempt: 8s, request: 15s}");
    let own = format!("[\"{}\"]", virginia.address());
    let both = addresses.map(|address| format!("\"{}\"", address.address())).join(", ");
    let yaml = setup.yaml();
    assert!(yaml.contains(&own), "{yaml}");
    Proxy::start_with(&yaml.replace(&own, &format!("[{both}]")), &[]).await
}

#[tokio::test]
async fn an_address_that_leads_nowhere_costs_a_quarter_of_a_second_once_and_no_attempt() {
    let (_authority, virginia, nowhere) = two();
    nowhere.door(Door::Mute);
    let proxy = before(&virginia, [&nowhere, &virginia]).await;
    let mut client = Client::new(proxy.target());
    let first = client.get("/Patient/1").await;
    assert_eq!((first.status, first.attempts()), (200, 1));
    let took = first.took;
    assert!(took >= Duration::from_millis(250) && took < Duration::from_millis(2_000), "{took:?}");
    for index in 0..10 {
        // A write opens a connection of its own.
        let reply = client.post("/Patient", format!("{{\"index\":{index}}}")).await;
        assert_eq!((reply.status, reply.attempts()), (201, 1));
    }
    assert_eq!(nowhere.ledger().connections, 1, "it is asked last for a while");
    assert_eq!(proxy.ejections(), 0, "the upstream is one, whatever its addresses do");
}

#[tokio::test]
async fn the_first_address_is_not_given_up_when_the_second_is_tried() {
    let (_authority, virginia, nowhere) = two();
    nowhere.door(Door::Mute);
    virginia.freeze();
    let proxy = before(&virginia, [&virginia, &nowhere]).await;
    let mut client = Client::new(proxy.target());
    let thaw = async {
        eventually::equal("the second address is tried", 1, || nowhere.ledger().connections).await;
        virginia.heal();
    };
    let (reply, ()) = tokio::join!(client.get("/Patient/1"), thaw);
    assert_eq!((reply.status, reply.attempts()), (200, 1));
    assert!(reply.took < Duration::from_millis(2_400), "{:?}", reply.took);
    assert_eq!(virginia.ledger().connections, 1, "the connection that was begun first served it");
}

#[tokio::test]
async fn a_connection_is_used_again_whichever_address_it_leads_to() {
    let (_authority, virginia, other) = two();
    let proxy = before(&virginia, [&virginia, &other]).await;
    let mut client = Client::new(proxy.target());
    for index in 0..10 {
        assert_eq!(client.get(&format!("/Patient/{index}")).await.status, 200);
    }
    assert_eq!(virginia.count() + other.count(), 10);
    assert_eq!(virginia.ledger().connections + other.ledger().connections, 1);
}
