//! Seconds for a million simulated requests, by one proxy and by a fleet, under faults and hedged.
//!
//! Plain timing on one thread, as a table. The promise: a million requests in ten seconds, with checks, outliers and
//! hedges. Seen on a busy virtual machine: 3.1 s by one proxy, 4.2 s by a thousand.

use aorta_core::classify::Dialect;
use aorta_core::hedge::HedgePolicy;
use aorta_core::pool::PoolSpec;
use aorta_core::simulate::report::Report;
use aorta_core::simulate::run;
use aorta_core::simulate::scenario::{Scenario, Sky, Spell, Traffic};
use aorta_core::simulate::weather::Weather;
use aorta_core::time::Timestamp;
use aorta_core::upstream::UpstreamSpec;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

const REQUESTS: f64 = 1e6;
const SPAN: Duration = Duration::from_secs(100);

#[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
fn main() {
    println!(
        "{:>8} {:>10} {:>10} {:>8} {:>18}",
        "proxies", "requests", "attempts", "hedges", "s for a million"
    );
    for proxies in [1, 1_000] {
        let scenario = scenario(proxies);
        let began = now();
        let report = run(&scenario, 1, &mut |_| {});
        let seconds = began.elapsed().as_secs_f64() * REQUESTS / report.requests as f64;
        let Report { requests, attempts, hedges, .. } = report;
        println!("{proxies:>8} {requests:>10} {attempts:>10} {hedges:>8} {seconds:>18.2}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time; nothing is decided by it")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// One region dark, then the other failing half of what it gets, then both slow.
fn scenario(proxies: u32) -> Scenario {
    let second = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
    let dark = Spell::new(Weather::Refuse, second(10), second(30));
    let failing = Spell {
        share: aorta_core::bounds::Ratio::percent(50),
        ..Spell::new(Weather::AppUnavailable, second(40), second(60))
    };
    let slow = Spell { slowness: 10, ..Spell::new(Weather::Slow, second(70), second(80)) };
    let upstream = |name: &str| UpstreamSpec {
        name: name.to_owned(),
        weight: NonZeroU32::MIN,
        priority: 0,
        data_domain: String::new(),
        concurrency_max: None,
        signed: false,
    };
    let pool = PoolSpec {
        name: "records".to_owned(),
        upstreams: vec![upstream("virginia"), upstream("ohio")],
        dialect: Dialect::ApiGateway,
        fhir: true,
        active_health: Some(aorta_core::check::ActiveHealth::default()),
        hedge: HedgePolicy { enabled: true, ..HedgePolicy::default() },
        ..PoolSpec::default()
    };
    let skies = [vec![dark, slow], vec![failing, slow]].map(|spells| Sky { spells, ..Sky::default() });
    Scenario {
        pool: Arc::new(pool),
        proxies,
        traffic: Traffic { rate: REQUESTS / SPAN.as_secs_f64() / f64::from(proxies), ..Traffic::default() },
        skies: skies.into(),
        span: SPAN,
        orders: Vec::new(),
    }
}
