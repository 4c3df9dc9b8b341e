//! The configuration's promises: each test feeds a file and compares every line an operator would read.

mod balance;
mod bounds;
mod files;
mod hostile;
mod live;
mod quotas;
mod reference;
mod scenario;
mod settings;
mod shape;
mod shipped;
mod sigv4;
mod together;

use super::load::parse_as;
use super::{Config, Problems};
use std::path::Path;

/// A good file; tests break it with [`str::replace`].
const GOOD: &str = "\
listeners: [{address: 127.0.0.1:8080}]
routes: [{name: ehr, pool: records}]
pools:
  records:
    upstreams:
      - name: virginia
        url: https://virginia.fhir.example.org/Server1
      - name: ohio
        url: https://ohio.fhir.example.org/Server2
";

/// The same, with these lines at the end of its only pool.
fn pool_with(lines: &str) -> String {
    format!("{GOOD}{lines}")
}

fn read_in(yaml: &str, base: &Path) -> Result<Config, Problems> {
    let files = std::cell::RefCell::default();
    parse_as(
        ("t.yaml", yaml),
        base,
        &|name| match name {
            "KEY" => Some("s3cr3t-value".to_owned()),
            "TOKEN" => Some("s3cr3t-0123456789".to_owned()),
            "OTHER" => Some("s3cr3t-9876543210".to_owned()),
            "EMPTY" => Some(String::new()),
            "BROKEN" => Some("s3cr3t\nvalue".to_owned()),
            _ => None,
        },
        &files,
    )
}

fn read(yaml: &str) -> Result<Config, Problems> {
    read_in(yaml, Path::new(""))
}

fn good(yaml: &str) -> Config {
    read(yaml).unwrap_or_else(|problems| panic!("{problems}\n--- in\n{yaml}"))
}

/// The file has exactly these mistakes, each without the file's name in front.
fn check(yaml: &str, expected: &[&str]) {
    let said = read(yaml).map_or_else(|problems| problems.to_string(), |_| String::new());
    let said: Vec<_> = said.lines().map(|line| line.strip_prefix("t.yaml:").unwrap_or(line)).collect();
    assert_eq!(said, expected, "in\n{yaml}");
}

#[test]
fn a_good_file_is_good() {
    check(GOOD, &[]);
    let config = good(GOOD);
    assert_eq!(config.pools[0].upstreams[1].base_path, "/Server2");
    assert_eq!(
        super::Summary::from(&config).to_string(),
        "config ok: 1 listener, 1 route, 1 pool with 2 upstreams"
    );
}

#[test]
fn a_key_that_is_left_out_has_the_default_of_the_core() {
    let spec = &good(GOOD).pools[0].spec;
    assert_eq!(spec.passive_health, aorta_core::outlier::PassiveHealth::default());
    assert_eq!(spec.slow_start, aorta_core::slow_start::SlowStart::default());
    assert_eq!(spec.retry, aorta_core::retry::RetryPolicy::default());
    assert_eq!(spec.timeouts, aorta_core::timeout::Timeouts::default());
    assert_eq!(spec.dialect, aorta_core::classify::Dialect::default());
    assert!(spec.write_affinity.is_zero());
    assert!(spec.active_health.is_none() && !spec.fhir);
}
