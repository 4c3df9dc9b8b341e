//! Secrets that may change while the proxy runs: those in files.

use super::block::Block;
use super::outside::{Outside, read_bounded};
use super::raw::Value;
use super::secrets::secret;
use std::fmt;
use std::path::PathBuf;

/// More than the longest token that a header can carry.
const BYTES_MAX: u64 = 64 << 10;

/// A secret that may be renewed.
#[derive(Clone)]
pub struct Renewable {
    value: String,
    /// Where it came from, when that was a file.
    file: Option<PathBuf>,
}

impl Renewable {
    /// The secret at a key; none when it is absent, or after a mistake.
    pub(super) fn at(block: &Block<'_>, key: &str, outside: &Outside<'_>) -> Option<Self> {
        let value = secret(block, key, outside)?;
        let Some(value) = text(value.expose()) else {
            block.problem(key, "holds what no header can carry", "put one line of visible ASCII there");
            return None;
        };
        let (_, node) = block.secret_entry(key)?;
        let file = match &node.value {
            Value::Map(entries) => {
                entries.iter().find_map(|entry| match (entry.key.as_str(), &entry.node.value) {
                    ("file", Value::Text(file)) => Some(outside.path(file)),
                    _ => None,
                })
            }
            _ => None,
        };
        Some(Self { value, file })
    }

    /// What was there when the configuration was read.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// It may change: it is in a file.
    #[must_use]
    pub const fn may_change(&self) -> bool {
        self.file.is_some()
    }

    /// What is there now; the environment of a process does not change.
    ///
    /// # Errors
    /// Why it cannot be read, without what it holds.
    pub fn read_again(&self) -> Result<String, String> {
        let Some(file) = &self.file else { return Ok(self.value.clone()) };
        let said = |why: &str| format!("{}: {why}", file.display());
        let bytes = read_bounded(file, BYTES_MAX).map_err(|error| said(&error))?;
        text(&bytes).ok_or_else(|| said("it is empty, or no line of visible ASCII"))
    }
}

/// Editors end a file with a line break that is no part of the secret.
fn text(bytes: &[u8]) -> Option<String> {
    let trimmed = bytes.trim_ascii();
    let sound = !trimmed.is_empty() && trimmed.iter().all(|byte| matches!(byte, b' '..=b'~'));
    String::from_utf8(trimmed.to_vec()).ok().filter(|_| sound)
}

impl fmt::Debug for Renewable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewable").field("file", &self.file).finish_non_exhaustive()
    }
}
