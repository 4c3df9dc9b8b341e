//! Which request belongs where: host, path, method, header; the most specific match wins; none is a 404.

use bytes::Bytes;
use harness::authority::Authority;
use harness::client::Client;
use harness::proxy::Proxy;
use harness::setup::Setup;
use harness::upstream::{Speech, Upstream};
use http::Request;

const ROUTES: &str = r#"  - {name: all, match: {host: "fhir.test"}, pool: records}
  - {name: below, match: {host: "*.fhir.test"}, pool: other}
  - {name: lab, match: {host: "fhir.test", path_prefix: /lab}, pool: other, strip_prefix: /lab}
  - {name: deep, match: {host: "fhir.test", path_prefix: /lab/deep}, pool: records}
  - {name: writes, match: {host: "fhir.test", path_prefix: /Patient, methods: [PUT, DELETE]}, pool: other}
  - {name: canary, match: {host: "fhir.test", headers: {x-canary: "yes"}}, pool: other}"#;

struct Crossroads {
    client: Client,
    records: Upstream,
    other: Upstream,
    proxy: Proxy,
}

async fn crossroads() -> Crossroads {
    let authority = Authority::new();
    let records = Upstream::start("records", Speech::Http1, &authority);
    let other = Upstream::start("other", Speech::Http1, &authority);
    let setup = Setup::new(&[&records]).routes(ROUTES).more_pool("other", &other, "");
    let proxy = Proxy::start(&setup).await;
    Crossroads { client: Client::new(proxy.target()), records, other, proxy }
}

impl Crossroads {
    async fn check(&mut self, line: &str, canary: bool, expected: &str) {
        let (method, rest) = line.split_once(' ').unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        if canary {
            request = request.header("x-canary", "yes");
        }
        let reply = self.client.send(request.body(Bytes::new()).unwrap()).await.unwrap();
        let got = if reply.status == 404 { "404".to_owned() } else { reply.upstream().to_owned() };
        assert_eq!(got, expected, "{line}, canary: {canary}, status {}", reply.status);
    }
}

#[tokio::test]
async fn the_most_specific_route_takes_a_request() {
    let mut crossroads = crossroads().await;
    crossroads.check("GET fhir.test/Patient/1", false, "records").await;
    crossroads.check("GET FHIR.test:8080/Patient/1", false, "records").await;
    crossroads.check("GET a.fhir.test/Patient/1", false, "other").await;
    crossroads.check("GET a.b.fhir.test/", false, "other").await;
    crossroads.check("GET fhir.test/lab/x", false, "other").await;
    crossroads.check("GET fhir.test/laboratory", false, "records").await;
    crossroads.check("GET fhir.test/lab/deep/x", false, "records").await;
    crossroads.check("PUT fhir.test/Patient/1", false, "other").await;
    crossroads.check("DELETE fhir.test/Patient/1", false, "other").await;
    crossroads.check("GET fhir.test/Observation", true, "other").await;
}

#[tokio::test]
async fn a_request_that_no_route_takes_is_a_404_and_reaches_nobody() {
    let mut crossroads = crossroads().await;
    crossroads.check("GET elsewhere.test/Patient/1", false, "404").await;
    crossroads.check("GET notfhir.test/Patient/1", false, "404").await;
    assert_eq!(crossroads.records.count() + crossroads.other.count(), 0);
    let rejected = [("outcome", "rejected"), ("code_class", "4xx")];
    crossroads.proxy.access(2).await;
    assert_eq!(crossroads.proxy.metrics().count("aorta_requests_total", &rejected), 2);
}

#[tokio::test]
async fn a_stripped_prefix_is_gone_before_the_base_path_is_joined() {
    let mut crossroads = crossroads().await;
    crossroads.check("GET fhir.test/lab/Patient/1?x=a%7Cb", false, "other").await;
    assert_eq!(crossroads.other.last().target, "/Patient/1?x=a%7Cb");
    crossroads.check("GET fhir.test/lab", false, "other").await;
    assert_eq!(crossroads.other.last().target, "/");
    crossroads.check("GET fhir.test/Patient?identifier=a|b", false, "records").await;
    assert_eq!(crossroads.records.last().target, "/Server1/Patient?identifier=a%7Cb");
}
