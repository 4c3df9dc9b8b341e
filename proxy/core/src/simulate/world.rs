//! The runner: it owns the time, and speaks to the core of each proxy exactly as the adapter does.

use super::queue::{Due, Queue};
use super::region::Region;
use super::report::Report;
use super::scenario::{Request, Scenario, Sky};
use super::weather::{Comes, Effect, FINE, Pace, Runs};
use super::{Step, What};
use crate::check::{ActiveHealth, CheckResult};
use crate::classify::Class;
use crate::exchange::{Exchange, Failure};
use crate::pool::{CheckOut, Pool, PoolEvent};
use crate::receipt::AttemptRecord;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

struct Live {
    proxy: usize,
    request: Request,
    exchange: Exchange,
    /// The region where an attempt of it takes up room.
    inside: Option<usize>,
    comes: Comes,
    executions: u32,
}

/// One of the fleet: nothing is shared but the regions.
struct Proxy {
    pool: Pool,
    rng: Rng,
}

pub(super) struct World<'a> {
    scenario: &'a Scenario,
    watch: &'a mut dyn FnMut(&Step<'_>),
    proxies: Vec<Proxy>,
    queue: Queue,
    live: BTreeMap<u64, Live>,
    regions: Vec<Region>,
    report: Report,
    now: Timestamp,
    // Separate from each other and from every proxy's: a change of policy must not change the traffic it is
    // measured by.
    traffic: Rng,
    weather: Rng,
    checks: Rng,
}

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario, seed: u64, watch: &'a mut dyn FnMut(&Step<'_>)) -> Self {
        let upstreams = scenario.pool.upstreams.len();
        let skies = scenario.skies.iter().cloned().chain(std::iter::repeat_with(Sky::default));
        let mut seeds = Rng::with_seed(seed);
        let (traffic, weather) = (seeds.fork(), seeds.fork());
        let mut proxy =
            || Proxy { pool: Pool::new(Arc::clone(&scenario.pool), Timestamp::ZERO), rng: seeds.fork() };
        let proxies = (0..scenario.proxies.max(1)).map(|_| proxy()).collect();
        let checks = seeds.fork();
        Self {
            scenario,
            watch,
            proxies,
            queue: Queue::default(),
            live: BTreeMap::new(),
            regions: skies.take(upstreams).map(Region::new).collect(),
            report: Report::new(scenario),
            now: Timestamp::ZERO,
            traffic,
            weather,
            checks,
        }
    }

    pub(super) fn run(mut self) -> Report {
        self.expect_beats();
        self.expect_arrival();
        while let Some((at, due)) = self.queue.pop() {
            self.sample(at);
            self.now = at;
            match due {
                Due::Arrival => self.arrive(),
                Due::Choice { id } => self.choose(id),
                Due::Outcome { id } => self.come(id),
                Due::StreamEnd { id, breaks } => self.end_stream(id, breaks),
                Due::Departure { id } => self.close(id),
                Due::Verified { proxy, upstream } => self.verified(proxy, upstream),
                Due::Beat { proxy, upstream } => self.beat(proxy, upstream),
                Due::Checked { proxy, out, result } => self.checked(proxy, out, result),
            }
        }
        self.sample(Timestamp::FAR_FUTURE);
        self.report.finish()
    }

    fn sample(&mut self, now: Timestamp) {
        self.report.sample(now, self.proxies.iter().map(|proxy| &proxy.pool));
    }

    fn expect_arrival(&mut self) {
        let proxies = self.scenario.proxies.max(1);
        let at = self.now + self.scenario.traffic.gap(proxies, self.now, &mut self.traffic);
        if at < Timestamp::ZERO + self.scenario.span {
            self.queue.push(at, Due::Arrival);
        }
    }

    fn arrive(&mut self) {
        let id = self.report.requests;
        let request = self.scenario.traffic.request(id, self.now, &mut self.traffic);
        let proxy = self.traffic.usize(0..self.proxies.len());
        if let Some(patience) = self.scenario.traffic.patience(&mut self.traffic) {
            self.queue.push(self.now + patience, Due::Departure { id });
        }
        let exchange = Exchange::open(request.terms, &mut self.proxies[proxy].pool, self.now);
        let comes = Comes::Failure(Failure::Unsent);
        self.live.insert(id, Live { proxy, request, exchange, inside: None, comes, executions: 0 });
        self.tell(proxy, What::Opened { request });
        self.choose(id);
        self.expect_arrival();
    }

    fn choose(&mut self, id: u64) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let Proxy { pool, rng } = &mut self.proxies[live.proxy];
        let Ok(attempt) = live.exchange.choose(pool, self.now, rng) else {
            return self.close(id);
        };
        let region = &mut self.regions[attempt.upstream];
        let fate = region.fate(live.request.bad_key, self.now, &mut self.weather);
        region.enter();
        live.inside = Some(attempt.upstream);
        let effect = fate.effect;
        let at = self.now + region.takes(&fate, attempt.connect, &mut self.weather);
        let executes = match effect.runs {
            Runs::Never => false,
            Runs::Perhaps => self.weather.bool(),
            Runs::Always => true,
        };
        // Silence until the deadline is a time-out, whatever would have come after it.
        live.comes = match effect.pace {
            Pace::ConnectTimeout => Comes::Failure(Failure::Unsent),
            _ if at < attempt.deadline => effect.comes,
            _ => Comes::Failure(Failure::TimedOut),
        };
        live.executions += u32::from(executes);
        let (proxy, request) = (live.proxy, live.request);
        self.queue.push(at.min(attempt.deadline), Due::Outcome { id });
        self.tell(proxy, What::Chosen { request, attempt, executes });
    }

    fn come(&mut self, id: u64) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let Proxy { pool, rng } = &mut self.proxies[live.proxy];
        let now = self.now;
        let whole = !live.request.streams;
        let verdict = match live.comes {
            Comes::Answer(facts) => live.exchange.answered(pool, &facts, whole, now, rng),
            Comes::Part if whole => live.exchange.failed(pool, Failure::Broken, now, rng),
            Comes::Part => live.exchange.answered(pool, &FINE, false, now, rng),
            Comes::Failure(failure) => live.exchange.failed(pool, failure, now, rng),
        };
        let Some(&AttemptRecord { class, upstream, .. }) = live.exchange.attempts().last() else { return };
        let (proxy, request, breaks) = (live.proxy, live.request, matches!(live.comes, Comes::Part));
        let streams = verdict == Verdict::Forward && request.streams && class == Class::Answered;
        if !streams {
            leave(&mut self.regions, live);
        }
        self.tell(proxy, What::Judged { request, class, verdict });
        match verdict {
            Verdict::Retry { not_before } => self.queue.push(not_before.max(now), Due::Choice { id }),
            Verdict::Forward if streams => {
                let takes = self.regions[upstream].sky().latency.saturating_mul(STREAM_LENGTH);
                self.queue.push(now + takes, Due::StreamEnd { id, breaks });
            }
            Verdict::Forward | Verdict::Refuse(_) => self.close(id),
        }
    }

    fn end_stream(&mut self, id: u64, breaks: bool) {
        if let Some(live) = self.live.get_mut(&id) {
            let Proxy { pool, rng } = &mut self.proxies[live.proxy];
            if breaks {
                live.exchange.broke(pool, self.now, rng);
            } else {
                live.exchange.delivered(pool, self.now, rng);
            }
        }
        self.close(id);
    }

    /// Ends an exchange wherever it stands: one that is still under way was left by its client.
    fn close(&mut self, id: u64) {
        let Some(mut live) = self.live.remove(&id) else { return };
        leave(&mut self.regions, &mut live);
        let Proxy { pool, rng } = &mut self.proxies[live.proxy];
        let receipt = live.exchange.close(pool, self.now, rng);
        let (request, executions) = (live.request, live.executions);
        self.tell(live.proxy, What::Closed { request, receipt: &receipt, executions });
    }

    fn verified(&mut self, proxy: usize, upstream: usize) {
        let effect = self.regions[upstream].fate(false, self.now, &mut self.weather).effect;
        let result = self.judged(effect);
        // A check that says nothing is not reported: the core must live with a lost one.
        if result != CheckResult::Unclear {
            let Proxy { pool, rng } = &mut self.proxies[proxy];
            pool.verified(upstream, result, self.now, rng);
            self.tell(proxy, What::Verified { upstream, result });
        }
    }

    /// Sets the first check of every upstream; a fleet's proxies do not beat in step.
    fn expect_beats(&mut self) {
        let Some(ActiveHealth { interval, .. }) = self.scenario.pool.active_health else { return };
        for proxy in 0..self.proxies.len() {
            for upstream in 0..self.regions.len() {
                let first = self.now + interval.mul_f64(self.checks.f64());
                self.queue.push(first, Due::Beat { proxy, upstream });
            }
        }
    }

    fn beat(&mut self, proxy: usize, upstream: usize) {
        let Some(policy) = self.scenario.pool.active_health else { return };
        let Some(out) = self.proxies[proxy].pool.begin_check(upstream) else { return };
        let region = &mut self.regions[upstream];
        let fate = region.fate(false, self.now, &mut self.checks);
        let takes = region.takes(&fate, policy.timeout, &mut self.checks);
        let result = if takes < policy.timeout { self.judged(fate.effect) } else { CheckResult::Failed };
        let takes = takes.min(policy.timeout);
        self.queue.push(self.now + takes, Due::Checked { proxy, out, result });
        let pause = policy.pause(&mut self.checks).max(takes);
        if self.now + pause < Timestamp::ZERO + self.scenario.span {
            self.queue.push(self.now + pause, Due::Beat { proxy, upstream });
        }
    }

    fn checked(&mut self, proxy: usize, out: CheckOut, result: CheckResult) {
        let Proxy { pool, rng } = &mut self.proxies[proxy];
        pool.checked(out, result, self.now, rng);
        self.tell(proxy, What::Checked { upstream: out.upstream, result });
    }

    fn judged(&self, effect: Effect) -> CheckResult {
        match effect.comes {
            Comes::Answer(facts) => {
                CheckResult::judge(self.scenario.pool.dialect, &facts, facts.status < 300)
            }
            Comes::Part | Comes::Failure(_) => CheckResult::Failed,
        }
    }

    /// Shows a step, then what the pool has to tell about it.
    fn tell(&mut self, proxy: usize, what: What<'_>) {
        self.show(proxy, what);
        for event in self.proxies[proxy].pool.take_events() {
            if let PoolEvent::VerifyWanted { upstream } = event {
                let timeout = self.scenario.pool.active_health.unwrap_or_default().timeout;
                let takes = self.regions[upstream].sky().takes(&mut self.weather).min(timeout);
                self.queue.push(self.now + takes, Due::Verified { proxy, upstream });
            }
            self.show(proxy, What::Told { event });
        }
    }

    fn show(&mut self, proxy: usize, what: What<'_>) {
        self.report.book(self.now, &what);
        let pool = &self.proxies[proxy].pool;
        (self.watch)(&Step { at: self.now, proxy, pool, what });
    }
}

/// A streamed answer takes this many times an answer's latency.
const STREAM_LENGTH: u32 = 20;

fn leave(regions: &mut [Region], live: &mut Live) {
    if let Some(region) = live.inside.take().and_then(|index| regions.get_mut(index)) {
        region.leave();
    }
}
