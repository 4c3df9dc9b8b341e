//! What must fit together: names, addresses, routes, pools, buffers.

use super::{GOOD, check, good, pool_with};
use crate::config::access::Right;
use aorta_core::check::ActiveHealth;

#[test]
fn write_affinity_wants_a_data_domain() {
    check(
        &pool_with("    write_affinity: 10s\n"),
        &["10:21: pools.records.write_affinity: means nothing where no upstream names a data_domain; \
           name the `data_domain` of each upstream, or remove this key"],
    );
}

#[test]
fn a_name_is_given_once() {
    check(
        &GOOD.replace("name: ohio", "name: virginia").replace(
            "[{name: ehr, pool: records}]",
            "[{name: ehr, pool: records}, {name: ehr, pool: records, match: {host: a.org}}]",
        ),
        &[
            "2:45: routes[1].name: `ehr` is taken in line 2; give each its own name",
            "8:15: pools.records.upstreams[1].name: `virginia` is taken in line 6; give each its own name",
        ],
    );
}

#[test]
fn a_name_must_fit_a_metric_label_and_a_path() {
    check(
        &GOOD.replace("ehr", "\"a/b\\n\"").replace("name: ohio", "name: -x"),
        &[
            "2:17: routes[0].name: `a/b\\n` is no name; \
             write up to 64 letters, digits, `-`, `_` or `.`, a letter or digit first",
            "8:15: pools.records.upstreams[1].name: `-x` is no name; \
             write up to 64 letters, digits, `-`, `_` or `.`, a letter or digit first",
        ],
    );
}

#[test]
fn two_listeners_need_two_addresses() {
    check(
        &GOOD.replace(
            "[{address: 127.0.0.1:8080}]",
            "[{address: 127.0.0.1:8080}, {address: 0.0.0.0:8080}, {address: 127.0.0.1:9901}, {address: 127.0.0.1:0}]",
        ),
        &[
            "1:50: listeners[1].address: 0.0.0.0:8080 is taken by listeners[0].address; give each its own port",
            "1:75: listeners[2].address: 127.0.0.1:9901 is taken by admin.address; give each its own port",
            "1:102: listeners[3].address: port 0 would be another one at every start; write a port from 1 to 65535",
        ],
    );
}

#[test]
fn routes_that_cannot_be_told_apart_are_both_named() {
    check(
        &GOOD.replace(
            "[{name: ehr, pool: records}]",
            "\n  - {name: a, pool: records, match: {path_prefix: /x}}\n  - {name: b, pool: records, match: {path_prefix: /x/}}",
        ),
        &["4:30: routes[1].match: `b` takes requests that `a` (line 3) takes too; \
           make one more specific: by host, path_prefix, methods or headers"],
    );
}

#[test]
fn the_settings_of_a_route_stand_where_the_route_stands() {
    let config = good(&GOOD.replace(
        "[{name: ehr, pool: records}]",
        "[{name: all, pool: records}, {name: deep, pool: records, match: {path_prefix: /fhir/r4}, strip_prefix: /fhir/}]",
    ));
    let names: Vec<_> = config.routes.routes().iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["deep", "all"]);
    let stripped: Vec<_> = config.route_settings.iter().map(|route| route.strip_prefix.as_str()).collect();
    assert_eq!(stripped, ["/fhir", ""]);
}

#[test]
fn a_route_says_what_it_matches() {
    check(
        &GOOD.replace(
            "[{name: ehr, pool: records}]",
            "\n  - name: ehr\n    pool: imaging\n    strip_prefix: /fhir\n    \
             match: {host: 'https://a.org', path_prefix: fhir, methods: [GET, GET, TRACE], headers: {a b: x, x-a: 1, X-B: y, x-b: y}}",
        ),
        &[
            "4:11: routes[0].pool: there is no pool `imaging`; name one of records",
            "6:19: routes[0].match.host: `https://a.org` is no host; write a host name without scheme, port or path",
            "6:49: routes[0].match.path_prefix: does not start with `/`; write a path such as `/` or `/fhir`",
            "6:70: routes[0].match.methods[1]: `GET` stands twice; keep one of them",
            "6:75: routes[0].match.methods[2]: `TRACE` is no choice; \
             write one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            "6:93: routes[0].match.headers.`a b`: `a b` is no header name; write letters, digits and `-`",
            "6:106: routes[0].match.headers.x-a: is a number; \
             write the exact value as text, in quotes if it is a number",
            "6:117: routes[0].match.headers.x-b: stands twice, first in line 6 in other letters; keep one of them",
        ],
    );
    check(
        &GOOD.replace("pool: records}", "pool: records, strip_prefix: /fhir}"),
        &["2:51: routes[0].strip_prefix: `/fhir` is not how every path of this route starts; \
           set `match.path_prefix: /fhir` too"],
    );
}

