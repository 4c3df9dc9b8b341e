//! Trust: an upstream whose certificate cannot be trusted gets no request, and is no loss.

use harness::authority::Authority;
use harness::client::Client;
use harness::proxy::Proxy;
use harness::raw::Raw;
use harness::setup::Setup;
use harness::upstream::{Speech, Upstream};
use std::time::Duration;

async fn is_served_by_ohio_alone(yaml: &str, virginia: &Upstream, ohio: &Upstream) {
    let proxy = Proxy::start_with(yaml, &[]).await;
    let mut client = Client::new(proxy.target());
    for index in 0..12 {
        let reply = client.get(&format!("/Patient/{index}")).await;
        assert_eq!((reply.status, reply.upstream()), (200, "ohio"));
    }
    assert_eq!(virginia.count(), 0, "no request byte went to whom we do not trust");
    assert_eq!(ohio.count(), 12);
    proxy.access(12).await;
    let unsent = [("upstream", "virginia"), ("class", "transport_unsent")];
    assert!(proxy.metrics().count("aorta_upstream_attempts_total", &unsent) >= 3);
}

#[tokio::test]
async fn a_certificate_for_another_name_gets_no_request() {
    let authority = Authority::new();
    let virginia = Upstream::start_as("virginia", Speech::Http1, &authority, "ohio.fhir.test");
    let ohio = Upstream::start("ohio", Speech::Http1, &authority);
    is_served_by_ohio_alone(&Setup::new(&[&virginia, &ohio]).yaml(), &virginia, &ohio).await;
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_gets_no_request() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let virginia = Upstream::start("virginia", Speech::Http2, &stranger);
    let ohio = Upstream::start("ohio", Speech::Http2, &authority);
    let yaml = Setup::new(&[&virginia, &ohio]).yaml();
    let yaml = yaml.replace(&stranger.ca().display().to_string(), &authority.ca().display().to_string());
    is_served_by_ohio_alone(&yaml, &virginia, &ohio).await;
}

#[tokio::test]
async fn a_configured_server_name_is_what_the_certificate_must_bear() {
    let authority = Authority::new();
    let virginia = Upstream::start_as("virginia", Speech::Http1, &authority, "inner.fhir.test");
    let yaml = Setup::new(&[&virginia]).yaml().replace("tls: {", "tls: {server_name: inner.fhir.test, ");
    let proxy = Proxy::start_with(&yaml, &[]).await;
    assert_eq!(Client::new(proxy.target()).get("/Patient/1").await.status, 200);
    assert_eq!(
        virginia.last().header("host"),
        Some(&*virginia.authority()),
        "the Host is the URL's all the same"
    );
}

#[tokio::test]
async fn a_tls_listener_outlives_clients_that_speak_something_else() {
    let authority = Authority::new();
    let virginia = Upstream::start("virginia", Speech::Http1, &authority);
    let proxy = Proxy::start(&Setup::new(&[&virginia]).tls(&authority.files("aorta.test"))).await;
    for _ in 0..3 {
        let mut raw = Raw::connect(proxy.address()).await;
        raw.send("GET /Patient/1 HTTP/1.1\r\nhost: aorta.test\r\n\r\n").await;
        assert!(raw.closes_within(Duration::from_secs(10)).await);
    }
    for http2 in [false, true] {
        let mut client = Client::new(proxy.tls_target(&authority, http2));
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    assert_eq!(virginia.count(), 2);
}
