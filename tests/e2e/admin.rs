//! The admin port: who may ask it for what, and what no web page can make it do.

use crate::world::World;
use bytes::Bytes;
use harness::client::{Client, Reply, Target};
use harness::upstream::Speech;
use http::{HeaderName, Request, header};

/// One for looking, one for orders.
const TOKENS: &str = "{address: 127.0.0.1:0, tokens: [\
    {name: grafana, secret: {file: look.token}}, {name: on-call, right: write, secret: {file: order.token}}]}";
const LOOK: &str = "look-0123456789abcdef";
const ORDER: &str = "order-0123456789abcdef";

/// What whoever may look may ask for, and what only they may who give orders.
const READS: [&str; 7] = [
    "/",
    "/style.css",
    "/api/pools",
    "/api/explain/pools/records",
    "/api/explain/pools/records/upstreams/ohio",
    "/api/log",
    "/api/no-such-thing",
];
const WRITES: [(&str, &str); 5] = [
    ("/api/log", r#"{"level": "info"}"#),
    ("/api/pools/records/upstreams/ohio/drain", r#"{"reason": "patched"}"#),
    ("/api/pools/records/upstreams/ohio/undrain", r#"{"reason": "mended"}"#),
    ("/api/pools/records/upstreams/ohio/eject", r#"{"reason": "tried", "for": "1m"}"#),
    ("/api/pools/records/upstreams/ohio/readmit", r#"{"reason": "mended"}"#),
];
const FOR_ALL: [&str; 3] = ["/livez", "/readyz", "/metrics"];

async fn ask(world: &World, method: &str, path: &str, fields: &[(HeaderName, &str)], body: &str) -> Reply {
    let admin = world.proxy.admin();
    let mut client = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    let request = Request::builder().method(method).uri(path);
    let request = fields.iter().fold(request, |request, (name, value)| request.header(name, *value));
    client.send(request.body(Bytes::from(body.to_owned())).unwrap()).await.unwrap()
}

/// The folder holds the tokens.
async fn with_tokens() -> (World, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        path.display().to_string()
    };
    let admin = TOKENS.replace("look.token", &file("look.token", LOOK));
    let admin = admin.replace("order.token", &file("order.token", ORDER));
    (World::with(Speech::Plain, |setup, _| setup.top("admin", &admin)).await, folder)
}

fn bearer(token: &str) -> [(HeaderName, String); 1] {
    [(header::AUTHORIZATION, format!("Bearer {token}"))]
}

async fn status(world: &World, method: &str, path: &str, token: Option<&str>, body: &str) -> u16 {
    let fields = token.map(bearer);
    let fields: Vec<_> =
        fields.iter().flatten().map(|(name, value)| (name.clone(), value.as_str())).collect();
    ask(world, method, path, &fields, body).await.status
}

#[tokio::test]
async fn each_route_is_for_whom_its_right_says() {
    let (world, _folder) = with_tokens().await;
    for path in FOR_ALL {
        assert_eq!(status(&world, "GET", path, None, "").await, 200, "{path}");
    }
    for path in READS {
        let good = if path.ends_with("thing") { 404 } else { 200 };
        for (token, expected) in
            [(None, 401), (Some("order-0123456789abcdeg"), 401), (Some(LOOK), good), (Some(ORDER), good)]
        {
            assert_eq!(status(&world, "GET", path, token, "").await, expected, "{path} with {token:?}");
        }
    }
    for (path, body) in WRITES {
        for (token, expected) in [(None, 401), (Some("x"), 401), (Some(LOOK), 403), (Some(ORDER), 200)] {
            assert_eq!(status(&world, "POST", path, token, body).await, expected, "{path} with {token:?}");
        }
    }
}

#[tokio::test]
async fn a_browser_is_asked_for_a_name_and_a_password_which_are_the_tokens() {
    let (world, _folder) = with_tokens().await;
    let refused = ask(&world, "GET", "/api/pools", &[], "").await;
    assert!(refused.header("www-authenticate").starts_with("Basic "), "{refused:?}");
    // grafana:look-0123456789abcdef, and with the other's name.
    let right = [(header::AUTHORIZATION, "Basic Z3JhZmFuYTpsb29rLTAxMjM0NTY3ODlhYmNkZWY=")];
    let wrong = [(header::AUTHORIZATION, "Basic b24tY2FsbDpsb29rLTAxMjM0NTY3ODlhYmNkZWY=")];
    assert_eq!(ask(&world, "GET", "/api/pools", &right, "").await.status, 200);
    assert_eq!(ask(&world, "GET", "/api/pools", &wrong, "").await.status, 401);
}

#[tokio::test]
async fn the_commands_take_their_token_from_the_configuration() {
    let (world, _folder) = with_tokens().await;
    let said = world.proxy.explain(&["--upstream", "ohio"]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[tokio::test]
async fn without_tokens_this_machine_may_do_everything() {
    let world = World::with(Speech::Plain, |setup, _| setup).await;
    for path in READS.into_iter().chain(FOR_ALL) {
        let expected = if path.ends_with("thing") { 404 } else { 200 };
        assert_eq!(status(&world, "GET", path, None, "").await, expected, "{path}");
    }
    for (path, body) in WRITES {
        assert_eq!(status(&world, "POST", path, None, body).await, 200, "{path}");
    }
}

#[tokio::test]
async fn no_web_page_gets_anything() {
    let world = World::with(Speech::Plain, |setup, _| setup).await;
    let origin = [(header::ORIGIN, "http://127.0.0.1:9901")];
    let rebound = [(header::HOST, "rebound.example.org")];
    for forged in [&origin, &rebound] {
        for path in READS.into_iter().chain(FOR_ALL) {
            assert_eq!(ask(&world, "GET", path, forged, "").await.status, 403, "{path} with {forged:?}");
        }
        for (path, body) in WRITES {
            assert_eq!(ask(&world, "POST", path, forged, body).await.status, 403, "{path} with {forged:?}");
        }
    }
}

#[tokio::test]
async fn what_is_asked_for_in_the_wrong_way_is_told_the_right_one() {
    let world = World::with(Speech::Plain, |setup, _| setup).await;
    let refused = ask(&world, "DELETE", "/api/log", &[], "").await;
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, POST"));
    assert_eq!(ask(&world, "POST", "/metrics", &[], "").await.status, 405);
}
