//! Candidates written down, so that a choice among them looks at nobody but those it draws.

/// Who may be asked, by index, and what each weighs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members {
    held: Vec<(usize, u32)>,
    /// The lots of each and all before it.
    ends: Vec<u64>,
    /// What all weigh, when they weigh the same.
    each: Option<u32>,
}

impl Members {
    pub(crate) fn clear(&mut self) {
        self.held.clear();
        self.ends.clear();
        self.each = None;
    }

    pub(crate) fn push(&mut self, index: usize, weight: u32) {
        let alike = self.held.is_empty() || self.each == Some(weight);
        self.each = alike.then_some(weight);
        self.ends.push(self.total() + u64::from(weight));
        self.held.push((index, weight));
    }

    pub(crate) const fn len(&self) -> usize {
        self.held.len()
    }

    /// What somebody counts at each of them, together.
    pub(crate) fn sum(&self, count: impl Fn(usize) -> u32) -> u64 {
        self.held.iter().map(|(index, _)| u64::from(count(*index))).sum()
    }

    /// In the order of their indexes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, u32)> + Clone {
        self.held.iter().copied()
    }

    /// What they weigh together.
    pub(super) fn total(&self) -> u64 {
        self.ends.last().copied().unwrap_or_default()
    }

    /// The index of the one that holds this lot, and the lots of those before it.
    pub(super) fn holder(&self, lot: u64) -> Option<(usize, u64)> {
        let position = match self.each {
            Some(weight) => usize::try_from(lot / u64::from(weight.max(1))).unwrap_or(usize::MAX),
            None => self.ends.partition_point(|end| *end <= lot),
        };
        let (index, weight) = *self.held.get(position)?;
        Some((index, self.ends[position] - u64::from(weight)))
    }
}
