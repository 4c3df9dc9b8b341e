//! What upstreams do to requests: the fault catalogue, each fault as the facts the adapter would report.
//!
//! Bytes and headers behind the facts: AWS "Gateway response types for API Gateway", AWS "Lambda integrations".

use crate::classify::{AnswerFacts, BodyFacts, GatewayErrorType};
use crate::exchange::Failure;

/// How an upstream treats the requests that reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weather {
    /// It serves.
    Fine,
    /// It serves, fifty times slower.
    Slow,
    /// Connections are refused.
    Refuse,
    /// Connections never stand: lost packets, or a resolver without an answer.
    Unreachable,
    /// It takes requests and stays silent.
    Hang,
    /// It resets before the function runs.
    ResetBefore,
    /// It resets after the function ran.
    ResetAfter,
    /// Its answers break off.
    Truncate,
    /// The endpoint is disabled: 403 to everybody.
    Denied,
    /// The gateway's throttle.
    Throttled,
    /// The gateway's quota is used up.
    QuotaSpent,
    /// A deployment lost its routes.
    RouteMissing,
    /// The authoriser fails, or nobody may invoke the function.
    GatewayFailed,
    /// 502: the function crashed or answered nonsense.
    BadGateway,
    /// 504: the integration's time was up.
    GatewayTimeout,
    /// 500 by the function.
    AppError,
    /// 503 by the function.
    AppUnavailable,
    /// 429 by the function.
    AppThrottled,
    /// A 200 that carries a Lambda failure.
    LambdaError,
    /// A 200 that carries an envelope with a 500 inside.
    Envelope,
    /// An HTML page where FHIR was asked for.
    Garbled,
}

impl Weather {
    /// All weather, fine first.
    pub const ALL: [Self; 21] = [
        Self::Fine,
        Self::Slow,
        Self::Refuse,
        Self::Unreachable,
        Self::Hang,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Truncate,
        Self::Denied,
        Self::Throttled,
        Self::QuotaSpent,
        Self::RouteMissing,
        Self::GatewayFailed,
        Self::BadGateway,
        Self::GatewayTimeout,
        Self::AppError,
        Self::AppUnavailable,
        Self::AppThrottled,
        Self::LambdaError,
        Self::Envelope,
        Self::Garbled,
    ];

    /// The words of all but the first.
    pub const FAULTS: [&'static str; 20] = {
        let mut words = [""; 20];
        let mut index = 0;
        while index < words.len() {
            words[index] = Self::ALL[index + 1].word();
            index += 1;
        }
        words
    };

