//! What operators watch by: the rules of `config/prometheus/`, and the metric names in their expressions.

use crate::metrics::Scrape;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One recording or alerting rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The name of what it records.
    pub record: Option<String>,
    /// The name under which it alerts.
    pub alert: Option<String>,
    /// What it asks.
    pub expr: String,
    /// How long it must hold.
    #[serde(rename = "for")]
    pub lasting: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Rule {
    /// What it tells under this name; empty when it says nothing.
    #[must_use]
    pub fn annotation(&self, name: &str) -> &str {
        self.annotations.get(name).map_or("", String::as_str)
    }

    /// Whether it wakes somebody.
    #[must_use]
    pub fn severity(&self) -> &str {
        self.labels.get("severity").map_or("", String::as_str)
    }
}

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

/// `config/prometheus/`.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/prometheus")
}

/// Every rule of every file.
///
/// # Panics
/// When a file is not what Prometheus would take.
#[must_use]
pub fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for entry in fs::read_dir(folder().join("rules")).expect("there are rules").flatten() {
        let text = fs::read_to_string(entry.path()).expect("a file of rules");
        let file: File = serde_yaml::from_str(&text).expect("rules as Prometheus takes them");
        rules.extend(file.groups.into_iter().flat_map(|group| group.rules));
    }
    rules
}

/// The metric names in an expression: those of Aorta, of the process, of the rules, and Prometheus' own `up`.
#[must_use]
pub fn families(expression: &str) -> BTreeSet<String> {
    let quoted = expression.split('"').step_by(2);
    let words = quoted.flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c)));
    let is_name = |word: &&str| {
        word.contains(':') || word.starts_with("aorta_") || word.starts_with("process_") || *word == "up"
    };
    words.filter(is_name).map(str::to_owned).collect()
}

/// The names that a scrape of the proxy leaves in Prometheus, with what the rules record and Prometheus adds.
#[must_use]
pub fn exported(scrape: &Scrape) -> BTreeSet<String> {
    let scraped = scrape.series.iter().map(|series| series.name.clone());
    scraped.chain(rules().into_iter().filter_map(|rule| rule.record)).chain(["up".to_owned()]).collect()
}

/// The names in an expression that nobody exports.
#[must_use]
pub fn unknown(expression: &str, exported: &BTreeSet<String>) -> Vec<String> {
    families(expression).difference(exported).cloned().collect()
}

/// The label values that an expression looks for, and those that it leaves out: `(metric, label, value)`. What Prometheus
/// adds, what a reader chooses and what is any value are not among them.
#[must_use]
pub fn matched(expression: &str) -> Vec<(String, String, String)> {
    let mut matched = Vec::new();
    for (at, _) in expression.match_indices('{') {
        let name = expression[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c)).next();
        let inside = expression[at + 1..].split('}').next().unwrap_or_default();
        for matcher in inside.split("\",") {
            let Some((label, value)) = matcher.split_once("=").filter(|_| !matcher.is_empty()) else {
                continue;
            };
            let label = label.trim().trim_end_matches('!').to_owned();
            let values = value.trim_start_matches('~').trim().trim_matches('"');
            if ["instance", "job"].contains(&label.as_str()) || values.contains(['$', '*', '+']) {
                continue;
            }
            for value in values.split('|') {
                matched.push((name.unwrap_or_default().to_owned(), label.clone(), value.to_owned()));
            }
        }
    }
    matched
}

/// What an expression looks for, and no series of a scrape bears: a value that was renamed would silence it.
#[must_use]
pub fn unheld(expression: &str, scrape: &Scrape) -> Vec<(String, String, String)> {
    let is_unheld = |(name, label, value): &(String, String, String)| {
        scrape.has(name, &[]) && !scrape.has(name, &[(label, value)])
    };
    matched(expression).into_iter().filter(is_unheld).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matched_values_are_found_one_by_one() {
        let found = matched(
            r#"rate(aorta_x_total{pool=~"$pool", route=~".*", class=~"a|b", kind!="c"}[5m]) / up{job="aorta"} > aorta_y{le="2.5"}"#,
        );
        let found: Vec<_> =
            found.iter().map(|(name, label, value)| format!("{name} {label} {value}")).collect();
        let expected =
            ["aorta_x_total class a", "aorta_x_total class b", "aorta_x_total kind c", "aorta_y le 2.5"];
        assert_eq!(found, expected);
    }

    #[test]
    fn names_are_found_and_labels_are_not() {
        let names = families(
            r#"sum by (pool) (rate(aorta_x_total{pool="aorta_y", a=~"b|c"}[5m])) > r:aorta_z:rate5m"#,
        );
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["aorta_x_total", "r:aorta_z:rate5m"]);
    }
}
