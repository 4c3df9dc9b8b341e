mod domains;
mod drilled;
mod endings;
mod hedging;
mod last_call;
mod leaving;
mod limits;
mod payment;
mod table;

use super::*;
use crate::classify::{BodyFacts, Dialect, GatewayErrorType};
use crate::pool::PoolSpec;
use crate::upstream::UpstreamSpec;
use std::num::NonZeroU32;
use std::sync::Arc;

/// What comes of an attempt.
#[derive(Clone, Copy, Debug)]
enum Came {
    Fails(Failure),
    Answers(AnswerFacts),
}

const UNSENT: Came = Came::Fails(Failure::Unsent);
const UNPROCESSED: Came = Came::Fails(Failure::Unprocessed);
const BROKEN: Came = Came::Fails(Failure::Broken);
const TIMED_OUT: Came = Came::Fails(Failure::TimedOut);
const OK: Came = answers(200, BodyFacts::Json);
const APP_500: Came = answers(500, BodyFacts::Json);
const DENIED: Came = gateway(403, GatewayErrorType::Forbidden, BodyFacts::ForbiddenMessage);
const THROTTLED: Came = gateway(429, GatewayErrorType::TooManyRequests, BodyFacts::Json);

const fn facts(status: u16, body: BodyFacts) -> AnswerFacts {
    AnswerFacts { status, error_type: None, fhir_media: false, fhir_expected: true, body, retry_after: None }
}

const fn answers(status: u16, body: BodyFacts) -> Came {
    Came::Answers(facts(status, body))
}

const fn gateway(status: u16, error_type: GatewayErrorType, body: BodyFacts) -> Came {
    Came::Answers(AnswerFacts { error_type: Some(error_type), ..facts(status, body) })
}

const fn millis(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1000)
}

fn spec(upstreams: usize) -> PoolSpec {
    let upstream = |index| UpstreamSpec {
        name: format!("region-{index}"),
        weight: NonZeroU32::MIN,
        priority: 0,
        data_domain: String::new(),
        concurrency_max: None,
        signed: false,
    };
    PoolSpec {
        upstreams: (0..upstreams).map(upstream).collect(),
        dialect: Dialect::ApiGateway,
        fhir: true,
        active_health: Some(crate::check::ActiveHealth::default()),
        ..PoolSpec::default()
    }
}

/// Of a pool that was never reconfigured.
const fn key(place: usize) -> UpstreamKey {
    UpstreamKey::at_first(place)
}

/// A pool with a clock and dice.
struct Desk {
    pool: Pool,
    now: Timestamp,
    rng: Rng,
}

impl Desk {
    fn new(spec: PoolSpec) -> Self {
        let now = millis(1_000_000);
        Self { pool: Pool::new(Arc::new(spec), now), now, rng: Rng::with_seed(1) }
    }

    fn open(&mut self, safety: Safety) -> Exchange {
        self.open_with(safety, |_| ())
    }

    fn open_with(&mut self, safety: Safety, change: impl FnOnce(&mut Terms)) -> Exchange {
        let mut terms = Terms { safety, client: 1, key: None, replayable: true, deadline: None, page: None };
        change(&mut terms);
        Exchange::open(terms, &mut self.pool, self.now)
    }

    fn choose(&mut self, exchange: &mut Exchange) -> Attempt {
        exchange.choose(&mut self.pool, self.now, &mut self.rng).unwrap()
    }

    fn judge(&mut self, exchange: &mut Exchange, came: Came) -> Verdict {
        let number = exchange.attempts().len();
        self.judge_of(exchange, number, came)
    }

    /// What came of the attempt of this number.
    fn judge_of(&mut self, exchange: &mut Exchange, number: usize, came: Came) -> Verdict {
        let (pool, rng) = (&mut self.pool, &mut self.rng);
        match came {
            Came::Fails(failure) => exchange.failed(pool, number, failure, self.now, rng),
            Came::Answers(facts) => exchange.answered(pool, number, (&facts, true), self.now, rng),
        }
    }

    /// One more attempt, to the end of its back-off.
    fn attempt(&mut self, exchange: &mut Exchange, came: Came) -> Verdict {
        self.choose(exchange);
        let verdict = self.judge(exchange, came);
        if let Verdict::Retry { not_before } = verdict {
            self.now = self.now.max(not_before);
        }
        verdict
    }

    /// Attempts that all come to the same, until the exchange ends.
    fn exhaust(&mut self, safety: Safety, came: Came) -> (Receipt, Verdict) {
        let mut exchange = self.open(safety);
        let mut verdict = self.attempt(&mut exchange, came);
        while let Verdict::Retry { .. } = verdict {
            verdict = self.attempt(&mut exchange, came);
        }
        (self.close(exchange), verdict)
    }

    fn close(&mut self, exchange: Exchange) -> Receipt {
        exchange.close(&mut self.pool, self.now, &mut self.rng)
    }

    /// Other requests' failures put an upstream out of rotation.
    fn eject(&mut self, upstream: usize) {
        for _ in 0..20 {
            let mut exchange = self.open(Safety::Safe);
            let attempt = self.choose(&mut exchange);
            let _ = self.judge(&mut exchange, if attempt.upstream == key(upstream) { UNSENT } else { OK });
            let _ = self.close(exchange);
        }
        assert_eq!(self.pool.upstreams()[upstream].health().name(), "ejected");
    }

    /// Other requests' retries use up the budget.
    fn spend_the_budget(&mut self) {
        while self.pool.budget().withdraw(self.now) {}
    }

    fn at_rest(&self) -> bool {
        self.pool.upstreams().iter().all(|upstream| upstream.in_flight() == 0)
    }
}
