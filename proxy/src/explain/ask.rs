//! `aorta-proxy explain`: asks the admin port of the running proxy.

use crate::admin_client::{self, Door};
use crate::config::Config;
use serde_json::Value;
use std::fmt::Write as _;
use std::io;

/// What is asked about.
#[derive(Clone, Debug)]
pub enum About {
    /// A pool.
    Pool(String),
    /// An upstream of a pool.
    Upstream(String, String),
    /// A request, by its `x-request-id`.
    Request(String),
}

impl About {
    fn path(&self) -> String {
        match self {
            Self::Pool(pool) => format!("/api/explain/pools/{pool}"),
            Self::Upstream(pool, upstream) => format!("/api/explain/pools/{pool}/upstreams/{upstream}"),
            Self::Request(id) => format!("/api/explain/requests/{id}"),
        }
    }

    /// Every part is a word that needs no escape.
    fn is_plain(&self) -> bool {
        let plain = |word: &String| {
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !word.is_empty() && word.chars().all(good)
        };
        match self {
            Self::Pool(word) | Self::Request(word) => plain(word),
            Self::Upstream(pool, upstream) => plain(pool) && plain(upstream),
        }
    }
}

/// Asks the proxy that runs with this configuration; none when it has nothing to say about it.
///
/// # Errors
/// When it cannot be reached, or does not answer as it should.
pub fn ask(config: &Config, about: &About) -> io::Result<Option<Value>> {
    if !about.is_plain() {
        return Ok(None);
    }
    let said = admin_client::get(&Door::of(config), &about.path())?;
    match said.status {
        200 => serde_json::from_str(&said.body).map(Some).map_err(io::Error::from),
        404 => Ok(None),
        _ => Err(io::Error::new(io::ErrorKind::PermissionDenied, said.body.trim_end().to_owned())),
    }
}

/// For people: one line for each thing, what belongs to it indented below.
#[must_use]
pub fn show(value: &Value) -> String {
    let mut text = String::new();
    write_below(&mut text, value, 0);
    text
}

fn write_below(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(_, value)| !is_nothing(value)) {
                if let Some(line) = in_a_line(value) {
                    let _ = writeln!(text, "{indent}{key}: {line}");
                } else {
                    let _ = writeln!(text, "{indent}{key}:");
                    write_below(text, value, depth + 1);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                match in_a_line(item) {
                    Some(line) => {
                        let _ = writeln!(text, "{indent}- {line}");
                    }
                    None => {
                        let _ = writeln!(text, "{indent}-");
                        write_below(text, item, depth + 1);
                    }
                }
            }
        }
        other => {
            let _ = writeln!(text, "{indent}{}", scalar(other));
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// What fits on a line: a scalar, or a small mapping that holds nothing but scalars and such.
fn in_a_line(value: &Value) -> Option<String> {
    match value {
        Value::Array(_) => None,
        Value::Object(map) => {
            let part = |(key, value): (&String, &Value)| match value {
                Value::Object(inner) if inner.contains_key("unix") => {
                    let distance = inner.iter().find(|(key, _)| *key != "unix")?;
                    Some(format!("{key} {} {}", distance.1, distance.0.replace('_', " ")))
                }
                Value::Object(_) | Value::Array(_) => None,
                value => Some(format!("{key} {}", scalar(value))),
            };
            let parts = map.iter().filter(|(_, value)| !is_nothing(value)).map(part);
            parts.collect::<Option<Vec<_>>>().filter(|parts| parts.len() <= 6).map(|parts| parts.join(", "))
        }
        value => Some(scalar(value)),
    }
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_explanation_is_lines_for_people() {
        let value = json!({
            "state": "ejected",
            "until": null,
            "since": {"unix": 1.5, "seconds_ago": 3.5},
            "recent": [{"at": {"unix": 1.0, "seconds_ago": 4.0}, "class": "timed_out"}],
            "deep": {"inner": {"low": 1}, "list": [1]},
        });
        let expected = "state: ejected\nsince: unix 1.5, seconds_ago 3.5\nrecent:\n  \
                        - at 4.0 seconds ago, class timed_out\ndeep:\n  inner: low 1\n  list:\n    - 1\n";
        assert_eq!(show(&value), expected);
    }

    #[test]
    fn what_is_no_plain_name_is_not_asked_for() {
        for word in ["", "a/b", "a b", "a?b", "a\r\nb"] {
            assert!(!About::Request(word.to_owned()).is_plain(), "{word:?}");
        }
        assert!(About::Upstream("records".to_owned(), "us-east.1".to_owned()).is_plain());
    }
}
