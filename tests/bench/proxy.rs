//! A proxy at work: its configuration filled in, its process started, until it is dropped.

use crate::child::{Child, Output, Program};
use crate::peers::{Contender, Peer};
use crate::stage::Stage;
use anyhow::bail;
use harness::port::Lease;
use std::net::SocketAddr;
use std::path::Path;

/// What a proxy is set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Carrying, over two responders.
    Cost {
        /// They speak TLS.
        tls: bool,
    },
    /// The same, with nothing going on beside it: no check of the proxy's own.
    Counted {
        /// They speak TLS.
        tls: bool,
    },
    /// Failing over, between two regions.
    Damage,
}

impl Work {
    /// The file of a peer for this work, and how its name ends: some programs go by that.
    const fn template(self, peer: Peer) -> (&'static str, &'static str) {
        match (peer, self) {
            (Peer::Aorta, Self::Damage) => (include_str!("peers/aorta-damage.yaml"), "yaml"),
            (Peer::Aorta, _) => (include_str!("peers/aorta-cost.yaml"), "yaml"),
            (Peer::Nginx, Self::Damage) => (include_str!("peers/nginx-damage.conf"), "conf"),
            (Peer::Nginx, _) => (include_str!("peers/nginx-cost.conf"), "conf"),
            (Peer::Haproxy, Self::Damage) => (include_str!("peers/haproxy-damage.cfg"), "cfg"),
            (Peer::Haproxy, _) => (include_str!("peers/haproxy-cost.cfg"), "cfg"),
            (Peer::Envoy, Self::Damage) => (include_str!("peers/envoy-damage.yaml"), "yaml"),
            (Peer::Envoy, _) => (include_str!("peers/envoy-cost.yaml"), "yaml"),
            (Peer::Caddy, Self::Damage) => (include_str!("peers/caddy-damage.caddyfile"), "caddyfile"),
            (Peer::Caddy, _) => (include_str!("peers/caddy-cost.caddyfile"), "caddyfile"),
        }
    }

    const fn is_plain(self) -> bool {
        matches!(self, Self::Cost { tls: false } | Self::Counted { tls: false })
    }
}

/// A running proxy.
pub(crate) struct Proxy {
    /// Its process.
    pub(crate) child: Child,
    /// Where it accepts.
    pub(crate) address: SocketAddr,
    _leases: [Lease; 2],
}

impl Proxy {
    /// Starts one before these two upstreams and waits until it accepts.
    pub(crate) async fn start(
        contender: Contender,
        work: Work,
        upstreams: [SocketAddr; 2],
        stage: &Stage,
    ) -> anyhow::Result<Self> {
        let directory = stage.directory(contender.slug())?;
        let program = Program::new(contender.peer().program()?);
        Self::inside(program, contender, work, upstreams, stage, &directory).await
    }

    /// The same; the program may be one that runs the proxy within itself.
    pub(crate) async fn inside(
        program: Program,
        contender: Contender,
        work: Work,
        upstreams: [SocketAddr; 2],
        stage: &Stage,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let leases = [Lease::take(), Lease::take()];
        let (template, end) = work.template(contender.peer());
        let addresses = [leases[0].address(), leases[1].address(), upstreams[0], upstreams[1]];
        let text = filled(template, &values(contender, work, addresses, stage, directory))?;
        let file = directory.join(format!("configuration.{end}"));
        std::fs::write(&file, text)?;
        let program = program.arguments(&arguments(contender.peer(), &file.display().to_string()));
        let mut child = Child::start(contender.slug(), &program, directory, Output::Dropped)?;
        child.accepts(leases[0].address()).await?;
        Ok(Self { child, address: leases[0].address(), _leases: leases })
    }
}

/// TLS 1.3 with a verified name, as the others speak it.
const ENVOY_TLS: &str = r#"
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: records.fhir.test
        common_tls_context:
          tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}
          validation_context:
            trusted_ca: {filename: "@CA@"}
            match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: records.fhir.test}}]"#;

/// As many threads as there are processors, for all alike.
fn threads() -> String {
    std::thread::available_parallelism().map_or(1, usize::from).to_string()
}

fn arguments(peer: Peer, file: &str) -> Vec<String> {
    let arguments: &[&str] = match peer {
        Peer::Aorta => &["run", "--config", file],
        Peer::Nginx => &["-c", file],
        Peer::Haproxy => &["-db", "-f", file],
        // Without the first, two of them on one machine share memory and refuse each other.
        Peer::Envoy => {
            &["--disable-hot-restart", "--log-level", "error", "--concurrency", &threads(), "-c", file]
        }
        Peer::Caddy => &["run", "--adapter", "caddyfile", "--config", file],
    };
    arguments.iter().map(ToString::to_string).collect()
}

/// What stands in the places of a template: where it listens, its admin port, its upstreams, and what differs between
/// contenders of one file.
fn values(
    contender: Contender,
    work: Work,
    addresses: [SocketAddr; 4],
    stage: &Stage,
    directory: &Path,
) -> Vec<(String, String)> {
    let ca = stage.authority.ca().display().to_string();
    let mut values: Vec<(String, String)> = Vec::new();
    for (name, address) in ["LISTEN", "ADMIN", "UPSTREAM_1", "UPSTREAM_2"].into_iter().zip(addresses) {
        values.push((name.to_owned(), address.to_string()));
        values.push((format!("{name}_IP"), address.ip().to_string()));
        values.push((format!("{name}_PORT"), address.port().to_string()));
    }
    let is = |setting: Contender| (contender == setting).to_string();
    let unguarded = contender == Contender::HaproxyUnguarded;
    let guard = if unguarded { "" } else { "http-request disable-l7-retry if METH_POST" };
    let mut add = |name: &str, value: &str| values.push((name.to_owned(), value.to_owned()));
    add("SCHEME", if work.is_plain() { "http" } else { "https" });
    add("TLS", &tls(contender.peer(), work, &ca));
    add("CA", &ca);
    add("ACCESS", if contender == Contender::AortaLogging { "all" } else { "none" });
    add("CHECKS", if matches!(work, Work::Counted { .. }) { "1h" } else { "10s" });
    add("HEDGE", &is(Contender::AortaHedging));
    add("HEDGES", &is(Contender::EnvoyHedging));
    // Envoy's limit of an attempt is also when it hedges, and then ends no attempt.
    add("TRY", if contender == Contender::EnvoyHedging { "0.05s" } else { "1s" });
    add("THREADS", &threads());
    add("DIRECTORY", &directory.display().to_string());
    add("POST_GUARD", guard);
    values
}

/// How a peer is told to speak TLS where the same file serves plain upstreams too.
fn tls(peer: Peer, work: Work, ca: &str) -> String {
    match peer {
        _ if work.is_plain() => String::new(),
        Peer::Haproxy => format!("ssl verify required ca-file {ca} sni str(records.fhir.test) alpn http/1.1"),
        Peer::Envoy => ENVOY_TLS.replace("@CA@", ca),
        Peer::Caddy => {
            format!("tls_server_name records.fhir.test\n            tls_trusted_ca_certs {ca}")
        }
        Peer::Aorta | Peer::Nginx => format!(", tls: {{ca: \"{ca}\"}}"),
    }
}

/// Puts values in the places of their `@NAMES@`.
pub(crate) fn filled(template: &str, values: &[(String, String)]) -> anyhow::Result<String> {
    let mut text = template.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("@{name}@"), value);
    }
    let mut code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    match code.find(|line| line.matches('@').count() > 1) {
        Some(line) => bail!("a name of a template was not filled in: {line}"),
        None => Ok(text),
    }
}
