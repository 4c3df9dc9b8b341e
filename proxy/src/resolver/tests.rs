use super::*;
use crate::metrics::Metrics;
use crate::snapshot::{Snapshot, Turn};
use aorta_core::time::Timestamp;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Mutex;
use tokio::net::UdpSocket;

const YAML: &str = "
listeners: [{address: 127.0.0.1:8080}]
routes: [{name: all, pool: records}]
pools:
  records:
    upstreams: [{name: virginia, url: https://virginia.fhir.example.org/Server1}]
";

/// A name server on loopback that answers every question for addresses as it is told; an empty list is an
/// empty record, as a region once served for a whole afternoon.
struct NameServer {
    answers: Arc<Mutex<Vec<Ipv4Addr>>>,
    port: u16,
}

impl NameServer {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&answers);
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                let reply = reply(&query[..length], &told.lock().unwrap());
                socket.send_to(&reply, from).await.unwrap();
            }
        });
        Self { answers, port }
    }

    fn say(&self, addresses: &[[u8; 4]]) {
        *self.answers.lock().unwrap() = addresses.iter().map(|octets| Ipv4Addr::from(*octets)).collect();
    }

    fn resolver(&self) -> TokioResolver {
        let mut server = NameServerConfig::udp(IpAddr::from([127, 0, 0, 1]));
        let mut connection = ConnectionConfig::udp();
        connection.port = self.port;
        server.connections = vec![connection];
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build().unwrap()
    }
}

/// RFC 1035 section 4: the question back, and an A record of no lifetime for each address.
fn reply(query: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
    let question_end = 12 + query[12..].iter().position(|&byte| byte == 0).unwrap() + 5;
    let asks_for_a = query[question_end - 4..question_end - 2] == [0, 1];
    let addresses = if asks_for_a { addresses } else { &[] };
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, 0x80, 0, 1, 0, u8::try_from(addresses.len()).unwrap(), 0, 0, 0, 0]);
    reply.extend(&query[12..question_end]);
    for address in addresses {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        reply.extend(address.octets());
    }
    reply
}

fn upstream() -> Snapshot {
    let config = crate::config::parse(YAML, Path::new(".")).unwrap();
    Snapshot::new(config, &Metrics::new(&[]).unwrap(), Timestamp::ZERO, 1)
}

#[tokio::test]
async fn a_dns_answer_that_is_empty_keeps_the_last_addresses() {
    let server = NameServer::start().await;
    let system = server.resolver();
    let snapshot = upstream();
    let live = &snapshot.pools[0].upstreams[0].site;

    server.say(&[[127, 0, 0, 2], [127, 0, 0, 3]]);
    let pause = refresh(&system, live).await;
    assert_eq!(live.addresses(), ["127.0.0.2:443", "127.0.0.3:443"]);
    assert_eq!((pause, live.is_stale()), (TTL_MIN, false));
    assert!(live.resolved_unix() > 0.0);

    server.say(&[]);
    assert_eq!(refresh(&system, live).await, RETRY);
    assert_eq!(live.addresses(), ["127.0.0.2:443", "127.0.0.3:443"]);
    assert!(live.is_stale());

    server.say(&[[127, 0, 0, 4]]);
    refresh(&system, live).await;
    assert_eq!(live.addresses(), ["127.0.0.4:443"]);
    assert!(!live.is_stale());
}

#[test]
fn ipv6_and_ipv4_take_turns_and_an_address_that_failed_is_last() {
    let snapshot = upstream();
    let live = &snapshot.pools[0].upstreams[0].site;
    let addresses =
        ["192.0.2.1:443", "192.0.2.2:443", "192.0.2.3:443", "[2001:db8::1]:443", "[2001:db8::2]:443"];
    live.replace(&addresses.map(|address| address.parse().unwrap()));
    let now = crate::clock::now();
    let order = || live.peers(Turn::Next, now).iter().map(|peer| peer.address()).collect::<Vec<_>>();
    let is_v6 = |address: &String| address.starts_with('[');
    let mut firsts = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let order = order();
        assert_eq!(
            order.iter().map(is_v6).collect::<Vec<_>>(),
            [true, false, true, false, false],
            "{order:?}"
        );
        firsts.insert(order[0].clone());
    }
    assert_eq!(firsts.len(), 2, "each in its turn");
    for peer in live.peers(Turn::Same, now).iter().filter(|peer| is_v6(&peer.address())) {
        peer.failed(now);
    }
    assert_eq!(order().iter().map(is_v6).collect::<Vec<_>>(), [false, false, false, true, true]);
}
