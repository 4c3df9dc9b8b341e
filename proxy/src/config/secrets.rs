//! What nobody may see, header values above all: read from a file or the environment, never written in the
//! configuration, and marked so that no `Debug` shows it.

use super::access::Secret;
use super::block::{Block, Text, entries, join};
use super::outside::Outside;
use super::problem::{Report, quoted};
use super::raw::{Node, Value};
use super::resolve::header_names;
use http::{HeaderName, HeaderValue};

/// What the proxy writes itself, or must not let stand between it and the upstream.
static OWN: [&str; 18] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "proxy-connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "accept-encoding",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-request-id",
    "x-request-deadline",
    "traceparent",
    "tracestate",
];

/// The headers at a key, each with its value read; all values are marked sensitive.
pub(super) fn headers(block: &Block<'_>, key: &str, outside: &Outside<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (written, name, node) in header_names(block, key) {
        let report = block.report();
        if OWN.contains(&name.as_str()) {
            report.add(written.at, &written.path, "is a header the proxy sets itself", "remove it");
        } else if let Some(mut value) = value(&written, &name, node, report, outside) {
            value.set_sensitive(true);
            headers.push((name, value));
        }
    }
    headers
}

/// A token at a key, read; none after a mistake.
pub(super) fn token(block: &Block<'_>, key: &str, outside: &Outside<'_>) -> Option<Secret> {
    let secret = secret(block, key, outside)?;
    if secret.expose().len() < TOKEN_MIN {
        let right =
            format!("put at least {TOKEN_MIN} characters there, for example from `openssl rand -hex 32`");
        block.problem(key, "is short enough to be guessed", right);
        return None;
    }
    Some(secret)
}

/// 64 bits, if they were drawn by lot and written as hexadecimal digits.
const TOKEN_MIN: usize = 16;

/// The secret at a key; none when it is absent, or after a mistake.
pub(super) fn secret(block: &Block<'_>, key: &str, outside: &Outside<'_>) -> Option<Secret> {
    let (written, node) = block.secret_entry(key)?;
    let what = match &node.value {
        Value::Map(_) => {
            return bytes(&written, node, block.report(), outside).map(|(bytes, ..)| Secret::new(&bytes));
        }
        Value::Text(_) => "holds a secret in plain sight".to_owned(),
        other => format!("is {}", other.what()),
    };
    block.problem(key, what, SHAPE);
    None
}

fn value(
    written: &Text<'_>,
    name: &HeaderName,
    node: &Node,
    report: &Report,
    outside: &Outside<'_>,
) -> Option<HeaderValue> {
    match &node.value {
        Value::Text(_) if is_secret(name) => {
            report.add(node.at, &written.path, "holds a secret in plain sight", SHAPE);
            None
        }
        Value::Text(text) => header_value(text.as_bytes()).or_else(|| {
            report.add(node.at, &written.path, "is no header value", "write visible ASCII characters");
            None
        }),
        Value::Map(_) => header_secret(written, node, report, outside),
        Value::Integer(_) | Value::Number(_) | Value::Flag(_) if !is_secret(name) => {
            report.add(node.at, &written.path, format!("is {}", node.value.what()), "put it in quotes");
            None
        }
        other => {
            report.add(node.at, &written.path, format!("is {}", other.what()), SHAPE);
            None
        }
    }
}

const SHAPE: &str = "write `{env: VARIABLE}` or `{file: PATH}`";

fn header_secret(
    written: &Text<'_>,
    node: &Node,
    report: &Report,
    outside: &Outside<'_>,
) -> Option<HeaderValue> {
    let (bytes, path, source) = bytes(written, node, report, outside)?;
    header_value(&bytes).or_else(|| {
        let wrong = format!("{source} holds what no header can carry");
        report.add(node.at, &path, wrong, "put one line of visible ASCII there");
        None
    })
}

/// What the source holds, with the full key that names the source and the source's own name.
fn bytes(
    written: &Text<'_>,
    node: &Node,
    report: &Report,
    outside: &Outside<'_>,
) -> Option<(Vec<u8>, String, String)> {
    let [entry] = entries(node, &written.path, report) else {
        report.add(node.at, &written.path, "needs one source", SHAPE);
        return None;
    };
    let path = join(&written.path, &entry.key);
    let from = match (entry.key.as_str(), &entry.node.value) {
        ("env", Value::Text(variable)) => from_environment(variable, outside),
        ("file", Value::Text(file)) => from_file(file, outside),
        ("env" | "file", other) => Err((format!("is {}", other.what()), "write a name as text")),
        _ => Err(("is no source of secrets".to_owned(), SHAPE)),
    };
    let read = from.map_err(|(wrong, right)| report.add(entry.node.at, &path, wrong, right)).ok();
    read.map(|(bytes, source)| (bytes, path, source))
}

type Wrong = (String, &'static str);

fn from_environment(variable: &str, outside: &Outside<'_>) -> Result<(Vec<u8>, String), Wrong> {
    match (outside.variable)(variable) {
        None => Err((
            format!("the environment has no {}", quoted(variable)),
            "set it for the proxy's process, or use `{file: PATH}`",
        )),
        Some(value) => trimmed(value.as_bytes(), quoted(variable)),
    }
}

fn from_file(file: &str, outside: &Outside<'_>) -> Result<(Vec<u8>, String), Wrong> {
    match outside.read(file) {
        Err(error) => {
            Err((format!("{} cannot be read ({error})", quoted(file)), "name a file the proxy may read"))
        }
        Ok(bytes) => trimmed(&bytes, quoted(file)),
    }
}

/// Editors end a file with a line break that is no part of the secret.
fn trimmed(bytes: &[u8], source: String) -> Result<(Vec<u8>, String), Wrong> {
    match bytes.trim_ascii() {
        [] => Err((format!("{source} is empty"), "put the secret there")),
        trimmed => Ok((trimmed.to_vec(), source)),
    }
}

fn header_value(bytes: &[u8]) -> Option<HeaderValue> {
    let visible = bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    if visible { HeaderValue::from_bytes(bytes.trim_ascii()).ok() } else { None }
}

/// The name promises a credential.
fn is_secret(name: &HeaderName) -> bool {
    let known = ["authorization", "proxy-authorization", "cookie"].contains(&name.as_str());
    known
        || ["key", "token", "secret", "password", "auth", "credential"]
            .iter()
            .any(|word| name.as_str().contains(word))
}
