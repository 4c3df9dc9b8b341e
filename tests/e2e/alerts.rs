//! The files of `config/prometheus/`: rules that promtool takes, that fire in their trouble and on no good day, that ask for
//! what the proxy exports, and whose runbooks are there.

use crate::world::World;
use harness::authority::Authority;
use harness::prometheus::{promtool, said};
use harness::setup::Setup;
use harness::upstream::Speech;
use harness::watched::{Rule, exported, families, folder, matched, rules, unheld, unknown};
use serde_yaml::Value;
use std::collections::BTreeSet;
use std::fs;

fn alerts() -> Vec<(String, Rule)> {
    rules().into_iter().filter_map(|rule| Some((rule.alert.clone()?, rule))).collect()
}

fn must_succeed(arguments: &[&str]) {
    let output = promtool(&folder(), arguments, "");
    assert!(output.status.success(), "promtool {arguments:?} in {}:\n{}", folder().display(), said(&output));
}

/// The alerts that a test file of promtool expects: `(name, fires)`.
fn expected(file: &str) -> Vec<(String, bool)> {
    let text = fs::read_to_string(folder().join("tests").join(file)).unwrap();
    let tests: Value = serde_yaml::from_str(&text).unwrap();
    let tests = tests["tests"].as_sequence().unwrap().iter();
    let checks = tests.flat_map(|test| test["alert_rule_test"].as_sequence().unwrap());
    let fires = |check: &Value| check["exp_alerts"].as_sequence().is_some_and(|alerts| !alerts.is_empty());
    checks.map(|check| (check["alertname"].as_str().unwrap().to_owned(), fires(check))).collect()
}

#[test]
fn prometheus_takes_the_configuration_and_the_rules() {
    must_succeed(&["check", "config", "prometheus.yml"]);
}

#[test]
fn each_alert_fires_in_its_trouble_and_on_no_good_day() {
    must_succeed(&["test", "rules", "tests/slo.yaml", "tests/causes.yaml", "tests/healthy.yaml"]);
    let troubles: Vec<_> = ["slo.yaml", "causes.yaml"].into_iter().flat_map(expected).collect();
    let good_day = expected("healthy.yaml");
    for (name, _) in alerts() {
        assert!(troubles.contains(&(name.clone(), true)), "no test lets {name} fire");
        assert!(good_day.contains(&(name.clone(), false)), "no test shows that {name} stays silent");
    }
}

/// The series of a test file of promtool, as they are written there.
fn series(file: &str) -> Vec<String> {
    let text = fs::read_to_string(folder().join("tests").join(file)).unwrap();
    let tests: Value = serde_yaml::from_str(&text).unwrap();
    let tests = tests["tests"].as_sequence().unwrap().iter();
    let series = tests.flat_map(|test| test["input_series"].as_sequence().unwrap());
    series.map(|series| series["series"].as_str().unwrap().to_owned()).collect()
}

/// An alert that asks for what the good day lacks would be silent on it whatever it says.
#[test]
fn the_good_day_has_what_every_alert_asks_for() {
    let series = series("healthy.yaml");
    let rules = rules();
    for (name, rule) in alerts() {
        let records = rules.iter().filter(|other| {
            other.record.as_ref().is_some_and(|record| families(&rule.expr).contains(record))
        });
        for expr in records.map(|record| &record.expr).chain([&rule.expr]) {
            for family in families(expr).iter().filter(|family| !family.contains(':')) {
                let stands = series.iter().any(|series| series.starts_with(&format!("{family}{{")));
                assert!(stands, "{name} asks for {family}, which the good day lacks");
            }
            for (family, label, value) in matched(expr) {
                let bears = format!("{label}=\"{value}\"");
                let stands =
                    series.iter().any(|series| series.starts_with(&family) && series.contains(&bears));
                assert!(stands, "{name} asks for {family} with {bears}, which the good day lacks");
            }
        }
    }
}

#[test]
fn a_drill_silences_what_it_is_meant_to_cause_and_pages_when_it_hurts() {
    must_succeed(&["test", "rules", "tests/drills.yaml"]);
    let expected = expected("drills.yaml");
    for (name, rule) in alerts() {
        let says = rule.annotation("drill").contains("aorta_drill_active");
        assert!(!says || rule.severity() == "page", "{name}");
        if rule.expr.contains("aorta_drill_active") && name != "AortaDrillOverdue" {
            assert_eq!(rule.severity(), "ticket", "{name}: no page is silenced");
            for fires in [false, true] {
                assert!(expected.contains(&(name.clone(), fires)), "no test of {name} in a drill: {fires}");
            }
        }
    }
}

#[test]
fn every_alert_has_its_runbook_and_every_runbook_its_alert() {
    let text = fs::read_to_string(folder().join("runbooks.md")).unwrap();
    let runbooks: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts();
    let names: BTreeSet<_> = alerts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(runbooks, names);
    for (name, rule) in &alerts {
        let anchor = format!("#{}", name.to_lowercase());
        assert!(
            rule.annotation("runbook_url").ends_with(&anchor),
            "{name}: {}",
            rule.annotation("runbook_url")
        );
        assert!(matches!(rule.severity(), "page" | "ticket"), "{name}: {}", rule.severity());
        assert!(
            !rule.annotation("summary").is_empty() && !rule.annotation("description").is_empty(),
            "{name}"
        );
    }
    for link in text.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(names.iter().any(|name| name.to_lowercase() == link), "#{link} leads nowhere");
    }
}

#[test]
fn every_alert_of_a_pool_or_an_upstream_links_to_its_explanation() {
    let is_of = |rule: &Rule, label: &str| {
        let said = format!("{}{}", rule.annotation("summary"), rule.annotation("description"));
        said.contains(&format!("$labels.{label}"))
    };
    let (pool, upstream) = ("/api/explain/pools/{{ $labels.pool }}", "/upstreams/{{ $labels.upstream }}");
    let mut linked = 0;
    for (name, rule) in alerts() {
        let path = match () {
            () if is_of(&rule, "upstream") => format!("{pool}{upstream}"),
            () if is_of(&rule, "pool") => pool.to_owned(),
            () => continue,
        };
        let link = rule.annotation("explain");
        assert!(link.starts_with("http://{{ ") && link.ends_with(&path), "{name}: {link}");
        linked += 1;
    }
    assert!(linked > 10, "{linked}");
}

#[tokio::test]
async fn rules_ask_for_what_the_proxy_exports() {
    // With TLS, because only a certificate has an end; with a store, because only what is there can be gone.
    let setup = |setup: Setup, authority: &Authority| {
        let files = authority.files("aorta.test");
        let secret = files.private_key.display();
        let store = format!("{{address: \"127.0.0.1:1\", secret: {{file: {secret}}}}}");
        let audit = format!("{{file: {}}}", files.certificate.with_file_name("audit.jsonl").display());
        setup.tls(&files).top("quota_store", &store).top("audit", &audit)
    };
    let world = World::with(Speech::Plain, setup).await;
    let scrape = world.proxy.metrics();
    let exported = exported(&scrape);
    for rule in rules() {
        assert!(!families(&rule.expr).is_empty(), "it asks for nothing: {}", rule.expr);
        let unknown = unknown(&rule.expr, &exported);
        assert!(unknown.is_empty(), "{unknown:?} in {}", rule.expr);
        let unheld = unheld(&rule.expr, &scrape);
        assert!(unheld.is_empty(), "no series can bear {unheld:?} in {}", rule.expr);
    }
}
