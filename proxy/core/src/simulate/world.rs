//! The runner: it owns the time, and speaks to the core exactly as the adapter does.

use super::queue::{Due, Queue};
use super::report::Report;
use super::scenario::{Request, Scenario, Sky};
use super::weather::{Comes, Effect, FINE, Pace, Runs, Weather};
use super::{Step, What};
use crate::classify::{self, Class, Evidence};
use crate::exchange::{Attempt, Exchange, Failure};
use crate::pool::{CheckResult, Pool, PoolEvent};
use crate::receipt::AttemptRecord;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The proxy's own check waits this long for an answer (`active_health.timeout`).
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

struct Live {
    request: Request,
    exchange: Exchange,
    comes: Comes,
    executions: u32,
}

pub(super) struct World<'a> {
    scenario: &'a Scenario,
    watch: &'a mut dyn FnMut(&Step<'_>),
    pool: Pool,
    queue: Queue,
    live: BTreeMap<u64, Live>,
    skies: Vec<Sky>,
    report: Report,
    now: Timestamp,
    // Three sources: a change of policy must not change the traffic it is measured by.
    traffic: Rng,
    weather: Rng,
    core: Rng,
}

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario, seed: u64, watch: &'a mut dyn FnMut(&Step<'_>)) -> Self {
        let upstreams = scenario.pool.upstreams.len();
        let mut skies = scenario.skies.clone();
        skies.resize(upstreams, Sky::default());
        let mut seeds = Rng::with_seed(seed);
        Self {
            scenario,
            watch,
            pool: Pool::new(Arc::clone(&scenario.pool), Timestamp::ZERO),
            queue: Queue::default(),
            live: BTreeMap::new(),
            skies,
            report: Report::new(upstreams),
            now: Timestamp::ZERO,
            traffic: seeds.fork(),
            weather: seeds.fork(),
            core: seeds.fork(),
        }
    }

    pub(super) fn run(mut self) -> Report {
        self.expect_arrival();
        while let Some((at, due)) = self.queue.pop() {
            self.now = at;
            match due {
                Due::Arrival => self.arrive(),
                Due::Choice { id } => self.choose(id),
                Due::Outcome { id } => self.come(id),
                Due::StreamEnd { id, breaks } => self.end_stream(id, breaks),
                Due::Departure { id } => self.close(id),
                Due::Check { upstream } => self.check(upstream),
            }
        }
        self.report.finish()
    }

    fn expect_arrival(&mut self) {
        let at = self.now + self.scenario.traffic.gap(self.now, &mut self.traffic);
        if at < Timestamp::ZERO + self.scenario.span {
            self.queue.push(at, Due::Arrival);
        }
    }

    fn arrive(&mut self) {
        let id = self.report.requests;
        let request = self.scenario.traffic.request(id, self.now, &mut self.traffic);
        if let Some(patience) = self.scenario.traffic.patience(&mut self.traffic) {
            self.queue.push(self.now + patience, Due::Departure { id });
        }
        let exchange = Exchange::open(request.terms, &mut self.pool, self.now);
        let comes = Comes::Failure(Failure::Unsent);
        self.live.insert(id, Live { request, exchange, comes, executions: 0 });
        self.tell(What::Opened { request });
        self.choose(id);
        self.expect_arrival();
    }

    fn choose(&mut self, id: u64) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let Ok(attempt) = live.exchange.choose(&mut self.pool, self.now, &mut self.core) else {
            return self.close(id);
        };
        let sky = &self.skies[attempt.upstream];
        let effect = fate(sky, live.request.bad_key, self.now, &mut self.weather);
        let at = self.now + takes(effect, sky, &attempt, &mut self.weather);
        let executes = match effect.runs {
            Runs::Never => false,
            Runs::Perhaps => self.weather.bool(),
            Runs::Always => true,
        };
        // Silence until the deadline is a time-out, whatever would have come after it.
        live.comes = if at < attempt.deadline { effect.comes } else { Comes::Failure(Failure::TimedOut) };
        live.executions += u32::from(executes);
        let request = live.request;
        self.queue.push(at.min(attempt.deadline), Due::Outcome { id });
        self.tell(What::Chosen { request, attempt, executes });
    }

    fn come(&mut self, id: u64) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let (pool, now, rng) = (&mut self.pool, self.now, &mut self.core);
        let whole = !live.request.streams;
        let verdict = match live.comes {
            Comes::Answer(facts) => live.exchange.answered(pool, &facts, whole, now, rng),
            Comes::Part if whole => live.exchange.failed(pool, Failure::Broken, now, rng),
            Comes::Part => live.exchange.answered(pool, &FINE, false, now, rng),
            Comes::Failure(failure) => live.exchange.failed(pool, failure, now, rng),
        };
        let Some(&AttemptRecord { class, upstream, .. }) = live.exchange.attempts().last() else { return };
        let (request, breaks) = (live.request, matches!(live.comes, Comes::Part));
        self.tell(What::Judged { request, class, verdict });
        match verdict {
            Verdict::Retry { not_before } => self.queue.push(not_before.max(now), Due::Choice { id }),
            Verdict::Forward if request.streams && class == Class::Answered => {
                let takes = self.skies[upstream].latency * STREAM_LENGTH;
                self.queue.push(now + takes, Due::StreamEnd { id, breaks });
            }
            Verdict::Forward | Verdict::Refuse(_) => self.close(id),
        }
    }

    fn end_stream(&mut self, id: u64, breaks: bool) {
        if let Some(live) = self.live.get_mut(&id) {
            if breaks {
                live.exchange.broke(&mut self.pool, self.now, &mut self.core);
            } else {
                live.exchange.delivered(&mut self.pool, self.now, &mut self.core);
            }
        }
        self.close(id);
    }

    /// Ends an exchange wherever it stands: one that is still under way was left by its client.
    fn close(&mut self, id: u64) {
        let Some(live) = self.live.remove(&id) else { return };
        let receipt = live.exchange.close(&mut self.pool, self.now, &mut self.core);
        self.tell(What::Closed { request: live.request, receipt: &receipt, executions: live.executions });
    }

    fn check(&mut self, upstream: usize) {
        let effect = fate(&self.skies[upstream], false, self.now, &mut self.weather);
        let evidence = match effect.comes {
            Comes::Answer(facts) => classify::classify(self.scenario.pool.dialect, &facts).evidence(),
            Comes::Part | Comes::Failure(_) => Evidence::Failure,
        };
        let result = match evidence {
            Evidence::Success => CheckResult::Passed,
            Evidence::Suspicion => CheckResult::Refused,
            Evidence::Failure | Evidence::AppFailure => CheckResult::Failed,
            // A throttled check says nothing and is not reported: the core must live with a lost one.
            Evidence::None => return,
        };
        self.pool.verified(upstream, result, self.now, &mut self.core);
        self.tell(What::Checked { upstream, result });
    }

    /// Shows a step, then what the pool has to tell about it.
    fn tell(&mut self, what: What<'_>) {
        self.show(what);
        for event in self.pool.take_events() {
            if let PoolEvent::VerifyWanted { upstream } = event {
                let takes = self.skies[upstream].takes(&mut self.weather).min(CHECK_TIMEOUT);
                self.queue.push(self.now + takes, Due::Check { upstream });
            }
            self.show(What::Told { event });
        }
    }

    fn show(&mut self, what: What<'_>) {
        self.report.book(self.now, &what);
        (self.watch)(&Step { at: self.now, pool: &self.pool, what });
    }
}

/// A streamed answer takes this many times an answer's latency.
const STREAM_LENGTH: u32 = 20;
/// Slow weather takes this many times the usual.
const SLOWNESS: u32 = 50;

/// A gateway that answers at all refuses a bad key before anything else happens.
fn fate(sky: &Sky, bad_key: bool, now: Timestamp, rng: &mut Rng) -> Effect {
    let effect = sky.strike(now, rng).effect();
    match effect.comes {
        Comes::Answer(_) | Comes::Part if bad_key => Weather::Denied.effect(),
        _ => effect,
    }
}

fn takes(effect: Effect, sky: &Sky, attempt: &Attempt, rng: &mut Rng) -> Duration {
    let usual = sky.takes(rng);
    match effect.pace {
        Pace::Instant => Duration::from_micros(200),
        Pace::Usual => usual,
        Pace::Slow => usual * SLOWNESS,
        Pace::ConnectTimeout => attempt.connect,
        Pace::Never => Duration::MAX,
    }
}
