//! A scenario from a seed: any pool, any policy, any weather.

use aorta_core::balance::BalancePolicy;
use aorta_core::bounds::Ratio;
use aorta_core::check::ActiveHealth;
use aorta_core::classify::Dialect;
use aorta_core::hedge::{HedgeAfter, HedgePolicy};
use aorta_core::order::Order;
use aorta_core::outlier::PassiveHealth;
use aorta_core::pool::PoolSpec;
use aorta_core::retry::RetryPolicy;
use aorta_core::retry::backoff::Backoff;
use aorta_core::retry::budget::BudgetSpec;
use aorta_core::simulate::scenario::{Burst, OrderAt, Scenario, Sky, Spell, Traffic};
use aorta_core::simulate::weather::Weather;
use aorta_core::slow_start::SlowStart;
use aorta_core::time::Timestamp;
use aorta_core::timeout::Timeouts;
use aorta_core::upstream::UpstreamSpec;
use fastrand::Rng;
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn scenario(seed: u64) -> Scenario {
    let mut rng = Rng::with_seed(seed);
    let span = Duration::from_secs(rng.u64(10..50));
    let upstreams = rng.usize(1..=5);
    let skies = (0..upstreams).map(|_| sky(&mut rng, span)).collect();
    let (pool, traffic) = (Arc::new(pool(&mut rng, upstreams)), traffic(&mut rng, span));
    let orders = if rng.bool() { orders(&mut rng, upstreams, span) } else { Vec::new() };
    Scenario { pool, proxies: 1, traffic, skies, span, orders }
}

/// Any order at any moment, also one that makes no sense then.
fn orders(rng: &mut Rng, upstreams: usize, span: Duration) -> Vec<OrderAt> {
    let mut order = |_| OrderAt {
        at: Timestamp::ZERO + span.mul_f64(rng.f64()),
        upstream: rng.usize(0..upstreams),
        order: match rng.u8(0..5) {
            0 | 1 => Order::Drain,
            2 => Order::Undrain,
            3 => Order::Eject { length: Duration::from_millis(rng.u64(0..20_000)) },
            _ => Order::Readmit,
        },
        forced: rng.u8(0..3) == 0,
    };
    let mut orders: Vec<_> = (0..8).map(&mut order).collect();
    orders.sort_by_key(|order| order.at);
    orders
}

pub(crate) fn upstreams(weights: impl IntoIterator<Item = u32>) -> Vec<UpstreamSpec> {
    let spec = |(index, weight)| UpstreamSpec {
        name: format!("region-{index}"),
        weight: NonZeroU32::new(weight).expect("not zero"),
        priority: 0,
        data_domain: String::new(),
        concurrency_max: None,
        signed: false,
    };
    weights.into_iter().enumerate().map(spec).collect()
}

pub(crate) fn pool(rng: &mut Rng, count: usize) -> PoolSpec {
    let attempt = millis(rng, 1_000..10_000);
    let mut specs = upstreams((0..count).map(|_| rng.u32(1..=10)));
    let has_standby = rng.bool();
    for spec in specs.iter_mut().filter(|_| has_standby) {
        spec.priority = rng.u32(0..3);
    }
    let (has_domains, has_affinity) = (rng.bool(), rng.bool());
    for spec in specs.iter_mut().filter(|_| has_domains) {
        spec.data_domain = ["", "east", "west"][rng.usize(0..3)].to_owned();
    }
    PoolSpec {
        name: "records".to_owned(),
        upstreams: specs,
        balance: *rng.choice(BalancePolicy::ALL.iter()).expect("there are policies"),
        dialect: Dialect::ApiGateway,
        fhir: true,
        passive_health: passive_health(rng),
        active_health: rng.bool().then(|| active_health(rng)),
        write_affinity: if has_affinity { millis(rng, 100..5_000) } else { Duration::ZERO },
        slow_start: SlowStart { span: if rng.bool() { millis(rng, 1_000..20_000) } else { Duration::ZERO } },
        retry: retry(rng),
        hedge: hedge(rng),
        timeouts: Timeouts {
            connect: millis(rng, 500..3_000),
            attempt,
            request: attempt.mul_f64(1.0 + 3.0 * rng.f64()),
            ..Timeouts::default()
        },
        without: None,
        ..PoolSpec::default()
    }
}

