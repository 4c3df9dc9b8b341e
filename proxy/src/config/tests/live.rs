//! That a key which the reference calls live is: a reload changes what is in force, and the core's pool becomes what a
//! start by the new file would have made it.

use super::*;
use crate::config::keys::{Change, Key, Kind, table};
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use aorta_core::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// Every live key stands here, or is put in by its case.
const BASE: &str = "\
listeners: [{address: 127.0.0.1:8080}]
admin: {remote: all, tokens: [{name: on-call, right: write, secret: {env: TOKEN}}]}
reload: {watch: 1s}
log: {level: info, access: {sampled: 0.1}}
audit: {file: audit.jsonl}
quota_store: {secret: {env: TOKEN}}
routes:
  - name: ehr
    match: {host: '*', path_prefix: /fhir, methods: [GET], headers: {x-ward: one}}
    pool: records
    strip_prefix: ''
    rate_limit: {requests: 600, per: 60s, burst: 7, key: client_ip, shared: false, clients_max: 10000}
    audit: 'off'
pools:
  records:
    balance: {ring_hash: {key: client_ip}}
    dialect: http
    fhir: true
    unwrap_envelope: false
    paging: pinned
    reveal_upstream: 'off'
    compression: {enabled: true, min_bytes: 1KiB}
    upstreams:
      - name: virginia
        url: https://virginia.fhir.example.org/Server1
        addresses: ['192.0.2.1:443']
        weight: 2
        priority: 0
        data_domain: east
        concurrency_max: 5
        tls: {server_name: virginia.test}
        headers: {x-api-key: {env: KEY}}
        sigv4: {region: us-east-1, service: execute-api, access_key_id: {env: KEY}, secret_access_key: {env: KEY}, session_token: {env: KEY}}
      - {name: ohio, url: 'https://ohio.fhir.example.org/Server2', data_domain: west}
    passive_health: {consecutive_failures: 3, consecutive_app_failures: 5, success_rate_min: 0.8, success_rate_requests: 10,
      window: 10s, latency_factor: 5, latency_min: 500ms, ejection: 10s, ejection_max: 300s, min_healthy: 1, readmit_successes: 2,
      dry_run: false}
    active_health: {path: /metadata, interval: 10s, timeout: 2s, fall: 3, rise: 2, status: 200-299, header: {x-on: one}, json: {on: one}}
    write_affinity: 1s
    slow_start: 30s
    retry: {attempts_max: 3, attempts_max_ambiguous: 2, budget_percent: 20, budget_min_per_second: 3, budget_burst: 20, backoff: 25ms,
      backoff_max: 250ms, replay_body_max: 1MiB, hold_max: 64KiB, retry_unconditional_put: false}
    hedge: {enabled: false, after: p95, after_min: 21ms, budget_percent: 5}
    timeouts: {connect: 2s, attempt: 11s, request: 29s, idle: 60s}
    concurrency: {max: 1024, queue: 256, queue_timeout: 1s}
  archive:
    upstreams: [{name: attic, url: 'https://attic.fhir.example.org'}]
";

