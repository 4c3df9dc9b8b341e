//! The log's level changes while the proxy runs, for whoever may, and goes back with a restart.

use crate::world::World;
use bytes::Bytes;
use harness::client::{Client, Reply, Target};
use harness::eventually;
use harness::upstream::Speech;
use http::{HeaderName, Request};

/// What only a debug level writes; HTTP/2 connections always have something to say there.
const DEBUG: &str = r#""level":"DEBUG""#;

async fn post(world: &World, body: &str, fields: &[(HeaderName, &str)]) -> Reply {
    let admin = world.proxy.admin();
    let mut client = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    let request = Request::post("/api/log");
    let request = fields.iter().fold(request, |request, (name, value)| request.header(name, *value));
    client.send(request.body(Bytes::from(body.to_owned())).unwrap()).await.unwrap()
}

fn said(reply: &Reply) -> (u16, String) {
    (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
}

#[tokio::test]
async fn the_log_says_more_when_it_is_asked_to_and_less_again() {
    let world = World::with(Speech::Http2, |setup, _| setup).await;
    let debugs = || world.proxy.program.err().iter().filter(|line| line.contains(DEBUG)).count();
    let mut client = world.client();
    client.get("/Patient/1").await;
    assert_eq!(debugs(), 0, "{}", world.proxy.program.said());
    assert_eq!(
        said(&post(&world, r#"{"level": "debug"}"#, &[]).await),
        (200, r#"{"level":"debug"}"#.to_owned())
    );
    client.get("/Patient/1").await;
    client.get("/Patient/1").await;
    eventually::found("a debug line", || (debugs() > 0).then_some(())).await;
    assert_eq!(post(&world, r#"{"level": "warn"}"#, &[]).await.status, 200);
    assert_eq!(
        harness::metrics::get(world.proxy.admin(), "/api/log").as_deref(),
        Some(r#"{"level":"warn"}"#)
    );
}

#[tokio::test]
async fn no_web_page_and_no_nonsense_changes_the_log() {
    let world = World::with(Speech::Plain, |setup, _| setup).await;
    let page = [(http::header::ORIGIN, "http://evil.example.org")];
    assert_eq!(post(&world, r#"{"level": "trace"}"#, &page).await.status, 403);
    let stranger = [(http::header::HOST, "evil.example.org")];
    assert_eq!(post(&world, r#"{"level": "trace"}"#, &stranger).await.status, 403);
    for nonsense in
        ["", "debug", r#"{"level": "loud"}"#, r#"{"level": "off"}"#, r#"{"level": 1}"#, &"x".repeat(5000)]
    {
        let (status, words) = said(&post(&world, nonsense, &[]).await);
        assert_eq!(status, 400, "{nonsense}");
        assert!(words.contains(r#"{"level": "debug"}"#), "{words}");
    }
    assert_eq!(
        harness::metrics::get(world.proxy.admin(), "/api/log").as_deref(),
        Some(r#"{"level":"info"}"#)
    );
}

#[tokio::test]
async fn a_level_in_the_file_takes_effect_with_a_reload() {
    let world =
        World::with(Speech::Http2, |setup, _| setup.top("log", "{level: warn}").top("reload", "{watch: 0s}"))
            .await;
    let level = || harness::metrics::get(world.proxy.admin(), "/api/log").unwrap_or_default();
    assert_eq!(level(), r#"{"level":"warn"}"#);
    let text = std::fs::read_to_string(world.proxy.file()).unwrap();
    std::fs::write(world.proxy.file(), text.replacen("level: warn", "level: debug", 1)).unwrap();
    let admin = world.proxy.admin();
    let mut client = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    assert_eq!(client.post("/api/reload", "").await.status, 200);
    assert_eq!(level(), r#"{"level":"debug"}"#);
    world.client().get("/Patient/1").await;
    world.proxy.program.logs(DEBUG).await;
}
