//! Client quotas: tells clients apart without knowing them, and asks who counts: the store that a fleet shares, else
//! this proxy alone.
//!
//! A client is a keyed hash of its address or of a header's value; the value itself is kept nowhere. What the store
//! allows is counted here too, so that a proxy which must count alone knows what its clients have used of it.

pub mod store;

use crate::config::{ClientKey, QuotaStore, RateLimit};
use aorta_core::limit::{Limiter, Quota, Ruling};
use aorta_core::time::Timestamp;
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use parking_lot::Mutex;
use sha2::Sha256;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

/// What all routes' quotas share.
pub struct Quotas {
    hash: Hmac<Sha256>,
    /// By the route's name, so that a route which stays keeps what its clients have used.
    used: Mutex<HashMap<String, Limiter>>,
    /// Where a fleet counts together.
    pub store: Option<Arc<Store>>,
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// The store, for all proxies together.
    Fleet,
    /// This proxy, for itself.
    Proxy,
}

impl Counter {
    /// Every one, for zero series at start.
    pub const ALL: [Self; 2] = [Self::Fleet, Self::Proxy];

    /// A stable name for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Proxy => "proxy",
        }
    }
}

/// How a client stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether the request is allowed.
    pub ruling: Ruling,
    /// Who says so.
    pub by: Counter,
    /// How often the client may ask.
    pub quota: Quota,
}

impl Quotas {
    /// For this store, if there is one; without it clients are hashed with a secret of this process.
    ///
    /// # Errors
    /// When TLS cannot be spoken to the store.
    pub fn new(store: Option<&QuotaStore>) -> anyhow::Result<Self> {
        let random = [(); 4].map(|()| RandomState::new().hash_one(std::process::id()).to_ne_bytes());
        let secret = store.map_or_else(|| random.concat(), |store| store.secret.expose().to_vec());
        let hash = Hmac::new_from_slice(&secret)?;
        let store = store.map(Store::new).transpose()?.map(Arc::new);
        Ok(Self { hash, used: Mutex::default(), store })
    }

    /// A client asks on this route.
    pub async fn ask(
        &self,
        route: &str,
        limit: &RateLimit,
        (headers, address): (&HeaderMap, Option<IpAddr>),
        now: Timestamp,
    ) -> Standing {
        let (quota, clients_max) = (limit.quota, limit.clients_max);
        let client = self.client(&limit.key, headers, address);
        let shared = match self.store.as_ref().filter(|_| limit.shared) {
            Some(store) => store.ask(route, client, &quota).await,
            None => None,
        };
        if let Some(Ruling::Allowed { .. }) = shared {
            self.with(route, |used| used.charge(client, &quota, clients_max, now));
        }
        let by = if shared.is_some() { Counter::Fleet } else { Counter::Proxy };
        let ruling =
            shared.unwrap_or_else(|| self.with(route, |used| used.ask(client, &quota, clients_max, now)));
        Standing { ruling, by, quota }
    }

    fn with<T>(&self, route: &str, count: impl FnOnce(&mut Limiter) -> T) -> T {
        let mut used = self.used.lock();
        if let Some(limiter) = used.get_mut(route) {
            return count(limiter);
        }
        count(used.entry(route.to_owned()).or_default())
    }

    /// Forgets the routes that are no more.
    pub fn keep_only(&self, is_there: impl Fn(&str) -> bool) {
        self.used.lock().retain(|route, _| is_there(route));
    }

    fn client(&self, key: &ClientKey, headers: &HeaderMap, address: Option<IpAddr>) -> u128 {
        let named = match key {
            ClientKey::Address => None,
            ClientKey::Header(name) => headers.get(name),
        };
        let mut hash = self.hash.clone();
        match (named, address.map(|address| address.to_canonical())) {
            (Some(value), _) => {
                hash.update(b"header\0");
                hash.update(value.as_bytes());
            }
            (None, Some(IpAddr::V4(address))) => hash.update(&address.octets()),
            // A provider gives each client a /64 (RFC 6177), within which it takes what addresses it likes.
            (None, Some(IpAddr::V6(address))) => {
                hash.update(address.octets().first_chunk::<8>().unwrap_or(&[0; 8]))
            }
            (None, None) => {}
        }
        let digest: [u8; 32] = hash.finalize().into_bytes().into();
        digest.first_chunk().map_or(0, |half| u128::from_be_bytes(*half))
    }
}

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static STANDING: HeaderName = HeaderName::from_static("ratelimit");

impl Standing {
    /// What the client is told of it (draft-ietf-httpapi-ratelimit-headers-10; RFC 9110 section 10.2.3).
    pub fn fields(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let Quota { requests, per, .. } = self.quota;
        let policy = (&POLICY, format!("\"client\";q={requests};w={}", per.as_secs()));
        let (left, retry) = match self.ruling {
            Ruling::Allowed { left } => (format!("\"client\";r={left}"), None),
            Ruling::Refused { wait } => {
                let seconds = whole_seconds(wait);
                (format!("\"client\";r=0;t={seconds}"), Some((&header::RETRY_AFTER, seconds.to_string())))
            }
        };
        let fields = [Some(policy), Some((&STANDING, left)), retry].into_iter().flatten();
        fields.filter_map(|(name, value)| Some((name.clone(), HeaderValue::try_from(value).ok()?)))
    }
}

/// Rounded up: who comes back then is allowed.
const fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + if wait.subsec_nanos() > 0 { 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas() -> Quotas {
        Quotas::new(None).unwrap()
    }

    fn of(quotas: &Quotas, key: &ClientKey, headers: &[(&str, &str)], address: &str) -> u128 {
        let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).unwrap();
        let headers =
            headers.iter().map(|(key, value)| (name(key), HeaderValue::from_str(value).unwrap())).collect();
        quotas.client(key, &headers, address.parse().ok())
    }

    #[test]
    fn clients_are_told_apart_by_address_or_by_header() {
        let quotas = quotas();
        let address = |address| of(&quotas, &ClientKey::Address, &[], address);
        assert_eq!(address("192.0.2.1"), address("::ffff:192.0.2.1"), "one client over either socket");
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"), "one network is one client");
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        let tenant = ClientKey::Header(HeaderName::from_static("x-tenant"));
        let by_header = |tenant_is, address| of(&quotas, &tenant, &[("x-tenant", tenant_is)], address);
        assert_eq!(by_header("north", "192.0.2.1"), by_header("north", "192.0.2.2"));
        assert_ne!(by_header("north", "192.0.2.1"), by_header("south", "192.0.2.1"));
        assert_eq!(
            of(&quotas, &tenant, &[], "192.0.2.1"),
            address("192.0.2.1"),
            "without it the address counts"
        );
    }

    #[test]
    fn two_processes_without_a_common_secret_know_a_client_by_different_numbers() {
        let client = |quotas: &Quotas| of(quotas, &ClientKey::Address, &[], "192.0.2.1");
        assert_ne!(client(&quotas()), client(&quotas()));
    }
}