/// Each live key, and a change of it: what stands in [`BASE`], and what in its place.
const CASES: &[(&str, &str, &str)] = &[
    ("admin.remote", "remote: all", "remote: probes"),
    ("admin.tokens", ", tokens: [{name: on-call, right: write, secret: {env: TOKEN}}]", ""),
    ("admin.tokens[].name", "name: on-call", "name: grafana"),
    ("admin.tokens[].right", "right: write", "right: read"),
    ("admin.tokens[].secret", "right: write, secret: {env: TOKEN}", "right: write, secret: {env: OTHER}"),
    ("reload.watch", "watch: 1s", "watch: 2s"),
    ("log.access", "access: {sampled: 0.1}", "access: errors"),
    ("log.access.sampled", "sampled: 0.1", "sampled: 0.2"),
    ("routes", "pools:\n", "  - {name: more, match: {path_prefix: /more}, pool: archive}\npools:\n"),
    ("routes[].name", "name: ehr", "name: his"),
    ("routes[].match.host", "host: '*'", "host: a.test"),
    ("routes[].match.path_prefix", "path_prefix: /fhir", "path_prefix: /r4"),
    ("routes[].match.methods", "methods: [GET]", "methods: [GET, PUT]"),
    ("routes[].match.headers", "x-ward: one", "x-ward: two"),
    ("routes[].pool", "pool: records", "pool: archive"),
    ("routes[].strip_prefix", "strip_prefix: ''", "strip_prefix: /fhir"),
    (
        "routes[].rate_limit",
        "    rate_limit: {requests: 600, per: 60s, burst: 7, key: client_ip, shared: false, clients_max: 10000}\n",
        "",
    ),
    ("routes[].rate_limit.requests", "requests: 600,", "requests: 601,"),
    ("routes[].rate_limit.per", "per: 60s", "per: 61s"),
    ("routes[].rate_limit.burst", "burst: 7", "burst: 8"),
    ("routes[].rate_limit.key", "key: client_ip, shared", "key: 'header:x-tenant', shared"),
    ("routes[].rate_limit.shared", "shared: false", "shared: true"),
    ("routes[].rate_limit.clients_max", "clients_max: 10000", "clients_max: 10001"),
    ("routes[].audit", "audit: 'off'", "audit: open"),
    ("pools", "  archive:\n", "  annex: {upstreams: [{name: a, url: 'https://a.test'}]}\n  archive:\n"),
    ("pools.NAME.balance", "balance: {ring_hash: {key: client_ip}}", "balance: peak_ewma"),
    ("pools.NAME.balance.ring_hash", "balance: {ring_hash: {key: client_ip}}", "balance: random"),
    ("pools.NAME.balance.ring_hash.key", "{key: client_ip}}", "{key: 'cookie:s'}}"),
    ("pools.NAME.dialect", "dialect: http", "dialect: api_gateway"),
    ("pools.NAME.fhir", "fhir: true", "fhir: false"),
    ("pools.NAME.unwrap_envelope", "unwrap_envelope: false", "unwrap_envelope: true"),
    ("pools.NAME.paging", "paging: pinned", "paging: any"),
    ("pools.NAME.reveal_upstream", "reveal_upstream: 'off'", "reveal_upstream: url"),
    ("pools.NAME.compression.enabled", "{enabled: true, min", "{enabled: false, min"),
    ("pools.NAME.compression.min_bytes", "min_bytes: 1KiB", "min_bytes: 2KiB"),
    (
        "pools.NAME.upstreams",
        "    passive_health",
        "      - {name: oregon, url: 'https://oregon.test'}\n    passive_health",
    ),
    ("pools.NAME.upstreams[].name", "- name: virginia", "- name: montreal"),
    ("pools.NAME.upstreams[].url", "/Server1", "/Server9"),
    ("pools.NAME.upstreams[].addresses", "192.0.2.1:443", "192.0.2.2:443"),
    ("pools.NAME.upstreams[].weight", "weight: 2", "weight: 3"),
    ("pools.NAME.upstreams[].priority", "priority: 0", "priority: 1"),
    ("pools.NAME.upstreams[].data_domain", "data_domain: east", "data_domain: west"),
    ("pools.NAME.upstreams[].concurrency_max", "concurrency_max: 5", "concurrency_max: 6"),
    ("pools.NAME.upstreams[].tls.ca", "{server_name: virginia.test}", "{server_name: virginia.test, ca: CA}"),
    ("pools.NAME.upstreams[].tls.server_name", "server_name: virginia.test", "server_name: inner.test"),
    ("pools.NAME.upstreams[].headers", "x-api-key: {env: KEY}", "x-api-key: {env: TOKEN}"),
    (
        "pools.NAME.upstreams[].sigv4",
        "        sigv4: {region: us-east-1, service: execute-api, access_key_id: {env: KEY}, secret_access_key: {env: KEY}, session_token: {env: KEY}}\n",
        "",
    ),
    ("pools.NAME.upstreams[].sigv4.region", "region: us-east-1", "region: us-east-2"),
    ("pools.NAME.upstreams[].sigv4.service", "service: execute-api", "service: lambda"),
    (
        "pools.NAME.upstreams[].sigv4.access_key_id",
        "access_key_id: {env: KEY}",
        "access_key_id: {env: TOKEN}",
    ),
    (
        "pools.NAME.upstreams[].sigv4.secret_access_key",
        "secret_access_key: {env: KEY}",
        "secret_access_key: {env: TOKEN}",
    ),
    (
        "pools.NAME.upstreams[].sigv4.session_token",
        "session_token: {env: KEY}",
        "session_token: {env: TOKEN}",
    ),
    ("pools.NAME.passive_health.consecutive_failures", "consecutive_failures: 3", "consecutive_failures: 4"),
    (
        "pools.NAME.passive_health.consecutive_app_failures",
        "consecutive_app_failures: 5",
        "consecutive_app_failures: 6",
    ),
    ("pools.NAME.passive_health.success_rate_min", "success_rate_min: 0.8", "success_rate_min: 0.7"),
    (
        "pools.NAME.passive_health.success_rate_requests",
        "success_rate_requests: 10,",
        "success_rate_requests: 11,",
    ),
    ("pools.NAME.passive_health.window", "window: 10s", "window: 11s"),
    ("pools.NAME.passive_health.latency_factor", "latency_factor: 5", "latency_factor: 6"),
    ("pools.NAME.passive_health.latency_min", "latency_min: 500ms", "latency_min: 501ms"),
    ("pools.NAME.passive_health.ejection", "ejection: 10s", "ejection: 11s"),
    ("pools.NAME.passive_health.ejection_max", "ejection_max: 300s", "ejection_max: 301s"),
    ("pools.NAME.passive_health.min_healthy", "min_healthy: 1", "min_healthy: 2"),
    ("pools.NAME.passive_health.readmit_successes", "readmit_successes: 2", "readmit_successes: 3"),
    ("pools.NAME.passive_health.dry_run", "dry_run: false", "dry_run: true"),
    (
        "pools.NAME.active_health",
        "    active_health: {path: /metadata, interval: 10s, timeout: 2s, fall: 3, rise: 2, status: 200-299, header: {x-on: one}, json: {on: one}}\n",
        "",
    ),
    ("pools.NAME.active_health.path", "path: /metadata", "path: /health"),
    ("pools.NAME.active_health.interval", "interval: 10s", "interval: 11s"),
    ("pools.NAME.active_health.timeout", "timeout: 2s", "timeout: 3s"),
    ("pools.NAME.active_health.fall", "fall: 3", "fall: 4"),
    ("pools.NAME.active_health.rise", "rise: 2", "rise: 3"),
    ("pools.NAME.active_health.status", "status: 200-299", "status: 204"),
    ("pools.NAME.active_health.header", "x-on: one", "x-on: two"),
    ("pools.NAME.active_health.json", "json: {on: one}", "json: {on: two}"),
    ("pools.NAME.write_affinity", "write_affinity: 1s", "write_affinity: 2s"),
    ("pools.NAME.slow_start", "slow_start: 30s", "slow_start: 31s"),
    ("pools.NAME.retry.attempts_max", "attempts_max: 3", "attempts_max: 4"),
    ("pools.NAME.retry.attempts_max_ambiguous", "attempts_max_ambiguous: 2", "attempts_max_ambiguous: 3"),
    ("pools.NAME.retry.budget_percent", "budget_percent: 20", "budget_percent: 21"),
    ("pools.NAME.retry.budget_min_per_second", "budget_min_per_second: 3", "budget_min_per_second: 4"),
    ("pools.NAME.retry.budget_burst", "budget_burst: 20", "budget_burst: 19"),
    ("pools.NAME.retry.backoff", "backoff: 25ms", "backoff: 26ms"),
    ("pools.NAME.retry.backoff_max", "backoff_max: 250ms", "backoff_max: 251ms"),
    ("pools.NAME.retry.replay_body_max", "replay_body_max: 1MiB", "replay_body_max: 2MiB"),
    ("pools.NAME.retry.hold_max", "hold_max: 64KiB", "hold_max: 65KiB"),
    (
        "pools.NAME.retry.retry_unconditional_put",
        "retry_unconditional_put: false",
        "retry_unconditional_put: true",
    ),
    ("pools.NAME.hedge.enabled", "hedge: {enabled: false", "hedge: {enabled: true"),
    ("pools.NAME.hedge.after", "after: p95", "after: 200ms"),
    ("pools.NAME.hedge.after_min", "after_min: 21ms", "after_min: 22ms"),
    ("pools.NAME.hedge.budget_percent", "budget_percent: 5", "budget_percent: 6"),
    ("pools.NAME.timeouts.connect", "connect: 2s", "connect: 3s"),
    ("pools.NAME.timeouts.attempt", "attempt: 11s", "attempt: 12s"),
    ("pools.NAME.timeouts.request", "request: 29s", "request: 28s"),
    ("pools.NAME.timeouts.idle", "idle: 60s", "idle: 61s"),
    ("pools.NAME.concurrency.max", "{max: 1024", "{max: 1025"),
    ("pools.NAME.concurrency.queue", "queue: 256", "queue: 257"),
    ("pools.NAME.concurrency.queue_timeout", "queue_timeout: 1s", "queue_timeout: 2s"),
];

