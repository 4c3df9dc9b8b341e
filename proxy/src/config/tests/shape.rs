//! The shape of the file: syntax, unknown and duplicate keys, kinds of values, places.

use super::{GOOD, check, pool_with};

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    check(
        &pool_with("    timeouts: {conect: 2s, patience: 1s}\n"),
        &[
            "10:16: pools.records.timeouts.conect: is an unknown key; did you mean `connect`?",
            "10:28: pools.records.timeouts.patience: is an unknown key; known here: connect, attempt, request, idle",
        ],
    );
}

#[test]
fn a_key_of_a_later_version_is_unknown_now() {
    check(
        &pool_with("    drills: {}\n").replace("https:", "http:"),
        &[
            "10:5: pools.records.drills: is an unknown key; known here: balance, dialect, fhir, unwrap_envelope, \
             paging, reveal_upstream, compression, upstreams, passive_health, active_health, write_affinity, slow_start, \
             retry, hedge, timeouts, concurrency",
        ],
    );
}

#[test]
fn every_mistake_is_reported_at_once() {
    let yaml = "\
listeners:
  - address: 8080
    limits: {body_bytes: 10}
log: {level: loud}
routes:
  - name: ehr
    pool: recrods
    match: {methods: [get]}
pools:
  records:
    fhir: yes
    upstreams:
      - name: virginia
        url: ftp://virginia.fhir.example.org
        weight: 0
";
    check(
        yaml,
        &[
            "2:14: listeners[0].address: is a number; put it in quotes",
            "3:26: listeners[0].limits.body_bytes: 10 has no unit; write `10KiB` or, by default, `10MiB`",
            "4:14: log.level: `loud` is no choice; write one of error, warn, info, debug, trace",
            "7:11: routes[0].pool: there is no pool `recrods`; did you mean `records`?",
            "8:23: routes[0].match.methods[0]: `get` is no choice; did you mean `GET`?",
            "11:11: pools.records.fhir: is text; write `true` or `false`, without quotes",
            "14:14: pools.records.upstreams[0].url: has a scheme the proxy does not speak; \
             start it with `https://` or `http://`",
            "15:17: pools.records.upstreams[0].weight: 0 is out of bounds; write a whole number from 1 to 1000",
        ],
    );
}

#[test]
fn a_duplicate_key_is_a_mistake() {
    check(
        &pool_with("    fhir: true\n    fhir: false\n"),
        &["11:5: pools.records.fhir: stands twice, first in line 10; keep one of them"],
    );
    check(
        &format!("{GOOD}  records:\n    upstreams: [{{name: a, url: http://a.example.org}}]\n"),
        &["10:3: pools.records: stands twice, first in line 4; keep one of them"],
    );
    check(&format!("{GOOD}routes: []\n"), &["10:1: routes: stands twice, first in line 2; keep one of them"]);
}

#[test]
fn what_is_missing_is_reported_where_it_should_stand() {
    check(
        "admin: {}\n",
        &[
            "1:1: listeners: is missing; list at least one, with `address`",
            "1:1: pools: is missing; name at least one, with `upstreams`",
            "1:1: routes: is missing; list at least one, with `name` and `pool`",
        ],
    );
    check(
        "listeners: []\nroutes: [{name: ehr}]\npools: {a: {}, b: {upstreams: []}, c: }\n",
        &[
            "1:1: listeners: is empty; list at least one, with `address`",
            "2:11: routes[0].pool: is missing; write for example `pool: records`",
            "3:9: pools.a.upstreams: is missing; list at least one, with `name` and `url`",
            "3:20: pools.b.upstreams: is empty; list at least one, with `name` and `url`",
            "3:36: pools.c: is empty; remove the key, or indent its keys below it",
        ],
    );
}

#[test]
fn a_value_of_another_kind_is_a_mistake() {
    check(
        &GOOD.replace(
            "listeners: [{address: 127.0.0.1:8080}]",
            "listeners: {address: 127.0.0.1:8080}\nlog: [info]",
        ),
        &[
            "1:1: listeners: is a mapping; write a list, each item after `- `",
            "2:1: log: is a list; write a mapping: `key: value` lines, indented below it",
        ],
    );
    check(
        &GOOD.replace(
            "url: https://ohio.fhir.example.org/Server2",
            "url: {}\n        addresses: 192.0.2.1\n        weight: heavy",
        ),
        &[
            "9:9: pools.records.upstreams[1].url: is a mapping; write text such as \
             `https://virginia.fhir.example.org/Server1`",
            "10:20: pools.records.upstreams[1].addresses: is text; write a list: `[192.0.2.1:443]`",
            "11:17: pools.records.upstreams[1].weight: is text; write a whole number from 1 to 1000",
        ],
    );
    check("just words\n", &["1:1: the file is text; write a mapping: `key: value` lines, indented below it"]);
}

#[test]
fn a_syntax_error_gives_its_line() {
    check(
        "listeners:\n\t- address: 127.0.0.1:8080\n",
        &["2:1: this is no YAML (found character that cannot start any token); \
           indent with spaces, not tabs, and put text that starts with @ or ` in quotes"],
    );
    check(
        "listeners: [{address: 127.0.0.1:8080\nroutes: []\n",
        &[
            "2:7: this is no YAML (did not find expected ',' or '}'); close the bracket, and separate its items by commas",
        ],
    );
    check(
        "log:\n  level: info\n access: all\n",
        &["3:2: this is no YAML (did not find expected key); \
           line this key up with its neighbours and close every quote and bracket"],
    );
    check(
        "log: {level: \"info}\n",
        &["2:1: this is no YAML (found unexpected end of stream); close the quote that is still open"],
    );
    check(
        "log: *level\n",
        &["1:6: this is no YAML (unknown anchor); define the anchor with `&name` before `*name` uses it"],
    );
}

#[test]
fn a_file_that_is_empty_or_two_is_a_mistake() {
    let empty = "1:1: the file is empty; write at least `listeners`, `routes` and `pools`";
    check("", &[empty]);
    check("# nothing yet\n", &[empty]);
    check(
        &format!("{GOOD}---\n{GOOD}"),
        &[
            "1:1: the file holds more than one YAML document; keep one configuration in a file, without `---` between",
        ],
    );
}

#[test]
fn a_tag_has_no_meaning() {
    check(
        &pool_with("    fhir: !yes true\n"),
        &["10:11: a tag (`!name`) has no meaning here; remove the tag"],
    );
}

#[test]
fn an_alias_stands_for_its_anchor() {
    let yaml = pool_with(
        "    timeouts: &short {attempt: 1s}\n  images:\n    upstreams: [{name: a, url: http://a.example.org}]\n    timeouts: *short\n",
    );
    let config = super::good(&yaml);
    assert_eq!(config.pools[1].spec.timeouts.attempt.as_secs(), 1);
}
