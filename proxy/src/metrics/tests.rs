//! That the series are as many after a hundred thousand requests that are like no others as before the first.

use super::*;
use crate::interaction::Interaction;
use crate::quota::{Counter, Standing};
use crate::{head, path};
use aorta_core::classify::{AnswerFacts, BodyFacts, GatewayErrorType};
use aorta_core::exchange::{Exchange, Failure, Terms};
use aorta_core::fhir_safety::Safety;
use aorta_core::limit::Ruling;
use aorta_core::route::RouteFacts;
use aorta_core::time::Timestamp;
use aorta_core::verdict::Refusal;
use fastrand::Rng;
use http::{HeaderMap, HeaderValue, Method};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const REQUESTS: u64 = 100_000;

const YAML: &str = "
listeners: [{address: 127.0.0.1:8080}]
routes:
  - {name: ehr, match: {path_prefix: /fhir}, strip_prefix: /fhir, pool: records, rate_limit: {requests: 100}}
  - {name: rest, match: {host: '*.example.org'}, pool: plain}
pools:
  records:
    fhir: true
    dialect: api_gateway
    hedge: {enabled: true}
    upstreams:
      - {name: virginia, url: https://virginia.test/Server1}
      - {name: ohio, url: https://ohio.test/Server2}
  plain:
    upstreams: [{name: attic, url: https://attic.test}]
";

/// Words of FHIR and of HTTP, and others that nobody has said before.
fn word(rng: &mut Rng) -> String {
    const KNOWN: [&str; 12] = [
        "Patient",
        "patient",
        "Observation",
        "metadata",
        "_history",
        "_search",
        "$everything",
        "$export",
        "..",
        "%2e%2e",
        "",
        "Patient%00",
    ];
    if rng.bool() {
        return KNOWN[rng.usize(..KNOWN.len())].to_owned();
    }
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~$%:;,=";
    (0..rng.usize(1..20)).map(|_| char::from(letters[rng.usize(..letters.len())])).collect()
}

/// One request through the code that books it, and what it came to in the core: an answer of any kind, a failure, a
/// refusal, a client that left.
fn serve(metrics: &Metrics, snapshot: &Snapshot, now: Timestamp, rng: &mut Rng) {
    let words: Vec<_> = (0..rng.usize(1..6)).map(|_| word(rng)).collect();
    let prefix = if rng.bool() { "/fhir/" } else { "/" };
    let target = format!("{prefix}{}", words.join("/"));
    let method = word(rng).parse().ok().filter(|_| rng.u8(..8) == 0);
    let known = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD];
    let method: Method = method.unwrap_or_else(|| known[rng.usize(..known.len())].clone());
    let host = format!("{}.example.{}", word(rng), if rng.bool() { "org" } else { "com" });
    let id = HeaderValue::from_str(&word(rng)).unwrap();
    let mut visit = Visit::new(id, method.clone(), path::template(&target));
    visit.status = rng.u16(..700);
    let facts = RouteFacts {
        host: head::host(Some(&host)).unwrap_or_default(),
        path: &target,
        method: &method,
        headers: &HeaderMap::new(),
    };
    let Some((position, route)) = snapshot.routes.find(facts) else {
        return metrics.book(snapshot, &visit, &Receipt::refused(Refusal::NoRoute));
    };
    let settings = &snapshot.route_settings[position];
    (visit.route, visit.pool) = (Some(position), Some(route.pool));
    let pool = &snapshot.pools[route.pool];
    let inner = target.strip_prefix(&settings.strip_prefix).unwrap_or(&target);
    visit.interaction = pool.config.spec.fhir.then(|| Interaction::of(&method, inner));
    visit.standing = settings.rate_limit.as_ref().map(|limit| Standing {
        ruling: if rng.bool() {
            Ruling::Allowed { left: rng.u32(..) }
        } else {
            Ruling::Refused { wait: Duration::from_secs(rng.u64(..100)) }
        },
        by: Counter::ALL[rng.usize(..2)],
        quota: limit.quota,
    });
    if rng.u8(..8) == 0 {
        let refusal = Refusal::ALL[rng.usize(..Refusal::ALL.len())];
        return metrics.book(snapshot, &visit, &Receipt::refused(refusal));
    }
    let (receipt, events) = pool.decide_untaped(|core, dice| {
        let mut exchange = Exchange::open(terms(rng), core, now);
        while let Ok(attempt) = exchange.choose(core, now, dice) {
            let ended = now + Duration::from_millis(rng.u64(1..5000));
            if rng.bool() {
                let failures = [Failure::Unsent, Failure::Broken, Failure::TimedOut];
                exchange.failed(core, attempt.number, failures[rng.usize(..3)], ended, dice);
            } else {
                exchange.answered(core, attempt.number, (&answer(rng), rng.bool()), ended, dice);
            }
            if rng.u8(..4) == 0 {
                break;
            }
        }
        exchange.close(core, now, dice)
    });
    for event in &events {
        metrics.event(pool, event);
    }
    metrics.book(snapshot, &visit, &receipt);
}

fn terms(rng: &mut Rng) -> Terms {
    let safety = [Safety::Safe, Safety::Idempotent, Safety::Unsafe][rng.usize(..3)];
    Terms { safety, client: rng.u64(..), key: None, replayable: rng.bool(), deadline: None, page: None }
}

fn answer(rng: &mut Rng) -> AnswerFacts {
    let types = [
        "ForbiddenException",
        "TooManyRequestsException",
        "LimitExceededException",
        "InvalidSignatureException",
        "x",
    ];
    let bodies = [
        BodyFacts::Json,
        BodyFacts::ForbiddenMessage,
        BodyFacts::Envelope { status: rng.u16(100..600) },
        BodyFacts::LambdaError,
        BodyFacts::Html,
        BodyFacts::Unreadable,
    ];
    AnswerFacts {
        status: rng.u16(100..600),
        error_type: rng.bool().then(|| GatewayErrorType::parse(types[rng.usize(..types.len())])),
        fhir_media: rng.bool(),
        fhir_expected: rng.bool(),
        body: bodies[rng.usize(..bodies.len())],
        retry_after: None,
    }
}

/// Every series by its name and labels, and how many requests were counted.
fn series(metrics: &Metrics) -> (BTreeSet<String>, f64) {
    let (mut names, mut requests) = (BTreeSet::new(), 0.0);
    for family in metrics.registry.gather() {
        for metric in family.get_metric() {
            let labels = metric.get_label().iter().map(|label| format!("{}={}", label.name(), label.value()));
            names.insert(format!("{} {}", family.name(), labels.collect::<Vec<_>>().join(" ")));
            if family.name() == "aorta_requests_total" {
                requests += metric.get_counter().get_value();
            }
        }
    }
    (names, requests)
}

#[test]
fn no_path_id_host_or_method_of_a_hundred_thousand_requests_adds_a_series() {
    let config = crate::config::parse(YAML, Path::new(".")).unwrap();
    let metrics = Metrics::new(&[]).unwrap();
    let start = Timestamp::ZERO + Duration::from_secs(1000);
    let snapshot = Snapshot::new(config, &metrics, start, 1);
    let mut rng = Rng::with_seed(1);
    let (before, _) = series(&metrics);
    for number in 0..REQUESTS {
        serve(&metrics, &snapshot, start + Duration::from_millis(10 * number), &mut rng);
    }
    let (after, counted) = series(&metrics);
    assert_eq!(counted, REQUESTS as f64);
    let new: Vec<_> = after.difference(&before).collect();
    assert_eq!(new, Vec::<&String>::new());
}
