//! The proxy's own check: when it is sent, what is asked, and what a working upstream answers.

use super::names::exact_headers;
use super::pool::nested;
use super::url::check_path;
use crate::config::Check;
use crate::config::block::Block;
use crate::config::raw::Value;
use aorta_core::check::ActiveHealth;
use serde_json::Value as Json;

pub(super) fn active_health(block: &Block<'_>) -> (ActiveHealth, Check) {
    let (timeout, interval) = nested(block, "timeout", "interval");
    let active_health =
        ActiveHealth { interval, timeout, fall: block.positive("fall"), rise: block.positive("rise") };
    let check = Check {
        path: path(block),
        statuses: block.statuses("status"),
        headers: exact_headers(block, "header"),
        members: members(block, "json"),
    };
    (active_health, check)
}

fn path(block: &Block<'_>) -> String {
    let path = block.text("path").map_or("/", |path| path.text);
    let (plain, _query) = path.split_once('?').unwrap_or((path, ""));
    let good = if plain.is_empty() { Err("does not start with `/`") } else { check_path(plain) };
    if let Err(wrong) = good.and_then(|()| check_query(path)) {
        block.problem("path", wrong, "write a path such as `/metadata`");
    }
    path.to_owned()
}

fn check_query(path: &str) -> Result<(), &'static str> {
    let good = !path.contains('#') && http::uri::PathAndQuery::try_from(path).is_ok();
    if good { Ok(()) } else { Err("holds a character that must be percent-encoded") }
}

/// Members by their path: names and places in lists, with dots between.
fn members(block: &Block<'_>, key: &str) -> Vec<(String, Json)> {
    let mut members = Vec::new();
    for (written, node) in block.header_entries(key) {
        let report = block.report();
        if written.text.split('.').any(str::is_empty) {
            let right = "write names with a dot between, such as `software.name`";
            report.add(written.at, &written.path, "is no path of a member", right);
            continue;
        }
        let value = match &node.value {
            Value::Text(text) => Some(Json::from(text.as_str())),
            Value::Flag(flag) => Some(Json::from(*flag)),
            Value::Integer(number) => i64::try_from(*number).ok().map(Json::from),
            _ => None,
        };
        match value {
            Some(value) => members.push((written.text.to_owned(), value)),
            None => {
                let right = "write text, a whole number, true or false";
                report.add(node.at, &written.path, format!("is {}", node.value.what()), right);
            }
        }
    }
    members
}
