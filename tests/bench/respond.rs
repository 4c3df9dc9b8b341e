//! The upstream of the cost rounds: answers every request with the body of its path, as cheaply as it can.

use crate::wire::{content_length, end_of_head};
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
    /// The file with the body of a record.
    #[arg(long)]
    record: PathBuf,
    /// The file with the body of a page.
    #[arg(long)]
    page: PathBuf,
}

/// Whole answers, ready to be written.
struct Answers {
    record: [Vec<u8>; 2],
    page: [Vec<u8>; 2],
}

impl Answers {
    fn read(flags: &Flags) -> anyhow::Result<Self> {
        let of = |file: &Path, path: &str| -> anyhow::Result<[Vec<u8>; 2]> {
            let body = std::fs::read(file).context("a body's file")?;
            let created = format!("Location: https://{}{path}/1/_history/1\r\n", crate::stage::HOST);
            Ok([("200 OK", ""), ("201 Created", created.as_str())].map(|(status, more)| {
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/fhir+json\r\n{more}Content-Length: {length}\r\n\r\n"
                );
                [head.as_bytes(), &body].concat()
            }))
        };
        Ok(Self { record: of(&flags.record, "/Patient")?, page: of(&flags.page, "/Bundle")? })
    }

    /// What a request gets: a page for `/Bundle`, a record for everything else; a create gets what it has created.
    fn of(&self, head: &[u8]) -> &[u8] {
        let is_create = head.starts_with(b"POST");
        let is_page = head.starts_with(b"GET /Bundle") || head.starts_with(b"POST /Bundle");
        let [read, created] = if is_page { &self.page } else { &self.record };
        if is_create { created } else { read }
    }
}

/// Serves until it is ended.
pub(crate) async fn run(flags: Flags) -> anyhow::Result<()> {
    let answers = Arc::new(Answers::read(&flags)?);
    let tls = acceptor(&flags.certificate, &flags.private_key)?;
    let doors = flags.plain.iter().map(|plain| (plain, None));
    let doors = doors.chain(flags.tls.iter().map(|address| (address, Some(tls.clone()))));
    let mut accepting = tokio::task::JoinSet::new();
    for (address, tls) in doors {
        let listener = TcpListener::bind(address).await.with_context(|| address.to_string())?;
        accepting.spawn(accept(listener, tls, Arc::clone(&answers)));
    }
    while accepting.join_next().await.is_some() {}
    Ok(())
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, answers: Arc<Answers>) {
    while let Ok((tcp, _)) = listener.accept().await {
        let (tls, answers) = (tls.clone(), Arc::clone(&answers));
        tokio::spawn(connection(tcp, tls, answers));
    }
}

/// How a connection ends is the proxy's business; a lost answer shows at the client.
async fn connection(tcp: TcpStream, tls: Option<TlsAcceptor>, answers: Arc<Answers>) -> anyhow::Result<()> {
    tcp.set_nodelay(true)?;
    match tls {
        None => answer_all(tcp, &answers).await,
        Some(tls) => answer_all(tls.accept(tcp).await?, &answers).await,
    }
}

async fn answer_all(mut io: impl AsyncRead + AsyncWrite + Unpin, answers: &Answers) -> anyhow::Result<()> {
    let mut buffer = Vec::with_capacity(8192);
    loop {
        while let Some(end) = end_of_head(&buffer) {
            let answer = answers.of(&buffer);
            let whole = end + if buffer.starts_with(b"POST") { content_length(&buffer[..end])? } else { 0 };
            while buffer.len() < whole {
                anyhow::ensure!(io.read_buf(&mut buffer).await? > 0, "closed inside a body");
            }
            io.write_all(answer).await?;
            io.flush().await?;
            buffer.drain(..whole);
        }
        if io.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
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
