//! Where the proxy accepts, how it ends, and what it logs.

use crate::config::block::Block;
use crate::config::certificates;
use crate::config::networks::Networks;
use crate::config::outside::Outside;
use crate::config::problem::quoted;
use crate::config::{AccessLog, Limits, Listener, Log, Shutdown, Traces};
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
        let trusted_proxies = Networks::at(&block, "trusted_proxies");
        let Some(address) = address else { continue };
        if let Some((_, other)) = taken.iter().find(|(other, _)| clash(*other, address)) {
            let wrong = format!("{address} is taken by {other}");
            block.problem("address", wrong, "give each its own port");
        }
        taken.push((address, block.path_of("address")));
        listeners.push(Listener { address, tls, limits, trusted_proxies });
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
        connections_per_client: usize::try_from(block.count("connections_per_client")).unwrap_or(usize::MAX),
    }
}

/// How the process ends.
pub(super) fn shutdown(block: &Block<'_>) -> Shutdown {
    Shutdown {
        unready: block.duration("unready"),
        idle: block.duration("idle"),
        limit: block.duration("limit"),
    }
}

/// Where spans are told.
pub(super) fn traces(block: &Block<'_>) -> Traces {
    let endpoint = block.text("endpoint").map_or("", |endpoint| endpoint.text);
    let is_plain = endpoint.parse::<http::Uri>().is_ok_and(|uri| {
        uri.scheme() == Some(&http::uri::Scheme::HTTP) && uri.host().is_some_and(|host| !host.is_empty())
    });
    if !is_plain {
        let right =
            "write an http address such as `http://127.0.0.1:4318/v1/traces`; a collector speaks TLS onward";
        block.problem("endpoint", format!("{} is no http address", quoted(endpoint)), right);
    }
    Traces { endpoint: endpoint.to_owned(), sampled: block.share("sampled").get() }
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
    let access = match block.word_or("access") {
        Ok("errors") => AccessLog::Errors,
        Ok("none") => AccessLog::Off,
        Ok(_) => AccessLog::All,
        Err(block) => AccessLog::Sampled(block.required_share("sampled").get()),
    };
    Log { level, access }
}