/// What no snapshot holds; each has an end-to-end test of its own (`reload`, `logs`, `proxies`), a listener's conditions
/// one of all of them beside their code.
const BESIDE: [&str; 10] = [
    "listeners[].tls.certificate",
    "listeners[].tls.private_key",
    "listeners[].limits.header_bytes",
    "listeners[].limits.header_time",
    "listeners[].limits.body_bytes",
    "listeners[].limits.body_time",
    "listeners[].limits.connections",
    "listeners[].limits.connections_per_client",
    "listeners[].trusted_proxies",
    "log.level",
];
/// Where the core's pool need not be the same in every word: whoever comes by a reload has another number than at a
/// start, and so has its record store; a window that is changed begins with what was in it, here with nothing.
const OTHERWISE: [&str; 4] = [
    "pools.NAME.upstreams",
    "pools.NAME.upstreams[].name",
    "pools.NAME.upstreams[].data_domain",
    "pools.NAME.passive_health.window",
];

/// The live keys of a table; a block that always stands is its parts.
fn live(keys: &'static [Key], path: &str, found: &mut BTreeSet<String>) {
    for key in keys {
        let own = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
        if key.change == Change::Live && !matches!(key.kind, Kind::Block(_)) {
            found.insert(own.clone());
        }
        match key.kind {
            Kind::Block(keys) | Kind::OptionalBlock(keys) | Kind::WordOr(_, keys) => live(keys, &own, found),
            Kind::Blocks(keys) | Kind::OptionalBlocks(keys) => live(keys, &format!("{own}[]"), found),
            Kind::NamedBlocks(keys) => live(keys, &format!("{own}.NAME"), found),
            _ => {}
        }
    }
}

