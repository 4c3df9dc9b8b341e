//! What the proxy tells of single requests: its access lines as values.

use serde_json::Value;

/// The access lines among the values on a program's standard output.
#[must_use]
pub fn access(values: Vec<Value>) -> Vec<Value> {
    values.into_iter().filter(|line| line["kind"] == "access").collect()
}

/// The names of the upstreams that an access line says were asked, in order.
#[must_use]
pub fn asked(line: &Value) -> Vec<String> {
    let attempts = line["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    attempts.iter().filter_map(|attempt| attempt["upstream"].as_str()).map(str::to_owned).collect()
}

/// What became of each attempt of an access line, in order.
#[must_use]
pub fn classes(line: &Value) -> Vec<String> {
    let attempts = line["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    attempts.iter().filter_map(|attempt| attempt["class"].as_str()).map(str::to_owned).collect()
}
