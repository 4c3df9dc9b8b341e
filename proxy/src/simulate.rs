//! `aorta-proxy simulate`: a configuration through a scenario, in virtual time. What decides is the very core
//! that serves; only the world around it is imitated.
//!
//! [`run`] makes a [`Run`]; [`text`], [`json`] and [`svg`] show it; [`expect`] judges it. [`replay`] decides again what
//! was recorded of a running proxy.

pub mod expect;
pub mod json;
pub mod replay;
pub mod svg;
pub mod text;

use crate::config::{self, Problems, Scenario};
use aorta_core::simulate::report::Report;
use aorta_core::upstream::Health;
use expect::Judged;
use std::path::Path;
use std::time::Duration;

/// A run and all that is said of it.
#[derive(Debug)]
pub struct Run {
    /// What was run.
    pub scenario: Scenario,
    /// With which dice.
    pub seed: u64,
    /// What came of it.
    pub report: Report,
    /// Whether that is what was to come of it.
    pub judged: Vec<Judged>,
}

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub enum NoRun {
    /// A file is wrong.
    #[error("{0}")]
    Files(#[from] Problems),
    /// The tape is wrong.
    #[error("{0}")]
    Tape(String),
    /// The pool that was asked for is not there.
    #[error("--pool {asked}: the configuration has no such pool; it has {known}")]
    NoSuchPool {
        /// The name.
        asked: String,
        /// The names there are.
        known: String,
    },
}

/// Reads both files and runs the scenario.
///
/// # Errors
/// Every mistake in the configuration, or else in the scenario.
pub fn run(config: &Path, scenario: &Path, pool: Option<&str>, seed: u64) -> Result<Run, NoRun> {
    let config = config::load(config)?;
    let names = || config.pools.iter().map(|pool| pool.spec.name.as_str());
    if let Some(asked) = pool.filter(|asked| !names().any(|name| name == *asked)) {
        let known = names().collect::<Vec<_>>().join(", ");
        return Err(NoRun::NoSuchPool { asked: asked.to_owned(), known });
    }
    Ok(Run::new(config::load_scenario(scenario, &config, pool)?, seed))
}

impl Run {
    /// Runs a scenario.
    #[must_use]
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let report = aorta_core::simulate::run(&scenario.scenario, seed, &mut |_| {});
        let judged = expect::judge(&scenario, &report);
        Self { scenario, seed, report, judged }
    }

    /// All that was expected came.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.judged.iter().all(|judged| judged.kept)
    }

    fn upstreams(&self) -> impl Iterator<Item = (usize, &str)> {
        let upstreams = self.scenario.scenario.pool.upstreams.iter();
        upstreams.map(|upstream| upstream.name.as_str()).enumerate()
    }

    /// Events of one kind, counted by upstream and word, with the first and the last time of each.
    fn counted(&self, events: impl Iterator<Item = (Duration, usize, &'static str)>) -> Vec<Counted> {
        let mut counted: Vec<Counted> = Vec::new();
        for (at, upstream, word) in events {
            let same = |counted: &&mut Counted| counted.upstream == upstream && counted.word == word;
            match counted.iter_mut().find(same) {
                Some(counted) => {
                    counted.times += 1;
                    counted.last = at;
                }
                None => counted.push(Counted { upstream, word, times: 1, first: at, last: at }),
            }
        }
        counted
    }

    fn ejections(&self) -> Vec<Counted> {
        let events = self.report.ejections.iter();
        self.counted(events.map(|(at, upstream, reason)| (since_start(*at), *upstream, reason.name())))
    }

    fn prevented(&self) -> Vec<Counted> {
        let events = self.report.prevented.iter();
        self.counted(events.map(|(at, upstream, guard)| (since_start(*at), *upstream, guard.name())))
    }

    fn readmissions(&self) -> Vec<Counted> {
        let events = self.report.readmissions.iter();
        self.counted(events.map(|(at, upstream)| (since_start(*at), *upstream, "readmitted")))
    }
}

/// Events that are alike.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    upstream: usize,
    word: &'static str,
    times: usize,
    first: Duration,
    last: Duration,
}

fn since_start(at: aorta_core::time::Timestamp) -> Duration {
    at.since(aorta_core::time::Timestamp::ZERO)
}

/// The state in which most proxies hold an upstream.
fn prevailing(states: &[u32]) -> &'static str {
    let most = states.iter().zip(Health::NAMES).max_by_key(|(count, _)| **count);
    most.map_or("", |(_, name)| name)
}

#[cfg(test)]
mod tests;
