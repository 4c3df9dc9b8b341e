//! Two random candidates, the less busy one (Mitzenmacher, "The Power of Two Choices in Randomized Load
//! Balancing"): nearly as even as looking at all of them, and no herd runs to the one that just became idle.
//!
//! Busy is what is out, measured by weight. It is counted in whole rounds of the lighter of the two, so that
//! one attempt at an upstream of weight 9 does not make it busier than an idle one of weight 1: within a round
//! the draw, which goes by weight, decides.

use super::Candidate;
use super::draw::{self, Urn};
use fastrand::Rng;

pub(super) fn pick(candidates: &impl Urn, rng: &mut Rng) -> Option<usize> {
    let (first, second) = draw::two(candidates, rng)?;
    let Some(second) = second else { return Some(first.index) };
    let lighter = first.weight.min(second.weight);
    let less_busy = rounds(second, lighter) < rounds(first, lighter);
    Some(if less_busy { second.index } else { first.index })
}

fn rounds(candidate: Candidate, lighter: u32) -> u64 {
    u64::from(candidate.in_flight) * u64::from(lighter) / u64::from(candidate.weight.max(1))
}
