//! Networks by their prefix: whose word a listener takes for who its client is.

use super::block::{Block, Text};
use super::problem::quoted;
use std::fmt;
use std::net::IpAddr;

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    base: IpAddr,
    bits: u32,
}

/// Any of some networks; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Those at a key; what is none of them is a mistake.
    pub(super) fn at(block: &Block<'_>, key: &str) -> Self {
        let mut networks = Vec::new();
        for Text { at, path, text } in block.texts(key) {
            match Network::read(text) {
                Ok(network) => networks.push(network),
                Err(right) => {
                    block.report().add(at, &path, format!("{} is no network", quoted(text)), right);
                }
            }
        }
        Self(networks)
    }

    /// Whether an address is in one of them; of IPv4 it is the same one however its socket names it.
    #[must_use]
    pub fn hold(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.holds(address))
    }
}

impl Network {
    /// `10.0.0.0/8`, or one address by itself; else what would be right.
    fn read(text: &str) -> Result<Self, String> {
        let like = || "write an address and how many of its bits count, for example `10.0.0.0/8`".to_owned();
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits)),
        };
        let base: IpAddr = address.parse().map_err(|_| like())?;
        if base.to_canonical() != base {
            return Err("write it as a network of IPv4".to_owned());
        }
        let most = if base.is_ipv4() { 32 } else { 128 };
        let is_number = |bits: &&str| !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            None => most,
            Some(bits) => Some(bits).filter(is_number).and_then(|bits| bits.parse().ok()).ok_or_else(like)?,
        };
        if bits > most {
            return Err(format!("write at most /{most}"));
        }
        let network = Self { base, bits };
        let first = network.first();
        if first == network { Ok(network) } else { Err(format!("write `{first}`, or all of its bits")) }
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.base.is_ipv4() == address.is_ipv4()
            && (number(self.base) ^ number(address)).leading_zeros() >= self.bits
    }

    /// The same by its first address.
    fn first(&self) -> Self {
        let kept = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
        let bytes = (number(self.base) & kept).to_be_bytes();
        let base = match self.base {
            IpAddr::V4(_) => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
            IpAddr::V6(_) => IpAddr::from(bytes),
        };
        Self { base, bits: self.bits }
    }
}

/// Its bits from the left, so that a prefix means the same of both kinds.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u128::from(four.to_bits()) << 96,
        IpAddr::V6(six) => six.to_bits(),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

#[cfg(test)]
impl Networks {
    /// These; for tests.
    pub(crate) fn of(texts: &[&str]) -> Self {
        Self(texts.iter().map(|text| Network::read(text).expect(text)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_by_its_first_bits() {
        let networks = Networks::of(&["10.1.0.0/16", "192.0.2.7", "2001:db8::/33", "203.0.113.128/25"]);
        for (address, held) in [
            ("10.1.255.255", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.0", false),
            ("192.0.2.7", true),
            ("192.0.2.6", false),
            ("2001:db8:7fff::1", true),
            ("2001:db8:8000::1", false),
            ("203.0.113.128", true),
            ("203.0.113.127", false),
            ("::a01:0", false),
        ] {
            assert_eq!(networks.hold(address.parse().unwrap()), held, "{address}");
        }
        assert!(!Networks::default().hold("127.0.0.1".parse().unwrap()), "nobody by default");
        let all = Networks::of(&["0.0.0.0/0", "::/0"]);
        assert!(all.hold("198.51.100.1".parse().unwrap()) && all.hold("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_told_what_would_be() {
        for (text, right) in [
            ("10.0.0.5/8", "write `10.0.0.0/8`"),
            ("2001:db8::1/32", "write `2001:db8::/32`"),
            ("10.0.0.0/33", "at most /32"),
            ("::/129", "at most /128"),
            ("::ffff:10.0.0.0/104", "network of IPv4"),
            ("10.0.0.0/", "`10.0.0.0/8`"),
            ("10.0.0.0/+8", "`10.0.0.0/8`"),
            ("10.0.0.0/99999999999", "`10.0.0.0/8`"),
            ("10.0.0/8", "`10.0.0.0/8`"),
            ("balancer.example.org", "`10.0.0.0/8`"),
            ("", "`10.0.0.0/8`"),
        ] {
            assert!(Network::read(text).is_err_and(|said| said.contains(right)), "{text}");
        }
    }
}
