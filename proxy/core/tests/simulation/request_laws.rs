//! What must hold for every request. Written from the design's sentences, not from the code it judges.

use aorta_core::classify::Class;
use aorta_core::exchange::Attempt;
use aorta_core::fhir_safety::Safety;
use aorta_core::hedge::HedgeAfter;
use aorta_core::order::Order;
use aorta_core::pool::{Pool, PoolEvent, PoolSpec};
use aorta_core::receipt::{End, Receipt};
use aorta_core::simulate::report::Report;
use aorta_core::simulate::scenario::{Request, Scenario};
use aorta_core::simulate::{Step, What};
use aorta_core::time::Timestamp;
use aorta_core::verdict::{Refusal, Verdict};
use std::collections::BTreeMap;
use std::time::Duration;

/// The function may have run.
const AMBIGUOUS: [Class; 6] = [
    Class::Broken,
    Class::TimedOut,
    Class::IntegrationFailed,
    Class::AppFailed,
    Class::AppThrottled,
    Class::LambdaFailed,
];
/// The gateway refused before the integration; the table allows one move.
const ONE_MOVE: [Class; 4] =
    [Class::GatewayDenied, Class::Throttled, Class::QuotaExceeded, Class::RouteMissing];

/// Hedges that a pool can have saved up.
const HEDGES_SAVED: f64 = 20.0;

/// An attempt that is out.
#[derive(Clone, Copy)]
struct Out {
    number: usize,
    probe: bool,
}

#[derive(Default)]
struct Open {
    tried: Vec<usize>,
    /// When each of its attempts began.
    asked_at: Vec<Timestamp>,
    outs: Vec<Out>,
    paid: usize,
    executed: bool,
    sent: bool,
    ambiguous: bool,
    /// The first upstream that may have carried it out.
    carried_out: Option<usize>,
    moved_once: bool,
    over: bool,
    /// It reads, and can be sent again.
    reads: bool,
    deadline: Timestamp,
}

pub(crate) struct RequestLaws<'a> {
    scenario: &'a Scenario,
    open: BTreeMap<u64, Open>,
    opened: u64,
    closed: u64,
    budget: f64,
    flowed: Timestamp,
    paid: u64,
    /// Hedges that had to be paid for.
    hedged: u64,
    /// Reads that wait for an upstream which was ejected in this very step.
    stranded: Vec<u64>,
    ejected_at: Vec<Option<Timestamp>>,
}

