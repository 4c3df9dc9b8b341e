//! The log's level changes while the proxy runs, for whoever may, and goes back with a restart; which requests leave an
//! access line.

use crate::world::World;
use bytes::Bytes;
use harness::client::{Client, Reply, Target};
use harness::eventually;
use harness::log;
use harness::upstream::Speech;
use harness::upstream::answer::outcome;
use harness::upstream::script::{Behaviour, Order};
use http::{HeaderName, Request};
use std::collections::BTreeSet;

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

/// A proxy with this access log, whose regions fail whoever creates.
async fn accesses(access: &str) -> World {
    let access = format!("{{access: {access}}}");
    let world = World::with(Speech::Plain, |setup, _| setup.top("log", &access)).await;
    for region in [&world.virginia, &world.ohio] {
        let fails = Order::before(Behaviour::Say(outcome(500, "exception")));
        region.obey(fails.only(|seen| seen.method == "POST"));
    }
    world
}

/// One request after the other under these ids, and what each answers.
async fn ask(world: &World, method: &str, ids: impl IntoIterator<Item = String>) -> BTreeSet<u16> {
    let (mut client, mut statuses) = (world.client(), BTreeSet::new());
    for id in ids {
        let request = Request::builder().method(method).uri("/Patient").header("x-request-id", id);
        statuses.insert(client.send(request.body(Bytes::from_static(b"{}")).unwrap()).await.unwrap().status);
    }
    statuses
}

/// The ids that left a line, once the last one has: lines come in the order of their requests' ends.
async fn lines(world: &World, last: &str) -> Vec<String> {
    let ids = || {
        let lines = log::access(world.proxy.program.out_values());
        let ids: Vec<_> =
            lines.iter().filter_map(|line| line["request_id"].as_str().map(str::to_owned)).collect();
        ids.iter().any(|id| id == last).then_some(ids)
    };
    eventually::found(&format!("the access line of {last}"), ids).await
}

fn ids(of: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |index| format!("{of}-{index}"))
}

#[tokio::test]
async fn of_errors_alone_a_request_that_went_well_leaves_no_line() {
    let world = accesses("errors").await;
    assert_eq!(ask(&world, "GET", ids("well", 5)).await, [200].into());
    assert_eq!(ask(&world, "POST", ids("failed", 2)).await, [500].into());
    assert_eq!(lines(&world, "failed-1").await, ["failed-0", "failed-1"]);
}

#[tokio::test]
async fn a_sample_is_of_its_size_the_same_ones_everywhere_and_holds_every_failure() {
    let mut samples = Vec::new();
    for _proxy in 0..2 {
        let world = accesses("{sampled: 0.3}").await;
        assert_eq!(ask(&world, "GET", ids("well", 300)).await, [200].into());
        assert_eq!(ask(&world, "POST", ids("failed", 3)).await, [500].into());
        let lines = lines(&world, "failed-2").await;
        assert_eq!(lines.iter().filter(|id| id.starts_with("failed")).count(), 3, "{lines:?}");
        samples.push(lines);
    }
    assert_eq!(samples[0], samples[1], "two proxies on one way log the same requests");
    // Of these ids, which are the same in every run.
    let sampled = samples[0].len() - 3;
    assert!((60..=120).contains(&sampled), "{sampled} of 300");
}

#[tokio::test]
async fn without_an_access_log_nobody_leaves_a_line_and_a_reload_brings_it_back() {
    let world = accesses("none").await;
    assert_eq!(ask(&world, "GET", ids("well", 3)).await, [200].into());
    assert_eq!(ask(&world, "POST", ids("failed", 3)).await, [500].into());
    let file = world.proxy.file();
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, text.replacen("access: none", "access: all", 1)).unwrap();
    assert!(world.proxy.command("reload", &[]).status.success());
    ask(&world, "GET", ["last".to_owned()]).await;
    assert_eq!(lines(&world, "last").await, ["last"]);
}
