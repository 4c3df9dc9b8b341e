//! The dissertation's figures, as printed: seconds, although Tables 5 and 6 say milliseconds.

/// Table 4, both regions up: N. Virginia.
pub(crate) const VIRGINIA_UP: [f64; 10] = [0.84, 0.82, 0.77, 0.81, 0.82, 0.9, 0.89, 0.87, 0.86, 0.86];
/// Table 4, both regions up: Ohio.
pub(crate) const OHIO_UP: [f64; 10] = [0.81, 0.83, 0.85, 0.86, 0.82, 0.89, 0.82, 0.8, 0.85, 0.84];
/// Table 5, Ohio failed: N. Virginia answers.
pub(crate) const OHIO_LOST: [f64; 10] = [4.72, 4.1, 4.2, 4.7, 4.66, 4.6, 4.6, 4.82, 4.1, 4.1];
/// Table 6, N. Virginia failed: Ohio answers.
pub(crate) const VIRGINIA_LOST: [f64; 10] = [4.92, 4.67, 4.4, 4.7, 4.6, 4.3, 4.6, 4.9, 4.8, 4.4];
/// What the original added to the reported time for each failed endpoint, without waiting.
pub(crate) const ADDED: f64 = 3.0;
