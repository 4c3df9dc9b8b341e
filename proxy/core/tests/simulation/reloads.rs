//! Reload storms: upstreams come, go and come back, and every policy changes, several times a second.

use crate::{random, seeds};
use aorta_core::classify::Class;
use aorta_core::pool::{Pool, PoolSpec};
use aorta_core::simulate::scenario::Scenario;
use aorta_core::simulate::{Step, What, run, run_reloads};
use aorta_core::time::Timestamp;
use aorta_core::upstream::{Health, Upstream, UpstreamKey};
use aorta_core::verdict::Verdict;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Names that a storm draws from.
const NAMES: usize = 8;

/// The moments at which somebody reloads: now and then, or several times a second.
pub(crate) fn moments(seed: u64, span: Duration) -> Vec<Timestamp> {
    let mut rng = Rng::with_seed(seed ^ 0x5e1f);
    let pause = Duration::from_millis(*rng.choice([200, 1_000, 10_000].iter()).expect("there are pauses"));
    let (mut at, mut moments) = (Timestamp::ZERO, Vec::new());
    while at < Timestamp::ZERO + span {
        at = at + pause.mul_f64(0.1 + 2.0 * rng.f64());
        moments.push(at);
    }
    moments
}

/// Other upstreams and another policy in everything, at each of these moments.
fn storm(scenario: &Scenario, seed: u64) -> Vec<(Timestamp, Arc<PoolSpec>)> {
    let mut rng = Rng::with_seed(seed ^ 0x0570);
    let mut spec = || {
        let mut names: Vec<usize> = (0..NAMES).collect();
        rng.shuffle(&mut names);
        let count = rng.usize(1..=5);
        let mut spec = random::pool(&mut rng, count);
        for (upstream, name) in spec.upstreams.iter_mut().zip(names) {
            upstream.name = format!("region-{name}");
        }
        spec.active_health = scenario.pool.active_health;
        Arc::new(spec)
    };
    moments(seed, scenario.span).into_iter().map(|at| (at, spec())).collect()
}

/// An upstream as it was a step before.
struct Before {
    health: Health,
    ejections: u32,
    changed: Timestamp,
    in_flight: u32,
}

#[derive(Default)]
struct Laws {
    /// Attempts that are out, and whether they lost their race.
    out: BTreeMap<(u64, usize), (UpstreamKey, bool)>,
    names: BTreeMap<UpstreamKey, String>,
    before: BTreeMap<UpstreamKey, Before>,
    /// What each budget held, at when, and what flows into it each second.
    budget: (f64, f64, Timestamp, f64),
    open: u64,
}

impl Laws {
    fn watch(&mut self, step: &Step<'_>) {
        match step.what {
            What::Opened { .. } => self.open += 1,
            What::Chosen { request, attempt, .. } => {
                assert!(step.pool.upstream(attempt.upstream).is_some(), "sent where nothing is configured");
                self.out.insert((request.id, attempt.number), (attempt.upstream, false));
            }
            What::Judged { request, number, class, verdict } => {
                if !(request.streams && class == Class::Answered && verdict == Verdict::Forward) {
                    self.out.remove(&(request.id, number));
                }
                if verdict == Verdict::Forward {
                    let others = self.out.range_mut((request.id, 0)..=(request.id, usize::MAX));
                    others.filter(|(key, _)| key.1 != number).for_each(|(_, out)| out.1 = true);
                }
            }
            What::Left { request, number } | What::Lost { request, number, .. } => {
                self.out.remove(&(request.id, number));
            }
            What::Closed { request, .. } => {
                self.open -= 1;
                self.out.retain(|key, (_, lost)| key.0 != request.id || *lost);
            }
            What::Reloaded => self.reloaded(step.at, step.pool),
            What::Told { .. } | What::Verified { .. } | What::Checked { .. } => {}
            What::Ordered { .. } | What::Drill => {}
        }
        self.always(step.pool);
        self.remember(step.at, step.pool);
    }

