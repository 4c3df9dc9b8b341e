//! The hash chain of a record: each version's hash covers the version before it, so that a changed byte shows.
//!
//! It proves that nothing was changed by accident or by a hand that does not know the chain; whoever can write to the
//! store and knows this file can forge one. Keep the store's file away from such hands.

use sha2::{Digest, Sha256};

/// What a version's hash covers.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The hash of the version before; empty for the first.
    pub prev_hash: &'a str,
    /// `Type/id`.
    pub key: &'a str,
    /// The version.
    pub version: u64,
    /// Whether it is a deletion.
    pub deleted: bool,
    /// The time it was written, as it is stored.
    pub updated: &'a str,
    /// The body as it is stored.
    pub body: &'a str,
}

impl Link<'_> {
    /// SHA-256 in hexadecimal digits.
    pub fn hash(&self) -> String {
        let mut digest = Sha256::new();
        // None of the first five can hold a line break, and the body comes last: no two links are written alike.
        let head =
            [self.prev_hash, self.key, &self.version.to_string(), &self.deleted.to_string(), self.updated];
        for part in head {
            digest.update(part.as_bytes());
            digest.update(b"\n");
        }
        digest.update(self.body.as_bytes());
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_version_is_covered() {
        let link =
            Link { prev_hash: "", key: "Patient/1", version: 1, deleted: false, updated: "2024", body: "{}" };
        let changed = [
            Link { prev_hash: "0", ..link },
            Link { key: "Patient/2", ..link },
            Link { version: 2, ..link },
            Link { deleted: true, ..link },
            Link { updated: "2025", ..link },
            Link { body: "{ }", ..link },
        ];
        assert_eq!(link.hash().len(), 64);
        assert!(changed.iter().all(|other| other.hash() != link.hash()));
    }
}
