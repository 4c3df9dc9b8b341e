//! What the random weather reaches: a law says nothing about what never happens.

use crate::{SEEDS, random, reloads};
use aorta_core::classify::Class;
use aorta_core::outlier::EjectReason;
use aorta_core::pool::{Guard, PoolEvent};
use aorta_core::retry::Denial;
use aorta_core::simulate::{Step, What, run_reloads};
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Default)]
struct Reached {
    reasons: BTreeSet<&'static str>,
    guards: BTreeSet<&'static str>,
    classes: BTreeSet<&'static str>,
    denials: BTreeSet<&'static str>,
    tiers: BTreeSet<&'static str>,
}

impl Reached {
    fn watch(&mut self, step: &Step<'_>) {
        match step.what {
            What::Told { event: PoolEvent::Ejected { reason, .. } } => {
                self.reasons.insert(reason.name());
            }
            What::Told { event: PoolEvent::EjectionPrevented { guard, .. } } => {
                self.guards.insert(guard.name());
            }
            What::Judged { class, .. } => {
                self.classes.insert(class.name());
            }
            What::Lost { late, .. } => {
                self.classes.insert(late.class.name());
            }
            What::Closed { receipt, .. } => {
                self.denials.extend(receipt.denial.map(Denial::name));
                for attempt in receipt.attempts.iter() {
                    self.classes.insert(attempt.class.name());
                    self.tiers.insert(attempt.tier.name());
                }
            }
            _ => {}
        }
    }
}

fn unreached<const N: usize>(all: [&'static str; N], reached: &BTreeSet<&'static str>) -> Vec<&'static str> {
    all.into_iter().filter(|name| !reached.contains(name)).collect()
}

#[test]
fn every_decision_is_met_in_some_weather() {
    let mut reached = Reached::default();
    for seed in 0..SEEDS {
        let scenario = random::scenario(seed);
        let moments = reloads::moments(seed, scenario.span);
        let reloads: Vec<_> = moments.into_iter().map(|at| (at, Arc::clone(&scenario.pool))).collect();
        let _ = run_reloads(&scenario, &reloads, seed, &mut |step| reached.watch(step));
    }
    let none: [&str; 0] = [];
    // It takes longer than these runs do; `directed.rs` has regions that stay slow.
    assert_eq!(unreached(EjectReason::ALL.map(EjectReason::name), &reached.reasons), ["slow"]);
    assert_eq!(unreached(Guard::ALL.map(Guard::name), &reached.guards), none);
    assert_eq!(unreached(Denial::ALL.map(Denial::name), &reached.denials), none);
    let tiers = ["panic", "probe", "rotation", "throttled", "last_resort", "again"];
    assert_eq!(unreached(tiers, &reached.tiers), none);
    // No upstream of the simulation signs, and none says goodbye: the exchange's own tests do.
    assert_eq!(
        unreached(Class::ALL.map(Class::name), &reached.classes),
        ["unprocessed", "signature_refused"]
    );
}
