//! Values: units, bounds, times that must nest, urls, names.

use super::{GOOD, check, good, pool_with};

#[test]
fn a_bare_number_is_no_duration() {
    check(
        &pool_with("    timeouts: {connect: 2, attempt: 10 s, idle: 1.5}\n"),
        &[
            "10:25: pools.records.timeouts.connect: 2 has no unit; write `2s` or, by default, `2s`",
            "10:37: pools.records.timeouts.attempt: `10 s` is no whole number with a unit; write for example `10s`",
            "10:49: pools.records.timeouts.idle: is a number; write for example `1m`",
        ],
    );
}

#[test]
fn a_collector_is_reached_in_the_clear() {
    let said = |written: &str| {
        format!(
            "10:20: traces.endpoint: `{written}` is no http address; write an http address such as \
             `http://127.0.0.1:4318/v1/traces`; a collector speaks TLS onward"
        )
    };
    for written in ["https://127.0.0.1:4318", "127.0.0.1:4318", "collector"] {
        check(&format!("{GOOD}traces: {{endpoint: \"{written}\"}}\n"), &[said(written).as_str()]);
    }
    assert!(good(&format!("{GOOD}traces: {{}}\n")).traces.is_some_and(|traces| traces.sampled > 0.0));
}

#[test]
fn every_number_has_bounds() {
    check(
        &pool_with(
            "    retry: {attempts_max: 9, budget_percent: 101, hold_max: 7MiB, backoff: 1h, replay_body_max: 1EiB}\n    \
             passive_health: {success_rate_min: 1.5, window: 0s, min_healthy: 0, ejection_max: 2h}\n",
        ),
        &[
            "10:27: pools.records.retry.attempts_max: 9 is out of bounds; write a whole number from 1 to 8",
            "10:46: pools.records.retry.budget_percent: 101 is out of bounds; write a whole number from 0 to 100",
            "10:61: pools.records.retry.hold_max: `7MiB` is out of bounds; write 1KiB to 6MiB",
            "10:76: pools.records.retry.backoff: `1h` is out of bounds; write 0ms to 10s",
            "10:97: pools.records.retry.replay_body_max: `1EiB` is no whole number with a unit; write for example `1MiB`",
            "11:40: pools.records.passive_health.success_rate_min: 1.5 is not between 0 and 1; write a share such as `0.8`",
            "11:53: pools.records.passive_health.window: `0s` is out of bounds; write 1s to 1h",
            "11:70: pools.records.passive_health.min_healthy: 0 is out of bounds; write a whole number from 1 to 1000",
        ],
    );
}

#[test]
fn times_that_do_not_nest_are_a_mistake() {
    check(
        &pool_with(
            "    timeouts: {connect: 30s, attempt: 20s, request: 15s}\n    \
             retry: {backoff: 2s, attempts_max: 2, attempts_max_ambiguous: 3}\n    \
             passive_health: {ejection: 20s, ejection_max: 10s, min_healthy: 3}\n",
        ),
        &[
            "10:25: pools.records.timeouts.connect: 30s is longer than attempt (20s); write less, or raise attempt",
            "10:39: pools.records.timeouts.attempt: 20s is longer than request (15s); write less, or raise request",
            "11:22: pools.records.retry.backoff: 2s is longer than backoff_max (250ms); write less, or raise backoff_max",
            "11:67: pools.records.retry.attempts_max_ambiguous: 3 is more than attempts_max (2); write 2 or less",
            "12:32: pools.records.passive_health.ejection: 20s is longer than ejection_max (10s); \
             write less, or raise ejection_max",
            "12:69: pools.records.passive_health.min_healthy: 3 is more than the pool has upstreams, \
             so none could ever be ejected; write 1 or less",
        ],
    );
}

#[test]
fn a_default_gives_way_to_what_was_written() {
    let config = good(&pool_with(
        "    timeouts: {request: 1s}\n    retry: {attempts_max: 1, backoff_max: 10ms}\n    \
         passive_health: {ejection_max: 5s}\n",
    ));
    let spec = &config.pools[0].spec;
    assert_eq!((spec.timeouts.connect.as_secs(), spec.timeouts.attempt.as_secs()), (1, 1));
    assert_eq!(spec.retry.attempts_max_ambiguous.get(), 1);
    assert_eq!(spec.passive_health.ejection.as_secs(), 5);
}

