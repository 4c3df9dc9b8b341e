//! What an upstream's answer means: made by the gateway or by the application, executed or not, its fault or
//! the client's. The table is design rule "What an answer means and what may follow".
//!
//! The core parses no body: the adapter hands over facts.
//! Sources: AWS "Gateway response types for API Gateway", AWS re:Post "Troubleshoot HTTP 403 errors",
//! AWS "Lambda integrations" (an integration that is not a proxy returns the function's output as a 200).

use std::time::Duration;

/// How a pool's upstreams answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// A plain HTTP upstream: the status says it all.
    #[default]
    Http,
    /// Amazon API Gateway before Lambda: the status alone lies.
    ApiGateway,
}

/// What `x-amzn-errortype` says: only answers made by the gateway carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayErrorType {
    /// `ForbiddenException`.
    Forbidden,
    /// `MissingAuthenticationTokenException`.
    MissingAuthenticationToken,
    /// `InvalidSignatureException`, `ExpiredTokenException` and their kin.
    Signature,
    /// `TooManyRequestsException`.
    TooManyRequests,
    /// `LimitExceededException`.
    LimitExceeded,
    /// `InternalServerErrorException`, `AuthorizerConfigurationException` and their kin.
    Internal,
    /// Any other.
    Other,
}

impl GatewayErrorType {
    /// Reads the header's value; what follows a colon is a namespace address.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        match value.split(':').next().unwrap_or_default().trim() {
            "ForbiddenException" => Self::Forbidden,
            "MissingAuthenticationTokenException" => Self::MissingAuthenticationToken,
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "IncompleteSignatureException"
            | "UnrecognizedClientException" => Self::Signature,
            "TooManyRequestsException" => Self::TooManyRequests,
            "LimitExceededException" => Self::LimitExceeded,
            "InternalServerErrorException" | "AuthorizerConfigurationException" => Self::Internal,
            _ => Self::Other,
        }
    }
}

/// What the adapter saw of a body that it held back to be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyFacts {
    /// Not looked at: too large to hold, or of a kind that streams.
    #[default]
    Unseen,
    /// No body.
    Empty,
    /// A body that the request's method or the status withholds: an answer to HEAD, 204, 304.
    Withheld,
    /// JSON that is none of the shapes below: among them every FHIR resource.
    Json,
    /// Exactly `{"message":"Forbidden"}`.
    ForbiddenMessage,
    /// Exactly `{"message": "Internal server error"}` as the gateway writes it.
    InternalMessage,
    /// A Lambda envelope: no `resourceType`, a `statusCode`, and one of body, headers, isBase64Encoded.
    Envelope {
        /// The status inside.
        status: u16,
    },
    /// A Lambda failure: `errorMessage` and no `resourceType`.
    LambdaError,
    /// The type says JSON and the bytes are none.
    Unreadable,
    /// An HTML page.
    Html,
    /// Any other media type.
    Foreign,
}

/// Everything the judgement of an answer looks at.
#[derive(Clone, Copy, Debug)]
pub struct AnswerFacts {
    /// The status line's status.
    pub status: u16,
    /// The gateway's own mark.
    pub error_type: Option<GatewayErrorType>,
    /// The media type is FHIR's: the application spoke.
    pub fhir_media: bool,
    /// The request reads FHIR, so an answer in another tongue is not what the client asked for.
    pub fhir_expected: bool,
    /// What the body is.
    pub body: BodyFacts,
    /// `Retry-After`, when it stood and could be read.
    pub retry_after: Option<Duration>,
}

