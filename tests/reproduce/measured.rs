//! What came of the experiments, and what must hold of it.

use crate::page::{Place, Shown};
use std::time::Duration;

/// How far a median may lie from the one it is compared with.
const TOLERANCE: f64 = 0.10;

/// Everything.
#[derive(Debug)]
pub(crate) struct Measured {
    /// The simulated latency of each region.
    pub(crate) latency: Duration,
    /// Both up: twenty pages.
    pub(crate) up: Vec<Shown>,
    /// What each region itself counted meanwhile: Virginia, Ohio.
    pub(crate) counted: [u64; 2],
    /// Ohio's endpoint disabled.
    pub(crate) ohio_lost: Loss,
    /// Virginia's endpoint disabled.
    pub(crate) virginia_lost: Loss,
    /// Both up again in a new house, with twice the latency: ten pages.
    pub(crate) doubled: Vec<Shown>,
}

/// What pages showed around the loss of a region.
#[derive(Debug)]
pub(crate) struct Loss {
    /// Right before it: twenty pages.
    pub(crate) before: Vec<Shown>,
    /// From that moment on: ten pages.
    pub(crate) after: Vec<Shown>,
}

/// A sentence, and whether it is true.
#[derive(Debug)]
pub(crate) struct Check {
    /// What must hold.
    pub(crate) promise: String,
    /// Whether it does.
    pub(crate) holds: bool,
}

impl Measured {
    /// The pages that one region answered while both were up.
    pub(crate) fn up_at(&self, place: Place) -> Vec<f64> {
        millis_at(&self.up, place)
    }

    /// The pages after the loss of a region.
    pub(crate) fn lost(&self, place: Place) -> &[Shown] {
        &self.loss(place).after
    }

    fn loss(&self, place: Place) -> &Loss {
        match place {
            Place::Virginia => &self.virginia_lost,
            Place::Ohio => &self.ohio_lost,
        }
    }

    /// Those of them that came after the last one which still met the lost region: it was ejected by then.
    pub(crate) fn after_ejection(&self, lost: Place) -> Vec<f64> {
        let pages = self.lost(lost);
        let noticed = pages.iter().rposition(|shown| shown.attempts > 1).map_or(0, |last| last + 1);
        pages[noticed..].iter().map(|shown| shown.millis).collect()
    }

    /// What must hold.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut must = |promise: String, holds: bool| checks.push(Check { promise, holds });
        must(
            "with both regions up, pages alternate strictly between them".to_owned(),
            self.up.windows(2).all(|pair| pair[0].place != pair[1].place),
        );
        let half = (self.up.len() / 2) as u64;
        must(
            format!("each region counted {half} of {} requests itself", self.up.len()),
            self.counted == [half; 2],
        );
        for lost in [Place::Ohio, Place::Virginia] {
            let answering = lost.other();
            let (all, after) = (self.lost(lost), self.after_ejection(lost));
            must(
                format!("with {} disabled, every page comes from {}", lost.name(), answering.name()),
                all.len() == 10 && all.iter().all(|shown| shown.place == answering),
            );
            must(
                format!("with {} disabled, at most 2 of 10 pages meet it", lost.name()),
                all.iter().filter(|shown| shown.attempts > 1).count() <= 2,
            );
            let (before, now) = (median(&millis_at(&self.loss(lost).before, answering)), median(&after));
            must(
                format!(
                    "after the ejection of {} the median is within 10 % of the baseline ({now:.0} and {before:.0} ms)",
                    lost.name()
                ),
                !after.is_empty() && (now / before - 1.0).abs() <= TOLERANCE,
            );
        }
        let all_up: Vec<f64> = self.up.iter().map(|shown| shown.millis).collect();
        let all_doubled: Vec<f64> = self.doubled.iter().map(|shown| shown.millis).collect();
        let moved = median(&all_doubled) - median(&all_up);
        let expected = self.latency.as_secs_f64() * 1000.0;
        must(
            format!(
                "with {expected:.0} ms more of simulated latency the median moves by as much ({moved:.0} ms)"
            ),
            (moved / expected - 1.0).abs() <= 2.0 * TOLERANCE,
        );
        checks
    }
}

fn millis_at(pages: &[Shown], place: Place) -> Vec<f64> {
    pages.iter().filter(|shown| shown.place == place).map(|shown| shown.millis).collect()
}

/// The middle value; zero when there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(first: Place, alternate: bool, count: usize, millis: f64) -> Vec<Shown> {
        let place = |index: usize| if alternate && index % 2 == 1 { first.other() } else { first };
        (0..count).map(|index| Shown { place: place(index), millis, attempts: 1 }).collect()
    }

    fn sound() -> Measured {
        Measured {
            latency: Duration::from_millis(80),
            up: pages(Place::Virginia, true, 20, 85.0),
            counted: [10, 10],
            ohio_lost: Loss {
                before: pages(Place::Virginia, true, 20, 85.0),
                after: pages(Place::Virginia, false, 10, 86.0),
            },
            virginia_lost: Loss {
                before: pages(Place::Virginia, true, 20, 85.0),
                after: pages(Place::Ohio, false, 10, 84.0),
            },
            doubled: pages(Place::Virginia, true, 10, 166.0),
        }
    }

    #[test]
    fn sound_figures_pass() {
        assert!(sound().checks().iter().all(|check| check.holds), "{:#?}", sound().checks());
    }

    #[test]
    fn each_promise_can_fail() {
        let failing = |spoil: fn(&mut Measured)| {
            let mut measured = sound();
            spoil(&mut measured);
            measured.checks().iter().filter(|check| !check.holds).count()
        };
        assert_eq!(failing(|measured| measured.up[3].place = measured.up[2].place), 1);
        assert_eq!(failing(|measured| measured.counted = [11, 9]), 1);
        assert_eq!(failing(|measured| measured.ohio_lost.after[9].place = Place::Ohio), 1);
        assert_eq!(
            failing(|measured| measured.virginia_lost.after[..3]
                .iter_mut()
                .for_each(|page| page.attempts = 2)),
            1
        );
        assert_eq!(
            failing(|measured| measured.ohio_lost.after.iter_mut().for_each(|page| page.millis = 95.0)),
            1
        );
        assert_eq!(failing(|measured| measured.doubled.iter_mut().for_each(|page| page.millis = 85.0)), 1);
    }

    #[test]
    fn pages_that_met_the_lost_region_do_not_count_as_after_its_ejection() {
        let mut measured = sound();
        measured.ohio_lost.after[1] = Shown { place: Place::Virginia, millis: 170.0, attempts: 2 };
        assert_eq!(measured.after_ejection(Place::Ohio), [86.0; 8]);
    }
}
