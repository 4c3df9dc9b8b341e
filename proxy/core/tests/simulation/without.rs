//! What each rule is for: one is left out at a time, and the law it keeps breaks.

use crate::fleet::{dark, fleet, probes_at_once, second};
use crate::{lawful, random};
use aorta_core::bounds::Ratio;
use aorta_core::pool::{PoolSpec, Rule};
use aorta_core::retry::budget::BudgetSpec;
use aorta_core::simulate::run;
use aorta_core::simulate::scenario::{Scenario, Sky, Spell};
use aorta_core::simulate::weather::Weather;
use aorta_core::slow_start::SlowStart;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Random scenarios that are tried until a law breaks.
const SEEDS: u64 = 256;

/// What shows that a rule is left out.
enum Harm {
    /// A law breaks in some random weather; these are its words. With the rule none does: that is what
    /// `every_law_holds_in_every_weather` says.
    Law(&'static str),
    /// This happens in the outage of a fleet.
    Outage(fn(&Scenario) -> bool),
}

const fn harm(rule: Rule) -> Harm {
    match rule {
        Rule::OthersFirst => Harm::Law("an upstream was asked twice before another was asked once"),
        Rule::OneProbe => Harm::Law("the slot is taken while the probe is out"),
        Rule::EjectionJitter => Harm::Outage(probes_come_together),
        Rule::VerifyDenials | Rule::BlameNoHaste | Rule::LosersRunOn => {
            Harm::Law("a fine upstream was condemned")
        }
        Rule::KeepTheLast => Harm::Law("the last healthy upstream was ejected"),
        Rule::HeedThrottles => Harm::Outage(a_throttling_region_is_pressed),
        Rule::SpareWrites => Harm::Law("a second execution was risked"),
        Rule::StayInDomain => Harm::Law("an unsure write left its data domain"),
        Rule::MoveOnce => Harm::Law("a denied request tours the gateways"),
        Rule::ForgetTheStale => Harm::Law("an attempt from before an ejection condemned"),
        Rule::HedgeReads => Harm::Law("what writes was hedged"),
        Rule::HedgeBudget => Harm::Law("in their budget"),
        Rule::SpareDrained => Harm::Law("a drained upstream was asked"),
        Rule::LeaveAtOnce => Harm::Law("wait for an ejected upstream"),
        Rule::StandbyWaits => Harm::Law("a standby was asked"),
        Rule::ReadOwnWrites => Harm::Law("a client reads where it did not write"),
        Rule::ExcuseWhatIsSeen => Harm::Law("a check ended the wait"),
        Rule::CapUnsure => Harm::Law("too many attempts at an unsure write"),
        Rule::LastCall => Harm::Outage(who_is_in_a_hurry_waits_in_vain),
        Rule::LeaveFreely => Harm::Law("although it could have been tried again"),
    }
}

#[test]
fn without_any_one_rule_a_law_breaks() {
    for rule in Rule::ALL {
        let without = |pool: &mut PoolSpec| pool.without = Some(rule);
        match harm(rule) {
            Harm::Law(law) => {
                let breaks = |seed| broken(&with(random::scenario(seed), without), seed);
                let first = (0..SEEDS).filter_map(breaks).position(|words| words.contains(law));
                assert!(first.is_some(), "without {rule:?} `{law}` stands");
            }
            Harm::Outage(harm) => measured(harm, without),
        }
    }
}

/// The words of the law that breaks first.
fn broken(scenario: &Scenario, seed: u64) -> Option<String> {
    let words = catch_unwind(AssertUnwindSafe(|| lawful(scenario, seed))).err()?;
    let plain = words.downcast_ref::<&str>().map(ToString::to_string);
    words.downcast_ref::<String>().cloned().or(plain)
}

fn with(mut scenario: Scenario, change: impl Fn(&mut PoolSpec)) -> Scenario {
    let mut pool = (*scenario.pool).clone();
    change(&mut pool);
    scenario.pool = Arc::new(pool);
    scenario
}

#[test]
fn without_the_budget_a_storm_feeds_itself() {
    measured(a_storm_feeds_itself, |pool| {
        pool.retry.budget = BudgetSpec { share: Ratio::percent(100), min_per_second: 10_000, burst: 100_000 };
    });
}

#[test]
fn without_ejection_a_dark_region_costs_every_second_request_an_attempt() {
    measured(a_dark_region_is_still_asked, |pool| pool.passive_health.dry_run = true);
}

#[test]
fn without_slow_start_a_region_that_returns_gets_all_of_its_share_at_once() {
    measured(a_region_returns_all_at_once, |pool| pool.slow_start = SlowStart { span: Duration::ZERO });
}

#[test]
fn without_latency_outliers_a_slow_region_keeps_its_share() {
    measured(a_slow_region_is_asked_as_ever, |pool| pool.passive_health.latency_factor = 0);
}

#[test]
fn without_a_run_of_its_own_failures_a_failing_application_is_asked_for_longer() {
    measured(a_failing_application_costs_many_attempts, |pool| {
        pool.passive_health.consecutive_app_failures = NonZeroU32::MAX;
        pool.passive_health.success_rate_requests = NonZeroU32::MAX;
    });
}

#[test]
fn without_a_success_rate_a_region_that_fails_now_and_then_stays() {
    measured(a_half_dead_region_is_asked_as_ever, |pool| {
        pool.passive_health.success_rate_requests = NonZeroU32::MAX;
    });
}

/// The harm is there with the change, and not without it.
fn measured(harm: fn(&Scenario) -> bool, change: impl Fn(&mut PoolSpec)) {
    let skies = vec![dark(FLEET, 20, 45), Sky::default()];
    let scenario = fleet(FLEET, 90, skies);
    assert!(!harm(&scenario), "the harm is there although nothing was left out");
    assert!(harm(&with(scenario, change)), "nothing comes of leaving it out");
}

/// Proxies that are enough for a crowd.
const FLEET: u32 = 60;

fn under(scenario: &Scenario, weather: Weather, upstreams: usize) -> Scenario {
    let spells = vec![Spell::new(weather, second(20), second(50))];
    let skies = (0..2).map(|index| if index < upstreams { spells.clone() } else { Vec::new() });
    Scenario { skies: skies.map(|spells| Sky { spells, ..Sky::default() }).collect(), ..scenario.clone() }
}

fn probes_come_together(scenario: &Scenario) -> bool {
    probes_at_once(scenario, 1).0 > FLEET / 5
}

fn a_storm_feeds_itself(scenario: &Scenario) -> bool {
    let scenario = under(scenario, Weather::AppUnavailable, 2);
    run(&scenario, 1, &mut |_| {}).attempts_per_request() > 1.27
}

fn a_throttling_region_is_pressed(scenario: &Scenario) -> bool {
    let report = run(&under(scenario, Weather::Throttled, 1), 1, &mut |_| {});
    report.timeline.overload(0, 0.5, second(22), second(50)) > 0.2
}

fn a_dark_region_is_still_asked(scenario: &Scenario) -> bool {
    let report = run(scenario, 1, &mut |_| {});
    report.timeline.overload(0, 0.5, second(22), second(45)) > 0.1
}

fn a_region_returns_all_at_once(scenario: &Scenario) -> bool {
    let report = run(scenario, 1, &mut |_| {});
    report.timeline.overload(0, 0.5, second(45), second(52)) > 0.5
}

fn who_is_in_a_hurry_waits_in_vain(scenario: &Scenario) -> bool {
    let mut scenario = under(scenario, Weather::Hang, 1);
    scenario.traffic.hurried = Ratio::percent(100);
    let calm = Scenario { skies: vec![Sky::default(), Sky::default()], ..scenario.clone() };
    let lost = |scenario: &Scenario| run(scenario, 1, &mut |_| {}).lost;
    lost(&scenario) > lost(&calm) * 2
}

fn a_slow_region_is_asked_as_ever(scenario: &Scenario) -> bool {
    asked_late(&under(scenario, Weather::Slow, 1)) > 0.5
}

fn a_failing_application_costs_many_attempts(scenario: &Scenario) -> bool {
    asked_late(&under(scenario, Weather::AppError, 1)) > 0.3
}

fn a_half_dead_region_is_asked_as_ever(scenario: &Scenario) -> bool {
    let scenario = under(scenario, Weather::AppError, 1);
    // No run of failures is long enough, as where few requests come.
    let mut scenario = with(scenario, |pool| pool.passive_health.consecutive_app_failures = NonZeroU32::MAX);
    scenario.skies[0].spells[0].share = Ratio::percent(70);
    asked_late(&scenario) > 0.5
}

/// The most that the sick region gets once it is known, over its fair share.
fn asked_late(scenario: &Scenario) -> f64 {
    run(scenario, 1, &mut |_| {}).timeline.overload(0, 0.5, second(40), second(50))
}
