//! The proxies under test: where their programs are, what they are told, how they are started.
//!
//! Their configuration lies beside this file in `peers/`, each line with its reason.

use crate::child::{Child, Output};
use crate::stage::Stage;
use anyhow::{Context as _, bail};
use harness::port::Lease;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

/// A proxy in one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// Aorta without access lines.
    Aorta,
    /// Aorta with an access line for every request.
    AortaLogging,
    /// Aorta that sends a second read beside a late one.
    AortaHedging,
    /// NGINX.
    Nginx,
    /// HAProxy, which repeats no POST.
    Haproxy,
    /// HAProxy without that guard, as `retry-on` is by itself.
    HaproxyUnguarded,
}

impl Contender {
    /// The column's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Aorta => "Aorta",
            Self::AortaLogging => "Aorta, access log on",
            Self::AortaHedging => "Aorta, hedging",
            Self::Nginx => "NGINX",
            Self::Haproxy => "HAProxy",
            Self::HaproxyUnguarded => "HAProxy, unguarded",
        }
    }

    const fn slug(self) -> &'static str {
        match self {
            Self::Aorta => "aorta",
            Self::AortaLogging => "aorta-logging",
            Self::AortaHedging => "aorta-hedging",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::HaproxyUnguarded => "haproxy-unguarded",
        }
    }

    const fn is_aorta(self) -> bool {
        matches!(self, Self::Aorta | Self::AortaLogging | Self::AortaHedging)
    }

    /// Its program.
    pub(crate) fn program(self) -> anyhow::Result<PathBuf> {
        match self {
            Self::Aorta | Self::AortaLogging | Self::AortaHedging => own("aorta-proxy"),
            Self::Nginx => system("nginx", "nginx-light"),
            Self::Haproxy | Self::HaproxyUnguarded => system("haproxy", "haproxy"),
        }
    }

    /// What it says about its version, shortened to name and number.
    pub(crate) fn version(self) -> anyhow::Result<String> {
        let flag = if self.is_aorta() { "--version" } else { "-v" };
        let told = Command::new(self.program()?).arg(flag).output()?;
        let text = [told.stdout, told.stderr].concat();
        let line = String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned();
        Ok(line.trim_start_matches("nginx version: ").split(" 20").next().unwrap_or_default().to_owned())
    }

    fn template(self, work: Work) -> &'static str {
        match (self, work) {
            (Self::Aorta | Self::AortaLogging | Self::AortaHedging, Work::Cost { .. }) => {
                include_str!("peers/aorta-cost.yaml")
            }
            (Self::Aorta | Self::AortaLogging | Self::AortaHedging, Work::Damage) => {
                include_str!("peers/aorta-damage.yaml")
            }
            (Self::Nginx, Work::Cost { .. }) => include_str!("peers/nginx-cost.conf"),
            (Self::Nginx, Work::Damage) => include_str!("peers/nginx-damage.conf"),
            (Self::Haproxy | Self::HaproxyUnguarded, Work::Cost { .. }) => {
                include_str!("peers/haproxy-cost.cfg")
            }
            (Self::Haproxy | Self::HaproxyUnguarded, Work::Damage) => {
                include_str!("peers/haproxy-damage.cfg")
            }
        }
    }

    fn tls(self, work: Work, ca: &str) -> String {
        match (self, work) {
            (_, Work::Cost { tls: false }) => String::new(),
            (Self::Haproxy | Self::HaproxyUnguarded, _) => {
                format!("ssl verify required ca-file {ca} sni str(records.fhir.test) alpn http/1.1")
            }
            _ => format!(", tls: {{ca: \"{ca}\"}}"),
        }
    }
}

/// What a proxy is set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Carrying, over two responders.
    Cost {
        /// They speak TLS.
        tls: bool,
    },
    /// Failing over, between two regions.
    Damage,
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
        let leases = [Lease::take(), Lease::take()];
        let ca = stage.authority.ca().display().to_string();
        let directory = stage.directory(contender.slug())?;
        let guard = if contender == Contender::HaproxyUnguarded {
            ""
        } else {
            "http-request disable-l7-retry if METH_POST"
        };
        let text = filled(
            contender.template(work),
            &[
                ("LISTEN", &leases[0].address().to_string()),
                ("ADMIN", &leases[1].address().to_string()),
                ("UPSTREAM_1", &upstreams[0].to_string()),
                ("UPSTREAM_2", &upstreams[1].to_string()),
                ("SCHEME", if work == (Work::Cost { tls: false }) { "http" } else { "https" }),
                ("TLS", &contender.tls(work, &ca)),
                ("CA", &ca),
                ("ACCESS", if contender == Contender::AortaLogging { "all" } else { "none" }),
                ("HEDGE", if contender == Contender::AortaHedging { "true" } else { "false" }),
                ("THREADS", &std::thread::available_parallelism().map_or(1, usize::from).to_string()),
                ("DIRECTORY", &directory.display().to_string()),
                ("POST_GUARD", guard),
            ],
        )?;
        let file = directory.join("configuration");
        std::fs::write(&file, text)?;
        let file = file.display().to_string();
        let arguments: &[&str] = match contender {
            _ if contender.is_aorta() => &["run", "--config", &file],
            Contender::Nginx => &["-c", &file],
            _ => &["-db", "-f", &file],
        };
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let mut child =
            Child::start(contender.slug(), &contender.program()?, &arguments, &directory, Output::Dropped)?;
        child.accepts(leases[0].address()).await?;
        Ok(Self { child, address: leases[0].address(), _leases: leases })
    }
}

/// Puts values in the places of their `@NAMES@`.
pub(crate) fn filled(template: &str, values: &[(&str, &str)]) -> anyhow::Result<String> {
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

/// A program of this workspace: in a directory of `AORTA_BIN_DIR`, or beside this one.
pub(crate) fn own(name: &str) -> anyhow::Result<PathBuf> {
    let told = std::env::var_os("AORTA_BIN_DIR").unwrap_or_default();
    let beside = std::env::current_exe()?.parent().map(std::path::Path::to_owned);
    let mut candidates = std::env::split_paths(&told).chain(beside).map(|directory| directory.join(name));
    candidates.find(|path| path.is_file()).with_context(|| {
        format!("{name} is not built: cargo build --release -p aorta-proxy -p aorta-gateway-sim")
    })
}

fn system(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut candidates = places.map(|directory| directory.join(name));
    candidates.find(|path| path.is_file()).with_context(|| {
        format!("{name} is not installed; on Debian: apt-get install --no-install-recommends {package}")
    })
}

/// Says everything that is missing, at once.
pub(crate) fn require(contenders: &[Contender]) -> anyhow::Result<()> {
    let missing: Vec<String> = contenders
        .iter()
        .filter_map(|contender| contender.program().err())
        .map(|error| error.to_string())
        .collect();
    if missing.is_empty() { Ok(()) } else { bail!("{}", missing.join("\n")) }
}
