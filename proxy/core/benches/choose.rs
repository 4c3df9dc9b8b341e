//! Nanoseconds per decision, by policy: choose an upstream and settle its attempt, and a whole exchange around
//! both. With everything on that judges: outliers, checks and hedging.
//!
//! The promise: a decision takes under 200 ns among 30 upstreams, by every policy. Seen on a busy virtual machine: 34
//! (random) to 99 ns (ring_hash), and 77 to 144 ns for the whole exchange; among 300 at most 420 and 460 ns.
//!
//! Plain timing on one thread, as a table: the least of many short rounds, because whatever else the machine does can
//! only add to it.

use aorta_core::balance::BalancePolicy;
use aorta_core::check::ActiveHealth;
use aorta_core::classify::{AnswerFacts, BodyFacts, Class};
use aorta_core::exchange::{Exchange, Terms};
use aorta_core::fhir_safety::Safety;
use aorta_core::hedge::HedgePolicy;
use aorta_core::pool::{Outcome, Pool, PoolSpec, Wish};
use aorta_core::time::Timestamp;
use aorta_core::upstream::UpstreamSpec;
use fastrand::Rng;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

const ROUNDS: usize = 200;
/// A round is over before its thread's slice of time is.
const TURNS: u32 = 3_000;

#[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
fn main() {
    println!("{:>14} {:>10} {:>18} {:>20}", "policy", "upstreams", "choose+settle, ns", "whole exchange, ns");
    for balance in BalancePolicy::ALL {
        for upstreams in [3, 30, 300] {
            let decision = least_ns(balance, upstreams, decide);
            let exchange = least_ns(balance, upstreams, exchange);
            println!("{:>14} {upstreams:>10} {decision:>18.0} {exchange:>20.0}", balance.name());
        }
    }
}

fn decide(pool: &mut Pool, now: Timestamp, rng: &mut Rng) {
    let wish = Wish { may_probe: true, key: Some(now.as_micros()), reader: Some(1), ..Wish::default() };
    if let Some(choice) = pool.choose(black_box(wish), now, rng) {
        let outcome =
            Outcome { class: Class::Answered, retry_after: None, client: 1, wrote: false, heard: None };
        pool.settle(black_box(choice), outcome, now, rng);
    }
}

fn exchange(pool: &mut Pool, now: Timestamp, rng: &mut Rng) {
    let key = Some(now.as_micros());
    let terms = Terms { safety: Safety::Safe, client: 1, key, replayable: true, deadline: None, page: None };
    let facts = AnswerFacts {
        status: 200,
        error_type: None,
        fhir_media: true,
        fhir_expected: true,
        body: BodyFacts::Json,
        retry_after: None,
    };
    let mut exchange = Exchange::open(black_box(terms), pool, now);
    if exchange.choose(pool, now, rng).is_ok() {
        let _ = black_box(exchange.answered(pool, 1, (&facts, true), now, rng));
    }
    black_box(exchange.close(pool, now, rng));
}

fn least_ns(balance: BalancePolicy, upstreams: usize, turn: fn(&mut Pool, Timestamp, &mut Rng)) -> f64 {
    let mut pool = Pool::new(Arc::new(spec(balance, upstreams)), Timestamp::ZERO);
    let mut rng = Rng::with_seed(1);
    let mut now = Timestamp::ZERO;
    let rounds = (0..ROUNDS).map(|_| {
        let took = timed(|| {
            for _ in 0..TURNS {
                now = now + Duration::from_micros(10);
                turn(&mut pool, now, &mut rng);
            }
        });
        took.as_secs_f64() * 1e9 / f64::from(TURNS)
    });
    rounds.fold(f64::INFINITY, f64::min)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time; nothing is decided by it")]
fn timed(work: impl FnOnce()) -> Duration {
    let began = std::time::Instant::now();
    work();
    began.elapsed()
}

fn spec(balance: BalancePolicy, upstreams: usize) -> PoolSpec {
    let upstream = |index| UpstreamSpec {
        name: format!("region-{index}"),
        weight: NonZeroU32::MIN,
        priority: 0,
        data_domain: String::new(),
        concurrency_max: None,
        signed: false,
    };
    PoolSpec {
        name: "records".to_owned(),
        upstreams: (0..upstreams).map(upstream).collect(),
        balance,
        active_health: Some(ActiveHealth::default()),
        hedge: HedgePolicy { enabled: true, ..HedgePolicy::default() },
        ..PoolSpec::default()
    }
}
