//! Drawing lots: a candidate's chance is its weight over all weights.
//!
//! The candidates are walked twice or three times and never collected: writing them down measured slower.

use super::Candidate;
use fastrand::Rng;

/// One candidate.
pub(super) fn one(candidates: impl Iterator<Item = Candidate> + Clone, rng: &mut Rng) -> Option<Candidate> {
    let total = total(candidates.clone());
    if total == 0 { None } else { holder(candidates, rng.u64(0..total)) }
}

/// Two different candidates in the order they were drawn; the second is none when there is only one.
///
/// Drawn without putting back: with two regions both are always compared. Putting the first one back would
/// send a quarter of all requests to the worse of two without a look at the better.
pub(super) fn two(
    candidates: impl Iterator<Item = Candidate> + Clone,
    rng: &mut Rng,
) -> Option<(Candidate, Option<Candidate>)> {
    let total = total(candidates.clone());
    if total == 0 {
        return None;
    }
    let first = holder(candidates.clone(), rng.u64(0..total))?;
    let rest = total - u64::from(first.weight);
    if rest == 0 {
        return Some((first, None));
    }
    let others = candidates.filter(|candidate| candidate.index != first.index);
    Some((first, holder(others, rng.u64(0..rest))))
}

/// All weights.
fn total(candidates: impl Iterator<Item = Candidate>) -> u64 {
    candidates.map(|candidate| u64::from(candidate.weight)).sum()
}

/// Whose lot this is, when the candidates hold as many lots as they weigh.
fn holder(mut candidates: impl Iterator<Item = Candidate>, mut lot: u64) -> Option<Candidate> {
    candidates.find(|candidate| {
        let weight = u64::from(candidate.weight);
        let holds = lot < weight;
        lot = lot.saturating_sub(weight);
        holds
    })
}
