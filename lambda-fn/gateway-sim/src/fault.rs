//! The faults a region can be ordered to show: which kinds there are, which is in force, which requests it hits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One way to fail. "Before" and "after" say whether the function has run when the fault shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Before: 403 Forbidden, as a disabled default endpoint answers.
    Disabled,
    /// Before: 403 Forbidden, as for a wrong API key.
    Forbidden,
    /// Before: 403 Missing Authentication Token, as for a path that was never deployed.
    MissingAuthenticationToken,
    /// Before: 403, as for temporary credentials that have expired.
    ExpiredToken,
    /// Before: 429 Too Many Requests.
    Throttled,
    /// Before: 429 Limit Exceeded.
    Quota,
    /// After: 502, as for a malformed reply.
    BadGateway,
    /// Before: 503 with an OperationOutcome, as the function would make it.
    Unavailable,
    /// After: 504, `millis` after the function ended.
    GatewayTimeout,
    /// Before: 500 with an OperationOutcome, as the function would make it.
    Internal,
    /// Before: 500 of the gateway, as for a failed authoriser.
    Authorizer,
    /// Before: the request is read and never answered.
    Hang,
    /// After: the right answer, `millis` late.
    Slow,
    /// Before: TCP reset, not one byte of an answer.
    ResetBefore,
    /// After: head and half of the body, then TCP reset.
    ResetInside,
    /// After: head, half of the body, then a clean close (HTTP/2: a clean end of the stream).
    Truncate,
    /// Before: bytes that are no HTTP, then a clean close.
    Garbage,
    /// Before: 200 with an envelope that says 500.
    #[serde(rename = "envelope_500")]
    Envelope500,
    /// Before: 200 with `errorMessage` and `errorType`.
    LambdaError,
    /// Before: 200 with a page of HTML.
    Html,
    /// After: the function runs to its end, then TCP reset without an answer: the ambiguous case.
    LateExecution,
    /// Nothing listens: connecting is refused.
    RefuseConnections,
    /// Before: 403 with an OperationOutcome, as the function would make it.
    #[serde(rename = "app_403")]
    App403,
}

impl Kind {
    /// The name in orders and counters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Forbidden => "forbidden",
            Self::MissingAuthenticationToken => "missing_authentication_token",
            Self::ExpiredToken => "expired_token",
            Self::Throttled => "throttled",
            Self::Quota => "quota",
            Self::BadGateway => "bad_gateway",
            Self::Unavailable => "unavailable",
            Self::GatewayTimeout => "gateway_timeout",
            Self::Internal => "internal",
            Self::Authorizer => "authorizer",
            Self::Hang => "hang",
            Self::Slow => "slow",
            Self::ResetBefore => "reset_before",
            Self::ResetInside => "reset_inside",
            Self::Truncate => "truncate",
            Self::Garbage => "garbage",
            Self::Envelope500 => "envelope_500",
            Self::LambdaError => "lambda_error",
            Self::Html => "html",
            Self::LateExecution => "late_execution",
            Self::RefuseConnections => "refuse_connections",
            Self::App403 => "app_403",
        }
    }

    /// True when the function runs first and the fault spoils its answer.
    #[must_use]
    pub fn after_execution(self) -> bool {
        matches!(
            self,
            Self::BadGateway
                | Self::GatewayTimeout
                | Self::Slow
                | Self::ResetInside
                | Self::Truncate
                | Self::LateExecution
        )
    }
}

/// An order for a fault, as `PUT /fault` takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What to show.
    pub kind: Kind,
    /// The share of matching requests to hit, above 0 and up to 1, spread evenly: 0.5 hits each second one.
    #[serde(default = "whole")]
    pub ratio: f64,
    /// Hit only paths (after the stage) that start with this.
    #[serde(default)]
    pub paths: String,
    /// How long to wait before the fault shows; `slow` needs it.
    #[serde(default)]
    pub millis: u64,
    /// Hit this many requests, then no more; absent: no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// `refuse_connections` only: reset the open connections too, as when the process had died.
    #[serde(default)]
    pub cut_live: bool,
}

fn whole() -> f64 {
    1.0
}

/// Why an order was refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// A share outside (0, 1].
    #[error("ratio: must be above 0 and at most 1")]
    Ratio,
    /// `slow` without a time.
    #[error("millis: slow needs the milliseconds to be late")]
    Millis,
    /// A listener listens or does not: it cannot refuse some paths or some requests.
    #[error("refuse_connections hits every connection: it takes no ratio, paths, millis or count")]
    Partial,
    /// Only a refusal of connections may cut live ones.
    #[error("cut_live: belongs to refuse_connections only")]
    CutLive,
}

/// A fault that hits the request at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// What to show.
    pub kind: Kind,
    /// How long to wait first.
    pub millis: u64,
}

#[derive(Debug)]
struct Active {
    order: Order,
    seen: AtomicU64,
    hits: AtomicU64,
}

/// The fault in force, if any.
#[derive(Debug, Default)]
pub struct Faults {
    /// Spares the lock when nothing is ordered, which is the path that benchmarks walk.
    any: AtomicBool,
    active: Mutex<Option<Arc<Active>>>,
}

impl Faults {
    /// Puts a fault in force, in place of any other.
    ///
    /// # Errors
    /// [`Refused`] when the order makes no sense; the one before stays in force.
    pub fn set(&self, order: Order) -> Result<(), Refused> {
        let partial =
            order.ratio < 1.0 || !order.paths.is_empty() || order.millis > 0 || order.count.is_some();
        if !(order.ratio > 0.0 && order.ratio <= 1.0) {
            return Err(Refused::Ratio);
        }
        match order.kind {
            Kind::Slow if order.millis == 0 => return Err(Refused::Millis),
            Kind::RefuseConnections if partial => return Err(Refused::Partial),
            Kind::RefuseConnections => {}
            _ if order.cut_live => return Err(Refused::CutLive),
            _ => {}
        }
        let active = Active { order, seen: AtomicU64::new(0), hits: AtomicU64::new(0) };
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(active));
        self.any.store(true, Ordering::Release);
        Ok(())
    }

    /// Ends the fault.
    pub fn clear(&self) {
        self.any.store(false, Ordering::Release);
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The order in force.
    #[must_use]
    pub fn order(&self) -> Option<Order> {
        self.active().map(|active| active.order.clone())
    }

    /// Whether a request for this path (after the stage) is hit. Each call counts as one request.
    #[must_use]
    pub fn draw(&self, path: &str) -> Option<Hit> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let active = self.active()?;
        let order = &active.order;
        if order.kind == Kind::RefuseConnections || !path.starts_with(&order.paths) {
            return None;
        }
        let seen = active.seen.fetch_add(1, Ordering::Relaxed);
        if !falls_on(seen, order.ratio) {
            return None;
        }
        let hits = active.hits.fetch_add(1, Ordering::Relaxed);
        if order.count.is_some_and(|count| hits >= count) {
            return None;
        }
        Some(Hit { kind: order.kind, millis: order.millis })
    }

    fn active(&self) -> Option<Arc<Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Spreads a share evenly over a count, so that a test can tell how many requests a ratio hits.
#[expect(clippy::cast_precision_loss, reason = "a count of requests stays far below 2^52")]
fn falls_on(seen: u64, ratio: f64) -> bool {
    ((seen + 1) as f64 * ratio).floor() > (seen as f64 * ratio).floor()
}

#[cfg(test)]
mod tests;
