//! The number of a request: sent to the proxy, logged by both, shown to the user when something fails.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// Longer ids are not repeated on a page: no person could read one out.
const LENGTH_MAX: usize = 128;

static KEYS: LazyLock<(RandomState, RandomState)> = LazyLock::new(Default::default);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// An identifier made of letters, digits, `-`, `_` and `.` only; safe in a header, a log line and a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// A new one: 128 bits, unique in this process and not to be guessed from another (keyed SipHash of a counter;
    /// the keys come from the operating system once for each process).
    #[must_use]
    pub fn new() -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{:016x}{:016x}", KEYS.0.hash_one(count), KEYS.1.hash_one(count)))
    }

    /// The id another program chose, if it is fit to be shown.
    #[must_use]
    pub fn from_header(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let sound = !text.is_empty() && text.len() <= LENGTH_MAX && text.bytes().all(fit);
        sound.then(|| Self(text.to_owned()))
    }

    /// The id as a header's value.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        // Its alphabet is a part of what a header may hold; an empty value stands for what cannot happen.
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static(""))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_requests_never_share_an_id() {
        let (one, two) = (RequestId::new(), RequestId::new());
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), 32);
    }

    #[test]
    fn an_id_that_could_carry_markup_is_not_taken_over() {
        let check = |text: &str| RequestId::from_header(&HeaderValue::from_str(text).unwrap());
        assert!(check("0af7651916cd43dd-8448.eb_2").is_some());
        assert!(check("<b>").is_none());
        assert!(check("").is_none());
        assert!(check(&"a".repeat(LENGTH_MAX + 1)).is_none());
    }
}
