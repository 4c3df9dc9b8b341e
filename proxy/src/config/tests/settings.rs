use super::*;
use crate::config::Difference as D;
use std::collections::BTreeMap;

fn prints(yaml: &str) -> BTreeMap<String, u64> {
    let settings = read(yaml).unwrap().settings;
    settings.prints().map(|(key, print)| (key.to_owned(), print)).collect()
}

/// What is otherwise in another text, in the order of the keys.
fn differences(old: &str, new: &str) -> Vec<D> {
    read(new).unwrap().settings.differ_from(&prints(old))
}

#[test]
fn a_setting_is_the_same_however_it_is_written() {
    let explicit =
        "    retry: {attempts_max: 3, backoff: 25ms, hold_max: 65536B}\n    timeouts: {attempt: 10000ms}\n";
    assert_eq!(differences(GOOD, &pool_with(explicit)), []);
    assert_eq!(
        differences(GOOD, &pool_with("    retry: {attempts_max: 4}\n    slow_start: 5s\n")),
        [
            D::Changes("pools.records.retry.attempts_max".to_owned()),
            D::Changes("pools.records.slow_start".to_owned())
        ]
    );
}

#[test]
fn who_comes_and_goes_is_named_once_and_by_name() {
    let other = GOOD.replace("name: ohio", "name: oregon");
    assert_ne!(other, GOOD);
    assert_eq!(
        differences(GOOD, &other),
        [
            D::Vanishes("pools.records.upstreams[ohio]".to_owned()),
            D::Appears("pools.records.upstreams[oregon]".to_owned())
        ]
    );
}

#[test]
fn a_print_of_a_secret_is_one_of_its_place() {
    let with = |secret: &str| {
        let url = "url: https://ohio.fhir.example.org/Server2";
        assert!(GOOD.contains(url));
        GOOD.replace(url, &format!("{url}\n        headers: {{x-api-key: {{env: {secret}}}}}"))
    };
    assert_eq!(differences(&with("KEY"), &with("KEY")), []);
    let moved = differences(&with("KEY"), &with("TOKEN"));
    assert_eq!(moved, [D::Changes("pools.records.upstreams[ohio].headers".to_owned())]);
    let secret = aorta_core::balance::ring_hash::hash("s3cr3t-value");
    assert!(prints(&with("KEY")).values().all(|print| *print != secret));
}

#[test]
fn what_waits_for_a_restart_is_told_from_what_does_not() {
    let started = read(GOOD).unwrap().settings;
    let waiting = |yaml: &str| read(yaml).unwrap().settings.waiting(&started);
    assert_eq!(waiting(&pool_with("    slow_start: 5s\n")), Vec::<String>::new());
    let more = format!("buffers: {{total: 1GiB}}\nlog: {{level: debug}}\n{GOOD}");
    assert_eq!(waiting(&more), ["buffers.total"]);
    let moved = GOOD.replace("127.0.0.1:8080", "127.0.0.1:8081");
    assert_eq!(waiting(&moved), ["listeners[127.0.0.1:8080]", "listeners[127.0.0.1:8081]"]);
}
