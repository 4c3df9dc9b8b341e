//! Signatures of AWS: each attempt is signed for its own region and host, and a signature that a gateway refuses is made
//! anew once, with whatever credentials and time are right by then. The regions compute every signature themselves.

use bytes::Bytes;
use harness::client::{Client, Reply};
use harness::house::{House, Part, Plan};
use harness::metrics;
use http::Request;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

const VIRGINIA: &str = "https://y18va6f6rc.execute-api.us-east-1.amazonaws.com/Server1";
const OHIO: &str = "https://unbf0byjdc.execute-api.us-east-2.amazonaws.com/Server2";

/// Credentials, as the regions take them; the proxy has them in files.
fn keys(name: &str) -> Value {
    json!({
        "access_key_id": format!("AKID{name}"),
        "secret_access_key": format!("s3cr3t/of+{name}"),
        "session_token": format!("t0k3n//of+{name}=="),
    })
}

fn write(folder: &Path, keys: &Value) {
    for name in ["access_key_id", "secret_access_key", "session_token"] {
        std::fs::write(folder.join(name), keys[name].as_str().expect("a text"))
            .expect("a file can be written");
    }
}

/// A house whose regions ask for signatures, and whose proxy signs.
struct Signed {
    house: House,
    client: Client,
    folder: TempDir,
}

impl Signed {
    async fn start(change: impl FnOnce(Plan) -> Plan) -> Self {
        let folder = tempfile::tempdir().expect("a directory can be made");
        write(folder.path(), &keys("ONE"));
        let signed = |url: &str, region: &str| {
            let at = folder.path().display();
            let sources = ["access_key_id", "secret_access_key", "session_token"];
            let sources = sources.map(|name| format!("{name}: {{file: {at}/{name}}}")).join(", ");
            format!("url: {url}\n        sigv4: {{region: {region}, {sources}}}")
        };
        // Checks would find out before a request does.
        let mut plan = change(Plan::new()).edit(Part::Proxy, "interval: 1s", "interval: 1h");
        for (url, region) in [(VIRGINIA, "us-east-1"), (OHIO, "us-east-2")] {
            plan = plan.edit(Part::Proxy, &format!("url: {url}"), &signed(url, region));
        }
        let house = House::start_with(plan).await;
        let signed = Self { client: Client::new(house.proxy.target()), house, folder };
        signed.demand(&keys("ONE")).await;
        signed
    }

    async fn demand(&self, keys: &Value) {
        self.house.virginia.demand_signatures(keys).await;
        self.house.ohio.demand_signatures(keys).await;
    }

    async fn read(&mut self) -> Reply {
        let reply = self.client.get("/Patient/P123456").await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        reply
    }

    /// Reads until this upstream begins the next request.
    async fn until_next_is(&mut self, upstream: &str) {
        let other = if upstream == VIRGINIA { OHIO } else { VIRGINIA };
        let first = self.read().await;
        if first.upstream() != other {
            assert_eq!(self.read().await.upstream(), other, "they take turns");
        }
    }

    async fn refused(&self) -> u64 {
        let class = [("class", "signature_refused")];
        self.house.proxy.at_rest().await.count("aorta_upstream_attempts_total", &class)
    }
}

