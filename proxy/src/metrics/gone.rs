//! What the configuration names no more leaves no series behind: gauges at once, counters when the last request that
//! moves them is over.

use super::{Metrics, PoolSeries, RouteSeries, UpstreamSeries};
use crate::snapshot::Snapshot;
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use std::collections::HashMap;
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

    /// One of the same name has come since: the series are its own.
    fn is_back(&self, snapshot: &Snapshot) -> bool {
        let pool = |name: &String| snapshot.pools.iter().find(|pool| pool.name() == name);
        match self {
            Self::Route(name, _) => snapshot.routes.routes().iter().any(|route| route.name == *name),
            Self::Pool(name, _) => pool(name).is_some(),
            Self::Upstream(of, name, _) => {
                pool(of).is_some_and(|pool| pool.upstreams.iter().any(|live| live.config.name == *name))
            }
        }
    }

    fn has(&self, labels: &Labels<'_>) -> bool {
        let is = |label: &str, name: &String| labels.get(label) == Some(&name.as_str());
        match self {
            Self::Route(name, _) => is("route", name),
            Self::Pool(name, _) => is("pool", name),
            Self::Upstream(pool, name, _) => {
                let named = ["upstream", "from_upstream", "to_upstream"].iter().any(|label| is(label, name));
                is("pool", pool) && named
            }
        }
    }
}

impl Metrics {
    /// A configuration took the place of another one.
    pub fn gone(&self, old: &Snapshot, new: &Snapshot) {
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
        let gone = routes.chain(pools).chain(upstreams).filter(|gone| !gone.is_back(new));
        let mut held = self.gone.lock();
        held.extend(gone);
        drop(held);
        let _nobody_reads = self.scraping.lock();
        self.forget(new);
    }

    /// Takes out the series of what is gone.
    pub(super) fn forget(&self, snapshot: &Snapshot) {
        let mut held = self.gone.lock();
        held.retain(|gone| !gone.is_back(snapshot));
        if held.is_empty() {
            return;
        }
        self.families.forget(&|labels| {
            let gone = held.iter().find(|gone| gone.has(labels))?;
            Some(if gone.is_used() { Part::Gauges } else { Part::All })
        });
        held.retain(Gone::is_used);
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
