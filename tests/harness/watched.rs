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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_labels_are_not() {
        let names = families(
            r#"sum by (pool) (rate(aorta_x_total{pool="aorta_y", a=~"b|c"}[5m])) > r:aorta_z:rate5m"#,
        );
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["aorta_x_total", "r:aorta_z:rate5m"]);
    }
}
