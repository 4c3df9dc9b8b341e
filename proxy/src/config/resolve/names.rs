//! Names: of routes, pools and upstreams, which become metric labels and paths; of headers; of hosts.

use crate::config::block::{Block, Text};
use crate::config::problem::{Report, quoted};
use crate::config::raw::{Node, Value};
use http::{HeaderName, HeaderValue};
use std::collections::HashMap;
use std::net::IpAddr;

const NAME_MAX: usize = 64;

/// A name that is safe as a metric label and in an admin path; reported when it is not.
pub(super) fn check_name(name: &Text<'_>, report: &Report) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let starts = name.text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let good = starts && name.text.len() <= NAME_MAX && name.text.chars().all(plain);
    if !good {
        let right =
            format!("write up to {NAME_MAX} letters, digits, `-`, `_` or `.`, a letter or digit first");
        report.add(name.at, &name.path, format!("{} is no name", quoted(name.text)), right);
    }
    good
}

/// Names and the lines that gave them.
pub(super) type Taken<'a> = HashMap<&'a str, usize>;

/// The name at a key of a block; none after a mistake, the same name earlier in `taken` among them.
pub(super) fn unique_name<'a>(block: &Block<'a>, key: &str, taken: &mut Taken<'a>) -> Option<&'a str> {
    let name = block.text(key)?;
    if !check_name(&name, block.report()) {
        return None;
    }
    if let Some(line) = taken.get(name.text) {
        let wrong = format!("{} is taken in line {line}", quoted(name.text));
        block.problem(key, wrong, "give each its own name");
        return None;
    }
    taken.insert(name.text, name.at.line);
    Some(name.text)
}

/// The headers at a key with their good names; one name in two spellings is a mistake.
pub(in crate::config) fn header_names<'a>(
    block: &Block<'a>,
    key: &str,
) -> Vec<(Text<'a>, HeaderName, &'a Node)> {
    let mut headers: Vec<(Text<'a>, HeaderName, &'a Node)> = Vec::new();
    for (written, node) in block.header_entries(key) {
        let report = block.report();
        let Ok(name) = HeaderName::from_bytes(written.text.as_bytes()) else {
            let wrong = format!("{} is no header name", quoted(written.text));
            report.add(written.at, &written.path, wrong, "write letters, digits and `-`");
            continue;
        };
        match headers.iter().find(|(_, other, _)| *other == name) {
            // The reader has reported the same spelling.
            Some((first, ..)) if first.text == written.text => {}
            Some((first, ..)) => {
                let wrong = format!("stands twice, first in line {} in other letters", first.at.line);
                report.add(written.at, &written.path, wrong, "keep one of them");
            }
            None => headers.push((written, name, node)),
        }
    }
    headers
}

/// The headers at a key with the values they must have.
pub(super) fn exact_headers(block: &Block<'_>, key: &str) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (written, name, node) in header_names(block, key) {
        let (report, path) = (block.report(), &written.path);
        match &node.value {
            Value::Text(text) => match HeaderValue::from_str(text) {
                Ok(value) => headers.push((name, value)),
                Err(_) => report.add(node.at, path, "is no header value", "write visible ASCII characters"),
            },
            value => {
                let right = "write the exact value as text, in quotes if it is a number";
                report.add(node.at, path, format!("is {}", value.what()), right);
            }
        }
    }
    headers
}

/// A DNS name or an address.
pub(super) fn is_host(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok() || is_dns_name(host)
}

/// A DNS name; underscores are no host names by the letter, but stand in real ones.
pub(super) fn is_dns_name(host: &str) -> bool {
    let label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        inner && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    // A last label of digits only is an address that went wrong.
    let last_is_number = host.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    host.len() <= 253 && host.split('.').all(label) && !last_is_number
}
