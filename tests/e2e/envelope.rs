//! Lambda's envelope: judged by what is inside, and unwrapped.

use crate::world::World;
use harness::upstream::Speech;
use harness::upstream::answer::{FHIR_JSON, Wrapped, envelope, outcome, record};
use harness::upstream::script::{Answer, Behaviour, Order};

fn obey(world: &World, answer: &Answer) {
    world.virginia.obey(Order::before(Behaviour::Say(answer.clone())));
    world.ohio.obey(Order::before(Behaviour::Say(answer.clone())));
}

#[tokio::test]
async fn the_answer_inside_an_envelope_takes_its_place_however_its_body_stands() {
    let world = World::new().await;
    let inner = Answer::new(200, FHIR_JSON, record("17")).with("etag", "W/\"3\"");
    for wrapped in [Wrapped::Text, Wrapped::Object, Wrapped::Base64] {
        obey(&world, &envelope(&inner, wrapped));
        let reply = world.client().get("/").await;
        assert_eq!((reply.status, reply.header("etag"), reply.attempts()), (200, "W/\"3\"", 1));
        assert_eq!(reply.header("content-type"), FHIR_JSON);
        assert_eq!(reply.body, record("17"), "{wrapped:?}");
        assert_eq!(reply.header("content-length"), record("17").len().to_string());
    }
}

#[tokio::test]
async fn a_404_inside_an_envelope_is_the_applications_own_and_ejects_nobody() {
    let world = World::new().await;
    obey(&world, &envelope(&outcome(404, "not-found"), Wrapped::Text));
    for _ in 0..20 {
        let reply = world.client().get("/Patient/none").await;
        assert_eq!((reply.status, reply.attempts(), &reply.body), (404, 1, &outcome(404, "not-found").body));
    }
    assert_eq!(world.proxy.ejections(), 0);
}

#[tokio::test]
async fn a_500_inside_an_envelope_is_rescued_counted_and_ejects() {
    let world = World::new().await;
    let sick = envelope(&outcome(500, "exception"), Wrapped::Object);
    world.virginia.obey(Order::before(Behaviour::Say(sick)));
    let mut client = world.client();
    for _ in 0..20 {
        assert_eq!(client.get("/Patient/1").await.upstream(), "ohio");
    }
    world.proxy.access(20).await;
    let metrics = world.proxy.metrics();
    let labels = [("upstream", "virginia"), ("kind", "envelope")];
    assert!(metrics.count("aorta_masked_errors_total", &labels) >= 5);
    assert!(metrics.count("aorta_upstream_ejections_total", &[("upstream", "virginia")]) >= 1);
}

#[tokio::test]
async fn an_envelope_larger_than_the_hold_is_unwrapped_all_the_same() {
    let world = World::new().await;
    let large = format!(r#"{{"resourceType":"Bundle","text":"{}"}}"#, "x".repeat(400 << 10));
    obey(&world, &envelope(&Answer::new(200, FHIR_JSON, large.clone()), Wrapped::Text));
    let reply = world.client().get("/Patient").await;
    assert_eq!((reply.status, reply.body.len()), (200, large.len()));
}

#[tokio::test]
async fn without_the_switch_an_envelope_stays_as_it_is() {
    let world = World::with(Speech::Http1, |setup, _| setup.pool("unwrap_envelope", "false")).await;
    let whole = envelope(&Answer::new(200, FHIR_JSON, record("17")), Wrapped::Text);
    obey(&world, &whole);
    assert_eq!(world.client().get("/").await.body, whole.body);
}
