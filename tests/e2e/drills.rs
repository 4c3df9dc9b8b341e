//! Drills, and what of the upstreams' health outlives the process.

use crate::reload::BY_HAND;
use crate::world::World;
use bytes::Bytes;
use harness::client::{Client, Reply, Target};
use harness::eventually;
use harness::load::{self, Plan, Progress};
use harness::metrics;
use harness::upstream::Speech;
use harness::upstream::answer::outcome;
use harness::upstream::script::{Behaviour, Order};
use http::Request;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;

async fn world(change: impl Fn(harness::setup::Setup) -> harness::setup::Setup) -> World {
    let health = "{ejection: 30s, ejection_max: 60s}";
    World::with(Speech::Plain, |setup, _| change(setup.pool("passive_health", health))).await
}

fn state(world: &World) -> PathBuf {
    world.proxy.file().parent().expect("it stands in a folder").join("state")
}

async fn post(world: &World, path: &str, body: &Value) -> Reply {
    let admin = world.proxy.admin();
    let mut client = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    let request = Request::post(path).body(Bytes::from(body.to_string())).unwrap();
    client.send(request).await.unwrap()
}

fn order(fault: &str, length: &str) -> Value {
    json!({ "pool": "records", "upstream": "virginia", "fault": fault, "for": length, "reason": "a test" })
}

/// Begins a drill of Virginia: its id.
async fn begin(world: &World, fault: &str, length: &str) -> String {
    let reply = post(world, "/api/drills", &order(fault, length)).await;
    let said = String::from_utf8_lossy(&reply.body).into_owned();
    assert_eq!(reply.status, 201, "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    said["id"].as_str().expect("it has an id").to_owned()
}

fn told(world: &World, id: &str) -> Option<Value> {
    metrics::get(world.proxy.admin(), &format!("/api/drills/{id}"))
        .and_then(|said| serde_json::from_str(&said).ok())
}

async fn report(world: &World, id: &str) -> Value {
    let look = || told(world, id).filter(|said| said["state"] == "over");
    eventually::found("the drill is over", look).await
}

fn is_active(world: &World) -> bool {
    world.proxy.metrics().sum("aorta_drill_active", &[("upstream", "virginia")]) > 0.0
}

/// Reads at a hundred a second, this often; returns how many were not served.
async fn reads(world: &World, requests: usize) -> usize {
    let make = |index| Request::get(format!("/Patient/{index}")).body(Bytes::new()).unwrap();
    let plan = Plan { requests, rate: 100, connections: 16, make: Arc::new(make) };
    let samples = load::run(&world.proxy.target(), &plan, &Progress::default()).await;
    samples.iter().filter(|sample| sample.result.as_ref().map_or(true, |reply| reply.status != 200)).count()
}

#[tokio::test]
async fn a_drill_under_load_loses_no_read_and_its_report_says_what_came_of_it() {
    for (fault, ejects) in [("eject", false), ("refuse", true), ("delay:3s", true), ("status:503", true)] {
        let world = world(|setup| setup).await;
        assert!(world.proxy.metrics().has("aorta_drill_active", &[("upstream", "virginia")]));
        let id = begin(&world, fault, "2s").await;
        assert!(is_active(&world));
        assert_eq!(reads(&world, 150).await, 0, "{fault}");
        let report = report(&world, &id).await;
        let score = &report["score"];
        assert_eq!((&report["end"], &report["finding"]), (&"time_up".into(), &"kept".into()), "{report:#}");
        assert!(score["met"].as_u64() > Some(0) && score["lost"] == 0, "{report:#}");
        assert_eq!(
            (score["seconds_to_detect"].is_number(), score["ejections"] == 1),
            (ejects, ejects),
            "{report:#}"
        );
        assert!(score["seconds_to_shift"].as_f64().is_some(), "{report:#}");
        assert_eq!(report["reason"], "a test");
        assert!(!is_active(&world));
        // Its ejection was of half a minute, and is lifted.
        assert_eq!(world.proxy.state_of("virginia"), "healthy", "{fault}");
        world.served_by(world.proxy.target(), "virginia", 3).await;
        let kept = fs::read(state(&world).join(format!("drills/{id}.json"))).expect("the report is kept");
        assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap()["id"], id.as_str());
    }
}