#[test]
fn a_url_is_plain_and_its_password_is_not_repeated() {
    let with = |url: &str| GOOD.replace("https://ohio.fhir.example.org/Server2", url);
    for (url, said) in [
        (
            "https://me:hunter2@a.example.org",
            "holds a user or a password; remove it; set a header such as `authorization` instead",
        ),
        (
            "https://a.example.org/x?y=1",
            "holds a query or a fragment; end it with the base path; a query is the client's",
        ),
        ("https://a.example.org/../x", "holds a dot segment; write a plain base path such as `/Server1`"),
        ("https://a.example.org:70000", "has no good port; write a port from 1 to 65535, or none"),
        (
            "https:///x",
            "names no host; write a name or an address after the scheme: `https://fhir.example.org`",
        ),
        ("a.example.org", "has no scheme; start it with `https://` or `http://`"),
    ] {
        check(&with(url), &[&format!("9:14: pools.records.upstreams[1].url: {said}")]);
    }
}

#[test]
fn an_upstream_is_a_name_or_an_address() {
    let config = good(&GOOD.replace(
        "https://ohio.fhir.example.org/Server2",
        "http://[::1]:9443/\n        addresses: [127.0.0.2, '127.0.0.3:9444']",
    ));
    let ohio = &config.pools[0].upstreams[1];
    assert_eq!((ohio.host.as_str(), ohio.port, ohio.tls), ("::1", 9443, false));
    assert_eq!(ohio.authority, "[::1]:9443");
    assert_eq!(ohio.url, "http://[::1]:9443");
    assert_eq!(
        ohio.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["127.0.0.2:9443", "127.0.0.3:9444"]
    );
    let virginia = &config.pools[0].upstreams[0];
    assert_eq!(virginia.server_name, "virginia.fhir.example.org");
    assert_eq!(virginia.authority, "virginia.fhir.example.org");
}

#[test]
fn an_address_must_be_one() {
    check(
        &GOOD.replace("https://ohio.fhir.example.org/Server2", "http://ohio.example.org\n        addresses: [ohio, '192.0.2.1:0', 192.0.2.1, '192.0.2.1:80', '192.0.2.1:x']\n        tls: {server_name: 'a b'}"),
        &[
            "10:21: pools.records.upstreams[1].addresses[0]: `ohio` is no address; \
             write an IP address with a port, `192.0.2.1:443`, or none to resolve the host",
            "10:27: pools.records.upstreams[1].addresses[1]: `192.0.2.1:0` cannot be connected to; \
             write the address and port it listens on",
            "10:53: pools.records.upstreams[1].addresses[3]: 192.0.2.1:80 stands twice; keep one of them",
            "10:69: pools.records.upstreams[1].addresses[4]: `192.0.2.1:x` is no address; \
             write an IP address with a port, `192.0.2.1:443`, or none to resolve the host",
            "11:9: pools.records.upstreams[1].tls: stands at an upstream that speaks plain HTTP; \
             write `https://` in the url, or remove this block",
            "11:28: pools.records.upstreams[1].tls.server_name: `a b` is no host name; \
             write the name that stands in its certificate",
        ],
    );
}

#[test]
fn access_lines_are_all_some_or_none() {
    use crate::config::AccessLog;
    for (written, expected) in [
        ("all", AccessLog::All),
        ("errors", AccessLog::Errors),
        ("none", AccessLog::Off),
        ("{sampled: 0.1}", AccessLog::Sampled(0.1)),
        ("{sampled: 1}", AccessLog::Sampled(1.0)),
    ] {
        assert_eq!(good(&format!("{GOOD}log: {{access: {written}}}\n")).log.access, expected, "{written}");
    }
    for (written, said) in [
        ("al", "10:15: log.access: `al` is no choice; did you mean `all`?"),
        ("true", "10:15: log.access: is true or false; write one of all, errors, none"),
        ("{sampled: 0.1, sample: 1}", "10:30: log.access.sample: is an unknown key; did you mean `sampled`?"),
        ("{}", "10:7: log.access.sampled: is missing; write for example `sampled: 0.1`"),
        ("{sampled: 2}", "10:25: log.access.sampled: 2 is not between 0 and 1; write a share such as `0.1`"),
    ] {
        check(&format!("{GOOD}log: {{access: {written}}}\n"), &[said]);
    }
}
