//! The proxy's own check request: with its own key and on a connection of its own, so that a client's bad key
//! cannot condemn a region, and a dead region is known before a client asks it.
//!
//! It serves twice: by itself, once in each interval, and when the core wants a denial verified.

use crate::config::Check;
use crate::engine::{self, OwnAnswer};
use crate::service::Proxy;
use crate::shape::{self, Media, Opened};
use crate::snapshot::LivePool;
use crate::{clock, translate};
use aorta_core::check::{ActiveHealth, CheckResult};
use aorta_core::classify::{AnswerFacts, BodyFacts, Dialect};
use aorta_core::drill::Fault;
use aorta_core::tape::Question;
use aorta_core::time::Timestamp;
use aorta_core::upstream::UpstreamKey;
use fastrand::Rng;
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

/// Checks an upstream in the background and tells its pool.
pub fn verify(proxy: &Arc<Proxy>, pool: &Arc<LivePool>, upstream: UpstreamKey) {
    let (proxy, pool) = (Arc::clone(proxy), Arc::clone(pool));
    tokio::spawn(async move {
        let result = ask(&proxy, &pool, upstream).await;
        let verified = Question::Verified(upstream, result);
        let ((), events) =
            pool.decide((0, verified), |core, now, rng| core.verified(upstream, result, now, rng));
        proxy.tell(&pool, &events);
    });
}

/// An upstream of a pool that is followed, whatever its configuration.
type Followed = (u64, UpstreamKey);

/// Checks every upstream whose pool wants that, of each generation, for as long as this future lives.
pub async fn keep_checking(proxy: &Arc<Proxy>) {
    let mut generations = proxy.generations.subscribe();
    let (mut tasks, mut followed) = (JoinSet::new(), BTreeSet::new());
    loop {
        for pool in &proxy.snapshot.load().pools {
            let keys = pool.upstreams.iter().map(|upstream| upstream.key);
            for key in keys.filter(|_| pool.config.spec.active_health.is_some()) {
                if followed.insert((pool.state.number, key)) {
                    tasks.spawn(follow(Arc::clone(proxy), (pool.state.number, key)));
                }
            }
        }
        tokio::select! {
            Some(ended) = tasks.join_next() => {
                followed.retain(|followed| !ended.as_ref().is_ok_and(|ended| ended == followed));
            }
            changed = generations.changed() => if changed.is_err() { return },
        }
    }
}

/// Checks one upstream again and again, for as long as it is configured and its pool wants that; the next check waits
/// for the end of the last one.
async fn follow(proxy: Arc<Proxy>, followed: Followed) -> Followed {
    let mut rng = Rng::with_seed(proxy.next_id());
    let mut generations = proxy.generations.subscribe();
    let mut due = None;
    while let Some((pool, policy)) = wants_checks(&proxy, followed) {
        // A shorter interval counts from now on.
        let at_latest = clock::now() + policy.pause(&mut rng);
        let first = clock::now() + policy.interval.mul_f64(rng.f64());
        let next: Timestamp = due.map_or(first, |due: Timestamp| due.min(at_latest));
        due = Some(next);
        tokio::select! {
            () = sleep_until(clock::instant(next)) => {}
            changed = generations.changed() => if changed.is_ok() { continue } else { break },
        }
        due = Some(clock::now() + policy.pause(&mut rng));
        let upstream = followed.1;
        let (out, _) =
            pool.decide((0, Question::BeginCheck(upstream)), |core, _, _| core.begin_check(upstream));
        if let Some(out) = out {
            let (fault, events) = pool.decide_untaped(|core, rng| core.drills_check(out, rng));
            proxy.tell(&pool, &events);
            let result = ask_through(fault, &proxy, &pool, upstream).await;
            let checked = Question::Checked(upstream, result);
            let ((), events) =
                pool.decide((0, checked), |core, now, rng| core.checked(out, result, now, rng));
            proxy.tell(&pool, &events);
        }
    }
    followed
}

/// The pool as it is configured now, if it still has this upstream and checks.
fn wants_checks(proxy: &Proxy, (number, key): Followed) -> Option<(Arc<LivePool>, ActiveHealth)> {
    let snapshot = proxy.snapshot.load();
    let pool = snapshot.pools.iter().find(|pool| pool.state.number == number)?;
    let policy = pool.config.spec.active_health?;
    pool.upstreams.iter().any(|upstream| upstream.key == key).then(|| (Arc::clone(pool), policy))
}

/// The same where a drill makes a fault: what is refused, or answered by the drill, failed.
async fn ask_through(
    fault: Option<Fault>,
    proxy: &Proxy,
    pool: &LivePool,
    upstream: UpstreamKey,
) -> CheckResult {
    let Some(policy) = pool.config.spec.active_health else { return CheckResult::Unclear };
    match fault {
        None | Some(Fault::Eject) => ask(proxy, pool, upstream).await,
        Some(Fault::Delay(delay)) if delay < policy.timeout => {
            sleep(delay).await;
            ask(proxy, pool, upstream).await
        }
        Some(fault) => {
            if let Fault::Delay(_) = fault {
                sleep(policy.timeout).await;
            }
            proxy.metrics.checked(pool, upstream, CheckResult::Failed);
            CheckResult::Failed
        }
    }
}

