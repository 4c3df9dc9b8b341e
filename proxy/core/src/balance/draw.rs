//! Drawing lots: a candidate's chance is its weight over all weights.
//!
//! Candidates that are only judged as they come are walked twice or three times and never collected: writing them
//! down for a single draw measured slower.

use super::{Candidate, Members};
use fastrand::Rng;

/// Candidates that hold as many lots as they weigh, numbered from the first candidate's on.
pub(super) trait Urn {
    /// All lots.
    fn total(&self) -> u64;
    /// Who holds this one, and how many lots those before it hold.
    fn holder(&self, lot: u64) -> Option<(Candidate, u64)>;
}

/// Candidates that are judged as they come.
pub(super) struct Walked<I>(pub(super) I);

/// Candidates that are written down, each of which is looked at when it is drawn.
pub(super) struct Known<'a, L>(pub(super) &'a Members, pub(super) L);

impl<I: Iterator<Item = Candidate> + Clone> Urn for Walked<I> {
    fn total(&self) -> u64 {
        self.0.clone().map(|candidate| u64::from(candidate.weight)).sum()
    }

    fn holder(&self, lot: u64) -> Option<(Candidate, u64)> {
        let mut before = 0;
        self.0.clone().find_map(|candidate| {
            let weight = u64::from(candidate.weight);
            let holds = lot - before < weight;
            before += if holds { 0 } else { weight };
            holds.then_some((candidate, before))
        })
    }
}

impl<L: Fn(usize) -> Candidate> Urn for Known<'_, L> {
    fn total(&self) -> u64 {
        self.0.total()
    }

    fn holder(&self, lot: u64) -> Option<(Candidate, u64)> {
        self.0.holder(lot).map(|(index, before)| ((self.1)(index), before))
    }
}

/// One candidate.
pub(super) fn one(urn: &impl Urn, rng: &mut Rng) -> Option<Candidate> {
    let total = urn.total();
    if total == 0 { None } else { urn.holder(rng.u64(0..total)).map(|(candidate, _)| candidate) }
}

/// Two different candidates in the order they were drawn; the second is none when there is only one.
///
/// Drawn without putting back: with two regions both are always compared. Putting the first one back would
/// send a quarter of all requests to the worse of two without a look at the better.
pub(super) fn two(urn: &impl Urn, rng: &mut Rng) -> Option<(Candidate, Option<Candidate>)> {
    let total = urn.total();
    if total == 0 {
        return None;
    }
    let (first, before) = urn.holder(rng.u64(0..total))?;
    let weight = u64::from(first.weight);
    let rest = total - weight;
    if rest == 0 {
        return Some((first, None));
    }
    // The lots of those behind the first one are numbered as if it held none.
    let lot = rng.u64(0..rest);
    let lot = if lot < before { lot } else { lot + weight };
    Some((first, urn.holder(lot).map(|(second, _)| second)))
}
