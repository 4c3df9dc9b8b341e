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

use super::Candidate;

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
        let sums =
            |(out, total), held: Candidate| (out + u64::from(held.in_flight), total + u64::from(held.weight));
        // This attempt is one of those that are out.
        let (out, total) = candidates.clone().fold((1, 0_u64), sums);
        let room = out as f64 * LOAD_MAX / total.max(1) as f64;
        // Below a part of one there is room for that one, so somebody always has some.
        let has_room = |held: &Candidate| f64::from(held.in_flight) < f64::from(held.weight) * room;
        let lots = candidates.filter(has_room).map(|held| self.lot(held, key));
        lots.reduce(|best, lot| if lot.beats(best) { lot } else { best }).map(|lot| lot.index)
    }

    fn lot(&self, candidate: Candidate, key: u64) -> Lot {
        let place = self.places.get(candidate.index).copied().unwrap_or_default();
        Lot { index: candidate.index, weight: candidate.weight.max(1), chance: mix(place ^ key) >> 11 }
    }
}

/// What a candidate has drawn for a key.
#[derive(Clone, Copy)]
struct Lot {
    index: usize,
    weight: u32,
    /// 53 bits, as many as a number between 0 and 1 holds.
    chance: u64,
}

impl Lot {
    fn beats(self, other: Self) -> bool {
        match () {
            // The usual case needs no logarithm.
            () if self.weight == other.weight => self.chance > other.chance,
            () if self.weight < other.weight && self.chance <= other.chance => false,
            () => self.score() > other.score(),
        }
    }

    /// An exponential variable with the weight as its rate is the first of all with the weight's chance.
    fn score(self) -> f64 {
        // Never the logarithm of 0.
        let chance = (self.chance as f64 + 0.5) / (1_u64 << 53) as f64;
        chance.ln() / f64::from(self.weight)
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