impl<'a> RequestLaws<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let budget = f64::from(scenario.pool.retry.budget.burst);
        let (open, flowed) = (BTreeMap::new(), Timestamp::ZERO);
        let ejected_at = vec![None; scenario.pool.upstreams.len()];
        Self {
            scenario,
            open,
            opened: 0,
            closed: 0,
            budget,
            flowed,
            paid: 0,
            hedged: 0,
            stranded: Vec::new(),
            ejected_at,
        }
    }

    /// The first upstream that may have carried out this request.
    pub(crate) fn carried_out(&self, request: Request) -> Option<usize> {
        self.open.get(&request.id).and_then(|open| open.carried_out)
    }

    /// The upstreams this request has asked, before the step that is watched.
    pub(crate) fn tried(&self, request: Request) -> &[usize] {
        self.open.get(&request.id).map_or(&[], |open| &open.tried)
    }

    pub(crate) fn watch(&mut self, step: &Step<'_>) {
        match step.what {
            What::Opened { request } => {
                assert_eq!(request.id, self.opened, "requests open one after the other");
                self.opened += 1;
                let reads = request.terms.safety == Safety::Safe && request.terms.replayable;
                let deadline = deadline(self.scenario, request);
                self.open.insert(request.id, Open { reads, deadline, ..Open::default() });
                self.deposit(step.at);
            }
            What::Chosen { request, attempt, executes, hedge, paid } => {
                if hedge {
                    self.hedged(step.at, step.pool, request, attempt, paid);
                }
                self.chosen((step.at, step.pool), request, attempt, executes);
            }
            What::Judged { request, number, class, verdict } => {
                self.judged((step.at, step.pool), request, number, class, verdict);
            }
            What::Left { request, number } => self.left(step.pool, request, number),
            What::Closed { request, receipt, executions } => self.closed(request, receipt, executions),
            What::Told { event: PoolEvent::Ejected { upstream, enforced: true, .. } } => {
                self.ejected_at[upstream.number()] = Some(step.at);
                self.strand(step.at, step.pool, upstream.number());
            }
            What::Drill
            | What::Reloaded
            | What::Told { .. }
            | What::Verified { .. }
            | What::Checked { .. }
            | What::Ordered { .. }
            | What::Lost { .. } => {}
        }
        if !matches!(step.what, What::Told { .. } | What::Left { .. }) {
            assert!(self.stranded.is_empty(), "{:?} wait for an ejected upstream", self.stranded);
        }
    }

    pub(crate) fn at_rest(&self, report: &Report) {
        assert!(self.open.is_empty(), "every exchange closes");
        assert_eq!(self.opened, self.closed, "every exchange closes exactly once");
        let spec = self.scenario.pool.retry.budget;
        let share = spec.share.get() * self.opened as f64;
        let flow = f64::from(spec.min_per_second) * self.flowed.since(Timestamp::ZERO).as_secs_f64();
        let most = share + flow + f64::from(spec.burst);
        assert!(self.paid as f64 <= most, "{} paid retries, {most} in the budget", self.paid);
        assert_eq!(report.requests, self.opened);
        let hedges = self.scenario.pool.hedge.budget.get() * self.opened as f64 + HEDGES_SAVED;
        assert!(self.hedged as f64 <= hedges, "{} hedges, {hedges} in their budget", self.hedged);
    }

    /// A second attempt: only for what reads, only beside one that is late, only where it helps.
    fn hedged(&mut self, at: Timestamp, pool: &Pool, request: Request, attempt: Attempt, paid: bool) {
        let policy = self.scenario.pool.hedge;
        self.flow(at);
        let open = self.open.get_mut(&request.id).expect("only an open exchange is hedged");
        assert!(request.terms.safety == Safety::Safe, "what writes was hedged");
        assert!(request.terms.replayable, "a body that is gone was hedged");
        let [first] = open.outs[..] else { panic!("{} attempts were out", open.outs.len()) };
        assert!(policy.enabled || first.probe || paid, "hedging is off, and this is no probe");
        let asked_at = open.asked_at[first.number - 1];
        let late = match policy.after {
            HedgeAfter::P95 => policy.after_min,
            HedgeAfter::Fixed(delay) => delay,
        };
        let (left, passed) = (open.deadline.since(asked_at), at.since(asked_at));
        let attempt_limit = self.scenario.pool.timeouts.attempt;
        let is_last_call = passed + Duration::from_micros(1) > left / 2 && left / 2 < attempt_limit;
        if paid {
            assert!(is_last_call, "another was asked although there was time");
            assert!(self.budget > 1.0 - 1e-6, "a last call that nobody paid for");
            open.paid += 1;
            self.budget -= 1.0;
            self.paid += 1;
        } else {
            self.hedged += u64::from(!first.probe);
            assert!(passed >= late || is_last_call, "hedged before it was late");
        }
        assert!(!open.tried.contains(&attempt.upstream.number()), "hedged where it had been");
        let is_in = pool.upstreams()[attempt.upstream.number()].health().in_rotation();
        assert!(is_in && !pool.in_panic(), "hedged where nobody is well");
    }

    /// Who waits for this upstream alone, and may be sent elsewhere, must leave it at once.
    fn strand(&mut self, at: Timestamp, pool: &Pool, upstream: usize) {
        if pool.in_panic() {
            return;
        }
        let most = usize::from(self.scenario.pool.retry.attempts_max.get());
        for (id, open) in &self.open {
            let [out] = open.outs[..] else { continue };
            let may = open.reads && open.tried.len() < most && at < open.deadline && !open.over;
            if may && open.tried[out.number - 1] == upstream {
                self.stranded.push(*id);
            }
        }
    }

    fn left(&mut self, pool: &Pool, request: Request, number: usize) {
        let open = self.open.get_mut(&request.id).expect("only an open exchange leaves an upstream");
        assert!(open.reads && !open.over, "only what reads, and waits, leaves its upstream");
        let [out] = open.outs[..] else { panic!("{} attempts were out", open.outs.len()) };
        let upstream = open.tried[number - 1];
        assert_eq!(out.number, number);
        let health = pool.upstreams()[upstream].health();
        assert!(!health.in_rotation(), "an upstream in rotation was left");
        assert!(!health.is_draining(), "what is at a drained upstream is finished there");
        open.outs.clear();
        self.stranded.retain(|&id| id != request.id);
    }

    fn chosen(&mut self, (at, live): (Timestamp, &Pool), request: Request, attempt: Attempt, executes: bool) {
        let pool = &self.scenario.pool;
        let open = self.open.get_mut(&request.id).expect("only an open exchange makes attempts");
        let made = open.tried.len();
        let reads = request.terms.safety == Safety::Safe;
        let ambiguous_max = usize::from(pool.retry.attempts_max_ambiguous.get());
        let deadline = deadline(self.scenario, request);
        assert_eq!(attempt.number, made + 1);
        assert!(!open.over, "nothing is tried again after an answer was committed or refused");
        assert!(attempt.number <= usize::from(pool.retry.attempts_max.get()), "too many attempts");
        assert!(reads || !open.ambiguous || made < ambiguous_max, "too many attempts at an unsure write");
        assert!(request.terms.safety != Safety::Unsafe || !open.executed, "a second execution was risked");
        assert!(request.terms.replayable || !open.sent, "a body that is gone was sent again");
        assert!(at < deadline && attempt.deadline <= deadline, "an attempt outlives its request");
        let asked_before = open.tried.contains(&attempt.upstream.number());
        let store = (!reads).then(|| open.carried_out.and_then(|first| store(pool, first))).flatten();
        let is_open = |index: usize| {
            let in_store = store.is_none_or(|name| pool.upstreams[index].data_domain == name);
            in_store && !live.upstreams()[index].health().is_draining()
        };
        let all_asked = (0..pool.upstreams.len()).all(|index| open.tried.contains(&index) || !is_open(index));
        assert!(!asked_before || all_asked, "an upstream was asked twice before another was asked once");
        open.tried.push(attempt.upstream.number());
        open.asked_at.push(at);
        open.outs.push(Out { number: attempt.number, probe: attempt.probe });
        assert!(open.outs.len() <= 2, "two attempts at once are enough");
        open.executed |= executes;
    }

    fn judged(
        &mut self,
        (at, pool): (Timestamp, &Pool),
        request: Request,
        number: usize,
        class: Class,
        verdict: Verdict,
    ) {
        self.flow(at);
        let (budget, scenario) = (self.budget, self.scenario);
        let open = self.open.get_mut(&request.id).expect("only an open exchange is judged");
        let (asked, asked_at) = (open.tried[number - 1], open.asked_at[number - 1]);
        open.outs.retain(|out| out.number != number);
        let is_out = !pool.in_panic() && !pool.upstreams()[asked].health().in_rotation();
        let was_put_out = !pool.in_panic() && self.ejected_at[asked].is_some_and(|at| at >= asked_at);
        let took_nothing = [Class::Unsent, Class::Unprocessed].contains(&class);
        let asks_another = (0..pool.upstreams().len())
            .any(|index| !open.tried.contains(&index) && !pool.upstreams()[index].health().is_draining());
        let moves = class == Class::Unprocessed && asks_another;
        let is_free = class == Class::Unsent || moves || is_out || was_put_out;
        open.sent |= !took_nothing;
        open.ambiguous |= AMBIGUOUS.contains(&class);
        if AMBIGUOUS.contains(&class) {
            open.carried_out.get_or_insert(asked);
        }
        if let Verdict::Wait { .. } = verdict {
            assert!(!open.outs.is_empty(), "nothing is waited for");
            open.moved_once |= ONE_MOVE.contains(&class);
            return;
        }
        open.over = !matches!(verdict, Verdict::Retry { .. });
        assert!(open.over || open.outs.is_empty(), "tried again while an attempt was out");
        if open.over {
            open.outs.clear();
        }
        if let Verdict::Retry { .. } = verdict {
            let one_move = ONE_MOVE.contains(&class);
            assert!(!(one_move && open.moved_once), "a denied request tours the gateways");
            open.moved_once |= one_move;
            if !is_free {
                assert!(budget > 1.0 - 1e-6, "a retry that nobody paid for");
                open.paid += 1;
                self.budget -= 1.0;
                self.paid += 1;
            }
            return;
        }
        let safe = request.terms.safety == Safety::Safe;
        if safe && class != Class::Answered && class != Class::ClientFault {
            let budget_is_spent = !is_free && budget < 1.0 + 1e-6;
            assert!(
                budget_is_spent || may_be_lost((scenario, pool), at, request, open, class),
                "a read was given up after {class:?} although it could have been tried again"
            );
        }
    }

    fn closed(&mut self, request: Request, receipt: &Receipt, executions: u32) {
        let open = self.open.remove(&request.id).expect("an exchange closes once");
        self.closed += 1;
        assert!(request.terms.safety != Safety::Unsafe || executions <= 1, "executed twice");
        let named = receipt.attempts.upstreams().iter().map(|key| key.number());
        assert!(named.eq(open.tried.iter().copied()), "the receipt names every attempt");
        let paid = receipt.attempts.iter().filter(|attempt| attempt.paid).count();
        // The client may leave between paying for a retry and making it.
        // Or everybody it might ask was drained meanwhile.
        let nobody = receipt.end == End::Refused(Refusal::NoUpstream);
        assert!(!nobody || self.scenario.orders.iter().any(|order| order.order == Order::Drain));
        let stopped = receipt.end == End::Abandoned || nobody;
        let all_paid = paid == open.paid || (stopped && paid + 1 == open.paid);
        assert!(all_paid, "{paid} attempts were paid, {} had to be", open.paid);
        let too_late = receipt.end == End::Refused(Refusal::DeadlinePassed);
        assert!(!too_late || receipt.attempts.is_empty(), "a deadline had passed before an attempt");
        let ended = open.over || too_late || stopped;
        assert!(ended, "an exchange ends with a verdict");
    }

    fn deposit(&mut self, at: Timestamp) {
        self.flow(at);
        let spec = self.scenario.pool.retry.budget;
        self.budget = (self.budget + spec.share.get()).min(f64::from(spec.burst));
    }

    fn flow(&mut self, at: Timestamp) {
        let spec = self.scenario.pool.retry.budget;
        let flowed = at.since(self.flowed).as_secs_f64() * f64::from(spec.min_per_second);
        self.flowed = at;
        self.budget = (self.budget + flowed).min(f64::from(spec.burst));
    }
}

