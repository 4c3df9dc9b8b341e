//! The admin port: who may ask it for what, and what no web page can make it do.

use crate::world::World;
use bytes::Bytes;
use harness::client::{Client, Reply, Target};
use harness::raw::Raw;
use harness::upstream::Speech;
use http::{HeaderName, Request, header};
use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output};

/// One for looking, one for orders.
const TOKENS: &str = "{address: 127.0.0.1:0, tokens: [\
    {name: grafana, secret: {file: look.token}}, {name: on-call, right: write, secret: {file: order.token}}]}";
const LOOK: &str = "look-0123456789abcdef";
const ORDER: &str = "order-0123456789abcdef";

/// A route of the admin port, as its own table says; `*` stands for one word.
struct Route {
    method: &'static str,
    path: String,
    /// `None`, `READ` or `WRITE`.
    right: String,
}

/// Every route. The table is read where it stands, so that none can be added without a word here.
fn routes() -> Vec<Route> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proxy/src/admin.rs");
    let source = fs::read_to_string(source).unwrap();
    let (_, table) = source.split_once("static ROUTES: [Route; ").expect("there is a table");
    let (count, table) = table.split_once("] = [").unwrap();
    let table = table.split("];").next().unwrap();
    let route = |line: &str| {
        let (verb, rest) = line.trim().split_once("(\"")?;
        let (pattern, rest) = rest.split_once("\", ")?;
        let right = rest.split(',').next()?.to_owned();
        let method = if verb == "get" { "GET" } else { "POST" };
        let path = pattern.replace("pools/*", "pools/records").replace("upstreams/*", "upstreams/ohio");
        Some(Route { method, path: path.replace('*', "none"), right })
    };
    let routes: Vec<_> = table.lines().filter_map(route).collect();
    assert_eq!(routes.len().to_string(), count, "each is understood");
    routes
}

impl Route {
    /// What is sent there, and the answer to whoever may.
    fn good(&self) -> (&'static str, u16) {
        match (self.method, self.path.rsplit('/').next().unwrap_or_default()) {
            ("POST", "log") => (r#"{"level": "info"}"#, 200),
            ("POST", "eject") => (r#"{"reason": "tried", "for": "1m"}"#, 200),
            ("POST", "drain" | "undrain" | "readmit") => (r#"{"reason": "patched"}"#, 200),
            ("POST", "drills") => {
                let drill = r#"{"pool": "records", "upstream": "ohio", "fault": "refuse", "for": "1s", "reason": "tried"}"#;
                (drill, 201)
            }
            (_, "none" | "stop") => ("", 404),
            _ => ("", 200),
        }
    }

    /// It would end the process that is asked; its own tests do that.
    fn is_upgrade(&self) -> bool {
        self.path == "/api/upgrade"
    }
}

/// No route at all: who may not look is not told so.
const NOWHERE: &str = "/api/no-such-thing";

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
    let mut rights = BTreeSet::new();
    for route in routes() {
        let (body, good) = route.good();
        let expected = match route.right.as_str() {
            "None" => [good; 4],
            "READ" => [401, 401, good, good],
            "WRITE" => [401, 401, 403, good],
            other => panic!("{other} is no right"),
        };
        let tokens = [None, Some("order-0123456789abcdeg"), Some(LOOK), Some(ORDER)];
        for (token, expected) in tokens.into_iter().zip(expected) {
            if !(route.is_upgrade() && token == Some(ORDER)) {
                let told = status(&world, route.method, &route.path, token, body).await;
                assert_eq!(told, expected, "{} {} with {token:?}", route.method, route.path);
            }
        }
        rights.insert(route.right);
    }
    assert_eq!(rights.len(), 3);
    for (token, expected) in [(None, 401), (Some(LOOK), 404), (Some(ORDER), 404)] {
        assert_eq!(status(&world, "GET", NOWHERE, token, "").await, expected, "{token:?}");
    }
}

/// An address for documentation (RFC 5737), which this machine has in a network of the test's own.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const IS_APART: &str = "AORTA_TEST_APART";

/// Runs this test once more in a network of its own, in which who sends from [`ELSEWHERE`] is no neighbour; false there.
fn is_done_apart(test: &str) -> bool {
    if std::env::var_os(IS_APART).is_some() {
        return false;
    }
    let network = format!("ip link set lo up && ip address add {ELSEWHERE}/32 dev lo && exec \"$@\"");
    let mut apart = Command::new("unshare");
    apart.args(["--map-root-user", "--net", "sh", "-c", &network, "sh"]);
    apart.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let Output { status, stdout, stderr } =
        apart.env(IS_APART, "1").output().expect("unshare, of util-linux, and ip, of iproute2");
    let told = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert!(status.success() && told.contains("1 passed"), "{told}");
    true
}

#[tokio::test]
async fn where_other_machines_may_only_probe_they_get_nothing_else_whatever_they_show() {
    if is_done_apart("admin::where_other_machines_may_only_probe_they_get_nothing_else_whatever_they_show") {
        return;
    }
    for tokens in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        fs::write(&token, ORDER).unwrap();
        let listed =
            format!(", tokens: [{{name: on-call, right: write, secret: {{file: {}}}}}]", token.display());
        let listed = if tokens { listed.as_str() } else { "" };
        let admin = format!("{{address: 127.0.0.1:0, remote: probes{listed}}}");
        let world = World::with(Speech::Plain, |setup, _| setup.top("admin", &admin)).await;
        let admin = world.proxy.admin();
        for route in routes() {
            let (body, good) = route.good();
            let expected = if route.right == "None" { good } else { 403 };
            let mut raw = Raw::connect_as(ELSEWHERE, admin).await;
            raw.send(format!(
                "{} {} HTTP/1.1\r\nhost: {admin}\r\nauthorization: Bearer {ORDER}\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                route.method,
                route.path,
                body.len()
            ))
            .await;
            let answer = raw.answer().await;
            assert_eq!(answer.status, expected, "{} {}", route.method, route.path);
            let said = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(expected != 403 || said.contains("admin.remote"), "{}: {said}", route.path);
        }
        assert_eq!(status(&world, "GET", "/api/pools", Some(ORDER), "").await, 200, "this machine may look");
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
    for route in routes().into_iter().filter(|route| !route.is_upgrade()) {
        let (body, good) = route.good();
        let told = status(&world, route.method, &route.path, None, body).await;
        assert_eq!(told, good, "{} {}", route.method, route.path);
    }
    assert_eq!(status(&world, "GET", NOWHERE, None, "").await, 404);
}

#[tokio::test]
async fn no_web_page_gets_anything() {
    let world = World::with(Speech::Plain, |setup, _| setup).await;
    let origin = [(header::ORIGIN, "http://127.0.0.1:9901")];
    let rebound = [(header::HOST, "rebound.example.org")];
    for forged in [&origin, &rebound] {
        for route in routes() {
            let told = ask(&world, route.method, &route.path, forged, route.good().0).await;
            assert_eq!(told.status, 403, "{} {} with {forged:?}", route.method, route.path);
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
