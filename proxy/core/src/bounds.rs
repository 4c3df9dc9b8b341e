//! Numbers that cannot be out of bounds: checked once, at the door.

use std::fmt;

/// A share between 0 and 1, both included.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Ratio(f64);

/// A number that is not a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NotARatio(pub f64);

impl fmt::Display for NotARatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not between 0 and 1", self.0)
    }
}

impl std::error::Error for NotARatio {}

impl Ratio {
    /// A share in per cent; more than 100 is 100.
    #[must_use]
    pub fn percent(percent: u8) -> Self {
        Self(f64::from(percent.min(100)) / 100.0)
    }

    /// # Errors
    /// When `value` is not a number between 0 and 1.
    pub fn try_new(value: f64) -> Result<Self, NotARatio> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(NotARatio(value)) }
    }

    /// The share as a number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}
