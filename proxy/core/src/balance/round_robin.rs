//! Smooth weighted turn-taking: shares by weight, and never several turns in a row where it can be helped.
//!
//! Each turn every candidate gains its weight, the richest is picked and pays the sum of all weights. Over
//! any full round the picks equal the weights exactly, and equal weights alternate strictly.

/// The turn-taker's memory: one balance for each upstream of the pool.
#[derive(Clone, Debug)]
pub struct RoundRobin {
    balances: Vec<i64>,
}

impl RoundRobin {
    /// A fresh round over `upstreams` upstreams.
    #[must_use]
    pub fn new(upstreams: usize) -> Self {
        Self { balances: vec![0; upstreams] }
    }

    /// The same round over other upstreams: each of them with the place where it stood, if it did.
    pub(super) fn reconfigure(&mut self, stood: impl Iterator<Item = Option<usize>>) {
        let balance = |place: Option<usize>| place.and_then(|place| self.balances.get(place)).copied();
        self.balances = stood.map(|place| balance(place).unwrap_or_default()).collect();
    }

    /// Picks one of the candidates, each given as its index and its weight; none when there is no candidate.
    ///
    /// Upstreams that are no candidates keep their balance: a short absence is not made up for by a burst,
    /// because only those present share the cost of a turn.
    pub fn pick(&mut self, candidates: impl Iterator<Item = (usize, u32)>) -> Option<usize> {
        let mut total = 0;
        let mut richest: Option<(usize, i64)> = None;
        for (index, weight) in candidates {
            let Some(balance) = self.balances.get_mut(index) else { continue };
            total += i64::from(weight);
            *balance += i64::from(weight);
            if richest.is_none_or(|(_, best)| *balance > best) {
                richest = Some((index, *balance));
            }
        }
        let (index, _) = richest?;
        self.balances[index] -= total;
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(weights: &[u32], turns: usize) -> Vec<usize> {
        let mut turn = RoundRobin::new(weights.len());
        (0..turns).filter_map(|_| turn.pick(weights.iter().copied().enumerate())).collect()
    }

    #[test]
    fn equal_weights_alternate_strictly() {
        assert_eq!(picks(&[1, 1], 6), [0, 1, 0, 1, 0, 1]);
        assert_eq!(picks(&[7, 7, 7], 6), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn shares_follow_the_weights_without_bursts() {
        assert_eq!(picks(&[5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn no_candidate_is_no_pick() {
        assert_eq!(RoundRobin::new(2).pick(std::iter::empty()), None);
    }

    #[test]
    fn an_absent_upstream_returns_without_a_burst() {
        let mut turn = RoundRobin::new(2);
        for _ in 0..100 {
            assert_eq!(turn.pick([(0, 1)].into_iter()), Some(0));
        }
        let after: Vec<_> = (0..4).filter_map(|_| turn.pick([(0, 1), (1, 1)].into_iter())).collect();
        assert_eq!(after, [0, 1, 0, 1]);
    }
}