fn passive_health(rng: &mut Rng) -> PassiveHealth {
    let mut count = |range: std::ops::RangeInclusive<u32>| NonZeroU32::new(rng.u32(range)).expect("not zero");
    let policy = PassiveHealth {
        consecutive_failures: count(1..=5),
        consecutive_app_failures: count(2..=8),
        success_rate_requests: count(5..=20),
        min_healthy: count(1..=2),
        readmit_successes: count(1..=3),
        ..PassiveHealth::default()
    };
    let ejection = millis(rng, 500..10_000);
    let ejection_max = ejection * rng.u32(1..=6);
    PassiveHealth { ejection, ejection_max, dry_run: rng.u8(0..16) == 0, ..policy }
}

fn active_health(rng: &mut Rng) -> ActiveHealth {
    let mut count = |range: std::ops::RangeInclusive<u32>| NonZeroU32::new(rng.u32(range)).expect("not zero");
    let (fall, rise) = (count(1..=4), count(1..=3));
    let interval = millis(rng, 1_000..10_000);
    // Longer than an answer takes in fine weather: else a check that is too hasty condemns.
    let timeout = millis(rng, 800..2_000).min(interval);
    ActiveHealth { interval, timeout, fall, rise }
}

fn retry(rng: &mut Rng) -> RetryPolicy {
    let backoff_max = millis(rng, 25..500);
    RetryPolicy {
        attempts_max: NonZeroU8::new(rng.u8(1..=5)).expect("not zero"),
        attempts_max_ambiguous: NonZeroU8::new(rng.u8(1..=3)).expect("not zero"),
        budget: BudgetSpec {
            share: Ratio::percent(rng.u8(0..=50)),
            min_per_second: rng.u32(0..=5),
            burst: rng.u32(1..=30),
        },
        backoff: Backoff::try_new(Duration::from_millis(25), backoff_max).expect("the base is the least"),
        retry_unconditional_put: false,
    }
}

fn hedge(rng: &mut Rng) -> HedgePolicy {
    let after_min = millis(rng, 1..50);
    let fixed = HedgeAfter::Fixed(millis(rng, 1..200));
    HedgePolicy {
        enabled: rng.bool(),
        after: if rng.bool() { fixed } else { HedgeAfter::P95 },
        after_min,
        budget: Ratio::percent(rng.u8(0..=20)),
    }
}

fn traffic(rng: &mut Rng, span: Duration) -> Traffic {
    let rate = 5.0 + 50.0 * rng.f64();
    let from = Timestamp::ZERO + span.mul_f64(rng.f64());
    let burst = Burst { from, until: from + Duration::from_secs(2), rate: rate * 6.0 };
    let clients = rng.u64(1..=20);
    let quarter = |rng: &mut Rng| Ratio::percent(if rng.bool() { rng.u8(0..25) } else { 0 });
    Traffic {
        rate,
        bursts: if rng.bool() { vec![burst] } else { Vec::new() },
        safe: Ratio::percent(rng.u8(0..=100)),
        idempotent: Ratio::percent(50),
        conditional: Ratio::percent(30),
        clients,
        bad_keys: rng.u64(0..=2).min(clients - 1),
        unkept: quarter(rng),
        streamed: quarter(rng),
        leaving: quarter(rng),
        hurried: quarter(rng),
    }
}

fn sky(rng: &mut Rng, span: Duration) -> Sky {
    let mut from = Timestamp::ZERO;
    let mut spell = |rng: &mut Rng| {
        from = from + span.mul_f64(rng.f64() / 2.0);
        let until = from + span.mul_f64(rng.f64() / 3.0);
        let share = if rng.bool() { Ratio::percent(100) } else { Ratio::percent(rng.u8(20..100)) };
        let weather = *rng.choice(Weather::ALL.iter()).expect("there is weather");
        Spell { share, ..Spell::new(weather, from, until) }
    };
    let spells = rng.usize(0..4);
    let spells = (0..spells).map(|_| spell(rng)).collect();
    Sky { latency: millis(rng, 5..100), spells, ..Sky::default() }
}

fn millis(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}
