//! The audit trail: one entry for each request of an audited route, that names nobody; what a full disk does; and a
//! chain that shows what was changed afterwards.

use crate::world::World;
use bytes::Bytes;
use harness::client::{Client, Reply, Target};
use harness::eventually;
use harness::program::find;
use harness::proxy::Proxy;
use harness::upstream::Speech;
use http::Request;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A word that stands in every place where patient data could stand.
const CANARY: &str = "C4n4ryB1rd";

/// Two regions behind one audited route, and the folder of its file.
struct Audited {
    world: World,
    folder: tempfile::TempDir,
}

impl Audited {
    async fn new(route: &str) -> Self {
        Self::at("audit.jsonl", route).await
    }

    /// With the file at this place in the folder.
    async fn at(place: &str, route: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, key) = (folder.path().join(place), folder.path().join("audit.key"));
        fs::write(&key, "s3cr3t").unwrap();
        let audit = format!("{{file: {}, key: {{file: {}}}}}", file.display(), key.display());
        let routes = format!("  - {{name: ehr, pool: records, audit: {route}}}");
        let change = |setup: harness::setup::Setup, _: &_| setup.top("audit", &audit).routes(&routes);
        let world = World::with(Speech::Http1, change).await;
        Self { world, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    fn entries(&self, kind: &str) -> Vec<Value> {
        let entries = self.text();
        let entries = entries.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        entries.filter(|entry| entry["kind"] == kind).collect()
    }

    async fn requests(&self, count: usize) -> Vec<Value> {
        let look = || Some(self.entries("request")).filter(|entries| entries.len() >= count);
        eventually::found(&format!("{count} entries of requests"), look).await
    }

    fn proxy(&self) -> &Proxy {
        &self.world.proxy
    }

    fn count(&self, family: &str) -> u64 {
        self.proxy().metrics().count(family, &[])
    }

    async fn is_up(&self, up: u64) {
        eventually::equal("the file can be written", up, || self.count("aorta_audit_up")).await;
    }

    /// What a full disk does, for one process.
    fn fill_the_disk(&self) {
        self.proxy().program.limit_files(Some(fs::metadata(self.file()).unwrap().len()));
    }
}

fn verify(files: &[&Path]) -> Output {
    let output = Command::new(find("aorta-proxy")).args(["audit", "verify"]).args(files).output();
    output.expect("the proxy's program runs")
}

fn must_be_sound(file: &Path) -> String {
    let output = verify(&[file]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn send(client: &mut Client, method: &str, path: &str) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(format!("{path}?name={CANARY}&identifier=urn:x%7C{CANARY}"))
        .header("authorization", format!("Bearer {CANARY}"))
        .header("x-api-key", CANARY)
        .header("x-request-id", "walk")
        .header("content-type", "application/fhir+json");
    let body = Bytes::from(format!(r#"{{"resourceType":"Patient","id":"{CANARY}"}}"#));
    client.send(request.body(body).unwrap()).await.unwrap()
}

#[tokio::test]
async fn each_request_leaves_one_entry_that_says_who_did_what_and_names_no_patient() {
    let audited = Audited::new("closed").await;
    let mut client = audited.world.client();
    let mut sent = Vec::new();
    for (method, path) in [
        ("GET", format!("/Patient/{CANARY}")),
        ("GET", format!("/Patient/{CANARY}/_history/1")),
        ("GET", format!("/Patient/{CANARY}-2")),
        ("POST", "/Patient".to_owned()),
        ("PUT", format!("/{CANARY}/{CANARY}")),
        ("GET", "/Patient".to_owned()),
    ] {
        sent.push(send(&mut client, method, &path).await.status);
    }
    let late = Request::get("/Patient/1").header("x-request-deadline", "1").body(Bytes::new()).unwrap();
    sent.push(client.send(late).await.unwrap().status);
    let entries = audited.requests(sent.len()).await;
    let statuses: Vec<_> = entries.iter().map(|entry| entry["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, sent.iter().map(|status| u64::from(*status)).collect::<Vec<_>>());
    let first = &entries[0];
    let said = ["request_id", "client", "method", "resource_type", "interaction", "route", "outcome"];
    let said = said.map(|member| first[member].as_str().unwrap_or_default());
    assert_eq!(said, ["walk", "127.0.0.1", "GET", "Patient", "read", "ehr", "ok"]);
    assert_eq!((first["upstream"].as_str(), first["attempts"].as_u64()), (Some("virginia"), Some(1)));
    let record = |entry: &Value| entry["record"].as_str().map(str::to_owned);
    assert_eq!(record(first).unwrap().len(), 32);
    assert_eq!(record(first), record(&entries[1]), "one record, one pseudonym");
    assert_ne!(record(first), record(&entries[2]));
    assert_eq!((record(&entries[3]), record(&entries[5])), (None, None), "no record is named");
    assert_eq!(entries[6]["outcome"], "rejected", "also what was refused before any attempt");
    let text = audited.text().to_ascii_lowercase();
    assert!(!text.contains(&CANARY.to_ascii_lowercase()) && !text.contains("s3cr3t"), "{text}");
    assert_eq!(audited.count("aorta_audit_lost_total"), 0);
    must_be_sound(&audited.file());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_under_load_continues_one_chain() {
    let mut audited = Audited::new("open").await;
    let target = audited.proxy().target();
    let load = tokio::spawn(async move {
        for _ in 0..200 {
            assert_eq!(Client::new(target.clone()).get("/Patient/1").await.status, 200);
        }
    });
    audited.requests(20).await;
    tokio::task::block_in_place(|| audited.world.proxy.upgrade());
    load.await.unwrap();
    audited.requests(200).await;
    assert_eq!(audited.entries("start").len(), 2);
    audited.world.proxy.stop();
    assert_eq!((audited.entries("request").len(), audited.entries("end").len()), (200, 2));
    let said = must_be_sound(&audited.file());
    // With two starts, two ends and the order to upgrade.
    assert!(said.starts_with("205 entries, 1 to 205, the last "), "{said}");
}

#[tokio::test]
async fn a_full_disk_on_a_route_that_audits_open_loses_no_request_and_the_chain_says_what_it_lacks() {
    let audited = Audited::new("open").await;
    let mut client = audited.world.client();
    assert_eq!(client.get("/Patient/1").await.status, 200);
    audited.requests(1).await;
    audited.fill_the_disk();
    let requests = 1200;
    for _ in 0..requests {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    audited.is_up(0).await;
    let lost = audited.proxy().at_rest().await.count("aorta_audit_lost_total", &[]);
    assert!((100..=400).contains(&lost), "what does not fit into the queue: {lost}");
    must_be_sound(&audited.file());
    audited.proxy().program.limit_files(None);
    audited.is_up(1).await;
    audited.requests(1 + requests - usize::try_from(lost).unwrap()).await;
    let told = eventually::found("the gap", || audited.entries("lost").pop()).await;
    assert_eq!(told["entries"].as_u64(), Some(lost));
    assert_eq!(client.get("/Patient/1").await.status, 200);
    audited.requests(2 + requests - usize::try_from(lost).unwrap()).await;
    must_be_sound(&audited.file());
}

#[tokio::test]
async fn a_full_disk_on_a_route_that_audits_closed_refuses_before_any_attempt_and_no_entry_is_missing() {
    let audited = Audited::new("closed").await;
    let mut client = audited.world.client();
    assert_eq!(client.get("/Patient/1").await.status, 200);
    audited.requests(1).await;
    audited.fill_the_disk();
    let noticed = client.get("/Patient/1").await.status;
    assert_eq!(noticed, 200, "its entry is the first that cannot be written, and is kept");
    audited.is_up(0).await;
    let seen = audited.world.seen();
    for _ in 0..10 {
        let refused = client.get("/Patient/1").await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
        assert_eq!(refused.json()["issue"][0]["code"], "transient");
    }
    assert_eq!(audited.world.seen(), seen, "nobody was asked");
    let labels = [("route", "ehr"), ("reason", "audit_unavailable")];
    let refusals = || audited.proxy().metrics().count("aorta_refusals_total", &labels);
    eventually::equal("each refusal is counted", 10, refusals).await;
    audited.proxy().program.limit_files(None);
    audited.is_up(1).await;
    assert_eq!(client.get("/Patient/1").await.status, 200);
    audited.requests(3).await;
    assert_eq!((audited.count("aorta_audit_lost_total"), audited.entries("lost").len()), (0, 0));
    must_be_sound(&audited.file());
}

#[tokio::test]
async fn a_file_that_cannot_be_made_refuses_from_the_first_request_until_it_can() {
    let audited = Audited::at("missing/audit.jsonl", "closed").await;
    let mut client = audited.world.client();
    assert_eq!((client.get("/Patient/1").await.status, audited.world.seen()), (503, 0));
    fs::create_dir(audited.folder.path().join("missing")).unwrap();
    audited.is_up(1).await;
    assert_eq!(client.get("/Patient/1").await.status, 200);
}

#[tokio::test]
async fn an_entry_that_was_changed_removed_or_inserted_is_found() {
    let mut audited = Audited::new("open").await;
    let mut client = audited.world.client();
    for patient in 0..5 {
        client.get(&format!("/Patient/{patient}")).await;
    }
    drop(client);
    audited.world.proxy.stop();
    must_be_sound(&audited.file());
    let text = audited.text();
    let lines: Vec<_> = text.lines().collect();
    let forged = audited.folder.path().join("forged.jsonl");
    let found = |lines: &[&str]| {
        fs::write(&forged, lines.join("\n") + "\n").unwrap();
        let output = verify(&[&forged]);
        let said = String::from_utf8(output.stderr).unwrap();
        let place = said.strip_prefix(forged.to_str().unwrap()).and_then(|rest| rest.split(':').nth(1));
        (output.status.code(), place.unwrap_or_default().to_owned())
    };
    let changed = lines[2].replace("\"status\":200", "\"status\":404");
    assert_ne!(changed, lines[2]);
    let at = |line: &str| (Some(1), line.to_owned());
    assert_eq!(found(&[&lines[..2], &[&changed], &lines[3..]].concat()), at("3"));
    assert_eq!(found(&[&lines[..2], &lines[3..]].concat()), at("3"), "removed");
    assert_eq!(found(&[&lines[..2], &[lines[1]], &lines[2..]].concat()), at("3"), "inserted");
    assert_eq!(found(&[&lines[1..2], &lines[..1], &lines[2..]].concat()), at("2"), "in another order");
    let last = lines.last().unwrap().replace("end", "END");
    assert_eq!(found(&[&lines[..lines.len() - 1], &[&last]].concat()), at(&lines.len().to_string()));
    assert!(!verify(&[&audited.file(), Path::new("missing")]).status.success());
}

#[tokio::test]
async fn orders_of_operators_leave_entries_too() {
    let audited = Audited::new("off").await;
    let admin = audited.proxy().admin();
    let mut client = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    for (level, status) in [("warn", 200), ("loud", 400)] {
        let wish = format!(r#"{{"level": "{level}", "reason": "too much"}}"#);
        let order = Request::post("/api/log").body(Bytes::from(wish)).unwrap();
        assert_eq!(client.send(order).await.unwrap().status, status);
    }
    let orders =
        eventually::found("two orders", || Some(audited.entries("order")).filter(|orders| orders.len() == 2))
            .await;
    let told = |member: &str| orders.iter().map(|order| order[member].to_string()).collect::<BTreeSet<_>>();
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(told("who"), words(&["\"loopback\""]));
    assert_eq!(told("order"), words(&["\"/api/log\""]));
    assert_eq!(told("reason"), words(&["\"too much\""]));
    assert_eq!(told("status"), words(&["200", "400"]));
    assert_eq!(audited.world.client().get("/Patient/1").await.status, 200);
    assert!(audited.entries("request").is_empty(), "the route is not audited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_audits_closed_by_a_reload_refuses_until_an_upgrade_opens_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let change = |setup: harness::setup::Setup, _: &_| setup.top("reload", "{watch: 0s}");
    let mut world = World::with(Speech::Http1, change).await;
    let mut client = world.client();
    assert_eq!(client.get("/Patient/1").await.status, 200);
    let text = fs::read_to_string(world.proxy.file()).unwrap();
    let file = folder.path().join("audit.jsonl");
    let text = text.replace("pool: records}", "pool: records, audit: closed}");
    let text = format!("audit: {{file: {}}}\n{text}", file.display());
    fs::write(world.proxy.file(), text).unwrap();
    let admin = world.proxy.admin();
    let mut orders = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    assert_eq!(orders.post("/api/reload", "").await.status, 200);
    assert_eq!((client.get("/Patient/1").await.status, world.seen()), (503, 1));
    drop((client, orders));
    world.proxy.upgrade();
    assert_eq!(world.client().get("/Patient/1").await.status, 200);
    let written = || fs::read_to_string(&file).unwrap_or_default().contains("\"kind\":\"request\"");
    eventually::equal("the entry is written", true, written).await;
    must_be_sound(&file);
}