    /// Its word in a scenario; where the regions' simulator can do the same, its word too.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Slow => "slow",
            Self::Refuse => "refuse_connections",
            Self::Unreachable => "unreachable",
            Self::Hang => "hang",
            Self::ResetBefore => "reset_before",
            Self::ResetAfter => "late_execution",
            Self::Truncate => "truncate",
            Self::Denied => "disabled",
            Self::Throttled => "throttled",
            Self::QuotaSpent => "quota",
            Self::RouteMissing => "missing_authentication_token",
            Self::GatewayFailed => "authorizer",
            Self::BadGateway => "bad_gateway",
            Self::GatewayTimeout => "gateway_timeout",
            Self::AppError => "internal",
            Self::AppUnavailable => "unavailable",
            Self::AppThrottled => "app_throttled",
            Self::LambdaError => "lambda_error",
            Self::Envelope => "envelope_500",
            Self::Garbled => "html",
        }
    }

    /// What it is, in a line for operators.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Fine => "it serves",
            Self::Slow => "it serves, `times` slower than usual",
            Self::Refuse => "connections are refused",
            Self::Unreachable => "connections never stand: lost packets, or a name that does not resolve",
            Self::Hang => "it takes requests and stays silent",
            Self::ResetBefore => "it resets the connection before the function runs",
            Self::ResetAfter => "the function runs to its end, then the connection is reset",
            Self::Truncate => "its answers break off",
            Self::Denied => "the endpoint is disabled: the gateway's 403 to everybody",
            Self::Throttled => "the gateway's 429, whatever the load",
            Self::QuotaSpent => "the gateway's 429 for a quota that is used up",
            Self::RouteMissing => "a deployment lost its routes: 403 Missing Authentication Token",
            Self::GatewayFailed => {
                "the gateway's 500: the authoriser fails, or nobody may invoke the function"
            }
            Self::BadGateway => "the gateway's 502: the function crashed or answered nonsense",
            Self::GatewayTimeout => "the gateway's 504: the function's time was up",
            Self::AppError => "the function's 500",
            Self::AppUnavailable => "the function's 503",
            Self::AppThrottled => "the function's 429",
            Self::LambdaError => "a 200 that carries a Lambda failure",
            Self::Envelope => "a 200 that carries an envelope with a 500 inside",
            Self::Garbled => "an HTML page where FHIR was asked for",
        }
    }

    /// The weather of a word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|weather| weather.word() == word)
    }

    /// Requests are served in the end.
    #[must_use]
    pub const fn serves(self) -> bool {
        matches!(self, Self::Fine | Self::Slow)
    }

    pub(super) const fn effect(self) -> Effect {
        use GatewayErrorType as E;
        match self {
            Self::Fine => Effect::answer(FINE, Runs::Always),
            Self::Slow => Effect { pace: Pace::Slow, ..Effect::answer(FINE, Runs::Always) },
            Self::Refuse => Effect { pace: Pace::Instant, ..Effect::failure(Failure::Unsent, Runs::Never) },
            Self::Unreachable => {
                Effect { pace: Pace::ConnectTimeout, ..Effect::failure(Failure::Unsent, Runs::Never) }
            }
            Self::Hang => Effect { pace: Pace::Never, ..Effect::failure(Failure::TimedOut, Runs::Perhaps) },
            Self::ResetBefore => Effect::failure(Failure::Broken, Runs::Never),
            Self::ResetAfter => Effect::failure(Failure::Broken, Runs::Always),
            Self::Truncate => Effect { comes: Comes::Part, ..Effect::answer(FINE, Runs::Always) },
            Self::Denied => Effect::gateway(403, E::Forbidden, BodyFacts::ForbiddenMessage),
            Self::Throttled => Effect::gateway(429, E::TooManyRequests, BodyFacts::Json),
            Self::QuotaSpent => Effect::gateway(429, E::LimitExceeded, BodyFacts::Json),
            Self::RouteMissing => Effect::gateway(403, E::MissingAuthenticationToken, BodyFacts::Json),
            Self::GatewayFailed => Effect::gateway(500, E::Internal, BodyFacts::InternalMessage),
            Self::BadGateway => Effect {
                runs: Runs::Perhaps,
                ..Effect::gateway(502, E::Internal, BodyFacts::InternalMessage)
            },
            Self::GatewayTimeout => {
                Effect { runs: Runs::Perhaps, ..Effect::gateway(504, E::Internal, BodyFacts::Json) }
            }
            Self::AppError => Effect::answer(of(500, BodyFacts::Json), Runs::Perhaps),
            Self::AppUnavailable => Effect::answer(of(503, BodyFacts::Json), Runs::Perhaps),
            Self::AppThrottled => Effect::answer(of(429, BodyFacts::Json), Runs::Perhaps),
            Self::LambdaError => Effect::answer(of(200, BodyFacts::LambdaError), Runs::Perhaps),
            Self::Envelope => Effect::answer(of(200, BodyFacts::Envelope { status: 500 }), Runs::Perhaps),
            Self::Garbled => Effect::answer(of(200, BodyFacts::Html), Runs::Perhaps),
        }
    }
}

/// One request's fate at one upstream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effect {
    pub(super) comes: Comes,
    pub(super) pace: Pace,
    pub(super) runs: Runs,
}

/// What comes back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Comes {
    Answer(AnswerFacts),
    /// The head and part of the body.
    Part,
    Failure(Failure),
}

/// How soon it comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    Instant,
    Usual,
    Slow,
    ConnectTimeout,
    Never,
}

/// Whether the function runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    Never,
    Perhaps,
    Always,
}

impl Effect {
    pub(super) const fn answer(facts: AnswerFacts, runs: Runs) -> Self {
        Self { comes: Comes::Answer(facts), pace: Pace::Usual, runs }
    }

    const fn failure(failure: Failure, runs: Runs) -> Self {
        Self { comes: Comes::Failure(failure), pace: Pace::Usual, runs }
    }

    const fn gateway(code: u16, error_type: GatewayErrorType, body: BodyFacts) -> Self {
        let facts = AnswerFacts { error_type: Some(error_type), ..of(code, body) };
        Self::answer(facts, Runs::Never)
    }
}

pub(super) const FINE: AnswerFacts = AnswerFacts { fhir_media: true, ..of(200, BodyFacts::Json) };

/// An answer with nothing but this status.
pub(super) const fn status(code: u16) -> AnswerFacts {
    of(code, BodyFacts::Json)
}

const fn of(status: u16, body: BodyFacts) -> AnswerFacts {
    AnswerFacts { status, error_type: None, fhir_media: false, fhir_expected: true, body, retry_after: None }
}
