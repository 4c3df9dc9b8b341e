//! Scenarios: what `simulate` reads, and every line it would say about a bad one.

use super::{GOOD, good};
use crate::config::load::parse_scenario;
use crate::config::{Problems, Scenario};
use aorta_core::simulate::scenario::{Rhythm, Sky, Throttle, Traffic};
use aorta_core::simulate::weather::Weather;
use std::time::Duration;

fn read(yaml: &str) -> Result<Scenario, Problems> {
    parse_scenario("s.yaml", yaml, &good(GOOD), None)
}

fn check(yaml: &str, expected: &[&str]) {
    check_over(GOOD, yaml, expected);
}

fn check_over(config: &str, yaml: &str, expected: &[&str]) {
    let said = parse_scenario("s.yaml", yaml, &good(config), None);
    let said = said.map_or_else(|problems| problems.to_string(), |_| String::new());
    let said: Vec<_> = said.lines().map(|line| line.strip_prefix("s.yaml:").unwrap_or(line)).collect();
    assert_eq!(said, expected, "in\n{yaml}");
}

#[test]
fn what_is_left_out_of_a_scenario_has_the_default_of_the_core() {
    let read = read("upstreams: {virginia: {}}\n").unwrap();
    let (traffic, core) = (&read.scenario.traffic, Traffic::default());
    assert_eq!(format!("{traffic:?}"), format!("{core:?}"));
    assert_eq!(read.scenario.skies.len(), 2);
    for sky in &read.scenario.skies {
        assert_eq!(format!("{sky:?}"), format!("{:?}", Sky::default()));
    }
    assert_eq!(read.expect, crate::config::Expect::default());
}

#[test]
fn a_scenario_says_how_each_upstream_fares() {
    let read = read(
        "proxies: 3\nupstreams:\n  ohio:\n    latency: 50ms\n    latency_p99: 200ms\n    at_once: 9\n    \
         throttle: {burst: 7}\n    faults:\n      - {fault: hang, from: 5s, until: 9s, share: 0.5}\n      \
         - {fault: slow, times: 7, every: 4s, lasting: 1s}\nexpect: {lost: 3}\n",
    );
    let read = read.unwrap_or_else(|problems| panic!("{problems}"));
    let sky = &read.scenario.skies[1];
    assert!((sky.tail - 4.0).abs() < 1e-9);
    assert_eq!(sky.capacity.throttle, Some(Throttle { per_second: 10_000, burst: 7 }));
    assert_eq!(sky.capacity.at_once, Some(9));
    assert_eq!(sky.spells[0].weather, Weather::Hang);
    assert_eq!(sky.spells[0].until.as_micros(), 9_000_000);
    assert_eq!(sky.spells[1].slowness, 7);
    let rhythm = Rhythm { every: Duration::from_secs(4), lasting: Duration::from_secs(1) };
    assert_eq!(sky.spells[1].rhythm, Some(rhythm));
    assert_eq!((read.expect.lost, read.expect.p99, read.scenario.proxies), (Some(3), None, 3));
}

#[test]
fn every_mistake_of_a_scenario_is_told_at_once() {
    check(
        "proxys: 3\nspan: 60\ntraffic: {clients: 2, bad_keys: 3, reads: 2}\nupstreams:\n  virginai: {}\n  ohio:\n    \
         latency: 50ms\n    latency_p99: 20ms\n    faults:\n      \
         - {fault: hung, from: 150s}\n      - {from: 9s, until: 9s, times: 5}\n      - {every: 2s}\n      \
         - {every: 2s, lasting: 3s}\nexpect: {loss: 0}\n",
        &[
            "1:1: proxys: is an unknown key; did you mean `proxies`?",
            "2:7: span: 60 has no unit; write `60s` or, by default, `2m`",
            "3:33: traffic.bad_keys: 3 is more than there are clients; write 2 or less, or raise `clients`",
            "3:43: traffic.reads: 2 is not between 0 and 1; write a share such as `1`",
            "5:3: upstreams.virginai: is no upstream of the pool; did you mean `virginia`?",
            "8:18: upstreams.ohio.latency_p99: 20ms is less than latency (50ms); write as much or more",
            "10:17: upstreams.ohio.faults[0].fault: `hung` is no choice; did you mean `hang`?",
            "10:29: upstreams.ohio.faults[0].from: 150s is not within the span (2m); write less, or raise `span`",
            "11:27: upstreams.ohio.faults[1].until: 9s is not after from (9s); write a later time",
            "11:38: upstreams.ohio.faults[1].times: means nothing to this fault; \
             write `fault: slow`, or remove this key",
            "12:17: upstreams.ohio.faults[2].every: stands without `lasting`; say how long it stays each time",
            "13:30: upstreams.ohio.faults[3].lasting: 3s is not less than every (2s); write less, or raise `every`",
            "14:10: expect.loss: is an unknown key; did you mean `lost`?",
        ],
    );
}

#[test]
fn an_empty_scenario_is_a_mistake() {
    check("", &["1:1: the file is empty; write at least `upstreams`"]);
    check("span: 1m\n", &["1:1: upstreams: is missing; name at least one, such as `NAME: {}`"]);
    check(
        "upstreams: {ohio: {faults: []}}\n",
        &["1:20: upstreams.ohio.faults: is empty; remove it, or list at least one"],
    );
}

#[test]
fn a_run_that_would_not_end_is_refused() {
    check(
        "proxies: 1000\nspan: 1h\ntraffic: {requests_per_second: 100}\nupstreams: {ohio: {}}\n",
        &["2:7: span: means up to 360000000 requests, and 100000000 are the most; \
           write a shorter span, a lower rate or fewer proxies"],
    );
}

#[test]
fn where_there_are_several_pools_a_scenario_names_its_own() {
    let two = &format!("{GOOD}  images:\n    upstreams: [{{name: ohio, url: https://ohio.example.org}}]\n");
    let images = "upstreams: {ohio: {}}\n";
    check_over(
        two,
        images,
        &["1:1: pool: is missing where the configuration has several pools; write one of records, images"],
    );
    check_over(
        two,
        &format!("pool: image\n{images}"),
        &["1:7: pool: `image` is no pool; did you mean `images`?"],
    );
    check_over(two, &format!("pool: images\n{images}"), &[]);
    let asked = parse_scenario("s.yaml", &format!("pool: images\n{images}"), &good(two), Some("records"));
    assert_eq!(asked.unwrap().scenario.pool.name, "records");
}