#[tokio::test]
async fn a_drill_survives_a_kill_and_ends_on_time() {
    let mut world = world(|setup| setup).await;
    let id = begin(&world, "refuse", "4s").await;
    assert_eq!(reads(&world, 20).await, 0);
    assert_eq!(world.proxy.state_of("virginia"), "ejected");
    saved(&world, "consecutive_failures").await;
    world.proxy.start_again().await;
    assert!(is_active(&world), "it goes on");
    assert_eq!(world.proxy.state_of("virginia"), "ejected");
    let report = report(&world, &id).await;
    assert_eq!((&report["end"], &report["interruptions"]), (&"time_up".into(), &1.into()), "{report:#}");
    assert!(
        report["ended_unix"].as_f64().unwrap() - report["begun_unix"].as_f64().unwrap() < 8.0,
        "{report:#}"
    );
    assert_eq!(world.proxy.state_of("virginia"), "healthy");
    assert_eq!(reads(&world, 20).await, 0);
}

#[tokio::test]
async fn a_drill_goes_on_over_a_reload_and_ends_on_time() {
    let world = world(|setup| setup.top(BY_HAND.0, BY_HAND.1)).await;
    let id = begin(&world, "refuse", "3s").await;
    assert_eq!(reads(&world, 20).await, 0);
    for (from, to) in [("slow_start: 0s", "slow_start: 1s"), ("slow_start: 1s", "slow_start: 0s")] {
        let before = told(&world, &id).expect("it is under way");
        world.edit(from, to);
        world.reloads().await;
        assert!(is_active(&world));
        assert_eq!(world.proxy.state_of("virginia"), "ejected");
        let after = told(&world, &id).expect("it is under way still");
        assert!(after["score"]["met"].as_u64() >= before["score"]["met"].as_u64(), "{before:#} {after:#}");
        assert_eq!(reads(&world, 20).await, 0);
    }
    let report = report(&world, &id).await;
    let score = &report["score"];
    assert_eq!((&report["end"], &report["finding"]), (&"time_up".into(), &"kept".into()), "{report:#}");
    assert_eq!((&report["interruptions"], &score["lost"]), (&0.into(), &0.into()), "{report:#}");
    assert_eq!(score["during"]["requests"], 60, "those before the reload and those after it: {report:#}");
    let lasted = report["ended_unix"].as_f64().unwrap() - report["begun_unix"].as_f64().unwrap();
    assert!((3.0..6.0).contains(&lasted), "{report:#}");
    assert_eq!(world.proxy.state_of("virginia"), "healthy");
    world.served_by(world.proxy.target(), "virginia", 3).await;
}

#[tokio::test]
async fn a_reload_that_takes_the_upstream_of_a_drill_or_its_pool_away_ends_it_with_a_report() {
    for takes_pool in [false, true] {
        let world = world(|setup| setup.top(BY_HAND.0, BY_HAND.1)).await;
        let id = begin(&world, "refuse", "60s").await;
        assert_eq!(reads(&world, 20).await, 0);
        let met = |said: &Value| said["score"]["met"].as_u64().filter(|met| *met > 0);
        let before = told(&world, &id).as_ref().and_then(met).expect("it was met");
        if takes_pool {
            // What is saved is what was seen last.
            saved(&world, &format!("\"counts\":[{before},")).await;
            world.edit("pool: records", "pool: others");
            world.edit("\n  records:", "\n  others:");
        } else {
            world.remove(&world.virginia);
        }
        world.reloads().await;
        let report = report(&world, &id).await;
        assert_eq!(report["end"], "interrupted", "{report:#}");
        assert_eq!(met(&report), Some(before), "what came of it until then is said: {report:#}");
        assert!(report["ended_unix"].is_number() && report["finding"] == "kept", "{report:#}");
        let kept = fs::read(state(&world).join(format!("drills/{id}.json"))).expect("the report is kept");
        assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), report);
        assert!(!is_active(&world));
        assert_eq!(reads(&world, 20).await, 0);
        if takes_pool {
            assert_eq!(world.proxy.state_of("virginia"), "healthy", "another pool knows nothing of it");
        }
    }
}

#[tokio::test]
async fn a_drill_whose_upstream_is_gone_after_a_kill_is_over_and_has_its_report() {
    let mut world = world(|setup| setup).await;
    let id = begin(&world, "refuse", "60s").await;
    assert_eq!(reads(&world, 20).await, 0);
    world.proxy.kill();
    world.remove(&world.virginia);
    world.proxy.start_again().await;
    let report = report(&world, &id).await;
    assert_eq!((&report["end"], &report["interruptions"]), (&"interrupted".into(), &1.into()), "{report:#}");
    assert_eq!(reads(&world, 20).await, 0);
}

