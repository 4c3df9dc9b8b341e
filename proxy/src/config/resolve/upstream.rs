//! One upstream: its place in the core, and where the adapter finds it.

use super::names::{Taken, check_name, is_dns_name, unique_name};
use super::url::Url;
use crate::config::UpstreamConfig;
use crate::config::block::{Block, Text};
use crate::config::outside::Outside;
use crate::config::problem::quoted;
use crate::config::{certificates, secrets, sigv4};
use aorta_core::upstream::UpstreamSpec;
use rustls_pki_types::CertificateDer;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

/// The upstreams of a pool, in the order of the file.
pub(super) fn upstreams(pool: &Block<'_>, outside: &Outside<'_>) -> Vec<(UpstreamSpec, Arc<UpstreamConfig>)> {
    let mut taken = Taken::new();
    pool.blocks("upstreams").iter().filter_map(|block| upstream(block, &mut taken, outside)).collect()
}

fn upstream<'a>(
    block: &Block<'a>,
    taken: &mut Taken<'a>,
    outside: &Outside<'_>,
) -> Option<(UpstreamSpec, Arc<UpstreamConfig>)> {
    // Everything is read before anything is given up: each mistake must reach the report.
    let name = unique_name(block, "name", taken);
    let url = url(block);
    let weight = block.positive("weight");
    let priority = block.count("priority");
    let data_domain = data_domain(block);
    let concurrency_max = NonZeroU32::new(block.count("concurrency_max"));
    let tls = tls(block, url.as_ref(), outside);
    let headers = secrets::headers(block, "headers", outside);
    let sigv4 = sigv4::sigv4(block, &headers, outside);
    let addresses = addresses(block, url.as_ref().map(|url| url.port));
    let (name, url) = (name?, url?);
    let server_name = tls.server_name.unwrap_or_else(|| url.host.clone());
    let spec = UpstreamSpec {
        name: name.to_owned(),
        weight,
        priority,
        data_domain,
        concurrency_max,
        signed: sigv4.is_some(),
    };
    let Url { text, tls: speaks_tls, host, port, authority, base_path } = url;
    let config = UpstreamConfig {
        name: name.to_owned(),
        url: text,
        tls: speaks_tls,
        host,
        port,
        authority,
        base_path,
        addresses,
        server_name,
        ca: tls.ca,
        headers,
        sigv4,
    };
    Some((spec, Arc::new(config)))
}

fn url(block: &Block<'_>) -> Option<Url> {
    let text = block.text("url")?;
    Url::parse(text.text).map_err(|(wrong, right)| block.problem("url", wrong, right)).ok()
}

fn data_domain(block: &Block<'_>) -> String {
    let Some(domain) = block.text("data_domain").filter(|domain| !domain.text.is_empty()) else {
        return String::new();
    };
    check_name(&domain, block.report());
    domain.text.to_owned()
}

/// An address without a port takes the URL's.
fn addresses(block: &Block<'_>, port: Option<u16>) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for Text { at, path, text } in block.texts("addresses") {
        let parsed = text.parse::<SocketAddr>().ok().or_else(|| {
            let bare = text.parse::<IpAddr>().ok()?;
            Some(SocketAddr::new(bare, port.unwrap_or(443)))
        });
        match parsed {
            Some(address) if address.port() == 0 || address.ip().is_unspecified() => {
                let wrong = format!("{} cannot be connected to", quoted(text));
                block.report().add(at, &path, wrong, "write the address and port it listens on");
            }
            Some(address) if addresses.contains(&address) => {
                block.report().add(at, &path, format!("{address} stands twice"), "keep one of them");
            }
            Some(address) => addresses.push(address),
            None => {
                let wrong = format!("{} is no address", quoted(text));
                let right = "write an IP address with a port, `192.0.2.1:443`, or none to resolve the host";
                block.report().add(at, &path, wrong, right);
            }
        }
    }
    addresses
}

struct Tls {
    ca: Option<Vec<CertificateDer<'static>>>,
    server_name: Option<String>,
}

fn tls(upstream: &Block<'_>, url: Option<&Url>, outside: &Outside<'_>) -> Tls {
    let block = upstream.block("tls");
    if upstream.has("tls") && url.is_some_and(|url| !url.tls) {
        let right = "write `https://` in the url, or remove this block";
        upstream.problem("tls", "stands at an upstream that speaks plain HTTP", right);
    }
    let ca = certificates::roots(&block, "ca", outside);
    let server_name = block.text("server_name").and_then(|name| {
        let good = is_dns_name(name.text) || name.text.parse::<IpAddr>().is_ok();
        if !good {
            let wrong = format!("{} is no host name", quoted(name.text));
            block.problem("server_name", wrong, "write the name that stands in its certificate");
        }
        good.then(|| name.text.to_ascii_lowercase())
    });
    Tls { ca, server_name }
}
