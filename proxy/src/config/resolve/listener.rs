//! Where the proxy accepts, and what it logs.

use crate::config::block::{Block, join, number};
use crate::config::certificates;
use crate::config::nearest::nearest;
use crate::config::outside::Outside;
use crate::config::problem::quoted;
use crate::config::raw::{Node, Value};
use crate::config::{AccessLog, Limits, Listener, Log};
use std::net::SocketAddr;
use tracing::level_filters::LevelFilter;

/// All listeners; two on one address, or one on the admin's, are a mistake.
pub(super) fn listeners(root: &Block<'_>, admin: Option<SocketAddr>, outside: &Outside<'_>) -> Vec<Listener> {
    let mut taken: Vec<(SocketAddr, String)> =
        admin.map(|admin| (admin, "admin.address".to_owned())).into_iter().collect();
    let mut listeners = Vec::new();
    for block in root.blocks("listeners") {
        let address = socket(&block, "address");
        let tls = block.optional_block("tls").and_then(|tls| certificates::pair(&tls, outside));
        let limits = limits(&block.block("limits"));
        let Some(address) = address else { continue };
        if let Some((_, other)) = taken.iter().find(|(other, _)| clash(*other, address)) {
            let wrong = format!("{address} is taken by {other}");
            block.problem("address", wrong, "give each its own port");
        }
        taken.push((address, block.path_of("address")));
        listeners.push(Listener { address, tls, limits });
    }
    listeners
}

/// An address and port to accept on; none after a mistake.
pub(super) fn socket(block: &Block<'_>, key: &str) -> Option<SocketAddr> {
    let text = block.text(key)?;
    let right = "write an IP address and a port, for example `127.0.0.1:8080` or `[::1]:8080`";
    match text.text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Some(address),
        Ok(_) => {
            block.problem(key, "port 0 would be another one at every start", "write a port from 1 to 65535");
            None
        }
        Err(_) => {
            block.problem(key, format!("{} is no address and port", quoted(text.text)), right);
            None
        }
    }
}

/// The unspecified address takes a port on every other one; `[::]` does so for IPv4 too.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |a: SocketAddr, b: SocketAddr| a.ip().is_unspecified() && (a.is_ipv6() || b.is_ipv4());
    a.port() == b.port() && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

fn limits(block: &Block<'_>) -> Limits {
    Limits {
        header_bytes: block.size("header_bytes"),
        header_time: block.duration("header_time"),
        body_bytes: block.size("body_bytes"),
        body_time: block.duration("body_time"),
        connections: usize::try_from(block.count("connections")).unwrap_or(usize::MAX),
    }
}

/// What is logged.
pub(super) fn log(block: &Block<'_>) -> Log {
    let level = match block.choice("level") {
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    };
    let access = block.node("access").map_or(Ok(AccessLog::All), access);
    let access = access.unwrap_or_else(|(key, wrong, right)| {
        let key = if key.is_empty() { "access".to_owned() } else { join("access", key) };
        block.report().add(block.at_of("access"), &block.path_of(&key), wrong, right);
        AccessLog::All
    });
    Log { level, access }
}

const ACCESS: [(&str, AccessLog); 3] =
    [("all", AccessLog::All), ("errors", AccessLog::Errors), ("none", AccessLog::Off)];

/// The key below `access` that is meant, what is wrong, what would be right.
type AccessProblem<'a> = (&'a str, String, String);

fn access(node: &Node) -> Result<AccessLog, AccessProblem<'_>> {
    let choices = "write all, errors, none or `{sampled: 0.1}`";
    match &node.value {
        Value::Text(text) => match ACCESS.iter().find(|(word, _)| word == text) {
            Some((_, access)) => Ok(*access),
            None => {
                let near = nearest(text, ACCESS.iter().map(|(word, _)| *word));
                let right = near.map_or(choices.to_owned(), |near| format!("did you mean `{near}`?"));
                Err(("", format!("{} is no choice", quoted(text)), right))
            }
        },
        Value::Map(entries) => match entries.as_slice() {
            [entry] if entry.key == "sampled" => match number(&entry.node) {
                Ok(share) if (0.0..=1.0).contains(&share) => Ok(AccessLog::Sampled(share)),
                Ok(share) => {
                    let wrong = format!("{share} is not between 0 and 1");
                    Err(("sampled", wrong, "write a share such as `0.1`".to_owned()))
                }
                Err(wrong) => Err(("sampled", wrong, "write a share such as `0.1`".to_owned())),
            },
            _ => Err(("", "is no choice".to_owned(), choices.to_owned())),
        },
        value => Err(("", format!("is {}", value.what()), choices.to_owned())),
    }
}
