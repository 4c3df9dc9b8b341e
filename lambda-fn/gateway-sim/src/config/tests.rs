//! What is refused, and whether the message names the key.

use super::*;

const GOOD: &str = "
region: us-east-1
address: 127.0.0.1:0
control: 127.0.0.1:0
host: a1.execute-api.us-east-1.amazonaws.com
stage: Server1
certificate: c.pem
private_key: k.pem
integration: proxy
answer: {file: a.json, content_type: application/fhir+json}
";

fn error_of(yaml: &str) -> String {
    match serde_yaml::from_str::<Config>(yaml) {
        Err(error) => error.to_string(),
        Ok(config) => config.check().unwrap_err().to_string(),
    }
}

#[test]
fn the_shortest_file_gets_the_documented_defaults() {
    let config: Config = serde_yaml::from_str(GOOD).unwrap();
    config.check().unwrap();
    assert_eq!(config.integration_timeout, INTEGRATION_TIMEOUT_MAX);
    assert_eq!(config.latency, Duration::ZERO);
    assert_eq!(config.throttle, Throttle { rate: 10_000.0, burst: 5_000.0 });
    assert_eq!(config.api_id(), "a1");
}

#[test]
fn an_unknown_key_is_named() {
    assert!(error_of(&format!("{GOOD}latencey: 3ms\n")).contains("latencey"));
    assert!(error_of(&GOOD.replace("answer: {", "answer: {fill: x, ")).contains("fill"));
}

#[test]
fn every_bad_value_is_reported_at_once() {
    let errors = error_of(
        &GOOD
            .replace("control: 127.0.0.1:0", "control: 0.0.0.0:9543")
            .replace("stage: Server1", "stage: a/b")
            .replace("answer:", "integration_timeout: 30s\nanswer:"),
    );
    for key in ["control:", "stage:", "integration_timeout:"] {
        assert!(errors.contains(key), "{key} in {errors}");
    }
}

#[test]
fn a_missing_function_program_is_named() {
    let yaml = GOOD
        .replace("answer: {file: a.json, content_type: application/fhir+json}", "function: {program: none}");
    assert!(error_of(&yaml).contains("function.program"));
}

#[test]
fn an_unmapped_entry_covers_a_method_and_a_prefix() {
    let entry = Unmapped::try_from("DELETE /Patient".to_owned()).unwrap();
    assert!(entry.covers("DELETE", "/Patient/1"));
    assert!(!entry.covers("GET", "/Patient/1"));
    assert!(Unmapped::try_from("* /admin".to_owned()).unwrap().covers("PUT", "/admin/x"));
    assert!(Unmapped::try_from("/admin".to_owned()).is_err());
}
