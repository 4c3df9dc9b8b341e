//! Privacy: whatever a request or an upstream's answer carries of a patient, nothing that the proxy tells or keeps
//! repeats it: no log line, metric, span, audit entry, page, file of its state, tape, or error of ours.

use crate::world::World;
use bytes::Bytes;
use harness::client::{Client, Target};
use harness::collector::Collector;
use harness::raw::Raw;
use harness::setup::Setup;
use harness::upstream::Speech;
use harness::upstream::answer::{FHIR_JSON, Wrapped, envelope, forbidden, lambda_error, outcome};
use harness::upstream::script::{Answer, Behaviour, Order};
use harness::{eventually, metrics};
use http::Request;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A word that stands in every place where patient data could stand.
const CANARY: &str = "C4n4ryB1rd";

async fn send(client: &mut Client, method: &str, path: &str) -> Vec<u8> {
    let request = Request::builder()
        .method(method)
        .uri(format!("{path}?name={CANARY}&identifier=urn:x%7C{CANARY}"))
        .header("authorization", format!("Bearer {CANARY}"))
        .header("x-api-key", CANARY)
        .header("x-request-id", "walk")
        .header("cookie", format!("session={CANARY}"))
        .header("if-none-exist", format!("identifier={CANARY}"))
        .header("referer", format!("https://ehr.test/{CANARY}"))
        .header("content-type", "application/fhir+json");
    let body = Bytes::from(format!(r#"{{"resourceType":"Patient","id":"{CANARY}"}}"#));
    client.send(request.body(body).unwrap()).await.map(|reply| reply.body.to_vec()).unwrap_or_default()
}

/// Sends requests that are served, rescued, refused and lost, by every kind of end.
async fn walk(world: &World) -> Vec<Vec<u8>> {
    let mut client = world.client();
    let mut errors = Vec::new();
    let behaviours = [
        Behaviour::Serve,
        Behaviour::Say(forbidden()),
        Behaviour::Say(lambda_error()),
        Behaviour::Say(outcome(500, "exception")),
        Behaviour::ResetBefore,
        Behaviour::ResetInside,
        Behaviour::Truncate,
        Behaviour::Garbage,
        Behaviour::Slow(Duration::from_millis(600)),
    ];
    for behaviour in behaviours {
        let served = behaviour == Behaviour::Serve;
        world.virginia.obey(Order::before(behaviour.clone()));
        world.ohio.obey(Order::before(behaviour));
        for method in ["GET", "POST", "PUT"] {
            let body = send(&mut client, method, &format!("/Patient/{CANARY}/{CANARY}")).await;
            if !served {
                errors.push(body);
            }
        }
    }
    world.virginia.refuse().await;
    world.ohio.refuse().await;
    errors.push(send(&mut client, "GET", &format!("/{CANARY}")).await);
    errors.push(send(&mut client, "GET", &format!("/a%2F{CANARY}")).await);
    for bytes in [
        format!("GET /{CANARY} HTTP/1.1\r\nhost: {CANARY} {CANARY}\r\n\r\n"),
        format!("{CANARY} /{CANARY} HTTP/1.1\r\nhost: a.test\r\n\r\n"),
        format!("GET /{CANARY} {CANARY} HTTP/1.1\r\nhost: a.test\r\n{CANARY}: {CANARY}\r\n\r\n"),
        format!("POST /{CANARY} HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n{CANARY}\r\n"),
    ] {
        let mut raw = Raw::connect(world.proxy.address()).await;
        raw.send(bytes).await;
        errors.push(raw.answer().await.body);
    }
    errors
}

async fn nothing_repeats_the_canary(level: &str) {
    let mut world = World::with(Speech::Http1, |setup, _| {
        let limit = "{requests: 1000000, key: \"header:x-api-key\"}";
        let setup = setup.routes(&format!("  - {{name: ehr, pool: records, rate_limit: {limit}}}"));
        setup.top("log", &format!("{{level: {level}}}")).pool("timeouts", "{attempt: 300ms, request: 1s}")
    })
    .await;
    let errors = walk(&world).await;
    for error in &errors {
        let text = String::from_utf8_lossy(error);
        assert!(!text.contains(CANARY), "an error body repeats it: {text}");
    }
    let mut told = vec![world.proxy.metrics().text];
    for about in ["pools/records", "pools/records/upstreams/virginia", "requests/walk"] {
        let explained = metrics::get(world.proxy.admin(), &format!("/api/explain/{about}"));
        told.push(explained.unwrap_or_else(|| panic!("{about} is not explained")));
    }
    world.proxy.stop();
    let said = [world.proxy.program.out(), world.proxy.program.err(), told].concat();
    let leak = said.iter().flat_map(|text| text.lines()).find(|line| {
        line.contains(CANARY) || line.to_ascii_lowercase().contains(&CANARY.to_ascii_lowercase())
    });
    assert!(said.iter().any(|line| line.contains("\"access\"")), "the requests left access lines");
    assert_eq!(leak, None);
}

#[tokio::test]
async fn no_patient_data_is_in_any_log_metric_or_error() {
    nothing_repeats_the_canary("info").await;
}

#[tokio::test]
async fn no_patient_data_is_in_the_most_talkative_log_either() {
    nothing_repeats_the_canary("trace").await;
}

/// What an upstream may say of a patient, in every part of an answer; one that is no HTTP, and one that is cut off.
fn answers() -> Vec<(Behaviour, Answer)> {
    let outcome = |status| {
        let said = format!(
            r#"{{"resourceType":"OperationOutcome","id":"{CANARY}","issue":[{{"severity":"error","code":"exception",
            "diagnostics":"no row for {CANARY}","expression":["Patient.where(id='{CANARY}')"]}}]}}"#
        );
        Answer::new(status, FHIR_JSON, said).with("location", &format!("/Patient/{CANARY}/_history/{CANARY}"))
    };
    let text = |status, media: &str| Answer::new(status, media, format!("<h1>{CANARY}</h1> '{CANARY}'"));
    let lambda = format!(
        r#"{{"errorMessage":"no row for {CANARY}","errorType":"{CANARY}","stackTrace":["{CANARY}"]}}"#
    );
    let record = format!(r#"{{"resourceType":"Patient","id":"{CANARY}","name":[{{"family":"{CANARY}"}}]}}"#);
    let next = format!("https://else.where.test/Server1/Patient?page={CANARY}");
    let bundle = format!(
        r#"{{"resourceType":"Bundle","link":[{{"relation":"next","url":"{next}"}}],"entry":[{{"fullUrl":"{CANARY}"}}]}}"#
    );
    let said = [
        outcome(200),
        outcome(404),
        outcome(429).with("retry-after", CANARY),
        outcome(500),
        outcome(503),
        text(200, "text/html"),
        text(502, "text/plain"),
        text(200, FHIR_JSON),
        Answer::new(200, "application/json", lambda),
        envelope(&outcome(500), Wrapped::Text),
        Answer::new(200, FHIR_JSON, bundle),
        Answer::new(200, &format!("{CANARY}/{CANARY}; charset={CANARY}"), record.clone()),
        Answer::new(200, FHIR_JSON, record.clone()).with("content-encoding", CANARY),
        Answer::new(302, FHIR_JSON, "").with("location", &format!("https://{CANARY}.test/{CANARY}")),
        Answer::new(403, "application/json", format!(r#"{{"message":"{CANARY}"}}"#))
            .with("x-amzn-errortype", CANARY)
            .with("x-amzn-requestid", CANARY),
        // No field at all.
        Answer::new(200, FHIR_JSON, record.clone()).with(&format!("{CANARY} ({CANARY})"), CANARY),
    ];
    let said = said.into_iter().map(|answer| (Behaviour::Say(answer.clone()), answer));
    let broken = [Behaviour::Truncate, Behaviour::TruncateChunked, Behaviour::ResetInside];
    let record = Answer::new(200, FHIR_JSON, record).with("etag", CANARY);
    said.chain(broken.into_iter().map(|behaviour| (behaviour, record.clone()))).collect()
}

/// Everything that a proxy tells and keeps, each with its name.
async fn told_and_kept(world: &mut World, folder: &Path, collector: &Collector) -> Vec<(String, String)> {
    let admin = world.proxy.admin();
    let drills = metrics::get(admin, "/api/drills").expect("drills are told");
    let drill: serde_json::Value = serde_json::from_str(&drills).unwrap();
    let id = drill["drills"][0]["id"].as_str().unwrap_or_else(|| panic!("{drills}")).to_owned();
    let mut told = vec![("/api/drills".to_owned(), drills)];
    for path in [
        "/metrics",
        "/api/pools",
        "/api/config",
        "/api/explain/pools/records",
        "/api/explain/pools/records/upstreams/virginia",
        "/api/explain/pools/records/upstreams/ohio",
        "/api/explain/requests/walk",
        &format!("/api/drills/{id}"),
    ] {
        let said = metrics::get(admin, path).unwrap_or_else(|| panic!("{path} is not told"));
        told.push((path.to_owned(), said));
    }
    let mut client = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    let page = Request::get("/").header("accept", "text/html").body(Bytes::new()).unwrap();
    let page = client.send(page).await.unwrap();
    told.push(("/".to_owned(), String::from_utf8_lossy(&page.body).into_owned()));
    let state = world.proxy.file().parent().expect("a folder").join("state");
    let memory = state.join("memory.json");
    let saved = || fs::read_to_string(&memory).ok().filter(|text| text.contains("ejections"));
    eventually::found("the memory is saved", saved).await;
    tokio::task::block_in_place(|| world.proxy.stop());
    told.push(("the access lines".to_owned(), world.proxy.program.out().join("\n")));
    told.push(("the log".to_owned(), world.proxy.program.err().join("\n")));
    told.push(("spans".to_owned(), String::from_utf8_lossy(&collector.bytes()).into_owned()));
    for folder in [folder.to_owned(), state.clone(), state.join("drills")] {
        let files = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path());
        for file in files.filter(|path| path.is_file()) {
            let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
            told.push((file.display().to_string(), text));
        }
    }
    told
}

async fn nothing_repeats_what_an_upstream_says(level: &str) {
    let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start().await);
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("audit.key"), "s3cr3t").unwrap();
    let tape = at("tape.jsonl");
    let change = |setup: Setup| {
        let audit = format!("{{file: {}, key: {{file: {}}}}}", at("audit.jsonl"), at("audit.key"));
        setup
            .top("log", &format!("{{level: {level}}}"))
            .top("audit", &audit)
            .top("traces", &format!("{{endpoint: \"{}\", sampled: 1.0}}", collector.endpoint()))
            .routes("  - {name: ehr, pool: records, audit: open}")
            .pool("timeouts", "{attempt: 300ms, request: 1s}")
            .pool("hedge", "{enabled: true}")
    };
    let more = [OsStr::new("--tape"), OsStr::new(&tape)];
    let mut world = World::as_told(Speech::Http1, |setup, _| change(setup), &more).await;
    let mut client = world.client();
    for (behaviour, answer) in answers() {
        let broken = !matches!(behaviour, Behaviour::Say(_));
        for region in [&world.virginia, &world.ohio] {
            region.obey(Order::before(behaviour.clone()).on(answer.clone()));
        }
        for method in ["GET", "GET", "POST", "PUT", "DELETE"] {
            let request = Request::builder().method(method).uri("/Patient/1").header("x-request-id", "walk");
            let reply = client.send(request.body(Bytes::from_static(b"{}")).unwrap()).await;
            let body =
                reply.map(|reply| String::from_utf8_lossy(&reply.body).into_owned()).unwrap_or_default();
            assert!(!broken || !body.contains(CANARY), "an error of ours repeats what was cut off: {body}");
        }
    }
    let drill = r#"{"pool": "records", "upstream": "ohio", "fault": "status:503", "for": "5m", "reason": "a test",
        "force": true}"#;
    world.virginia.heal();
    world.ohio.heal();
    world.served_by(world.proxy.target(), "virginia", 3).await;
    world.served_by(world.proxy.target(), "ohio", 3).await;
    let admin = world.proxy.admin();
    let mut orders = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    let began = orders.post("/api/drills", drill).await;
    assert_eq!(began.status, 201, "{}", String::from_utf8_lossy(&began.body));
    for region in [&world.virginia, &world.ohio] {
        region.obey(Order::before(Behaviour::Say(answers()[3].1.clone())));
    }
    for _ in 0..10 {
        send(&mut client, "GET", "/Patient/1").await;
    }
    world.proxy.at_rest().await;
    let told = told_and_kept(&mut world, folder.path(), &collector).await;
    for (what, least) in [("the access lines", 90), ("tape.jsonl", 90), ("audit.jsonl", 90), ("drills/", 1)] {
        let lines = told.iter().filter(|(name, _)| name.contains(what)).flat_map(|(_, text)| text.lines());
        let lines = lines.count();
        assert!(lines >= least, "{what} has {lines} lines, and so proves nothing");
    }
    assert!(told.iter().any(|(what, text)| what == "spans" && text.contains("GET /Patient/{id}")));
    for (what, text) in &told {
        let repeats = |line: &&str| line.to_ascii_lowercase().contains(&CANARY.to_ascii_lowercase());
        assert_eq!(text.lines().find(repeats), None, "in {what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_told_or_kept_repeats_what_an_upstream_says() {
    nothing_repeats_what_an_upstream_says("info").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_the_most_talkative_log() {
    nothing_repeats_what_an_upstream_says("trace").await;
}

#[tokio::test]
async fn a_crash_would_write_no_memory_to_a_disk() {
    // What a test may do its child may do too, unless it gives that up by itself.
    let held = getrlimit(Resource::Core);
    let _ = setrlimit(Resource::Core, Rlimit { current: held.maximum, maximum: held.maximum });
    let world = World::new().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", world.proxy.program.pid())).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("a limit");
    let (soft_and_hard, _unit) = core.trim().rsplit_once("bytes").expect("its unit");
    assert_eq!(soft_and_hard.split_whitespace().collect::<Vec<_>>(), ["0", "0"], "{limits}");
}
