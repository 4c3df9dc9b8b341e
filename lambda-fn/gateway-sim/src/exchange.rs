//! One request and its answer: the gateway's checks in their order, the invocation, the faults.

mod checks;
mod faulty;
mod message;

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;

use self::checks::Found;
use crate::catalogue::{self, GatewayAnswer};
use crate::config::{Config, Integration};
use crate::counters::Counters;
use crate::event::{Accepted, proxy_event};
use crate::fault::Faults;
use crate::function::{EVENT_BYTES_MAX, Outcome, Pool};
use crate::ids::RequestIds;
use crate::reply::proxy_reply;
use crate::signature::{self, Keys};
use crate::throttle::Bucket;
use crate::wire::{Partial, Saboteur};

/// The body of an answer: whole, or spoilt on order.
pub type AnswerBody = Either<Full<Bytes>, Partial>;

/// What the connection adds to a request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client's address.
    pub address: IpAddr,
    /// Whether the connection speaks HTTP/2.
    pub http2: bool,
    /// The connection's handle for faults.
    pub saboteur: Arc<Saboteur>,
}

/// What answers behind the gateway.
#[derive(Debug)]
pub enum Backend {
    /// The function's processes.
    Function(Pool),
    /// Always the same.
    Fixed {
        /// Its body.
        body: Bytes,
        /// Its media type.
        content_type: HeaderValue,
    },
}

/// The gateway of one region.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    backend: Backend,
    bucket: Mutex<Bucket>,
    latency_ms: AtomicU64,
    iam: Mutex<Option<Keys>>,
    ahead_secs: AtomicI64,
    /// The fault in force.
    pub faults: Faults,
    /// What happened.
    pub counters: Arc<Counters>,
}

