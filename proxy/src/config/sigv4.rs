//! How requests to an upstream are signed: whose key, and for what.

use super::block::Block;
use super::outside::Outside;
use super::renewable::Renewable;
use http::{HeaderName, HeaderValue};

/// What a signature consists of or is judged by; a client's own is never passed on.
pub static HEADERS: [&str; 4] =
    ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

/// AWS Signature Version 4 for one upstream.
#[derive(Clone, Debug)]
pub struct Sigv4 {
    /// The region of the API.
    pub region: String,
    /// The service that is asked.
    pub service: String,
    /// Whose key signs.
    pub access_key_id: Renewable,
    /// The key's secret.
    pub secret_access_key: Renewable,
    /// Of credentials that expire.
    pub session_token: Option<Renewable>,
}

/// The block of an upstream, beside the headers that are set there.
pub(super) fn sigv4(
    upstream: &Block<'_>,
    headers: &[(HeaderName, HeaderValue)],
    outside: &Outside<'_>,
) -> Option<Sigv4> {
    let block = upstream.optional_block("sigv4")?;
    for (name, _) in headers.iter().filter(|(name, _)| HEADERS.contains(&name.as_str())) {
        let wrong = format!("sets `{name}`, which belongs to the signature of `sigv4`");
        upstream.problem("headers", wrong, "remove it there, or remove `sigv4`");
    }
    let region = word(&block, "region");
    let service = word(&block, "service");
    let access_key_id = Renewable::at(&block, "access_key_id", outside);
    let secret_access_key = Renewable::at(&block, "secret_access_key", outside);
    let session_token = Renewable::at(&block, "session_token", outside);
    Some(Sigv4 {
        region: region?,
        service: service?,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
        session_token,
    })
}

/// Regions and services are words of small letters, digits and hyphens; they stand between the slashes of a scope.
fn word(block: &Block<'_>, key: &str) -> Option<String> {
    let text = block.text(key)?.text;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || !text.chars().all(plain) {
        let right = "write it as AWS does, in small letters, digits and hyphens";
        block.problem(key, format!("{} is no name of AWS", super::problem::quoted(text)), right);
        return None;
    }
    Some(text.to_owned())
}
