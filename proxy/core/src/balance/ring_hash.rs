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

use super::{Candidate, Members};

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
        let (out, total) = candidates.clone().fold((0, 0_u64), sums);
        let room = Room::of(out, total);
        let lots = candidates.filter(|held| room.has(held)).map(|held| (held.index, held.weight));
        self.first(lots, key)
    }

    /// The same among candidates that are written down. Nearly always their first has room, and then nobody else need
    /// be looked at.
    pub(super) fn pick_of(
        &self,
        members: &Members,
        look: impl Fn(usize) -> Candidate + Copy,
        out: impl FnOnce() -> u64,
        key: u64,
    ) -> Option<usize> {
        let first = self.first(members.iter(), key)?;
        let fits = Room::of(out(), members.total()).has(&look(first));
        if fits { Some(first) } else { self.pick(members.iter().map(|(index, _)| look(index)), key) }
    }

    /// The first of those given by index and weight.
    fn first(&self, lots: impl Iterator<Item = (usize, u32)>, key: u64) -> Option<usize> {
        let lots = lots.map(|(index, weight)| {
            let place = self.places.get(index).copied().unwrap_or_default();
            Lot { index, weight: weight.max(1), chance: mix(place ^ key) >> 11 }
        });
        lots.reduce(|best, lot| if lot.beats(best) { lot } else { best }).map(|lot| lot.index)
    }
}

/// What each may carry, for each part of its weight.
#[derive(Clone, Copy)]
struct Room(f64);

impl Room {
    fn of(out: u64, total: u64) -> Self {
        // This attempt is one of those that are out.
        Self((out + 1) as f64 * LOAD_MAX / total.max(1) as f64)
    }

    /// Below a part of one there is room for that one, so somebody always has some.
    fn has(self, held: &Candidate) -> bool {
        f64::from(held.in_flight) < f64::from(held.weight) * self.0
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
            // The usual cases need no logarithm.
            () if self.weight == other.weight => self.chance > other.chance,
            () if self.weight < other.weight && self.chance <= other.chance => false,
            () if self.weight > other.weight && self.chance >= other.chance => true,
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
