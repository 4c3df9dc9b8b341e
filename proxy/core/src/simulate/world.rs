//! The runner: it owns the time, and speaks to the core of each proxy exactly as the adapter does.

mod checks;
mod drill;
mod orders;
mod reload;

use super::queue::{Due, Queue};
use super::region::Region;
use super::report::Report;
use super::scenario::{Request, Scenario, Sky};
use super::weather::{Comes, Effect, FINE, Pace, Runs};
use super::{Step, What};
use crate::check::CheckResult;
use crate::classify::Class;
use crate::drill::DrillPlan;
use crate::exchange::{Attempt, Came, Exchange, Failure, Straggler};
use crate::pool::{Pool, PoolEvent, PoolSpec};
use crate::receipt::AttemptRecord;
use crate::time::Timestamp;
use crate::upstream::UpstreamKey;
use crate::verdict::Verdict;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;

struct Live {
    proxy: usize,
    request: Request,
    exchange: Exchange,
    /// Its attempts that are out; two while they race.
    outs: Vec<Out>,
    /// The region that streams its answer.
    streams_from: Option<usize>,
    executions: u32,
}

/// An attempt that is out, and what will come of it.
#[derive(Clone, Copy)]
struct Out {
    attempt: Attempt,
    comes: Comes,
}

/// An attempt that lost its race.
struct Loser {
    proxy: usize,
    request: Request,
    out: Out,
    straggler: Straggler,
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
    losers: BTreeMap<(u64, usize), Loser>,
    regions: Vec<Region>,
    report: Report,
    now: Timestamp,
    drill: Option<DrillPlan>,
    reloads: Vec<Arc<PoolSpec>>,
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
            losers: BTreeMap::new(),
            regions: skies.take(upstreams).map(Region::new).collect(),
            report: Report::new(scenario),
            now: Timestamp::ZERO,
            drill: None,
            reloads: Vec::new(),
            traffic,
            weather,
            checks,
        }
    }

    pub(super) fn run(mut self) -> Report {
        self.expect_beats();
        self.expect_orders();
        self.expect_arrival();
        while let Some((at, due)) = self.queue.pop() {
            self.sample(at);
            self.now = at;
            match due {
                Due::Arrival => self.arrive(),
                Due::Choice { id } => self.choose(id),
                Due::Outcome { id, number } => self.come(id, number),
                Due::Hedge { id, number } => self.hedge(id, number),
                Due::Silence { id, number } => self.end_loser(id, number, None),
                Due::StreamEnd { id, breaks } => self.end_stream(id, breaks),
                Due::Departure { id } => self.close(id),
                Due::Reload { index } => self.reload(index),
                Due::Drill => self.drill(),
                Due::Verified { proxy, upstream } => self.verified(proxy, upstream),
                Due::Beat { proxy, upstream } => self.beat(proxy, upstream),
                Due::Order { number } => self.order(number),
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
        let live = Live { proxy, request, exchange, outs: Vec::new(), streams_from: None, executions: 0 };
        self.live.insert(id, live);
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
        self.send(id, attempt, false);
    }

    /// The attempt of this number is late, if it is the only one that is still out.
    fn hedge(&mut self, id: u64, number: usize) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let Proxy { pool, rng } = &mut self.proxies[live.proxy];
        let is_alone = live.outs.len() == 1 && live.outs[0].attempt.number == number;
        if !is_alone {
            return;
        }
        match live.exchange.hedge(pool, self.now, rng) {
            Ok(attempt) => self.send(id, attempt, true),
            Err(again_at) => self.expect_hedge(id, again_at),
        }
    }

    fn send(&mut self, id: u64, attempt: Attempt, hedge: bool) {
        let Some(bad_key) = self.live.get(&id).map(|live| live.request.bad_key) else { return };
        let upstream = attempt.upstream.number();
        let mut fate = self.regions[upstream].fate(bad_key, self.now, &mut self.weather);
        let delay = self.meet(&attempt, &mut fate.effect);
        let (region, effect) = (&mut self.regions[upstream], fate.effect);
        region.enter();
        let at = self.now + delay + region.takes(&fate, attempt.connect, &mut self.weather);
        let executes = match effect.runs {
            Runs::Never => false,
            Runs::Perhaps => self.weather.bool(),
            Runs::Always => true,
        };
        // Silence until the deadline is a time-out, whatever would have come after it.
        let comes = match effect.pace {
            Pace::ConnectTimeout => Comes::Failure(Failure::Unsent),
            _ if at < attempt.deadline => effect.comes,
            _ => Comes::Failure(Failure::TimedOut),
        };
        let Some(live) = self.live.get_mut(&id) else { return };
        live.outs.push(Out { attempt, comes });
        live.executions += u32::from(executes);
        let (proxy, request, number) = (live.proxy, live.request, attempt.number);
        let paid = live.exchange.attempts().last().is_some_and(|attempt| attempt.paid);
        self.queue.push(at.min(attempt.deadline), Due::Outcome { id, number });
        if let Some(at) = attempt.hedge_at {
            self.queue.push(at, Due::Hedge { id, number });
        }
        self.tell(proxy, What::Chosen { request, attempt, executes, hedge, paid });
    }

    fn come(&mut self, id: u64, number: usize) {
        if let Some(comes) = self.losers.get(&(id, number)).map(|loser| loser.out.comes) {
            return self.end_loser(id, number, Some(comes));
        }
        let Some(live) = self.live.get_mut(&id) else { return };
        let Some(out) = take(&mut live.outs, number) else { return };
        let Proxy { pool, rng } = &mut self.proxies[live.proxy];
        let now = self.now;
        let whole = !live.request.streams;
        let verdict = match out.comes {
            Comes::Answer(facts) => live.exchange.answered(pool, number, (&facts, whole), now, rng),
            Comes::Part if whole => live.exchange.failed(pool, number, Failure::Broken, now, rng),
            Comes::Part => live.exchange.answered(pool, number, (&FINE, false), now, rng),
            Comes::Failure(failure) => live.exchange.failed(pool, number, failure, now, rng),
        };
        let Some(&AttemptRecord { class, .. }) = live.exchange.attempts().deciding() else { return };
        let (proxy, request, upstream) = (live.proxy, live.request, out.attempt.upstream.number());
        let streams = verdict == Verdict::Forward && request.streams && class == Class::Answered;
        if streams {
            live.streams_from = Some(upstream);
        } else {
            self.regions[upstream].leave();
        }
        self.let_loser_run_on(id);
        self.tell(proxy, What::Judged { request, number, class, verdict });
        match verdict {
            Verdict::Retry { not_before } => self.queue.push(not_before.max(now), Due::Choice { id }),
            Verdict::Wait { hedge_at } => self.expect_hedge(id, hedge_at),
            Verdict::Forward if streams => {
                let breaks = matches!(out.comes, Comes::Part);
                let takes = self.regions[upstream].sky().latency.saturating_mul(STREAM_LENGTH);
                self.queue.push(now + takes, Due::StreamEnd { id, breaks });
            }
            Verdict::Forward | Verdict::Refuse(_) => self.close(id),
        }
    }

    fn expect_hedge(&mut self, id: u64, hedge_at: Option<Timestamp>) {
        let waits = self.live.get(&id).and_then(|live| live.outs.first());
        if let (Some(at), Some(out)) = (hedge_at, waits) {
            self.queue.push(at, Due::Hedge { id, number: out.attempt.number });
        }
    }

    fn let_loser_run_on(&mut self, id: u64) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let Some(straggler) = live.exchange.take_straggler() else { return };
        let Some(out) = live.outs.pop() else { return };
        let number = out.attempt.number;
        self.queue.push(straggler.until(), Due::Silence { id, number });
        let (proxy, request) = (live.proxy, live.request);
        self.losers.insert((id, number), Loser { proxy, request, out, straggler });
    }

    /// What came of a loser; none is its silence for too long.
    fn end_loser(&mut self, id: u64, number: usize, comes: Option<Comes>) {
        let Some(Loser { proxy, request, out, straggler }) = self.losers.remove(&(id, number)) else {
            return;
        };
        self.regions[out.attempt.upstream.number()].leave();
        let came = match &comes {
            None => Came::Nothing,
            Some(Comes::Answer(facts)) => Came::Answer(facts),
            Some(Comes::Part) if request.streams => Came::Answer(&FINE),
            Some(Comes::Part) => Came::Failed(Failure::Broken),
            Some(Comes::Failure(failure)) => Came::Failed(*failure),
        };
        let Proxy { pool, rng } = &mut self.proxies[proxy];
        let late = straggler.end(came, pool, self.now, rng);
        self.tell(proxy, What::Lost { request, number, late });
    }

    /// Those that wait for an upstream which was just ejected leave it, where they may.
    fn leave(&mut self, proxy: usize, upstream: UpstreamKey) {
        let waits = |live: &Live| {
            let at = |out: &Out| out.attempt.upstream == upstream && out.attempt.may_leave;
            live.proxy == proxy && live.outs.len() == 1 && live.outs.iter().any(at)
        };
        let waiting: Vec<u64> = self.live.iter().filter(|(_, live)| waits(live)).map(|(id, _)| *id).collect();
        for id in waiting {
            let Some(live) = self.live.get_mut(&id) else { continue };
            let Proxy { pool, rng } = &mut self.proxies[proxy];
            if live.exchange.leave(pool, self.now, rng)
                && let Some(out) = live.outs.pop()
            {
                self.regions[upstream.number()].leave();
                let (request, number) = (live.request, out.attempt.number);
                self.queue.push(self.now, Due::Choice { id });
                self.tell(proxy, What::Left { request, number });
            }
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
        let Some(live) = self.live.remove(&id) else { return };
        let outs = live.outs.iter().map(|out| out.attempt.upstream.number());
        outs.chain(live.streams_from).for_each(|upstream| self.regions[upstream].leave());
        let Proxy { pool, rng } = &mut self.proxies[live.proxy];
        let receipt = live.exchange.close(pool, self.now, rng);
        let (request, executions) = (live.request, live.executions);
        self.tell(live.proxy, What::Closed { request, receipt: &receipt, executions });
    }

    fn verified(&mut self, proxy: usize, upstream: UpstreamKey) {
        let effect = self.regions[upstream.number()].fate(false, self.now, &mut self.weather).effect;
        let result = self.judged(effect);
        // A check that says nothing is not reported: the core must live with a lost one.
        if result != CheckResult::Unclear {
            let Proxy { pool, rng } = &mut self.proxies[proxy];
            pool.verified(upstream, result, self.now, rng);
            self.tell(proxy, What::Verified { upstream, result });
        }
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
        let mut ejected = Vec::new();
        for event in self.proxies[proxy].pool.take_events() {
            if let PoolEvent::VerifyWanted { upstream } = event {
                let timeout = self.scenario.pool.active_health.unwrap_or_default().timeout;
                let takes = self.regions[upstream.number()].sky().takes(&mut self.weather).min(timeout);
                self.queue.push(self.now + takes, Due::Verified { proxy, upstream });
            }
            if let PoolEvent::Ejected { upstream, enforced: true, .. } = event {
                ejected.push(upstream);
            }
            self.show(proxy, What::Told { event });
        }
        ejected.into_iter().for_each(|upstream| self.leave(proxy, upstream));
    }

    fn show(&mut self, proxy: usize, what: What<'_>) {
        self.report.book(self.now, &what);
        let pool = &self.proxies[proxy].pool;
        (self.watch)(&Step { at: self.now, proxy, pool, what });
    }
}

/// A streamed answer takes this many times an answer's latency.
const STREAM_LENGTH: u32 = 20;

fn take(outs: &mut Vec<Out>, number: usize) -> Option<Out> {
    let index = outs.iter().position(|out| out.attempt.number == number)?;
    Some(outs.remove(index))
}
