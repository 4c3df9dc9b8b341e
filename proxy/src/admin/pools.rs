//! How the pools stand, and why.

use super::answer::{Answer, json, text};
use crate::clock;
use crate::explain;
use crate::service::Proxy;
use crate::snapshot::LivePool;
use http::StatusCode;
use serde_json::{Value, json};

/// All pools, in short.
pub(super) fn show(proxy: &Proxy) -> Answer {
    json(&all(proxy))
}

/// The same, as it is.
pub(super) fn all(proxy: &Proxy) -> Value {
    let snapshot = proxy.snapshot.load();
    let pools: Vec<Value> = snapshot.pools.iter().map(|pool| in_short(pool)).collect();
    json!({ "pools": pools })
}

/// Why something is as it is.
pub(super) fn explain(proxy: &Proxy, path: &str) -> Answer {
    let snapshot = proxy.snapshot.load();
    let about = path.strip_prefix("/api/explain/");
    match about.and_then(|about| explain::answer(proxy, &snapshot, about)) {
        Some(said) => json(&said),
        None => text(StatusCode::NOT_FOUND, "the proxy knows no such thing (any more)\n"),
    }
}

fn in_short(live: &LivePool) -> Value {
    live.read(|pool| {
        let upstreams: Vec<Value> = pool
            .upstreams()
            .iter()
            .map(|core| {
                let adapter = live.upstream(core.key());
                json!({
                    "name": core.name(),
                    "state": core.state(clock::now()),
                    "in_flight": core.in_flight(),
                    "addresses": adapter.map(|adapter| adapter.site.addresses()),
                })
            })
            .collect();
        json!({
            "name": live.name(),
            "panic": pool.in_panic(),
            "healthy": pool.healthy(),
            "retry_budget": pool.budget_balance(),
            "upstreams": upstreams,
        })
    })
}
