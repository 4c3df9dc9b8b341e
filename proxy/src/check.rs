//! The proxy's own check request: with its own key and on a connection of its own, so that a client's bad key
//! cannot condemn a region.

use crate::config::Check;
use crate::service::Proxy;
use crate::shape;
use crate::snapshot::LivePool;
use crate::{clock, engine};
use aorta_core::classify::BodyFacts;
use aorta_core::pool::CheckResult;
use std::sync::Arc;
use tokio::time::timeout;

/// Checks an upstream in the background and tells its pool.
pub fn verify(proxy: &Arc<Proxy>, pool: &Arc<LivePool>, upstream: usize) {
    let (proxy, pool) = (Arc::clone(proxy), Arc::clone(pool));
    tokio::spawn(async move {
        let result = match &pool.config.check {
            Some(check) => ask(&proxy, &pool, upstream, check).await,
            None => CheckResult::Passed,
        };
        let ((), events) = pool.decide(|core, rng| core.verified(upstream, result, clock::now(), rng));
        proxy.tell(&pool, &events);
    });
}

async fn ask(proxy: &Proxy, pool: &LivePool, upstream: usize, check: &Check) -> CheckResult {
    let asking = engine::own_request(proxy, pool, upstream, check);
    match timeout(check.timeout, asking).await {
        Ok(Some((200..300, body))) if !is_success(&body) => CheckResult::Refused,
        Ok(Some((401 | 403, _))) => CheckResult::Refused,
        // A success, and also a throttle or a path the function does not know: nothing confirms the denial.
        Ok(Some((200..500, _))) => CheckResult::Passed,
        Ok(Some(_) | None) | Err(_) => CheckResult::Failed,
    }
}

/// The check asks for FHIR or JSON, so what is neither is no success.
fn is_success(body: &[u8]) -> bool {
    match shape::judge(body) {
        BodyFacts::Envelope { status } => status < 400,
        BodyFacts::LambdaError | BodyFacts::Unreadable => false,
        _ => true,
    }
}