    /// A reload loses no health of an upstream that stays, and fills no budget.
    fn reloaded(&mut self, at: Timestamp, pool: &Pool) {
        for held in pool.upstreams() {
            let Some(before) = self.before.get(&held.key()) else {
                assert_eq!(
                    (held.state(at), held.in_flight()),
                    ("healthy", 0),
                    "who comes is healthy at once"
                );
                continue;
            };
            assert_eq!(held.in_flight(), before.in_flight, "a reload loses what is in flight");
            // Whoever was kept only because nobody healthy was left is not needed any more when one comes.
            let released = matches!(before.health, Health::Degraded { .. })
                && matches!(held.health(), Health::Ejected { .. });
            if !released {
                assert_eq!(held.health(), before.health, "a reload loses health");
                assert_eq!((held.ejections(), held.changed()), (before.ejections, before.changed));
            }
        }
        let (budget, hedges, since, flow) = self.budget;
        let flowed = at.since(since).as_secs_f64() * flow;
        assert!(pool.budget_balance() <= budget + flowed + 1e-6, "a reload fills the budget");
        assert!(pool.hedge_budget_balance() <= hedges + 1e-6, "a reload fills the budget of hedges");
    }

    fn always(&mut self, pool: &Pool) {
        let out = |key: UpstreamKey| self.out.values().filter(|(at, _)| *at == key).count();
        for held in pool.upstreams() {
            assert_eq!(held.in_flight() as usize, out(held.key()), "attempts that are out are counted");
            let name = self.names.entry(held.key()).or_insert_with(|| held.name().to_owned());
            assert_eq!(name, held.name(), "a key was given to another");
        }
        let gone = self.out.values().filter(|(key, _)| pool.upstream(*key).is_none()).count();
        assert_eq!(pool.in_flight_at_retired() as usize, gone, "those at upstreams that are gone too");
        let standing = pool.upstreams().iter().any(|held| !held.health().is_draining());
        assert_eq!(pool.in_panic(), pool.healthy() == 0 && standing, "panic is when nobody is healthy");
    }

    fn remember(&mut self, at: Timestamp, pool: &Pool) {
        let before = |held: &Upstream| Before {
            health: held.health(),
            ejections: held.ejections(),
            changed: held.changed(),
            in_flight: held.in_flight(),
        };
        self.before = pool.upstreams().iter().map(|held| (held.key(), before(held))).collect();
        let flow = f64::from(pool.spec().retry.budget.min_per_second);
        // What has flowed in since its last change stands in the balance once somebody looks at it.
        let since = if pool.budget_balance() == self.budget.0 { self.budget.2 } else { at };
        let flow = if since == at { flow } else { flow.max(self.budget.3) };
        self.budget = (pool.budget_balance(), pool.hedge_budget_balance(), since, flow);
    }
}

fn survives(scenario: &Scenario, seed: u64) -> u64 {
    let mut laws = Laws::default();
    let now = Timestamp::ZERO;
    let first = Pool::new(Arc::clone(&scenario.pool), now);
    laws.remember(now, &first);
    let storm = storm(scenario, seed);
    let report = run_reloads(scenario, &storm, seed, &mut |step: &Step<'_>| laws.watch(step));
    assert!(laws.out.is_empty() && laws.open == 0, "everything comes home");
    assert_eq!(report.executed_twice, 0);
    let again = run_reloads(scenario, &storm, seed, &mut |_| {});
    assert_eq!(report.trace, again.trace, "the same seed took another course");
    storm.len() as u64
}

#[test]
fn a_storm_of_reloads_loses_nothing_that_stays() {
    let mut reloads = 0;
    for seed in seeds() {
        let scenario = random::scenario(seed);
        let survived = catch_unwind(AssertUnwindSafe(|| survives(&scenario, seed)));
        let Ok(count) = survived else {
            eprintln!("seed {seed} breaks a law in {scenario:#?}");
            panic!("replay: AORTA_SIM_SEED={seed} cargo test -p aorta-core --test simulation a_storm");
        };
        reloads += count;
    }
    println!("{reloads} reloads");
}

#[test]
fn a_reload_of_the_same_file_changes_nothing() {
    for seed in seeds().take(64) {
        let scenario = random::scenario(seed);
        let same = moments(seed, scenario.span).into_iter().map(|at| (at, Arc::clone(&scenario.pool)));
        let (left, reloaded) = (
            run(&scenario, seed, &mut |_| {}),
            run_reloads(&scenario, &same.collect::<Vec<_>>(), seed, &mut |_| {}),
        );
        assert_eq!(
            (left.ejections, left.readmissions),
            (reloaded.ejections, reloaded.readmissions),
            "{seed}"
        );
        assert_eq!((left.attempts, left.shares), (reloaded.attempts, reloaded.shares), "{seed}");
        assert_eq!((left.rescued, left.lost), (reloaded.rescued, reloaded.lost), "{seed}");
    }
}
