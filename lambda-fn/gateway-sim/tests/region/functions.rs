//! The function's processes: their environment, their deaths, their limits.

use serde_json::json;

use crate::client::{connect, exchange_on};
use crate::harness::{BOUND, start};

async fn pid(sim: &crate::harness::Sim) -> u32 {
    sim.get("/Server1/pid").await.unwrap().text().parse().unwrap()
}

/// Waits until a process has ended; whether its parent has collected it is another matter.
pub(crate) async fn gone(pid: u32) {
    let runs = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
    };
    let poll = async {
        while runs() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, poll).await.expect("the process still runs");
}

#[tokio::test]
async fn a_function_killed_at_its_limit_is_a_502_and_a_new_process_serves_on() {
    let sim = start("concurrency: 1\n  timeout: 300ms", "").await;
    let first = pid(&sim).await;
    let reply = sim.get("/Server1/stuck").await.unwrap();
    assert_eq!((reply.status, reply.text()), (502, r#"{"message": "Internal server error"}"#));
    assert_ne!(pid(&sim).await, first);
    gone(first).await;
    sim.region.stop().await;
}

#[tokio::test]
async fn an_integration_that_times_out_first_is_a_504_and_the_function_runs_on() {
    let sim = start("concurrency: 2", "integration_timeout: 200ms").await;
    let reply = sim.get("/Server1/stuck").await.unwrap();
    assert_eq!((reply.status, reply.text()), (504, r#"{"message": "Endpoint request timed out"}"#));
    assert_eq!(reply.header("x-amzn-errortype"), "InternalServerErrorException");
    assert_eq!(sim.counters().await["executed"], json!({"GET": 1}));
    assert_eq!(sim.get("/Server1/Patient/1").await.unwrap().status, 200);
    sim.region.stop().await;
}

#[tokio::test]
async fn a_function_that_dies_raises_or_talks_nonsense_is_a_502() {
    let sim = start("concurrency: 1", "").await;
    for path in ["/Server1/exit", "/Server1/error", "/Server1/malformed", "/Server1/large"] {
        let reply = sim.get(path).await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (502, 36), "{path}");
        assert_eq!(sim.get("/Server1/Patient/1").await.unwrap().status, 200, "after {path}");
    }
    sim.region.stop().await;
}

#[tokio::test]
async fn the_envelope_integration_passes_everything_through_as_200() {
    let sim = start("concurrency: 1", "integration: envelope").await;
    let reply = sim.get("/Server1").await.unwrap();
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    assert_eq!(reply.json()["statusCode"], 200);
    assert!(reply.json()["body"].is_string());
    let reply = sim.get("/Server1/Patient").await.unwrap();
    assert_eq!((reply.status, reply.body.len()), (403, 42));
    let reply = sim.send("GET", "/Server1", "", b"no json").await.unwrap();
    assert_eq!((reply.status, reply.header("x-amzn-errortype")), (400, "BadRequestException"));
    sim.region.stop().await;
}

#[tokio::test]
async fn the_envelope_integration_tells_a_failed_function_as_200_with_its_error() {
    let sim = start("concurrency: 1", "integration: envelope").await;
    for failure in ["error", "exit"] {
        // The event is the payload alone, so that is where the function finds what to do.
        let body = format!(r#"{{"path":"/{failure}"}}"#);
        let reply =
            sim.send("GET", "/Server1", "content-type: application/json\r\n", body.as_bytes()).await.unwrap();
        assert_eq!(reply.status, 200);
        assert!(
            reply.json()["errorMessage"].is_string() && reply.json()["errorType"].is_string(),
            "{}",
            reply.text()
        );
    }
    sim.region.stop().await;
}

#[tokio::test]
async fn a_function_gets_lambdas_environment_and_not_ours() {
    let sim = start("environment: {COLOUR: blue}", "region: us-east-2").await;
    let program = std::env::current_exe().unwrap();
    let name = program.file_name().unwrap().to_str().unwrap();
    let seen = sim.get("/Server1/environment").await.unwrap().json();
    assert_eq!(seen, json!(["us-east-2", name, "blue", ""]));
    sim.region.stop().await;
}

#[tokio::test]
async fn two_regions_do_not_share_processes_or_fate() {
    let (one, two) = tokio::join!(start("concurrency: 1", ""), start("concurrency: 1", "region: us-east-2"));
    let (pid_one, pid_two) = (pid(&one).await, pid(&two).await);
    one.region.stop().await;
    gone(pid_one).await;
    assert_eq!(pid(&two).await, pid_two);
    two.region.stop().await;
    gone(pid_two).await;
}

#[tokio::test]
async fn a_function_that_cannot_start_is_a_502_and_no_hang() {
    let sim = start("concurrency: 1", "").await;
    sim.region.stop().await;
    let directory = sim.directory;
    let mut config: aorta_gateway_sim::config::Config =
        serde_yaml::from_str(&crate::harness::yaml(directory.path(), "concurrency: 1", "")).unwrap();
    let function = config.function.as_mut().unwrap();
    function.arguments = vec!["--no-such-flag-of-a-test-binary".to_owned()];
    let region = aorta_gateway_sim::region::Region::start(config).await.unwrap();
    let sim = crate::harness::Sim { region, directory };
    assert_eq!(sim.get("/Server1/Patient/1").await.unwrap().status, 502);
    sim.region.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_the_function() {
    let record = tempfile::NamedTempFile::new().unwrap();
    let function =
        format!("concurrency: 1\n  timeout: 300ms\n  environment: {{RECORD: '{}'}}", record.path().display());
    let sim = start(&function, "").await;
    // The only process is busy until its limit, so that the client can leave while its own event still waits.
    let mut busy = connect(sim.region.address(), sim.tls(b"http/1.1")).await.unwrap();
    let mut leaving = connect(sim.region.address(), sim.tls(b"http/1.1")).await.unwrap();
    tokio::select! {
        _ = exchange_on(&mut busy, "GET", "/Server1/stuck", "", b"") => panic!("too early"),
        _ = sim.eventually(|counters| counters["executed"]["GET"] == 1) => {}
    }
    tokio::select! {
        _ = exchange_on(&mut leaving, "POST", "/Server1/record", "", b"{}") => panic!("too early"),
        _ = sim.eventually(|counters| counters["invocations"] == 2) => {}
    }
    drop(leaving);
    sim.eventually(|counters| counters["executed"]["POST"] == 1).await;
    pid(&sim).await;
    assert_eq!(std::fs::read(record.path()).unwrap(), b"x");
    sim.region.stop().await;
}
