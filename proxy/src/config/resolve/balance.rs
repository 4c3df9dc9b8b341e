//! Who is asked next, and what a hashing policy hashes a request by.

use crate::config::HashKey;
use crate::config::block::{Block, Text};
use crate::config::problem::quoted;
use aorta_core::balance::BalancePolicy;
use http::HeaderName;

/// The policy, and the key where it hashes.
pub(super) fn balance(pool: &Block<'_>) -> (BalancePolicy, Option<HashKey>) {
    let block = match pool.word_or("balance") {
        Ok("ring_hash") => return (BalancePolicy::RingHash, Some(HashKey::ClientIp)),
        Ok(word) => {
            let named = BalancePolicy::ALL.into_iter().find(|policy| policy.name() == word);
            return (named.unwrap_or_default(), None);
        }
        Err(block) => block,
    };
    let Some(ring) = block.optional_block("ring_hash") else {
        block.problem("ring_hash", "is missing", "write `ring_hash: {key: client_ip}`");
        return (BalancePolicy::RingHash, None);
    };
    (BalancePolicy::RingHash, ring.text("key").and_then(|key| hash_key(&ring, &key)))
}

fn hash_key(ring: &Block<'_>, key: &Text<'_>) -> Option<HashKey> {
    let parsed = match key.text.split_once(':') {
        None if key.text == "client_ip" => Some(HashKey::ClientIp),
        Some(("header", name)) => HeaderName::from_bytes(name.as_bytes()).ok().map(HashKey::Header),
        Some(("cookie", name)) if is_token(name) => Some(HashKey::Cookie(name.to_owned())),
        _ => None,
    };
    if parsed.is_none() {
        let right = "write `client_ip`, `header:NAME` or `cookie:NAME`";
        ring.problem("key", format!("{} names no part of a request", quoted(key.text)), right);
    }
    parsed
}

/// A cookie's name (RFC 6265 section 4.1.1); a header's name is spelt in the same characters.
fn is_token(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok()
}