impl AnswerFacts {
    /// The gateway made this answer, not the application behind it.
    #[must_use]
    pub const fn gateway_spoke(&self) -> bool {
        self.error_type.is_some() && !self.fhir_media
    }
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// The application answered; its own refusals are answers too.
    #[default]
    Answered,
    /// DNS, connect or TLS failed, or the connection broke before a request byte left.
    Unsent,
    /// HTTP/2 says that nobody looked at it: its stream was refused, or it came after the connection's goodbye.
    Unprocessed,
    /// Reset, truncation or garbage after request bytes left.
    Broken,
    /// No judged answer within the attempt's time.
    TimedOut,
    /// The gateway refused before the integration: the disabled endpoint, and also a bad key or a firewall.
    GatewayDenied,
    /// The gateway's throttle.
    Throttled,
    /// The gateway's quota.
    QuotaExceeded,
    /// The gateway knows no such path or method.
    RouteMissing,
    /// The gateway did not accept our signature.
    SignatureRefused,
    /// The gateway failed before the integration: authoriser, or no permission to invoke.
    GatewayFailed,
    /// The integration failed or ran out of time: the function may have run.
    IntegrationFailed,
    /// The function says 500 or 503.
    AppFailed,
    /// The function says 429.
    AppThrottled,
    /// A 200 that carries a Lambda failure.
    LambdaFailed,
    /// HTML, another foreign type, or unreadable JSON where FHIR was asked for.
    Garbled,
    /// The client went away, was too slow, or sent nonsense.
    ClientFault,
    /// A hedge's or its first attempt's answer came sooner; what becomes of this one is booked when it ends.
    Overtaken,
    /// Overtaken, and still without an answer after a time that a healthy upstream does not need.
    Slow,
    /// Its upstream was ejected while it waited, and the request went elsewhere.
    Moved,
}

impl Class {
    /// Every class, for zero series at start.
    pub const ALL: [Self; 20] = [
        Self::Answered,
        Self::Unsent,
        Self::Unprocessed,
        Self::Broken,
        Self::TimedOut,
        Self::GatewayDenied,
        Self::Throttled,
        Self::QuotaExceeded,
        Self::RouteMissing,
        Self::SignatureRefused,
        Self::GatewayFailed,
        Self::IntegrationFailed,
        Self::AppFailed,
        Self::AppThrottled,
        Self::LambdaFailed,
        Self::Garbled,
        Self::ClientFault,
        Self::Overtaken,
        Self::Slow,
        Self::Moved,
    ];

    /// A stable name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Unsent => "transport_unsent",
            Self::Unprocessed => "unprocessed",
            Self::Broken => "transport_ambiguous",
            Self::TimedOut => "timed_out",
            Self::GatewayDenied => "gateway_denied",
            Self::Throttled => "throttled",
            Self::QuotaExceeded => "quota_exceeded",
            Self::RouteMissing => "route_missing",
            Self::SignatureRefused => "signature_refused",
            Self::GatewayFailed => "gateway_failed",
            Self::IntegrationFailed => "integration_failed",
            Self::AppFailed => "app_failed",
            Self::AppThrottled => "app_throttled",
            Self::LambdaFailed => "lambda_failed",
            Self::Garbled => "garbled",
            Self::ClientFault => "client_fault",
            Self::Overtaken => "overtaken",
            Self::Slow => "slow",
            Self::Moved => "moved",
        }
    }

    /// What this says about the upstream's health.
    #[must_use]
    pub const fn evidence(self) -> Evidence {
        match self {
            Self::Answered => Evidence::Success,
            Self::Unsent
            | Self::Broken
            | Self::TimedOut
            | Self::GatewayFailed
            | Self::IntegrationFailed
            | Self::LambdaFailed => Evidence::Failure,
            Self::Unprocessed => Evidence::Goodbye,
            Self::AppFailed => Evidence::AppFailure,
            Self::Slow => Evidence::Slowness,
            Self::GatewayDenied | Self::Garbled => Evidence::Suspicion,
            Self::Throttled
            | Self::QuotaExceeded
            | Self::SignatureRefused
            | Self::AppThrottled
            | Self::ClientFault
            | Self::Overtaken
            | Self::Moved => Evidence::None,
            Self::RouteMissing => Evidence::Drift,
        }
    }

    /// Which requests may be tried elsewhere after this.
    #[must_use]
    pub const fn repeat(self) -> Repeat {
        match self {
            Self::Answered | Self::ClientFault | Self::Overtaken | Self::Slow | Self::Moved => Repeat::Never,
            Self::SignatureRefused => Repeat::Resigned,
            Self::Unsent | Self::Unprocessed | Self::GatewayFailed => Repeat::Any,
            Self::GatewayDenied | Self::Throttled | Self::QuotaExceeded | Self::RouteMissing => {
                Repeat::AnyOnce
            }
            Self::Broken
            | Self::TimedOut
            | Self::IntegrationFailed
            | Self::AppFailed
            | Self::AppThrottled
            | Self::LambdaFailed => Repeat::SafeOrIdempotent,
            Self::Garbled => Repeat::Safe,
        }
    }
}

