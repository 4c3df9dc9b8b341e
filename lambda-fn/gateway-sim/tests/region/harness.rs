//! Regions to test: in this process, on free ports, with certificates of their own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aorta_gateway_sim::certificates;
use aorta_gateway_sim::config::Config;
use aorta_gateway_sim::region::Region;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Ended, Reply};
use crate::function_process::ARGUMENTS;

/// Nothing in these tests takes longer, unless it hangs.
pub(crate) const BOUND: Duration = Duration::from_secs(20);
/// The host of every region here.
pub(crate) const HOST: &str = "a1.execute-api.us-east-1.amazonaws.com";

/// A region and the files it lives on.
pub(crate) struct Sim {
    pub(crate) region: Region,
    pub(crate) directory: TempDir,
}

/// The configuration of a region whose function is this test binary; `extra` are more top-level lines.
pub(crate) fn yaml(directory: &Path, function: &str, extra: &str) -> String {
    certificates::make(directory, &[HOST.to_owned()]).unwrap();
    let directory = directory.display();
    let program = std::env::current_exe().unwrap();
    let integration = if extra.contains("integration:") { "" } else { "integration: proxy" };
    let region = if extra.contains("region:") { "" } else { "region: us-east-1" };
    format!(
        "{region}\naddress: 127.0.0.1:0\ncontrol: 127.0.0.1:0\nhost: {HOST}\nstage: Server1\n\
         certificate: {directory}/{HOST}.pem\nprivate_key: {directory}/{HOST}.key\n{integration}\n\
         function:\n  program: {}\n  arguments: {}\n  {function}\n{extra}\n",
        program.display(),
        json!(ARGUMENTS),
    )
}

/// Starts a region; `function` is one more line of its function.
pub(crate) async fn start(function: &str, extra: &str) -> Sim {
    let directory = tempfile::tempdir().unwrap();
    let config: Config = serde_yaml::from_str(&yaml(directory.path(), function, extra)).unwrap();
    let region = tokio::time::timeout(BOUND, Region::start(config)).await.unwrap().unwrap();
    Sim { region, directory }
}

impl Sim {
    /// A client's view of TLS: this region's authority and one protocol.
    pub(crate) fn tls(&self, alpn: &[u8]) -> Arc<ClientConfig> {
        client_config(self.directory.path(), alpn)
    }

    /// A whole exchange on a connection of its own over HTTP/1.1.
    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Ended> {
        self.send("GET", path, "", b"").await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> Result<Reply, Ended> {
        let tls = self.tls(b"http/1.1");
        crate::client::exchange(self.region.address(), tls, method, path, headers, body).await
    }

    /// Puts a fault in force.
    pub(crate) async fn fault(&self, order: Value) {
        let (status, state) = control(self.region.control(), "PUT", "/fault", &order.to_string()).await;
        assert_eq!(status, 200, "{state}");
    }

    pub(crate) async fn counters(&self) -> Value {
        control(self.region.control(), "GET", "/counters", "").await.1
    }

    /// Waits until the counters satisfy a condition.
    pub(crate) async fn eventually(&self, condition: impl Fn(&Value) -> bool) -> Value {
        let poll = async {
            loop {
                let counters = self.counters().await;
                if condition(&counters) {
                    return counters;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, poll).await.expect("the counters never said so")
    }
}

pub(crate) fn client_config(directory: &Path, alpn: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(directory.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

/// One request to a control port.
pub(crate) async fn control(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    control_with(address, method, path, "", body).await
}

pub(crate) async fn control_with(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let host = if headers.contains("host:") { "" } else { "host: localhost\r\n" };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{host}{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(BOUND, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}
