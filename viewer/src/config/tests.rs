//! The configuration's promises.

mod reference;

use super::*;

fn problems(text: &str) -> Vec<String> {
    match parse("viewer.yaml", text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn an_empty_file_is_the_default() {
    for text in ["", "# nothing\n", "---\n"] {
        let config = parse("viewer.yaml", text).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8088");
        assert_eq!(config.record.to_string(), "http://127.0.0.1:8080/");
        assert_eq!(config.title, "Centralised Medical Data");
        assert_eq!(config.proxy_timeout, Duration::from_secs(35));
        assert_eq!(config.limits.answer_bytes, 6 << 20);
    }
}

#[test]
fn the_shipped_file_says_the_defaults() {
    let shipped = parse("viewer.yaml", include_str!("../../../config/viewer.yaml")).unwrap();
    assert_eq!(format!("{shipped:?}"), format!("{:?}", parse("", "").unwrap()));
}

#[test]
fn the_record_is_joined_to_the_proxys_base_path() {
    let config =
        parse("", "proxy: {url: \"http://localhost:1/fhir/\"}\nrecord: /Patient/P123456?_pretty=true\n")
            .unwrap();
    assert_eq!(config.record.to_string(), "http://localhost:1/fhir/Patient/P123456?_pretty=true");
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let found = problems("listen: 127.0.0.1:1\nproxy:\n  timeot: 1s\n");
    assert_eq!(
        found,
        [
            "viewer.yaml:3:3: proxy.timeot: is no key of the viewer; did you mean \"timeout\"? Known here: url, timeout"
        ]
    );
}

#[test]
fn every_problem_is_reported_at_once_where_it_is() {
    let text = "listen: nowhere\nproxy: {url: https://a.example.org, timeout: 35}\nrecord: Patient\n\
                limits:\n  connections: 0\n  answer_bytes: 6MB\nlog: loud\ntitle: ''\nhosts: [\"a b\"]\n";
    let found = problems(text);
    let places: Vec<&str> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
    let expected = ["1:9", "2:14", "2:46", "3:9", "5:16", "6:17", "7:6", "8:8", "9:8"];
    assert_eq!(places, expected.map(|place| format!("viewer.yaml:{place}")), "{found:#?}");
}

#[test]
fn a_key_that_stands_twice_is_refused_at_its_second_place() {
    let found = problems("log: info\ntitle: A\nlog: warn\n");
    assert_eq!(found, ["viewer.yaml:3:1: log: stands twice; keep one of them"]);
}

#[test]
fn broken_yaml_is_one_problem_with_its_place() {
    for text in ["listen: [\n", "a: b: c\n", "listen: !tag x\n", "\t- x", "- 1\n", "just words"] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("viewer.yaml:"), "{found:?}");
    }
}

#[test]
fn the_fetch_must_be_shorter_than_the_request_around_it() {
    let found = problems("proxy: {timeout: 50s}\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("viewer.yaml:1:18: proxy.timeout: 50s is not shorter"), "{found:?}");
}

#[test]
fn a_wrong_type_is_named_and_never_panics() {
    for key in ["listen", "hosts", "proxy", "record", "title", "log", "limits"] {
        for value in ["{a: 1}", "[[1]]", "1.5", "true", "-1", "\"\\u0000\"", "18446744073709551616"] {
            assert!(!problems(&format!("{key}: {value}\n")).is_empty() || key == "title", "{key}: {value}");
        }
    }
}
