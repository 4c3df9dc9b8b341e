//! What must hold for record stores. Written from the design's sentences, not from the code it judges.

use crate::request_laws::{RequestLaws, store};
use aorta_core::classify::Class;
use aorta_core::fhir_safety::Safety;
use aorta_core::pool::Pool;
use aorta_core::simulate::scenario::{Request, Scenario};
use aorta_core::simulate::{Step, What};
use aorta_core::time::Timestamp;
use std::collections::BTreeMap;

pub(crate) struct DomainLaws<'a> {
    scenario: &'a Scenario,
    /// Where an unsure write of each open request may stand.
    bound: BTreeMap<u64, &'a str>,
    /// Where and when each client last wrote.
    wrote: BTreeMap<u64, (Timestamp, &'a str)>,
}

impl<'a> DomainLaws<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        Self { scenario, bound: BTreeMap::new(), wrote: BTreeMap::new() }
    }

    /// Watches a step before the laws of requests do.
    pub(crate) fn watch(&mut self, step: &Step<'_>, requests: &RequestLaws<'_>) {
        match step.what {
            What::Chosen { request, attempt, .. } if request.terms.safety == Safety::Safe => {
                self.reads(step.at, step.pool, request, attempt.upstream.number(), requests.tried(request));
            }
            What::Chosen { request, attempt, .. } => {
                let Some(first) = requests.carried_out(request) else { return };
                let pool = &self.scenario.pool;
                let name = store(pool, first);
                let there = name.is_none() || store(pool, attempt.upstream.number()) == name;
                assert!(there, "an unsure write left its data domain");
                let conditional = request.terms.safety == Safety::Conditional;
                let known = name.is_some() || pool.upstreams.len() == 1;
                assert!(!conditional || known, "a create was repeated where nothing is known of the store");
                self.bound.extend(name.map(|name| (request.id, name)));
            }
            What::Judged { request, class, .. } if request.terms.safety != Safety::Safe => {
                let asked = requests.tried(request).last().and_then(|&last| store(&self.scenario.pool, last));
                // Whether a stream's write counts at its head or at its end is not for clients to know.
                if class == Class::Answered
                    && !request.streams
                    && let Some(name) = asked
                {
                    self.wrote.insert(request.terms.client, (step.at, name));
                } else {
                    self.wrote.remove(&request.terms.client);
                }
            }
            What::Closed { request, .. } => {
                self.bound.remove(&request.id);
                // The end of a stream, or of one left by its client, may have moved where it reads.
                if request.terms.safety != Safety::Safe && request.streams {
                    self.wrote.remove(&request.terms.client);
                }
            }
            _ => {}
        }
    }

    /// The upstreams that an unsure write must not ask.
    pub(crate) fn closed_to(&self, request: Request) -> Vec<usize> {
        let Some(name) = self.bound.get(&request.id) else { return Vec::new() };
        let pool = &self.scenario.pool;
        (0..pool.upstreams.len()).filter(|&index| store(pool, index) != Some(name)).collect()
    }

    fn reads(&self, at: Timestamp, pool: &Pool, request: Request, asked: usize, tried: &[usize]) {
        let spec = &self.scenario.pool;
        let Some(&(wrote_at, name)) = self.wrote.get(&request.terms.client) else { return };
        if at >= wrote_at + spec.write_affinity || pool.in_panic() || tried.contains(&asked) {
            return;
        }
        let could_serve = pool.upstreams().iter().enumerate().any(|(index, held)| {
            let willing = held.skip_until() <= at && !held.is_being_verified(at);
            let serves = held.health().in_rotation() && willing;
            held.data_domain() == name && serves && !tried.contains(&index)
        });
        assert!(!could_serve || store(spec, asked) == Some(name), "a client reads where it did not write");
    }
}
