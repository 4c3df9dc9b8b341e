//! Client quotas, and the audit trail.

use super::{GOOD, check, good, read_in};
use crate::config::{Audited, ClientKey};
use std::fs;
use std::path::Path;
use std::time::Duration;

fn limited(rate_limit: &str) -> String {
    GOOD.replace("pool: records}", &format!("pool: records, rate_limit: {rate_limit}}}"))
}

fn stored(quota_store: &str, shared: &str) -> String {
    format!("quota_store: {quota_store}\n{}", limited(shared))
}

#[test]
fn a_quota_has_its_defaults_and_a_burst_of_all_its_requests() {
    assert!(good(GOOD).route_settings[0].rate_limit.is_none());
    let limit = good(&limited("{}")).route_settings[0].rate_limit.clone().unwrap();
    assert_eq!((limit.quota.requests.get(), limit.quota.burst.get()), (600, 600));
    assert_eq!((limit.quota.per, limit.clients_max), (Duration::from_secs(60), 10_000));
    assert_eq!((limit.key, limit.shared), (ClientKey::Address, false));
    let limit = good(&limited("{requests: 5, burst: 2, key: \"header:X-Tenant\"}"));
    let limit = limit.route_settings[0].rate_limit.clone().unwrap();
    assert_eq!((limit.quota.requests.get(), limit.quota.burst.get()), (5, 2));
    assert_eq!(limit.key, ClientKey::Header(http::HeaderName::from_static("x-tenant")));
}

#[test]
fn a_quota_that_means_nothing_is_a_mistake() {
    check(
        &limited("{key: cookie:a, shared: true, per: 100ms}"),
        &[
            "2:55: routes[0].rate_limit.key: `cookie:a` tells no clients apart; write `client_ip` or `header:NAME`",
            "2:73: routes[0].rate_limit.shared: needs a place where proxies count together; add `quota_store`",
            "2:84: routes[0].rate_limit.per: `100ms` is out of bounds; write 1s to 24h",
        ],
    );
    check(
        &stored("{address: localhost, username: a, secret: s3cr3t}", "{shared: true}"),
        &[
            "1:24: quota_store.address: `localhost` is no host with a port; write for example `127.0.0.1:6379`",
            "1:45: quota_store.username: has no password; write `password` too",
            "1:56: quota_store.secret: holds a secret in plain sight; write `{env: VARIABLE}` or `{file: PATH}`",
        ],
    );
    check(
        &stored("{prefix: \"a b\", password: {env: EMPTY}}", "{}"),
        &[
            "1:1: quota_store.secret: is missing; write `{env: VARIABLE}` or `{file: PATH}`",
            "1:23: quota_store.prefix: `a b` is no name; \
             write up to 64 letters, digits, `-`, `_` or `.`, a letter or digit first",
            "1:46: quota_store.password.env: `EMPTY` is empty; put the secret there",
        ],
    );
}

#[test]
fn the_secrets_of_the_store_are_read_and_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("quota.key"), "f1le-s3cr3t\n").unwrap();
    let yaml = stored("{secret: {file: quota.key}, password: {env: KEY}}", "{shared: true}");
    let config = read_in(&yaml, folder.path()).unwrap();
    let store = config.quota_store.as_ref().unwrap();
    assert_eq!((store.host.as_str(), store.port, store.prefix.as_str()), ("127.0.0.1", 6379, "aorta"));
    assert_eq!(store.secret.expose(), b"f1le-s3cr3t");
    assert_eq!(store.password.as_ref().unwrap().expose(), b"s3cr3t-value");
    assert!(!format!("{config:?}").contains("s3cr3t"), "{config:?}");
    assert!(read_in(&yaml, Path::new("")).is_err(), "the file starts from the configuration's folder");
}

#[test]
fn the_certificate_of_the_store_is_judged_by_a_named_authority() {
    check(
        &stored("{secret: {env: KEY}, tls: {server_name: \"a b\"}}", "{shared: true}"),
        &[
            "1:35: quota_store.tls.ca: is missing; write for example `ca: /etc/aorta/tls/ca.crt`",
            "1:54: quota_store.tls.server_name: `a b` is no host name; write the name in the store's certificate",
        ],
    );
}

#[test]
fn a_route_that_is_audited_needs_a_file() {
    let audited = |word: &str| GOOD.replace("pool: records}", &format!("pool: records, audit: {word}}}"));
    check(
        &audited("closed"),
        &["2:44: routes[0].audit: needs a file to write to; add `audit: {file: PATH}` at the top"],
    );
    check(
        &format!("audit: {{key: {{env: EMPTY}}}}\n{}", audited("on")),
        &[
            "1:1: audit.file: is missing; write for example `file: /var/lib/aorta/audit.jsonl`",
            "1:20: audit.key.env: `EMPTY` is empty; put the secret there",
            "3:44: routes[0].audit: `on` is no choice; write one of off, open, closed",
        ],
    );
    let config = good(&format!("audit: {{file: audit.jsonl, key: {{env: KEY}}}}\n{}", audited("open")));
    assert_eq!(config.route_settings[0].audit, Audited::Open);
    assert!(!format!("{config:?}").contains("s3cr3t"), "{config:?}");
}