/// What an attempt says about its upstream's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The upstream did its work.
    Success,
    /// The transport or the gateway failed.
    Failure,
    /// The application behind it failed.
    AppFailure,
    /// It took no request on this connection or at this moment: whoever restarts or is full says so, and only one that
    /// says it again and again, to requests that knew of it, is out of order.
    Goodbye,
    /// It keeps its answer back; only many in a row mean something.
    Slowness,
    /// It may be the upstream's fault or this client's: to be verified before anything follows.
    Suspicion,
    /// The path is missing there: a client's mistake, or a deployment that lost its routes. Verified where a check
    /// can tell, and otherwise nothing.
    Drift,
    /// Nothing about its health.
    None,
}

/// Which requests may be tried elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// None: the answer is the answer.
    Never,
    /// Every request: nothing was executed.
    Any,
    /// Every request, but only one move for each exchange: a client's own mistake must not tour the regions.
    AnyOnce,
    /// What reads, and what may be executed twice.
    SafeOrIdempotent,
    /// What reads.
    Safe,
    /// Every request whose signature is the proxy's own, once, and at the same upstream: nothing was executed, and
    /// elsewhere our credentials and our clock are the same.
    Resigned,
}

/// Judges a complete or streaming answer.
#[must_use]
pub fn classify(dialect: Dialect, facts: &AnswerFacts) -> Class {
    match dialect {
        Dialect::Http => by_status(facts.status, facts),
        Dialect::ApiGateway => by_gateway(facts),
    }
}

fn by_gateway(facts: &AnswerFacts) -> Class {
    use GatewayErrorType as E;
    let gateway_spoke = facts.error_type.filter(|_| facts.gateway_spoke());
    // An answer to HEAD withholds the body that would prove it; a HEAD does no harm wherever it is repeated.
    let says = |body: BodyFacts| facts.body == body || facts.body == BodyFacts::Withheld;
    match (facts.status, gateway_spoke) {
        (403, Some(E::Forbidden)) if says(BodyFacts::ForbiddenMessage) => Class::GatewayDenied,
        (403, Some(E::MissingAuthenticationToken)) => Class::RouteMissing,
        (403, Some(E::Signature)) => Class::SignatureRefused,
        (429, Some(E::LimitExceeded)) => Class::QuotaExceeded,
        (429, Some(_)) => Class::Throttled,
        (500, Some(E::Internal)) if says(BodyFacts::InternalMessage) => Class::GatewayFailed,
        (status, _) => by_body(status, facts),
    }
}

fn by_body(status: u16, facts: &AnswerFacts) -> Class {
    match facts.body {
        BodyFacts::LambdaError if status < 400 => Class::LambdaFailed,
        BodyFacts::Envelope { status: inner } if status < 400 => by_status(inner, facts),
        _ => by_status(status, facts),
    }
}

fn by_status(status: u16, facts: &AnswerFacts) -> Class {
    match status {
        429 => Class::AppThrottled,
        502 | 504 => Class::IntegrationFailed,
        500 | 503 => Class::AppFailed,
        200..300 if facts.fhir_expected && is_foreign(facts.body) => Class::Garbled,
        _ => Class::Answered,
    }
}

fn is_foreign(body: BodyFacts) -> bool {
    matches!(body, BodyFacts::Html | BodyFacts::Foreign | BodyFacts::Unreadable)
}

#[cfg(test)]
mod tests;
