//! Medians, shares and tables.

/// The value below which so many per cent of sorted values lie; zero when there are none.
pub(crate) fn share(sorted: &[u64], percent: usize) -> u64 {
    let index = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(index).copied().unwrap_or_default()
}

/// The middle value; zero when there are none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// A median and what it is the median of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// Of no values there is none.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        let lowest = values.iter().copied().min_by(f64::total_cmp)?;
        let highest = values.iter().copied().max_by(f64::total_cmp)?;
        Some(Self { median: median(&values), lowest, highest })
    }

    /// From the lowest to the highest, with so many decimals.
    pub(crate) fn range(self, decimals: usize) -> String {
        format!("{:.decimals$} to {:.decimals$}", self.lowest, self.highest)
    }
}

/// A Markdown table whose columns also stand in line on a terminal: the first to the left, numbers to the right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, width) in widths.iter().enumerate() {
            let cell = row.get(column).map_or("", String::as_str);
            let cell = if column == 0 { format!("{cell:width$}") } else { format!("{cell:>width$}") };
            text.push_str(&format!("| {cell} "));
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let colon = if column == 0 { "-" } else { ":" };
                text.push_str(&format!("| {}{colon} ", "-".repeat(width - 1)));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_medians_are_values_that_occurred_or_lie_between_two() {
        let sorted: Vec<u64> = (1..=100).collect();
        assert_eq!((share(&sorted, 50), share(&sorted, 99), share(&[], 50)), (50, 99, 0));
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_spread_spans_what_its_median_is_of() {
        let spread = Spread::of([3.0, 1.0, 2.0].into_iter()).unwrap();
        assert_eq!((spread.range(1), spread.median.to_bits()), ("1.0 to 3.0".to_owned(), 2.0_f64.to_bits()));
        assert_eq!(Spread::of(std::iter::empty()), None);
    }

    #[test]
    fn a_table_is_markdown_in_straight_columns() {
        let rows = vec![vec!["fault".to_owned(), "lost".to_owned()], vec!["hang".to_owned(), "0".to_owned()]];
        assert_eq!(table(&rows), "| fault | lost |\n| ----- | ---: |\n| hang  |    0 |\n");
    }
}
