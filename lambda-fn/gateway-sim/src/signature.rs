//! IAM authorisation: a request must be signed with AWS Signature Version 4, and the signature is computed anew here.
//!
//! Written from AWS's description alone ("Create a signed AWS API request", "Elements of an AWS API request signature"),
//! so that it agrees with a signer only when both do as AWS says. One difference is on purpose: a raw `+` in a query is
//! taken as it is, and AWS does not say how it takes one, so whoever signs had better not send any.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac};
use http::request::Parts;
use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::ids::civil;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "execute-api";
/// A signature counts for so long before and after its moment.
/// Source: <https://repost.aws/knowledge-center/api-gateway-iam-sigv4-mismatch>
const VALID: Duration = Duration::from_mins(5);

/// The only credentials that may invoke the API.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Whose key.
    pub access_key_id: String,
    /// The key's secret.
    pub secret_access_key: String,
    /// What temporary credentials carry besides; empty for lasting ones.
    #[serde(default)]
    pub session_token: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Why a request may not pass, as the gateway says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Value of `x-amzn-ErrorType`.
    pub error_type: &'static str,
    /// The message in the body.
    pub message: String,
}

fn denial(error_type: &'static str, message: impl Into<String>) -> Denial {
    Denial { error_type, message: message.into() }
}

fn invalid(message: impl Into<String>) -> Denial {
    denial("InvalidSignatureException", message)
}

/// Lets a request pass whose signature is right at this moment, in this region.
///
/// # Errors
/// What the gateway answers otherwise.
pub fn verify(
    keys: &Keys,
    region: &str,
    head: &Parts,
    payload: &[u8],
    now: SystemTime,
) -> Result<(), Denial> {
    let Some(authorization) = text(&head.headers, header::AUTHORIZATION.as_str()) else {
        return Err(denial("MissingAuthenticationTokenException", "Missing Authentication Token"));
    };
    let claim = Claim::parse(authorization)
        .ok_or_else(|| denial("IncompleteSignatureException", "Authorization header is incomplete."))?;
    let token = text(&head.headers, "x-amz-security-token").unwrap_or_default();
    if claim.access_key_id != keys.access_key_id || token != keys.session_token {
        let message = "The security token included in the request is invalid.";
        return Err(denial("UnrecognizedClientException", message));
    }
    if claim.region != region {
        return Err(invalid(format!(
            "Credential should be scoped to a valid region, not '{}'.",
            claim.region
        )));
    }
    if claim.service != SERVICE {
        return Err(invalid(format!("Credential should be scoped to correct service: '{SERVICE}'.")));
    }
    let date = text(&head.headers, "x-amz-date").unwrap_or_default();
    fresh(date, claim.date, now)?;
    // Whatever a signature could be moved by must be under it.
    let must = |name: &str| name == "host" || name.starts_with("x-amz-");
    let mut names = head.headers.keys().map(http::HeaderName::as_str).filter(|name| must(name));
    if let Some(name) = names.find(|name| !claim.signed_headers.contains(name)) {
        return Err(invalid(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
    }
    if signature(&keys.secret_access_key, &claim, date, head, payload) == claim.signature {
        return Ok(());
    }
    let message = "The request signature we calculated does not match the signature you provided. Check your AWS \
                   Secret Access Key and signing method. Consult the service documentation for details.";
    Err(invalid(message))
}

/// What an `Authorization` field says.
struct Claim<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    fn parse(field: &'a str) -> Option<Self> {
        let parts: Vec<_> = field.strip_prefix(ALGORITHM)?.split(',').map(str::trim).collect();
        let part = |name: &str| parts.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let mut scope = part("Credential")?.split('/');
        let mut next = || scope.next();
        let (access_key_id, date, region, service) = (next()?, next()?, next()?, next()?);
        let ends = next() == Some("aws4_request");
        ends.then_some(Self {
            access_key_id,
            date,
            region,
            service,
            signed_headers: part("SignedHeaders")?.split(';').collect(),
            signature: part("Signature")?,
        })
    }
}

/// The date is the scope's, and the moment is near.
fn fresh(date: &str, day: &str, now: SystemTime) -> Result<(), Denial> {
    let moment = moment(date).filter(|_| date.starts_with(day));
    let moment = moment.ok_or_else(|| invalid("Date in Credential scope does not match x-amz-date."))?;
    let (earliest, latest) = (now - VALID, now + VALID);
    if moment < earliest {
        let (earliest, now) = (written(earliest), written(now));
        return Err(invalid(format!(
            "Signature expired: {date} is now earlier than {earliest} ({now} - 5 min.)"
        )));
    }
    if moment > latest {
        let (latest, now) = (written(latest), written(now));
        return Err(invalid(format!(
            "Signature not yet current: {date} is still later than {latest} ({now} + 5 min.)"
        )));
    }
    Ok(())
}

/// Reads `20150830T123600Z`.
fn moment(date: &str) -> Option<SystemTime> {
    let digits = |range: std::ops::Range<usize>| date.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (digits(0..4)?, digits(4..6)?, digits(6..8)?);
    let (hour, minute, second) = (digits(9..11)?, digits(11..13)?, digits(13..15)?);
    // The days since 1970 are found by asking the calendar, which only counts the other way.
    let guess = (year.checked_sub(1970)? * 366) + 366;
    let days =
        (guess.saturating_sub(year - 1970 + 400)..=guess).find(|days| civil(*days) == (year, month, day))?;
    let written_well = date.len() == 16 && date.as_bytes()[8] == b'T' && date.ends_with('Z');
    written_well
        .then(|| UNIX_EPOCH + Duration::from_secs(days * 86_400 + hour * 3_600 + minute * 60 + second))
}

fn written(moment: SystemTime) -> String {
    let seconds = moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn signature(secret: &str, claim: &Claim<'_>, date: &str, head: &Parts, payload: &[u8]) -> String {
    let canonical = canonical(head, &claim.signed_headers, payload);
    let scope = format!("{}/{}/{}/aws4_request", claim.date, claim.region, claim.service);
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{}", hash(canonical.as_bytes()));
    let start = format!("AWS4{secret}").into_bytes();
    let parts = [claim.date, claim.region, claim.service, "aws4_request"];
    let key = parts.iter().fold(start, |key, part| mac(&key, part.as_bytes()));
    hex(&mac(&key, to_sign.as_bytes()))
}

fn canonical(head: &Parts, signed: &[&str], payload: &[u8]) -> String {
    let path = encoded(head.uri.path().as_bytes(), true);
    let mut headers = String::new();
    for name in signed {
        headers.push_str(&format!("{name}:{}\n", values(head, name)));
    }
    let query = query(head.uri.query().unwrap_or_default());
    format!("{}\n{path}\n{query}\n{headers}\n{}\n{}", head.method, signed.join(";"), hash(payload))
}

/// All values of a field, each with its spaces made one.
fn values(head: &Parts, name: &str) -> String {
    if let ("host", Some(authority)) = (name, head.uri.authority()) {
        return authority.to_string();
    }
    let values = head.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(",")
}

fn query(raw: &str) -> String {
    let pairs = raw.split('&').filter(|pair| !pair.is_empty());
    let once = |text: &str| encoded(&percent_decode_str(text).collect::<Vec<u8>>(), false);
    let mut pairs: Vec<_> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(n, v)| (once(n), once(v)))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// AWS's own encoding of everything but letters, digits and `-._~`. A path that came encoded is so for the second time,
/// as it is to be for every service but S3.
fn encoded(bytes: &[u8], path: bool) -> String {
    let mut text = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (path && byte == b'/') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