#[test]
fn the_buffers_hold_what_one_request_may_take() {
    check(
        &format!("{}buffers: {{total: 1MiB}}\n", pool_with("    retry: {replay_body_max: 1MiB}\n")),
        &["11:18: buffers.total: is less than one request of pool `records` may take; \
           write 1088KiB (its replay_body_max and hold_max) or more"],
    );
}

#[test]
fn a_check_is_configured_when_its_block_stands() {
    assert!(good(GOOD).pools[0].check.is_none());
    let config = good(&pool_with("    active_health: {}\n"));
    let check_request = config.pools[0].check.clone().unwrap();
    assert_eq!((check_request.path.as_str(), &check_request.statuses[..]), ("/metadata", &[200..=299][..]));
    assert_eq!(config.pools[0].spec.active_health, Some(ActiveHealth::default()));
    check(
        &pool_with("    active_health: {path: 'metadata x'}\n"),
        &[
            "10:27: pools.records.active_health.path: does not start with `/`; write a path such as `/metadata`",
        ],
    );
}

#[test]
fn a_check_says_what_a_working_upstream_answers() {
    let config = good(&pool_with(
        "    active_health: {path: '/metadata?mode=full', status: [200, 203-204], header: {x-region: east}, \
         json: {resourceType: CapabilityStatement, rest.0.mode: server, experimental: false, n: 4}}\n",
    ));
    let check_request = config.pools[0].check.clone().unwrap();
    assert_eq!(check_request.statuses, [200..=200, 203..=204]);
    assert_eq!(check_request.headers.len(), 1);
    let members: Vec<_> =
        check_request.members.iter().map(|(path, value)| format!("{path}={value}")).collect();
    assert_eq!(
        members,
        ["resourceType=\"CapabilityStatement\"", "rest.0.mode=\"server\"", "experimental=false", "n=4"]
    );
    let config = good(&pool_with("    active_health: {interval: 1s}\n"));
    assert_eq!(config.pools[0].spec.active_health.unwrap().timeout.as_secs(), 1, "a default gives way");
}

#[test]
fn a_check_that_nothing_could_pass_is_a_mistake() {
    check(
        &pool_with(
            "    active_health: {timeout: 20s, status: [600, 2xx, true, 299-200], header: {x y: a}, \
             json: {a..b: 1, c: 1.5, d: [x]}, fall: 0}\n",
        ),
        &[
            "10:30: pools.records.active_health.timeout: 20s is longer than interval (10s); write less, or raise interval",
            "10:44: pools.records.active_health.status: 600 is out of bounds; \
             write a status from 200 to 499, or a range such as `200-299`",
            "10:49: pools.records.active_health.status: `2xx` is no status; \
             write a status from 200 to 499, or a range such as `200-299`",
            "10:54: pools.records.active_health.status: is true or false; \
             write a status from 200 to 499, or a range such as `200-299`",
            "10:60: pools.records.active_health.status: `299-200` is no status; \
             write a status from 200 to 499, or a range such as `200-299`",
            "10:79: pools.records.active_health.header.`x y`: `x y` is no header name; write letters, digits and `-`",
            "10:95: pools.records.active_health.json.a..b: is no path of a member; \
             write names with a dot between, such as `software.name`",
            "10:107: pools.records.active_health.json.c: is a number; write text, a whole number, true or false",
            "10:112: pools.records.active_health.json.d: is a list; write text, a whole number, true or false",
            "10:127: pools.records.active_health.fall: 0 is out of bounds; write a whole number from 1 to 100",
        ],
    );
}

