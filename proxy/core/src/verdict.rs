//! What the core tells the adapter to do next.

use crate::time::Timestamp;

/// The one answer of the core to everything that can happen to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer belongs to the client from here on.
    Forward,
    /// Choose again, not before this moment.
    Retry {
        /// The end of the back-off; already past when there is none.
        not_before: Timestamp,
    },
    /// Another attempt is still out: wait for it.
    Wait {
        /// If no answer has come by then, ask for a hedge again.
        hedge_at: Option<Timestamp>,
    },
    /// Answer the client ourselves.
    Refuse(Refusal),
}

/// Why Aorta itself answers: one variant for each reason, and one place that knows its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No route matches host, path and method.
    NoRoute,
    /// The pool has nobody who could be asked.
    NoUpstream,
    /// No connection to any upstream that was tried.
    Unreachable,
    /// The upstream broke off, or sent what is no answer.
    BadAnswer,
    /// The upstream did not answer in time.
    TimedOut,
    /// The client's own deadline had passed before anybody could be asked.
    DeadlinePassed,
    /// The page belongs to a search that only upstreams know which are out.
    PageGone,
    /// The gateways know no such path or method (API Gateway: missing authentication token).
    UnknownAtGateway,
    /// The path could leave the upstream's base path, or is no path.
    BadPath,
    /// The request contradicts itself or HTTP.
    BadRequest,
    /// A method that is never forwarded.
    MethodNotAllowed,
    /// The request body is larger than the listener takes.
    BodyTooLarge,
    /// The client did not send its request in time.
    ClientTooSlow,
    /// The request target is longer than any upstream takes.
    UriTooLong,
    /// The header block is larger than the listener takes.
    HeaderTooLarge,
    /// Aorta itself is at its limit.
    Overloaded,
    /// The client has used up its quota.
    QuotaUsedUp,
    /// The request must leave an audit entry, and cannot.
    AuditUnavailable,
}

impl Refusal {
    /// Every reason, for zero series at start.
    pub const ALL: [Self; 18] = [
        Self::NoRoute,
        Self::NoUpstream,
        Self::Unreachable,
        Self::BadAnswer,
        Self::TimedOut,
        Self::DeadlinePassed,
        Self::PageGone,
        Self::UnknownAtGateway,
        Self::BadPath,
        Self::BadRequest,
        Self::MethodNotAllowed,
        Self::BodyTooLarge,
        Self::ClientTooSlow,
        Self::UriTooLong,
        Self::HeaderTooLarge,
        Self::Overloaded,
        Self::QuotaUsedUp,
        Self::AuditUnavailable,
    ];

    /// The HTTP status the client sees (RFC 9110 section 15; 429 and 431: RFC 6585).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadPath | Self::BadRequest => 400,
            Self::NoRoute | Self::UnknownAtGateway => 404,
            Self::MethodNotAllowed => 405,
            Self::ClientTooSlow => 408,
            Self::PageGone => 410,
            Self::BodyTooLarge => 413,
            Self::UriTooLong => 414,
            Self::QuotaUsedUp => 429,
            Self::HeaderTooLarge => 431,
            Self::BadAnswer | Self::Unreachable => 502,
            Self::NoUpstream | Self::Overloaded | Self::AuditUnavailable => 503,
            Self::TimedOut | Self::DeadlinePassed => 504,
        }
    }

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::NoUpstream => "no_upstream",
            Self::Unreachable => "unreachable",
            Self::BadAnswer => "bad_answer",
            Self::TimedOut => "timed_out",
            Self::DeadlinePassed => "deadline_passed",
            Self::PageGone => "page_gone",
            Self::UnknownAtGateway => "unknown_at_gateway",
            Self::BadPath => "bad_path",
            Self::BadRequest => "bad_request",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::ClientTooSlow => "client_too_slow",
            Self::UriTooLong => "uri_too_long",
            Self::HeaderTooLarge => "header_too_large",
            Self::Overloaded => "overloaded",
            Self::QuotaUsedUp => "quota_used_up",
            Self::AuditUnavailable => "audit_unavailable",
        }
    }

    /// True when the client, not an upstream or Aorta, is the cause.
    #[must_use]
    pub const fn is_clients_fault(self) -> bool {
        self.status() < 500 || matches!(self, Self::DeadlinePassed)
    }
}