/// The name of an upstream's record store, when it has one.
pub(crate) fn store(pool: &PoolSpec, upstream: usize) -> Option<&str> {
    Some(pool.upstreams[upstream].data_domain.as_str()).filter(|name| !name.is_empty())
}

/// The client's deadline can only shorten the pool's.
fn deadline(scenario: &Scenario, request: Request) -> Timestamp {
    let own = request.arrived + scenario.pool.timeouts.request;
    request.terms.deadline.map_or(own, |asked| asked.min(own))
}

/// A read that failed may end here only if its attempts, its one move, its body or its time are used up.
fn may_be_lost(
    (scenario, live): (&Scenario, &Pool),
    at: Timestamp,
    request: Request,
    open: &Open,
    class: Class,
) -> bool {
    let pool = &scenario.pool;
    let is_drained = |index: usize| live.upstreams()[index].health().is_draining();
    let all_drained = (0..pool.upstreams.len()).all(is_drained);
    let attempts_used = open.tried.len() >= usize::from(pool.retry.attempts_max.get());
    let nobody_else = (0..pool.upstreams.len()).all(|index| open.tried.contains(&index) || is_drained(index));
    let move_used = ONE_MOVE.contains(&class) && (open.moved_once || nobody_else);
    let body_gone = !request.terms.replayable && open.sent;
    let longest_wait = Duration::from_millis(500);
    let time_is_up = at + longest_wait >= deadline(scenario, request);
    all_drained || attempts_used || move_used || body_gone || time_is_up
}