#[test]
fn hedging_wants_a_time_that_an_attempt_has_and_a_second_attempt() {
    for (hedge, complaint) in [
        (
            "{after: p50}",
            "10:20: pools.records.hedge.after: `p50` is neither `p95` nor a time; write `p95`, or a time such as `200ms`",
        ),
        (
            "{after: 0ms}",
            "10:20: pools.records.hedge.after: `0ms` is neither `p95` nor a time; write `p95`, or a time such as `200ms`",
        ),
        (
            "{after: 10s}",
            "10:20: pools.records.hedge.after: 10s is not before an attempt ends (10s); write less than timeouts.attempt",
        ),
    ] {
        check(&pool_with(&format!("    hedge: {hedge}\n")), &[complaint]);
    }
    check(
        &pool_with("    hedge: {enabled: true}\n    retry: {attempts_max: 1}\n"),
        &["10:22: pools.records.hedge.enabled: needs a second attempt, and retry.attempts_max is 1; \
           raise retry.attempts_max, or write `false`"],
    );
}

#[test]
fn hedging_is_off_unless_asked_for_and_waits_for_what_is_written() {
    use aorta_core::hedge::{HedgeAfter, HedgePolicy};
    use std::time::Duration;
    let policy = |more: &str| good(&pool_with(more)).pools[0].spec.hedge;
    assert_eq!(policy(""), HedgePolicy::default());
    let on = policy("    hedge: {enabled: true, after: 200ms, after_min: 5ms, budget_percent: 10}\n");
    assert_eq!((on.enabled, on.after), (true, HedgeAfter::Fixed(Duration::from_millis(200))));
    assert_eq!((on.after_min, on.budget.get()), (Duration::from_millis(5), 0.1));
}

#[test]
fn an_admin_port_that_others_reach_wants_tokens_or_only_probes() {
    let with = |admin: &str| format!("admin: {admin}\n{GOOD}");
    let open = "1:18: admin.address: 0.0.0.0:9901 is open to other machines, and nobody needs a token; \
                list `tokens`, write `remote: probes` if others only probe and scrape it, or `address: 127.0.0.1:9901`";
    check(&with("{address: 0.0.0.0:9901}"), &[open]);
    check(&with("{address: 0.0.0.0:9901, remote: probes}"), &[]);
    check(&with("{address: 0.0.0.0:9901, tokens: [{name: ops, secret: {env: TOKEN}}]}"), &[]);
    check(&with("{address: \"[::1]:9901\"}"), &[]);
}

#[test]
fn a_token_has_a_name_of_its_own_and_cannot_be_guessed() {
    let with = |tokens: &str| format!("admin: {{tokens: [{tokens}]}}\n{GOOD}");
    let good = "{name: ops, right: write, secret: {env: TOKEN}}";
    let access = super::good(&with(good)).access;
    assert_eq!((access.tokens[0].name.as_str(), access.tokens[0].right), ("ops", Right::Write));
    assert!(access.tokens[0].secret.is(b"s3cr3t-0123456789"));
    assert!(!format!("{access:?}").contains("s3cr3t"), "{access:?}");
    check(
        &with("{name: ops, secret: {env: KEY}}, {name: a b, secret: no-secret-at-all}, {name: c}"),
        &[
            "1:30: admin.tokens[0].secret: is short enough to be guessed; \
             put at least 16 characters there, for example from `openssl rand -hex 32`",
            "1:58: admin.tokens[1].name: `a b` is no name; \
             write up to 64 letters, digits, `-`, `_` or `.`, a letter or digit first",
            "1:71: admin.tokens[1].secret: holds a secret in plain sight; write `{env: VARIABLE}` or `{file: PATH}`",
            "1:91: admin.tokens[2].secret: is missing; write `{env: VARIABLE}` or `{file: PATH}`",
        ],
    );
    check(
        &with(&format!("{good}, {good}, {{name: loopback, secret: {{env: TOKEN}}}}")),
        &[
            "1:74: admin.tokens[1].name: `ops` is taken in line 1; give each its own name",
            "1:123: admin.tokens[2].name: `loopback` is what the proxy calls who needs no token; write another name",
        ],
    );
}