#[tokio::test]
async fn each_attempt_is_signed_for_its_own_region_and_host() {
    let mut signed = Signed::start(|plan| plan).await;
    for _ in 0..4 {
        assert_eq!(signed.read().await.attempts(), 1);
    }
    // Words that a signature and a gateway see in different encodings, one layer or two.
    for query in ["name=a%20b&name=%C3%A4", "identifier=urn:ward%7CP1&_count=2", "name=a+b,c!*'()&_tag="] {
        for _ in 0..2 {
            let reply = signed.client.get(&format!("/Patient?{query}")).await;
            assert_eq!(reply.status, 200, "{query}: {}", String::from_utf8_lossy(&reply.body));
        }
    }
    signed.until_next_is(VIRGINIA).await;
    signed.house.virginia.fault(r#"{"kind": "throttled"}"#).await;
    let rescued = signed.read().await;
    assert_eq!((rescued.upstream(), rescued.attempts()), (OHIO, 2));
    signed.house.virginia.heal().await;
    signed.house.ohio.fault(r#"{"kind": "disabled"}"#).await;
    for number in 0..2 {
        let patient = json!({"resourceType": "Patient", "name": [{"family": format!("Signed{number}")}]});
        let created = signed.client.post("/Patient", patient.to_string()).await;
        assert_eq!((created.status, created.upstream()), (201, VIRGINIA));
    }
    assert_eq!(signed.refused().await, 0);
}

#[tokio::test]
async fn renewed_credentials_are_picked_up_and_no_client_notices() {
    let mut signed = Signed::start(|plan| plan).await;
    signed.read().await;
    signed.demand(&keys("TWO")).await;
    write(signed.folder.path(), &keys("TWO"));
    let patient = json!({"resourceType": "Patient", "name": [{"family": "Renewed"}]});
    let created = signed.client.post("/Patient", patient.to_string()).await;
    assert_eq!(
        (created.status, created.attempts()),
        (201, 2),
        "the gateway refused it, so nothing was executed"
    );
    let other = signed.read().await;
    assert_eq!(other.attempts(), 2, "each upstream has its own signer");
    assert_eq!(signed.read().await.attempts(), 1);
    assert_eq!(signed.refused().await, 2);
}

#[tokio::test]
async fn an_expired_token_is_signed_again_once_at_the_same_upstream_and_then_told() {
    let mut signed = Signed::start(|plan| plan).await;
    signed.until_next_is(VIRGINIA).await;
    signed.house.virginia.fault(r#"{"kind": "expired_token", "count": 1}"#).await;
    let again = signed.read().await;
    assert_eq!((again.upstream(), again.attempts()), (VIRGINIA, 2));
    signed.until_next_is(VIRGINIA).await;
    signed.house.virginia.fault(r#"{"kind": "expired_token"}"#).await;
    let before = signed.house.ohio.counters().await["requests"].clone();
    let told = signed.client.get("/Patient/P123456").await;
    assert_eq!((told.status, told.upstream(), told.attempts()), (403, VIRGINIA, 2));
    assert_eq!(told.json()["message"], "The security token included in the request is expired");
    assert_eq!(
        signed.house.ohio.counters().await["requests"],
        before,
        "elsewhere our credentials are the same"
    );
    assert_eq!(signed.refused().await, 3);
    let states = ["virginia", "ohio"].map(|name| signed.house.proxy.state_of(name));
    assert_eq!(states, ["healthy", "healthy"], "it is our own fault");
}

#[tokio::test]
async fn a_clock_that_is_off_is_put_right_by_the_gateways_own() {
    let mut signed = Signed::start(|plan| plan).await;
    for ahead in [3600, -7200, 0] {
        signed.house.virginia.clock_ahead(ahead).await;
        signed.house.ohio.clock_ahead(ahead).await;
        let attempts = [signed.read().await.attempts(), signed.read().await.attempts()];
        assert_eq!(attempts, [2, 2], "{ahead} seconds ahead: one refusal of each gateway");
        let attempts = [signed.read().await.attempts(), signed.read().await.attempts()];
        assert_eq!(attempts, [1, 1], "{ahead} seconds ahead: known by now");
    }
}

#[tokio::test]
async fn a_client_signs_nothing_and_sends_no_more_than_can_be_held() {
    let retry = "    slow_start: 0s";
    let held = format!("    retry: {{replay_body_max: 64KiB}}\n{retry}");
    let mut signed = Signed::start(|plan| plan.edit(Part::Proxy, retry, &held)).await;
    let mut post = Request::post("/Patient").header("content-type", "application/fhir+json");
    for name in ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"] {
        post = post.header(name, "AWS4-HMAC-SHA256 of the client's own");
    }
    let patient = |bytes: usize| {
        json!({"resourceType": "Patient", "name": [{"family": "x".repeat(bytes)}]}).to_string().into()
    };
    let created =
        signed.client.send(post.body(patient(60 << 10)).expect("a request")).await.expect("an answer");
    assert_eq!((created.status, created.attempts()), (201, 1));
    let body: Bytes = patient(65 << 10);
    let refused = signed.client.post("/Patient", body).await;
    assert_eq!((refused.status, refused.attempts()), (413, 0));
    assert_eq!(refused.json()["issue"][0]["code"], "too-long");
}

#[tokio::test]
async fn no_secret_of_a_signature_is_told_by_the_most_talkative_log_or_the_admin_port() {
    let trace = |plan: Plan| plan.edit(Part::Proxy, "routes:", "log: {level: trace}\nroutes:");
    let mut signed = Signed::start(trace).await;
    signed.client.get("/Patient?name=C4n4ryB1rd").await;
    signed.demand(&keys("TWO")).await;
    signed.client.get("/Patient?name=C4n4ryB1rd").await;
    write(signed.folder.path(), &keys("TWO"));
    signed.client.get("/Patient?name=C4n4ryB1rd").await;
    std::fs::remove_file(signed.folder.path().join("session_token")).expect("it was there");
    signed.house.virginia.fault(r#"{"kind": "expired_token"}"#).await;
    for _ in 0..2 {
        signed.client.get("/Patient?name=C4n4ryB1rd").await;
    }
    let admin = signed.house.proxy.admin();
    let paths =
        ["/metrics", "/api/explain/pools/records/upstreams/virginia", "/api/config", "/api/pools", "/"];
    let told: Vec<_> = paths.iter().filter_map(|path| metrics::get(admin, path)).collect();
    assert!(told.len() >= 2, "{told:?}");
    signed.house.proxy.stop();
    let proxy = &signed.house.proxy.program;
    let said = [proxy.out(), proxy.err(), told].concat();
    assert!(
        said.iter().any(|line| line.contains("renewed credentials")),
        "it was told that they were renewed"
    );
    assert!(said.iter().any(|line| line.contains("cannot be read again")), "it was told that one is gone");
    for secret in ["s3cr3t", "t0k3n", "AKID", "Signature=", "C4n4ryB1rd"] {
        let leak = said.iter().flat_map(|text| text.lines()).find(|line| line.contains(secret));
        assert_eq!(leak, None, "{secret}");
    }
}
