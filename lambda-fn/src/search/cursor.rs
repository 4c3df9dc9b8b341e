//! Where a page begins, sealed: a client carries it from page to page and cannot make or change one.
//!
//! A cursor is stateless, so any region can continue what another began. Its seal covers the search it belongs to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fhir::Id;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The last resource of a page: the next begins behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// What the order compares before the id: the time of the last change, or nothing.
    pub key: String,
    /// The resource's id.
    pub id: Id,
}

/// The key that seals cursors, the same for all processes that serve one store.
#[derive(Clone)]
pub struct CursorKey([u8; 32]);

/// The cursor was not made here, or not for this search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForgedCursor;

/// 128 bits: as much as guessing allows, and half the length in every link.
const SEAL_BYTES: usize = 16;

impl CursorKey {
    /// A key from its bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A key from a secret of any length, as an operator sets one.
    pub fn from_secret(secret: &str) -> Self {
        use sha2::Digest;
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Seals a position for the search that `scope` describes.
    pub fn seal(&self, scope: &str, position: &Position) -> String {
        let text = format!("{}\n{}", position.id, position.key);
        let mut bytes = self.mac(scope, &text).finalize().into_bytes()[..SEAL_BYTES].to_vec();
        bytes.extend_from_slice(text.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens what [`CursorKey::seal`] made with the same key for the same search.
    pub fn open(&self, scope: &str, cursor: &str) -> Result<Position, ForgedCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| ForgedCursor)?;
        let (seal, text) = bytes.split_at_checked(SEAL_BYTES).ok_or(ForgedCursor)?;
        let text = std::str::from_utf8(text).map_err(|_| ForgedCursor)?;
        self.mac(scope, text).verify_truncated_left(seal).map_err(|_| ForgedCursor)?;
        let (id, key) = text.split_once('\n').ok_or(ForgedCursor)?;
        Ok(Position { key: key.to_owned(), id: id.parse().map_err(|_| ForgedCursor)? })
    }

    fn mac(&self, scope: &str, text: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        // The length keeps scope and text apart: moving bytes from one to the other changes what is sealed.
        mac.update(&(scope.len() as u64).to_be_bytes());
        mac.update(scope.as_bytes());
        mac.update(text.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> Position {
        Position { key: "2024".into(), id: "P1".parse().unwrap() }
    }

    #[test]
    fn a_cursor_opens_with_its_key_and_search_only() {
        let key = CursorKey::new([7; 32]);
        let cursor = key.seal("Patient?name=jo", &position());
        assert_eq!(key.open("Patient?name=jo", &cursor), Ok(position()));
        assert_eq!(key.open("Patient?name=ja", &cursor), Err(ForgedCursor));
        assert_eq!(CursorKey::new([8; 32]).open("Patient?name=jo", &cursor), Err(ForgedCursor));
    }

    #[test]
    fn a_cursor_with_any_byte_changed_is_forged() {
        let key = CursorKey::from_secret("secret");
        let cursor = key.seal("s", &position());
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for place in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[place] ^= 1;
            assert_eq!(key.open("s", &URL_SAFE_NO_PAD.encode(forged)), Err(ForgedCursor), "byte {place}");
        }
        for wrong in ["", "A", "====", "\u{1f600}", &"A".repeat(100_000)] {
            assert_eq!(key.open("s", wrong), Err(ForgedCursor));
        }
    }
}
