//! The same key to the same upstream, with bounded load.
//!
//! The ring is not stored. Each upstream's place for a key is computed from its name (weighted rendezvous
//! hashing; Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous"), which keeps what a ring
//! promises without its points: shares by weight whatever the weights, and when one leaves only its own keys
//! move. Places depend on nothing but names and keys, so every proxy of a fleet agrees, before and after a
//! restart.
//!
//! Bounded load (Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads"): an upstream that
//! has more than its share times [`LOAD_MAX`] out is passed over, so that one busy key cannot drown it.

use super::{Candidate, draw};

/// The most one upstream carries, as a multiple of its fair share. The paper's c = 1.25: a smaller one moves
/// keys all the time, a larger one bounds nothing with two or three regions.
const LOAD_MAX: f64 = 1.25;

/// The upstreams' places.
#[derive(Clone, Debug)]
pub struct RingHash {
    places: Vec<u64>,
}

impl RingHash {
    /// Places for the upstreams of these names.
    #[must_use]
    pub fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        Self { places: names.map(hash).collect() }
    }

    /// The key's upstream among the candidates, or its next one if that carries too much.
    pub(super) fn pick(
        &self,
        candidates: impl Iterator<Item = Candidate> + Clone,
        key: u64,
    ) -> Option<usize> {
        // This attempt is one of those that are out.
        let out: u64 = 1 + candidates.clone().map(|held| u64::from(held.in_flight)).sum::<u64>();
        // Rounded up, so that somebody always has room.
        let room = out as f64 * LOAD_MAX / draw::total(candidates.clone()).max(1) as f64;
        let has_room = |held: &Candidate| f64::from(held.in_flight) < (f64::from(held.weight) * room).ceil();
        let with_room = candidates.filter(has_room);
        let scored = with_room.map(|held| (self.score(held, key), held.index));
        scored.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, index)| index)
    }

    /// An exponential variable with the weight as its rate is the first of all with the weight's chance.
    fn score(&self, candidate: Candidate, key: u64) -> f64 {
        let place = self.places.get(candidate.index).copied().unwrap_or_default();
        // 53 bits, as many as a number between 0 and 1 holds; never 0.
        let chance = ((mix(place ^ key) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        chance.ln() / f64::from(candidate.weight.max(1))
    }
}

/// FNV-1a: the same on every machine and in every version. Not for secrets, and no guard against chosen keys:
/// that is what the bound on load is for.
#[must_use]
pub fn hash(bytes: impl AsRef<[u8]>) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.as_ref().iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Makes neighbours unrelated (the finaliser of `SplitMix64`).
const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
