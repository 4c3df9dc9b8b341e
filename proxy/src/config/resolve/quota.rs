//! Client quotas: of a route, and the store that a fleet shares.

use super::names::{check_name, is_host};
use crate::config::block::{Block, Text};
use crate::config::certificates::roots;
use crate::config::outside::Outside;
use crate::config::problem::quoted;
use crate::config::secrets::secret;
use crate::config::{ClientKey, QuotaStore, RateLimit, StoreTls};
use aorta_core::limit::Quota;
use http::HeaderName;
use rustls_pki_types::ServerName;
use std::num::NonZeroU32;

/// How often one client of this route may ask; `store` says that there is one to count in.
pub(super) fn rate_limit(route: &Block<'_>, store: bool) -> Option<RateLimit> {
    let block = route.optional_block("rate_limit")?;
    let shared = block.flag("shared");
    if shared && !store {
        block.problem("shared", "needs a place where proxies count together", "add `quota_store`");
    }
    let requests = block.positive("requests");
    Some(RateLimit {
        quota: Quota {
            requests,
            per: block.duration("per"),
            burst: NonZeroU32::new(block.count("burst")).unwrap_or(requests),
        },
        key: block.text("key").and_then(|key| client_key(&block, &key)).unwrap_or(ClientKey::Address),
        shared,
        clients_max: block.count("clients_max") as usize,
    })
}

fn client_key(block: &Block<'_>, key: &Text<'_>) -> Option<ClientKey> {
    let parsed = match key.text.split_once(':') {
        None if key.text == "client_ip" => Some(ClientKey::Address),
        Some(("header", name)) => HeaderName::from_bytes(name.as_bytes()).ok().map(ClientKey::Header),
        _ => None,
    };
    if parsed.is_none() {
        let wrong = format!("{} tells no clients apart", quoted(key.text));
        block.problem("key", wrong, "write `client_ip` or `header:NAME`");
    }
    parsed
}

/// Where a fleet counts together.
pub(super) fn quota_store(root: &Block<'_>, outside: &Outside<'_>) -> Option<QuotaStore> {
    let block = root.optional_block("quota_store")?;
    let address = block.text("address").and_then(|text| host_and_port(&block, &text));
    let prefix = block.text("prefix").filter(|prefix| check_name(prefix, block.report()));
    let secret_of = |key| secret(&block, key, outside);
    let (hashed_with, password) = (secret_of("secret"), secret_of("password"));
    let username = block.text("username").map(|text| text.text.to_owned()).unwrap_or_default();
    if !username.is_empty() && !block.has("password") {
        block.problem("username", "has no password", "write `password` too");
    }
    let host = address.as_ref().map_or("", |(host, _)| host);
    let tls = block.optional_block("tls").map(|block| store_tls(&block, host, outside));
    let (host, port) = address?;
    Some(QuotaStore {
        host,
        port,
        // None within some is a mistake, and was reported.
        tls: tls.flatten(),
        timeout: block.duration("timeout"),
        prefix: prefix?.text.to_owned(),
        secret: hashed_with?,
        username,
        password,
    })
}

fn store_tls(block: &Block<'_>, host: &str, outside: &Outside<'_>) -> Option<StoreTls> {
    let named = block.text("server_name");
    let name = named.as_ref().map_or(host, |name| name.text);
    let server_name = ServerName::try_from(name.to_owned()).ok();
    if let (Some(named), None) = (&named, &server_name) {
        let wrong = format!("{} is no host name", quoted(named.text));
        block.problem("server_name", wrong, "write the name in the store's certificate");
    }
    Some(StoreTls { ca: roots(block, "ca", outside)?, server_name: server_name? })
}

fn host_and_port(block: &Block<'_>, text: &Text<'_>) -> Option<(String, u16)> {
    let parsed = text.text.rsplit_once(':').and_then(|(host, port)| {
        let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
        is_host(plain).then(|| (plain.to_owned(), port))
    });
    if parsed.is_none() {
        let wrong = format!("{} is no host with a port", quoted(text.text));
        block.problem("address", wrong, "write for example `127.0.0.1:6379`");
    }
    parsed
}
