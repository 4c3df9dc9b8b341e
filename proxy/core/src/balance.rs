//! How a pool shares its requests among the upstreams that may be asked.
//!
//! The contract every policy keeps: it picks one of the candidates it is given, whatever they are; it never
//! looks at health, which the pool has judged before; and its choice is a function of its state and of what
//! it is handed. Weights are shares: among upstreams that are alike, each gets requests by its weight.
//!
//! - [`round_robin`]: turns, exactly by weight. The default: with few regions nothing is fairer.
//! - `least_request`: two random candidates, the less busy one. For requests of very different cost.
//! - [`peak_ewma`]: two random candidates, the one that promises the sooner answer.
//! - [`ring_hash`]: the same key to the same upstream, as long as that does not overload it.
//! - `random`: by weight, with no memory at all.

mod draw;
mod least_request;
mod members;
pub mod peak_ewma;
pub mod ring_hash;
pub mod round_robin;

use crate::time::Timestamp;
use draw::{Known, Walked};
use fastrand::Rng;
use peak_ewma::Latency;
use ring_hash::RingHash;
use round_robin::RoundRobin;

pub(crate) use members::Members;

/// Who is asked next among those that may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BalancePolicy {
    /// In turn.
    #[default]
    RoundRobin,
    /// The less busy of two.
    LeastRequest,
    /// The faster of two, counting what waits there already.
    PeakEwma,
    /// The same for the same key.
    RingHash,
    /// Any.
    Random,
}

impl BalancePolicy {
    /// Every policy.
    pub const ALL: [Self; 5] =
        [Self::RoundRobin, Self::LeastRequest, Self::PeakEwma, Self::RingHash, Self::Random];

    /// The word for it in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastRequest => "least_request",
            Self::PeakEwma => "peak_ewma",
            Self::RingHash => "ring_hash",
            Self::Random => "random",
        }
    }
}

/// An upstream that may be asked, as the policies see it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Index in the pool.
    pub index: usize,
    /// Its share, in any unit that all candidates have in common; never zero.
    pub weight: u32,
    /// Attempts that are out.
    pub in_flight: u32,
    /// How fast it has answered.
    pub latency: Latency,
}

/// What a choice may depend on besides the candidates.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// Now.
    pub now: Timestamp,
    /// What the request is hashed by; none when it has no such thing.
    pub key: Option<u64>,
    /// The source of chance.
    pub rng: &'a mut Rng,
}

/// A policy with what it remembers.
#[derive(Clone, Debug)]
pub struct Balancer {
    memory: Memory,
}

#[derive(Clone, Debug)]
enum Memory {
    RoundRobin(RoundRobin),
    LeastRequest,
    PeakEwma,
    RingHash(RingHash),
    Random,
}

impl Balancer {
    /// A policy over the upstreams of these names, which has seen nothing yet.
    #[must_use]
    pub fn new<'n>(policy: BalancePolicy, names: impl ExactSizeIterator<Item = &'n str>) -> Self {
        let memory = match policy {
            BalancePolicy::RoundRobin => Memory::RoundRobin(RoundRobin::new(names.len())),
            BalancePolicy::LeastRequest => Memory::LeastRequest,
            BalancePolicy::PeakEwma => Memory::PeakEwma,
            BalancePolicy::RingHash => Memory::RingHash(RingHash::new(names)),
            BalancePolicy::Random => Memory::Random,
        };
        Self { memory }
    }

    /// The same for other upstreams, or another policy: each upstream with its name and the place where it stood, if it
    /// did.
    pub(crate) fn reconfigure<'n>(
        &mut self,
        policy: BalancePolicy,
        upstreams: impl ExactSizeIterator<Item = (&'n str, Option<usize>)>,
    ) {
        match &mut self.memory {
            Memory::RoundRobin(turn) if policy == BalancePolicy::RoundRobin => {
                turn.reconfigure(upstreams.map(|(_, stood)| stood));
            }
            _ => *self = Self::new(policy, upstreams.map(|(name, _)| name)),
        }
    }

    /// Picks one of the candidates, as its index; none when there is no candidate.
    pub fn pick(
        &mut self,
        candidates: impl Iterator<Item = Candidate> + Clone,
        circumstances: &mut Circumstances<'_>,
    ) -> Option<usize> {
        let Circumstances { now, key, rng } = circumstances;
        match (&mut self.memory, *key) {
            (Memory::RoundRobin(turn), _) => {
                turn.pick(candidates.map(|candidate| (candidate.index, candidate.weight)))
            }
            (Memory::LeastRequest, _) => least_request::pick(&Walked(candidates), rng),
            (Memory::PeakEwma, _) => peak_ewma::pick(&Walked(candidates), *now, rng),
            (Memory::RingHash(ring), Some(key)) => ring.pick(candidates, key),
            (Memory::RingHash(_), None) | (Memory::Random, _) => {
                draw::one(&Walked(candidates), rng).map(|candidate| candidate.index)
            }
        }
    }

    /// Picks one of candidates that are written down, the same one as [`Balancer::pick`] does. `look` is asked of
    /// those alone that are compared; `out` is what is out at all of them.
    pub(crate) fn pick_of(
        &mut self,
        members: &Members,
        look: impl Fn(usize) -> Candidate + Copy,
        out: impl FnOnce() -> u64,
        circumstances: &mut Circumstances<'_>,
    ) -> Option<usize> {
        let Circumstances { now, key, rng } = circumstances;
        match (&mut self.memory, *key) {
            (Memory::RoundRobin(turn), _) => turn.pick(members.iter()),
            (Memory::LeastRequest, _) => least_request::pick(&Known(members, look), rng),
            (Memory::PeakEwma, _) => peak_ewma::pick(&Known(members, look), *now, rng),
            (Memory::RingHash(ring), Some(key)) => ring.pick_of(members, look, out, key),
            (Memory::RingHash(_), None) | (Memory::Random, _) => {
                draw::one(&Known(members, look), rng).map(|candidate| candidate.index)
            }
        }
    }
}