async fn ask(proxy: &Proxy, pool: &LivePool, upstream: UpstreamKey) -> CheckResult {
    let (Some(check), Some(policy)) = (&pool.config.check, pool.config.spec.active_health) else {
        return CheckResult::Unclear;
    };
    // Only a member that is looked for makes the whole of a long answer necessary.
    let body_max = if check.members.is_empty() { pool.config.hold_max } else { MEMBERS_BODY_MAX };
    let asking = engine::own_request(proxy, pool, upstream, check, body_max);
    let result = match timeout(policy.timeout, asking).await {
        Ok(Some(answer)) => {
            let (facts, result) = judge(check, pool, &answer);
            let live = pool.upstream(upstream);
            let headers = &answer.head.headers;
            if let Some(signer) = live.and_then(|live| live.refused_signer(&facts, headers)) {
                signer.renew().await;
            }
            result
        }
        Ok(None) | Err(_) => CheckResult::Failed,
    };
    proxy.metrics.checked(pool, upstream, result);
    result
}

/// A statement of capabilities may take a megabyte; more than this is none.
const MEMBERS_BODY_MAX: usize = 4 * 1024 * 1024;

fn judge(check: &Check, pool: &LivePool, answer: &OwnAnswer) -> (AnswerFacts, CheckResult) {
    let spec = &pool.config.spec;
    let (status, headers) = (answer.head.status.as_u16(), &answer.head.headers);
    let media = Media::of(headers);
    let body = shape::body(headers, media, answer.whole.then_some(&answer.body));
    let facts = translate::answer(spec.dialect, (status, headers, media), spec.fhir, body);
    let is_envelope = matches!(body, BodyFacts::Envelope { .. }) && spec.dialect == Dialect::ApiGateway;
    let inside = is_envelope.then(|| shape::open(&answer.body)).flatten();
    let expected = match &inside {
        Some(Opened { status, headers, body }) => {
            let fields: Vec<_> = headers.iter().map(|(name, value)| (name, value)).collect();
            is_expected(check, *status, &fields, body)
        }
        None => is_expected(check, status, &headers.iter().collect::<Vec<_>>(), &answer.body),
    };
    (facts, CheckResult::judge(spec.dialect, &facts, expected))
}

fn is_expected(check: &Check, status: u16, headers: &[(&HeaderName, &HeaderValue)], body: &[u8]) -> bool {
    let bears = |(name, value): &(HeaderName, HeaderValue)| headers.contains(&(name, value));
    check.statuses.iter().any(|range| range.contains(&status))
        && check.headers.iter().all(bears)
        && (check.members.is_empty() || holds(&check.members, body))
}

fn holds(members: &[(String, Value)], body: &[u8]) -> bool {
    let Ok(document) = serde_json::from_slice::<Value>(body) else { return false };
    members.iter().all(|(path, value)| member(&document, path) == Some(value))
}

/// The value at a path of names, and of places in lists.
fn member<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(document, |value, step| match value {
        Value::Object(fields) => fields.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ETAG, VARY};
    use serde_json::json;

    fn check(statuses: u16, headers: &[(HeaderName, &'static str)], members: &[(&str, Value)]) -> Check {
        let header =
            |(name, value): &(HeaderName, &'static str)| (name.clone(), HeaderValue::from_static(value));
        let member = |(path, value): &(&str, Value)| ((*path).to_owned(), value.clone());
        Check {
            path: "/metadata".to_owned(),
            statuses: vec![statuses..=statuses],
            headers: headers.iter().map(header).collect(),
            members: members.iter().map(member).collect(),
        }
    }

    const BODY: &[u8] =
        br#"{"resourceType":"CapabilityStatement","rest":[{"mode":"server"}],"n":4,"on":true}"#;

    fn passes(check: &Check, body: &[u8]) -> bool {
        let (one, two) = (HeaderValue::from_static("one"), HeaderValue::from_static("two"));
        is_expected(check, 200, &[(&ETAG, &one), (&ETAG, &two)], body)
    }

    #[test]
    fn a_status_a_header_and_members_are_all_asked_for() {
        assert!(passes(&check(200, &[], &[]), b"anything"));
        assert!(!passes(&check(204, &[], &[]), BODY));
        assert!(passes(&check(200, &[(ETAG, "two")], &[]), BODY), "any of its values");
        assert!(!passes(&check(200, &[(ETAG, "three")], &[]), BODY));
        assert!(!passes(&check(200, &[(VARY, "one")], &[]), BODY));
        let kind = ("resourceType", json!("CapabilityStatement"));
        assert!(passes(&check(200, &[(ETAG, "one")], std::slice::from_ref(&kind)), BODY));
        assert!(!passes(&check(200, &[], std::slice::from_ref(&kind)), b"<html>"));
        assert!(!passes(&check(200, &[], &[kind, ("status", json!("active"))]), BODY));
    }

    #[test]
    fn a_member_is_found_by_names_and_places_and_compared_by_kind() {
        for (path, value, found) in [
            ("rest.0.mode", json!("server"), true),
            ("rest.1.mode", json!("server"), false),
            ("rest.mode", json!("server"), false),
            ("n", json!(4), true),
            ("n", json!("4"), false),
            ("on", json!(true), true),
            ("resourceType.x", json!("CapabilityStatement"), false),
        ] {
            assert_eq!(passes(&check(200, &[], &[(path, value.clone())]), BODY), found, "{path} {value}");
        }
    }
}
