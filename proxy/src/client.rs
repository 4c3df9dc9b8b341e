//! Who a request comes from: whoever connects, unless that is a proxy whose word the listener takes.

use crate::config::Networks;
use crate::headers::name;
use http::{HeaderMap, HeaderValue};
use std::net::{IpAddr, SocketAddr};

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Came {
    /// Who connects.
    pub peer: Option<IpAddr>,
    /// Who asks.
    pub client: Option<IpAddr>,
    /// The client speaks TLS, with us or with the proxy before us.
    pub tls: bool,
}

impl Came {
    /// As the connection tells it, and what a trusted peer says of it.
    #[must_use]
    pub fn of(headers: &HeaderMap, peer: Option<IpAddr>, tls: bool, trusted: &Networks) -> Self {
        match peer.filter(|peer| trusted.hold(*peer)) {
            None => Self { peer, client: peer, tls },
            Some(address) => Self {
                peer,
                client: Some(behind(headers, address, trusted)),
                tls: told_tls(headers).unwrap_or(tls),
            },
        }
    }
}

/// The nearest address that is no trusted proxy's: each proxy adds whom it heard on the right, and what stands to
/// the left of the first stranger is only what that one says (RFC 7239 sections 5.2 and 8.1). What is no address
/// ends the search, with whoever passed it on.
fn behind(headers: &HeaderMap, peer: IpAddr, trusted: &Networks) -> IpAddr {
    let lines = headers.get_all(&name::X_FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| line.to_str().unwrap_or(UNREADABLE).rsplit(','));
    let mut client = peer;
    for hop in hops.map(str::trim).filter(|hop| !hop.is_empty()) {
        let Some(address) = address(hop) else { break };
        client = address;
        if !trusted.hold(client) {
            break;
        }
    }
    client
}

/// In place of a line that is no text.
const UNREADABLE: &str = "?";

/// An address, with a port or without: AWS's load balancers can be told to add one.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = || hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop).parse().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// Whether the proxy before us was spoken to by TLS; none where it does not say so in one word.
fn told_tls(headers: &HeaderMap) -> Option<bool> {
    let mut said = headers.get_all(&name::X_FORWARDED_PROTO).iter().map(HeaderValue::as_bytes);
    match (said.next()?, said.next()) {
        (word, None) if word.eq_ignore_ascii_case(b"https") => Some(true),
        (word, None) if word.eq_ignore_ascii_case(b"http") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALANCER: &str = "10.0.0.9";

    fn came(peer: &str, lines: &[&[u8]]) -> Came {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name::X_FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
        }
        let trusted = Networks::of(&["10.0.0.0/8", "2001:db8::/32"]);
        Came::of(&headers, peer.parse().ok(), false, &trusted)
    }

    #[test]
    fn the_nearest_address_that_is_no_trusted_proxys_is_the_client() {
        let cases: [(&[&[u8]], &str); 14] = [
            (&[], BALANCER),
            (&[b"198.51.100.1"], "198.51.100.1"),
            (&[b"203.0.113.5, 198.51.100.1"], "198.51.100.1"),
            (&[b"198.51.100.1, 10.0.0.1"], "198.51.100.1"),
            (&[b"198.51.100.1", b"10.0.0.1,10.0.0.2"], "198.51.100.1"),
            (&[b"10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            (&[b"198.51.100.1:4711"], "198.51.100.1"),
            (&[b"[2001:db9::1]:4711 , "], "2001:db9::1"),
            (&[b"[2001:db9::1]"], "2001:db9::1"),
            (&[b"::ffff:198.51.100.1"], "198.51.100.1"),
            (&[b"198.51.100.1, unknown"], BALANCER),
            (&[b"198.51.100.1, _hidden, 10.0.0.1"], "10.0.0.1"),
            (&[b"198.51.100.1", b"\xff\xfe"], BALANCER),
            (&[b"198.51.100.1,,"], "198.51.100.1"),
        ];
        for (lines, client) in cases {
            assert_eq!(came(BALANCER, lines).client, client.parse().ok(), "{lines:?}");
        }
        assert_eq!(came("::ffff:10.0.0.9", &[b"198.51.100.1"]).client, "198.51.100.1".parse().ok());
    }

    #[test]
    fn nobody_else_is_believed() {
        let stranger = came("192.0.2.1", &[b"198.51.100.1"]);
        assert_eq!((stranger.client, stranger.peer), (stranger.peer, "192.0.2.1".parse().ok()));
        assert_eq!(came("none", &[b"198.51.100.1"]).client, None);
    }

    #[test]
    fn a_trusted_proxy_says_in_one_word_whether_its_client_spoke_tls() {
        let trusted = Networks::of(&["10.0.0.0/8"]);
        for (words, peer, tls) in [
            (&["https"][..], BALANCER, true),
            (&["HTTPS"], BALANCER, true),
            (&["http"], BALANCER, false),
            (&["https, http"], BALANCER, false),
            (&["https", "https"], BALANCER, false),
            (&["https"], "192.0.2.1", false),
        ] {
            let mut headers = HeaderMap::new();
            for word in words {
                headers.append(&name::X_FORWARDED_PROTO, HeaderValue::from_static(word));
            }
            assert_eq!(Came::of(&headers, peer.parse().ok(), false, &trusted).tls, tls, "{words:?} {peer}");
        }
        assert!(Came::of(&HeaderMap::new(), BALANCER.parse().ok(), true, &trusted).tls, "as it came to us");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_said_the_client_is_an_address_that_stands_there_or_the_peers(
            lines in proptest::collection::vec("[ -~]{0,20}|([0-9]{1,3}[.]){3}[0-9]{1,3}(, ?[a-f0-9:.]{0,9})?", 0..4)
        ) {
            let bytes: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
            let client = came(BALANCER, &bytes).client;
            let mut hops = lines.iter().flat_map(|line| line.split(','));
            let stands = hops.any(|hop| address(hop.trim()) == client);
            proptest::prop_assert!(stands || client == BALANCER.parse().ok());
        }
    }
}