impl Gateway {
    /// A gateway before its backend.
    #[must_use]
    pub fn new(config: Config, backend: Backend, counters: Arc<Counters>) -> Self {
        let bucket = Bucket::new(config.throttle.rate, config.throttle.burst, Instant::now());
        let latency_ms = u64::try_from(config.latency.as_millis()).unwrap_or(u64::MAX);
        let iam = Mutex::new(config.iam.clone());
        Self {
            config,
            iam,
            ahead_secs: AtomicI64::new(0),
            backend,
            bucket: Mutex::new(bucket),
            latency_ms: AtomicU64::new(latency_ms),
            faults: Faults::default(),
            counters,
        }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is added before each answer, in milliseconds.
    #[must_use]
    pub fn latency_ms(&self) -> u64 {
        self.latency_ms.load(Ordering::Relaxed)
    }

    /// Changes what is added before each answer.
    pub fn set_latency_ms(&self, millis: u64) {
        self.latency_ms.store(millis, Ordering::Relaxed);
    }

    /// Changes who may invoke the API; none lets everybody.
    pub fn set_iam(&self, keys: Option<Keys>) {
        *self.iam.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Puts the gateway's clock ahead of the machine's, or behind it.
    pub fn set_ahead_secs(&self, seconds: i64) {
        self.ahead_secs.store(seconds, Ordering::Relaxed);
    }

    fn now(&self) -> SystemTime {
        let ahead = self.ahead_secs.load(Ordering::Relaxed);
        let by = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
    }

    /// Ends the function's processes.
    pub async fn stop(&self) {
        if let Backend::Function(pool) = &self.backend {
            pool.stop().await;
        }
    }

    /// Answers one request, or never returns when the fault in force says so.
    pub async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Response<AnswerBody> {
        self.counters.request();
        let now = self.now();
        let (head, body) = request.into_parts();
        let trace = head.headers.get("x-amzn-trace-id").and_then(|trace| trace.to_str().ok());
        let ids = RequestIds::new(now, trace);
        let payload = message::read(body).await;
        let path = head.uri.path();
        let hit = self.faults.draw(checks::after_stage(path, &self.config.stage).unwrap_or(path));
        let before = hit.filter(|hit| !hit.kind.after_execution());
        let (mut response, integrated) = match before {
            Some(hit) => {
                self.faulted(hit).await;
                (faulty::before(hit.kind, &peer.saboteur).await, false)
            }
            None => self.regular(&head, payload, &ids, peer, now).await,
        };
        let after = hit.filter(|hit| integrated && hit.kind.after_execution());
        if let Some(hit) = after {
            self.faulted(hit).await;
            response = faulty::replaced(hit.kind, response, &peer.saboteur).await;
        }
        self.delay(self.latency_ms()).await;
        tracing::debug!(request = ids.request, method = %head.method, status = response.status().as_u16(), ?hit);
        message::stamp(&mut response, &ids, now);
        let response = message::shaped(response, &head.method);
        match after {
            Some(hit) => faulty::spoilt(hit.kind, response, peer).await,
            None => response.map(|body| Either::Left(Full::new(body))),
        }
    }

    async fn faulted(&self, hit: crate::fault::Hit) {
        self.counters.faulted(hit.kind);
        self.delay(hit.millis).await;
    }

    async fn delay(&self, millis: u64) {
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }

    /// The answer without faults, and whether the integration was reached.
    async fn regular(
        &self,
        head: &Parts,
        payload: Result<Bytes, GatewayAnswer>,
        ids: &RequestIds,
        peer: &Peer,
        now: SystemTime,
    ) -> (Response<Bytes>, bool) {
        if matches!(head.uri.path(), "/ping" | "/sping") {
            let pong = HeaderValue::from_static("text/plain");
            return (catalogue::function(StatusCode::OK, pong, catalogue::PING_BODY), false);
        }
        let checked = checks::check(&self.config, head).and_then(|found| Ok((found, payload?)));
        let (found, payload) = match checked {
            Ok(checked) => checked,
            Err(answer) => return (catalogue::gateway(answer), false),
        };
        let keys = self.iam.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(keys) = keys
            && let Err(denial) = signature::verify(&keys, &self.config.region, head, &payload, now)
        {
            return (catalogue::denied(&denial), false);
        }
        if !self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()) {
            return (catalogue::gateway(catalogue::TOO_MANY_REQUESTS), false);
        }
        let method = head.method.as_str();
        let pool = match &self.backend {
            Backend::Function(pool) => pool,
            Backend::Fixed { body, content_type } => {
                self.counters.invocation();
                self.counters.executed(method);
                let mut response = Response::new(body.clone());
                response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
                return (response, true);
            }
        };
        let event = match self.event_of(head, found, payload, ids, peer, now) {
            Ok(event) => event,
            Err(answer) => return (catalogue::gateway(answer), false),
        };
        self.counters.invocation();
        let outcome = pool.invoke(event, &ids.request, &ids.trace, method);
        let outcome = tokio::time::timeout(self.config.integration_timeout, outcome).await;
        (self.response_of(outcome.map(Result::ok)), true)
    }

    fn event_of(
        &self,
        head: &Parts,
        found: Found<'_>,
        payload: Bytes,
        ids: &RequestIds,
        peer: &Peer,
        now: SystemTime,
    ) -> Result<Bytes, GatewayAnswer> {
        let event = match self.config.integration {
            Integration::Envelope if payload.is_empty() => Bytes::from_static(b"{}"),
            Integration::Envelope => match serde_json::from_slice::<serde::de::IgnoredAny>(&payload) {
                Ok(_) => payload,
                Err(_) => return Err(catalogue::BAD_REQUEST_BODY),
            },
            Integration::Proxy => proxy_event(&Accepted {
                method: head.method.as_str(),
                path_with_stage: head.uri.path(),
                path: found.path,
                query: found.query,
                protocol: if peer.http2 { "HTTP/2" } else { "HTTP/1.1" },
                headers: &head.headers,
                host: found.host,
                body: &payload,
                source: peer.address,
                api_id: self.config.api_id(),
                stage: &self.config.stage,
                ids,
                now,
            })
            .into(),
        };
        if event.len() > EVENT_BYTES_MAX { Err(catalogue::REQUEST_TOO_LONG) } else { Ok(event) }
    }

    fn response_of(&self, outcome: Result<Option<Outcome>, tokio::time::error::Elapsed>) -> Response<Bytes> {
        let outcome = match outcome {
            Err(_) => return catalogue::gateway(catalogue::GATEWAY_TIMEOUT),
            Ok(outcome) => {
                outcome.unwrap_or_else(|| Outcome::failed("Runtime.Unknown", "Error: the event was lost"))
            }
        };
        match (self.config.integration, outcome) {
            (Integration::Envelope, Outcome::Replied(json) | Outcome::Failed(json)) => {
                catalogue::passed_through(json)
            }
            (Integration::Proxy, Outcome::Replied(reply)) => {
                proxy_reply(&reply).unwrap_or_else(|malformed| {
                    tracing::warn!(%malformed, "the function's reply cannot be a response");
                    catalogue::gateway(catalogue::BAD_GATEWAY)
                })
            }
            (Integration::Proxy, Outcome::Failed(_)) => catalogue::gateway(catalogue::BAD_GATEWAY),
        }
    }
}