#[tokio::test]
async fn a_drill_that_would_leave_too_few_is_refused_and_says_what_to_do() {
    let one = world(|setup| setup.pool("passive_health", "{min_healthy: 2}")).await;
    let reply = post(&one, "/api/drills", &order("refuse", "5s")).await;
    let said = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(reply.status == 409 && said.contains("min_healthy is 2"), "{said}");
    let two = world(|setup| setup).await;
    let id = begin(&two, "eject", "30s").await;
    assert_eq!(post(&two, "/api/drills", &order("refuse", "5s")).await.status, 409, "one at a time");
    assert_eq!(post(&two, &format!("/api/drills/{id}/stop"), &json!({})).await.status, 200);
    assert_eq!(report(&two, &id).await["end"], "stopped");
    for (key, value, status) in
        [("upstream", "texas", 404), ("pool", "none", 404), ("fault", "fire", 400), ("for", "9h", 400)]
    {
        let mut wrong = order("refuse", "5s");
        wrong[key] = value.into();
        assert_eq!(post(&two, "/api/drills", &wrong).await.status, status, "{key} {value}");
    }
}

#[tokio::test]
async fn a_drill_ends_early_when_clients_are_hurt() {
    let world = world(|setup| setup).await;
    let id = begin(&world, "eject", "60s").await;
    // One write in eight fails at the region that is left: too few to eject it.
    let failing = Behaviour::Say(outcome(500, "exception"));
    world.ohio.obey(Order::before(failing).only(|seen| seen.method == "POST"));
    let mut client = world.client();
    for index in 0..80 {
        if told(&world, &id).is_some_and(|said| said["state"] == "over") {
            break;
        }
        if index % 8 == 0 {
            client.post("/Patient", "{}").await;
        } else {
            assert_eq!(client.get(&format!("/Patient/{index}")).await.status, 200);
        }
    }
    let report = report(&world, &id).await;
    assert_eq!((&report["end"], &report["finding"]), (&"clients_hurt".into(), &"hurt".into()), "{report:#}");
    world.served_by(world.proxy.target(), "virginia", 3).await;
}

fn drill(world: &World, arguments: &[&str]) -> Output {
    let file = world.proxy.file().to_owned();
    let mut command = std::process::Command::new(harness::program::find("aorta-proxy"));
    let command = command.args(["drill", "--config"]).arg(file).args(arguments);
    command.output().expect("the program runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_follows_a_drill_to_its_end_and_its_exit_code_says_whether_it_hurt() {
    let world = world(|setup| setup).await;
    let asked = ["--pool", "records", "--upstream", "virginia", "--fault", "refuse", "--reason", "a test"];
    let drilled = drill(&world, &[&asked[..], &["--share", "50%", "--for", "1s"]].concat());
    let said = String::from_utf8_lossy(&drilled.stdout).into_owned();
    assert!(drilled.status.code() == Some(0) && said.contains("untried"), "{said}");
    let refused = drill(&world, &[&asked[..], &["--for", "9h"]].concat());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && said.contains("1s to 1h"), "{said}");
}

/// Ejects Virginia for half a minute.
async fn eject(world: &World) {
    world.virginia.obey(Order::before(Behaviour::ResetBefore));
    assert_eq!(reads(world, 20).await, 0);
    assert_eq!(world.proxy.state_of("virginia"), "ejected");
}

async fn saved(world: &World, words: &str) {
    let file = state(world).join("memory.json");
    let look = || fs::read_to_string(&file).ok().filter(|text| text.contains(words));
    eventually::found("it is saved", look).await;
}

