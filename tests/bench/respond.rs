//! The upstream of the cost rounds: answers every request with one body, as cheaply as it can.

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What it serves, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Speak plain HTTP here.
    #[arg(long)]
    plain: Vec<SocketAddr>,
    /// Speak HTTPS here.
    #[arg(long)]
    tls: Vec<SocketAddr>,
    /// PEM chain.
    #[arg(long)]
    certificate: PathBuf,
    /// PEM key.
    #[arg(long)]
    private_key: PathBuf,
    /// The file with the body.
    #[arg(long)]
    body: PathBuf,
}

/// Serves until it is ended.
pub(crate) async fn run(flags: Flags) -> anyhow::Result<()> {
    let body = std::fs::read(&flags.body).context("the body's file")?;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer: Arc<[u8]> = [head.as_bytes(), &body].concat().into();
    let tls = acceptor(&flags.certificate, &flags.private_key)?;
    let doors = flags.plain.iter().map(|plain| (plain, None));
    let doors = doors.chain(flags.tls.iter().map(|address| (address, Some(tls.clone()))));
    let mut accepting = tokio::task::JoinSet::new();
    for (address, tls) in doors {
        let listener = TcpListener::bind(address).await.with_context(|| address.to_string())?;
        accepting.spawn(accept(listener, tls, Arc::clone(&answer)));
    }
    while accepting.join_next().await.is_some() {}
    Ok(())
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, answer: Arc<[u8]>) {
    while let Ok((tcp, _)) = listener.accept().await {
        let (tls, answer) = (tls.clone(), Arc::clone(&answer));
        tokio::spawn(connection(tcp, tls, answer));
    }
}

/// How a connection ends is the proxy's business; a lost answer shows at the client.
async fn connection(tcp: TcpStream, tls: Option<TlsAcceptor>, answer: Arc<[u8]>) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    match tls {
        None => answer_all(tcp, &answer).await,
        Some(tls) => answer_all(tls.accept(tcp).await?, &answer).await,
    }
}

async fn answer_all(mut io: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(8192);
    loop {
        if io.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let mut start = 0;
        while let Some(end) = end_of_head(&buffer[start..]) {
            io.write_all(answer).await?;
            io.flush().await?;
            start += end;
        }
        buffer.drain(..start);
    }
}

/// Where the first head ends; requests have no bodies here.
pub(crate) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}

/// HTTP/1.1 only and one cipher suite, so that every proxy does the same cryptography.
fn acceptor(certificate: &Path, private_key: &Path) -> anyhow::Result<TlsAcceptor> {
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![ring::cipher_suite::TLS13_AES_256_GCM_SHA384];
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(private_key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
