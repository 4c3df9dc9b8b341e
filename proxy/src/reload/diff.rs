//! What a reload would do: `aorta-proxy check --config F --diff ADMIN_URL`. It compares prints of keys, so neither side
//! shows what a key is set to.

use crate::config::{Config, Difference};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// What would be otherwise, a line for each.
#[derive(Debug)]
pub struct Preview {
    lines: Vec<String>,
}

impl Preview {
    /// Nothing would.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return writeln!(f, "nothing changes");
        }
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Compares a candidate with what `GET /api/config` and `GET /api/pools` say of the running proxy; none when that says
/// no settings.
#[must_use]
pub fn preview(candidate: &Config, running: &Value, pools: &Value) -> Option<Preview> {
    let print = |value: &Value| u64::from_str_radix(value.as_str()?, 16).ok();
    let settings = running["settings"].as_object()?;
    let settings = settings.iter().map(|(key, value)| Some((key.clone(), print(value)?)));
    let settings: BTreeMap<_, _> = settings.collect::<Option<_>>()?;
    let differences = candidate.settings.differ_from(&settings);
    let mut changed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut lines = Vec::new();
    for difference in &differences {
        let (of, rest) = split(difference.key());
        match difference {
            Difference::Appears(key) if rest.is_empty() => {
                lines.push(format!("+ {key}: {}{}", appears(key), waits(candidate, key)));
            }
            Difference::Vanishes(key) if rest.is_empty() => {
                lines.push(format!("- {key}: {}{}", vanishes(key), waits(candidate, key)));
            }
            _ => {
                let mut said = rest.to_owned();
                if waits_for_restart(candidate, difference.key()) {
                    said.push_str(" (waits for a restart)");
                }
                changed.entry(of.to_owned()).or_default().push(said);
            }
        }
    }
    for (of, keys) in changed {
        lines.push(format!("~ {of}: {}{}", keys.join(", "), keeps(&of, &keys, pools)));
    }
    Some(Preview { lines })
}

/// What an operator calls one thing, and the key in it.
fn split(key: &str) -> (&str, &str) {
    let end = match key.rfind(']') {
        Some(bracket) if !key[bracket..].contains('[') && is_item(&key[..=bracket]) => bracket + 1,
        _ if key.starts_with("pools.") => {
            let after = "pools.".len();
            key[after..].find('.').map_or(key.len(), |dot| after + dot)
        }
        _ => key.find('.').unwrap_or(key.len()),
    };
    let (of, rest) = key.split_at(end);
    (of, rest.trim_start_matches('.'))
}

fn is_item(key: &str) -> bool {
    key.starts_with("routes[") || key.starts_with("listeners[") || key.contains(".upstreams[")
}

fn is_upstream(key: &str) -> bool {
    key.contains(".upstreams[") && key.ends_with(']')
}

fn appears(key: &str) -> &'static str {
    match () {
        () if is_upstream(key) => "comes; it is healthy and at its whole weight at once",
        () if key.starts_with("pools.") => "comes with all its upstreams healthy",
        () => "comes",
    }
}

fn vanishes(key: &str) -> &'static str {
    match () {
        () if is_upstream(key) => "goes; what is in flight finishes, its health and its series are forgotten",
        () if key.starts_with("pools.") => "goes; what is in flight finishes, its state is forgotten",
        () => "goes",
    }
}

fn waits(candidate: &Config, key: &str) -> &'static str {
    if waits_for_restart(candidate, key) { "; waits for a restart" } else { "" }
}

/// What is gone has no key in the candidate; of those only a listener or its TLS waits.
fn waits_for_restart(candidate: &Config, key: &str) -> bool {
    candidate.settings.waits(key).unwrap_or_else(|| key.starts_with("listeners") || key.starts_with("traces"))
}

/// What an upstream or a pool has that stays.
fn keeps(of: &str, keys: &[String], pools: &Value) -> String {
    let Some(rest) = of.strip_prefix("pools.") else { return String::new() };
    let (pool, upstream) = match rest.split_once(".upstreams[") {
        Some((pool, upstream)) => (pool, upstream.strip_suffix(']')),
        None => (rest, None),
    };
    let Some(held) = named(&pools["pools"], pool) else { return String::new() };
    let mut said = String::new();
    match upstream.and_then(|name| named(&held["upstreams"], name)) {
        Some(upstream) => {
            let state = upstream["state"].as_str().unwrap_or("as it is");
            let _ = write!(said, "; keeps its health ({state})");
            let moves = ["url", "addresses", "tls"];
            let moved = keys.iter().any(|key| moves.iter().any(|word| key.split('.').next() == Some(*word)));
            said.push_str(if moved { ", connects anew" } else { ", its connections" });
            let _ = write!(said, " and {} in flight", upstream["in_flight"].as_u64().unwrap_or_default());
        }
        None if upstream.is_none() => {
            said.push_str("; keeps its budgets, its queue and the health of its upstreams")
        }
        None => {}
    }
    said
}

fn named<'v>(list: &'v Value, name: &str) -> Option<&'v Value> {
    list.as_array()?.iter().find(|item| item["name"] == name)
}