#[tokio::test]
async fn who_is_ejected_stays_ejected_after_a_kill() {
    let mut world = world(|setup| setup).await;
    eject(&world).await;
    saved(&world, "consecutive_failures").await;
    world.proxy.start_again().await;
    assert_eq!(world.proxy.state_of("virginia"), "ejected");
    let before = world.virginia.count();
    assert_eq!(reads(&world, 20).await, 0);
    assert_eq!(world.virginia.count(), before, "nobody asks it");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_ejected_stays_ejected_after_an_upgrade_and_a_drill_goes_on() {
    let mut world = world(|setup| setup).await;
    let id = begin(&world, "refuse", "6s").await;
    assert_eq!(reads(&world, 20).await, 0);
    world.proxy.upgrade();
    assert!(is_active(&world));
    assert!(
        !world.proxy.program.said().contains("cannot be saved"),
        "that the other one kept it is no trouble"
    );
    assert_eq!(world.proxy.state_of("virginia"), "ejected");
    assert_eq!(report(&world, &id).await["end"], "time_up");
    assert_eq!(world.proxy.state_of("virginia"), "healthy");
}

#[tokio::test]
async fn a_damaged_memory_is_left_alone() {
    let mut world = world(|setup| setup).await;
    eject(&world).await;
    saved(&world, "consecutive_failures").await;
    world.proxy.kill();
    fs::write(state(&world).join("memory.json"), "{\"version\": 1, \"saved\": ").unwrap();
    world.proxy.start_again().await;
    assert_eq!(world.proxy.state_of("virginia"), "healthy");
    world.proxy.program.logs("it is damaged").await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_changes_nothing_for_clients() {
    // A file is no folder, whoever asks.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    let world = world(|setup| setup.top("state_dir", &path.display().to_string())).await;
    let is_told = || (world.proxy.metrics().sum("aorta_state_saved", &[]) == 0.0).then_some(());
    eventually::found("it is counted", is_told).await;
    world.proxy.program.logs("let `state_dir` name a folder").await;
    eject(&world).await;
    assert_eq!(reads(&world, 20).await, 0);
    world.virginia.heal();
    assert_eq!(post(&world, "/api/drills", &order("eject", "5s")).await.status, 409, "it is out already");
}

#[tokio::test]
async fn a_full_disk_changes_nothing_for_clients_is_told_and_what_was_saved_before_is_still_there() {
    let mut world = world(|setup| setup).await;
    eject(&world).await;
    saved(&world, "consecutive_failures").await;
    world.proxy.program.limit_files(Some(0));
    let drain = "/api/pools/records/upstreams/virginia/drain";
    let drained = post(&world, drain, &json!({ "reason": "a test" })).await;
    let said: Value = serde_json::from_slice(&drained.body).unwrap();
    assert_eq!(
        (drained.status, &said["saved"]),
        (200, &json!(false)),
        "it is obeyed, and it is said: {said}"
    );
    assert_eq!(world.proxy.metrics().sum("aorta_state_saved", &[]), 0.0);
    assert!(world.proxy.program.said().contains("cannot be saved"));
    assert_eq!(reads(&world, 20).await, 0);
    assert_eq!(world.proxy.state_of("virginia"), "draining");
    world.proxy.start_again().await;
    assert_eq!(world.proxy.state_of("virginia"), "ejected", "what is half written is not what counts");
    world.proxy.program.limit_files(Some(0));
    assert_eq!(post(&world, drain, &json!({ "reason": "a test" })).await.status, 200);
    world.proxy.program.limit_files(None);
    let is_saved = || (world.proxy.metrics().sum("aorta_state_saved", &[]) > 0.0).then_some(());
    eventually::found("it is saved again, by itself", is_saved).await;
    assert!(world.proxy.program.said().contains("is saved again"));
    world.proxy.start_again().await;
    assert_eq!(world.proxy.state_of("virginia"), "draining");
    assert_eq!(reads(&world, 20).await, 0);
}

#[tokio::test]
async fn a_drill_goes_on_beside_a_full_disk_and_its_report_can_be_asked_for() {
    let world = world(|setup| setup).await;
    world.proxy.program.limit_files(Some(0));
    let begun = post(&world, "/api/drills", &order("refuse", "1s")).await;
    let said: Value = serde_json::from_slice(&begun.body).unwrap();
    assert_eq!((begun.status, &said["saved"]), (201, &json!(false)), "{said}");
    assert_eq!(reads(&world, 20).await, 0);
    assert_eq!(report(&world, said["id"].as_str().unwrap()).await["end"], "time_up");
}

#[tokio::test]
async fn a_drill_needs_no_folder() {
    let world = world(|setup| setup.top("state_dir", "/proc/none")).await;
    let id = begin(&world, "refuse", "1s").await;
    assert_eq!(reads(&world, 20).await, 0);
    assert_eq!(report(&world, &id).await["end"], "time_up");
}
