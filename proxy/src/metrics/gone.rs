//! What the configuration names no more leaves no series behind: gauges at once, counters when the last request that
//! moves them is over.

use super::{Metrics, PoolSeries, RouteSeries, UpstreamSeries};
use crate::snapshot::Snapshot;
use arc_swap::ArcSwap;
use parking_lot::MutexGuard;
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

/// The labels of a series.
pub(super) type Labels<'a> = HashMap<&'a str, &'a str>;

/// Which of the series that have such labels go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Only what is looked up when somebody asks.
    Gauges,
    /// All.
    All,
}

/// Something that is configured no more.
#[derive(Debug)]
pub(super) enum Gone {
    Route(String, Weak<RouteSeries>),
    Pool(String, Weak<PoolSeries>),
    Upstream(String, String, Weak<UpstreamSeries>),
}

impl Gone {
    fn is_used(&self) -> bool {
        match self {
            Self::Route(_, series) => series.strong_count() > 0,
            Self::Pool(_, series) => series.strong_count() > 0,
            Self::Upstream(_, _, series) => series.strong_count() > 0,
        }
    }

    fn thing(&self) -> Thing<'_> {
        match self {
            Self::Route(name, _) => Thing::Route(name),
            Self::Pool(name, _) => Thing::Pool(name),
            Self::Upstream(pool, name, _) => Thing::Upstream(pool, name),
        }
    }
}

/// What a configuration names and series are about. Of a thousand upstreams each has a hundred series: what is looked for is
/// found by its name and not by going through all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Thing<'a> {
    Route(&'a str),
    Pool(&'a str),
    Upstream(&'a str, &'a str),
}

impl<'a> Thing<'a> {
    /// All that is in force: what has the name of something gone has come since, and the series are its own.
    fn in_force(snapshot: &'a Snapshot) -> HashSet<Self> {
        let routes = snapshot.routes.routes().iter().map(|route| Self::Route(&route.name));
        let pools = snapshot.pools.iter().flat_map(|pool| {
            let upstreams = pool.upstreams.iter().map(|live| Self::Upstream(pool.name(), &live.config.name));
            std::iter::once(Self::Pool(pool.name())).chain(upstreams)
        });
        routes.chain(pools).collect()
    }

    /// What a series with these labels is about.
    fn all_of(labels: &Labels<'a>) -> impl Iterator<Item = Self> {
        let at = |label: &str| labels.get(label).copied();
        let (route, pool) = (at("route"), at("pool"));
        let upstreams = ["upstream", "from_upstream", "to_upstream"].map(at);
        let upstreams = upstreams.into_iter().filter_map(move |name| Some(Self::Upstream(pool?, name?)));
        route.map(Self::Route).into_iter().chain(pool.map(Self::Pool)).chain(upstreams)
    }
}

impl Metrics {
    /// Metrics stand still while this is held. Whoever makes the series of a configuration holds it until that is in
    /// force: what comes back under an old name would lose the series it has just got.
    pub fn still(&self) -> MutexGuard<'_, ()> {
        self.scraping.lock()
    }

    /// Another configuration took the place of this one: what it took away goes with the next look at the metrics, or
    /// [`Self::sweep`].
    pub fn replaced(&self, old: &Snapshot) {
        let routes = old.routes.routes().iter().zip(&old.route_series);
        let routes = routes.map(|(route, series)| Gone::Route(route.name.clone(), Arc::downgrade(series)));
        let pools =
            old.pools.iter().map(|pool| Gone::Pool(pool.name().to_owned(), Arc::downgrade(&pool.series)));
        let upstreams = old.pools.iter().flat_map(|pool| {
            let of = |name: &str| (pool.name().to_owned(), name.to_owned());
            pool.upstreams.iter().map(move |live| {
                let (pool, name) = of(&live.config.name);
                Gone::Upstream(pool, name, Arc::downgrade(&live.series))
            })
        });
        self.gone.lock().extend(routes.chain(pools).chain(upstreams));
    }

    /// Takes out the series of what is gone although nobody looks. A thousand upstreams have a hundred thousand of them,
    /// so no reload waits for it.
    pub fn sweep(&self, in_force: &ArcSwap<Snapshot>) {
        let _still = self.still();
        self.forget(&in_force.load());
    }

    /// Takes out the series of what is gone.
    pub(super) fn forget(&self, snapshot: &Snapshot) {
        let mut held = self.gone.lock();
        if held.is_empty() {
            return;
        }
        let in_force = Thing::in_force(snapshot);
        held.retain(|gone| !in_force.contains(&gone.thing()));
        if held.is_empty() {
            return;
        }
        // Asked once: what a request leaves from here on is found the next time.
        let (used, unused): (Vec<_>, Vec<_>) = held.drain(..).partition(Gone::is_used);
        // Of two of one name the series stay while either is used.
        let parts: HashMap<_, _> = unused
            .iter()
            .map(|gone| (gone.thing(), Part::All))
            .chain(used.iter().map(|gone| (gone.thing(), Part::Gauges)))
            .collect();
        self.families.forget(&|labels| Thing::all_of(labels).find_map(|thing| parts.get(&thing).copied()));
        drop(parts);
        *held = used;
    }
}

/// Takes the series of a family out that are of no use any more.
pub(super) fn forget<T: MetricVecBuilder>(
    family: &MetricVec<T>,
    is_gauge: bool,
    is_such: &dyn Fn(&Labels<'_>) -> Option<Part>,
) {
    for metrics in family.collect() {
        for metric in metrics.get_metric() {
            let labels: Labels<'_> =
                metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
            if is_such(&labels).is_some_and(|part| is_gauge || part == Part::All) {
                // Gone already, if somebody was faster.
                let _ = family.remove(&labels);
            }
        }
    }
}
