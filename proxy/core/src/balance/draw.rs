//! Drawing lots: a candidate's chance is its weight over all weights.

use super::Candidate;
use fastrand::Rng;

/// The candidates of one choice and where each one's lots end. Kept between choices only for its memory:
/// judging who may be asked costs more than drawing, so it is done once.
#[derive(Clone, Debug, Default)]
pub(super) struct Lots {
    held: Vec<(u64, Candidate)>,
}

impl Lots {
    /// Gives out lots.
    pub(super) fn of(&mut self, candidates: impl Iterator<Item = Candidate>) -> &Self {
        let mut end = 0;
        self.held.clear();
        self.held.extend(candidates.map(|candidate| {
            end += u64::from(candidate.weight);
            (end, candidate)
        }));
        self
    }

    /// The candidates.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Candidate> + Clone {
        self.held.iter().map(|(_, candidate)| *candidate)
    }

    /// All lots.
    pub(super) fn total(&self) -> u64 {
        self.held.last().map_or(0, |(end, _)| *end)
    }

    /// One candidate.
    pub(super) fn one(&self, rng: &mut Rng) -> Option<Candidate> {
        let total = self.total();
        if total == 0 { None } else { self.holder(rng.u64(0..total)).map(|(_, first)| first) }
    }

    /// Two different candidates in the order they were drawn; the second is none when there is only one.
    ///
    /// Drawn without putting back: with two regions both are always compared. Putting the first one back
    /// would send a quarter of all requests to the worse of two without a look at the better.
    pub(super) fn two(&self, rng: &mut Rng) -> Option<(Candidate, Option<Candidate>)> {
        let total = self.total();
        if total == 0 {
            return None;
        }
        let (end, first) = self.holder(rng.u64(0..total))?;
        let taken = u64::from(first.weight);
        if taken == total {
            return Some((first, None));
        }
        let lot = rng.u64(0..total - taken);
        let lot = if lot < end - taken { lot } else { lot + taken };
        Some((first, self.holder(lot).map(|(_, second)| second)))
    }

    fn holder(&self, lot: u64) -> Option<(u64, Candidate)> {
        let index = self.held.partition_point(|(end, _)| *end <= lot);
        self.held.get(index).copied()
    }
}