#[test]
fn every_live_key_is_tried() {
    let mut found = BTreeSet::new();
    live(&table::ROOT, "", &mut found);
    let tried = CASES.iter().map(|(key, ..)| (*key).to_owned());
    let tried: BTreeSet<_> = tried.chain(BESIDE.map(str::to_owned)).collect();
    assert_eq!(tried, found);
}

/// What the core holds of each pool, and how many requests it may carry.
fn decides(snapshot: &Snapshot) -> Vec<String> {
    let pools = snapshot.pools.iter();
    pools.map(|pool| pool.read(|core| format!("{core:#?} {:#?}", pool.state.places))).collect()
}

/// All that is in force, what is never shown included.
fn in_force(snapshot: &Snapshot) -> String {
    let mut text = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        snapshot.routes, snapshot.route_settings, snapshot.access, snapshot.admin, snapshot.watch
    );
    let mut add = |more: String| text.push_str(&more);
    snapshot.admin.tokens.iter().for_each(|token| add(format!("{:?}", token.secret.expose())));
    for pool in &snapshot.pools {
        add(format!("{:?}", pool.config));
        for live in pool.upstreams.iter() {
            add(format!("{:?} {:?} {:?}", live.config, live.mark, live.site));
            live.config.headers.iter().for_each(|(_, value)| add(format!("{:?}", value.as_bytes())));
            if let Some(sigv4) = &live.config.sigv4 {
                let token = sigv4.session_token.as_ref();
                let secrets = [Some(&sigv4.access_key_id), Some(&sigv4.secret_access_key), token];
                secrets.into_iter().flatten().for_each(|secret| add(format!("{:?}", secret.value())));
            }
        }
    }
    text + &decides(snapshot).concat()
}

#[test]
fn each_live_key_is_in_force_after_a_reload_as_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let ca = rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()]).unwrap();
    std::fs::write(folder.path().join("CA"), ca.cert.pem()).unwrap();
    let now = Timestamp::ZERO + Duration::from_secs(1000);
    let config = |yaml: &str| {
        read_in(yaml, folder.path()).unwrap_or_else(|problems| panic!("{problems}\n--- in\n{yaml}"))
    };
    let start = |yaml: &str, metrics: &Metrics| Snapshot::new(config(yaml), metrics, now, 1);
    let metrics = Metrics::new(&[]).unwrap();
    let stays = start(BASE, &metrics);
    let was = in_force(&stays);
    let (same, _) = stays.succeed(config(BASE), &metrics, now, 1);
    assert_eq!(in_force(&same), was, "what is not changed is not different");
    let mut wrong = Vec::new();
    for (key, from, to) in CASES {
        let metrics = Metrics::new(&[]).unwrap();
        assert_eq!(BASE.matches(from).count(), 1, "{key}: `{from}` stands once");
        let changed = BASE.replacen(from, to, 1);
        let before = start(BASE, &metrics);
        let was = in_force(&before);
        let (after, _) = before.succeed(config(&changed), &metrics, now, 1);
        if in_force(&after) == was {
            wrong.push(format!("{key} changes nothing"));
        }
        let as_new = decides(&start(&changed, &Metrics::new(&[]).unwrap()));
        if !OTHERWISE.contains(key) && decides(&after) != as_new {
            wrong.push(format!("{key} is not as after a start"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
