//! The demo's ports: which, how to move one, and who holds one that is taken.

use clap::Args;
use harness::house::{Part, Plan};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// Where everything listens, on 127.0.0.1.
#[derive(Debug, Args)]
pub(crate) struct Ports {
    /// The proxy.
    #[arg(long, default_value_t = 8080)]
    pub(crate) proxy: u16,
    /// The proxy's metrics and admin API.
    #[arg(long, default_value_t = 9901)]
    pub(crate) admin: u16,
    /// The viewer's pages.
    #[arg(long, default_value_t = 8088)]
    pub(crate) viewer: u16,
    /// The region N. Virginia.
    #[arg(long, default_value_t = 9443)]
    pub(crate) virginia: u16,
    /// Its control port.
    #[arg(long, default_value_t = 9543)]
    pub(crate) virginia_control: u16,
    /// The region Ohio.
    #[arg(long, default_value_t = 9444)]
    pub(crate) ohio: u16,
    /// Its control port.
    #[arg(long, default_value_t = 9544)]
    pub(crate) ohio_control: u16,
    /// Prometheus, with --watch.
    #[arg(long, default_value_t = 9090)]
    pub(crate) prometheus: u16,
}

impl Ports {
    /// Each port with the flag that moves it.
    fn flagged(&self) -> [(&'static str, u16); 8] {
        [
            ("proxy", self.proxy),
            ("admin", self.admin),
            ("viewer", self.viewer),
            ("virginia", self.virginia),
            ("virginia-control", self.virginia_control),
            ("ohio", self.ohio),
            ("ohio-control", self.ohio_control),
            ("prometheus", self.prometheus),
        ]
    }

    /// The ports on which a part listens.
    pub(crate) fn of(&self, part: Part) -> [u16; 2] {
        match part {
            Part::Virginia => [self.virginia, self.virginia_control],
            Part::Ohio => [self.ohio, self.ohio_control],
            Part::Proxy => [self.proxy, self.admin],
            Part::Viewer => [self.viewer; 2],
            Part::Prometheus => [self.prometheus; 2],
        }
    }

    /// The shipped files, moved to these ports.
    pub(crate) fn plan(&self) -> Plan {
        let shipped = [8080, 9901, 8088, 9443, 9543, 9444, 9544, 9090];
        let moved = shipped.into_iter().zip(self.flagged());
        moved.fold(Plan::new(), |plan, (from, (_, to))| plan.port(from, to))
    }

    /// Says of every port of these parts that is taken who holds it, and how to choose others.
    pub(crate) fn must_be_free(&self, parts: &[Part]) -> anyhow::Result<()> {
        let is_wanted = |port: u16| parts.iter().any(|part| self.of(*part).contains(&port));
        let is_taken = |(_, port): &(_, u16)| is_wanted(*port) && TcpListener::bind(local(*port)).is_err();
        let taken: Vec<_> = self.flagged().into_iter().filter(is_taken).collect();
        anyhow::ensure!(taken.is_empty(), "{}", problem(&taken));
        Ok(())
    }
}

fn problem(taken: &[(&str, u16)]) -> String {
    let holders: String = taken
        .iter()
        .map(|(flag, port)| {
            let holder = holder(*port).unwrap_or_else(|| "another program".to_owned());
            format!("  port {port} ({flag}) is taken by {holder}\n")
        })
        .collect();
    let others = taken.iter().map(|(flag, port)| format!("--{flag} {}", port.saturating_add(10_000)));
    let others = others.collect::<Vec<_>>().join(" ");
    format!("nothing was started.\n{holders}End that, or use other ports: make demo ARGS=\"{others}\"")
}

/// The program that listens on a port, as far as the system tells us.
fn holder(port: u16) -> Option<String> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let inode = tables.iter().flat_map(|table| table.lines()).find_map(|line| listening(line, port))?;
    let socket = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok).map(|entry| entry.path());
    // `self` stands for this program, whose number stands there too.
    let holds = |process: &PathBuf| {
        if process.ends_with("self") || process.ends_with("thread-self") {
            return false;
        }
        let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().filter_map(Result::ok);
        descriptors
            .into_iter()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == &*socket))
    };
    let process = processes.into_iter().find(holds)?;
    let command = fs::read_to_string(process.join("cmdline")).ok()?;
    let name = Path::new(command.split('\0').next()?).file_name()?.to_string_lossy();
    let number = process.file_name()?.to_string_lossy();
    Some(format!("{name} (process {number})"))
}

/// The inode of a line of the kernel's table, if that line listens on this port.
fn listening(line: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (local, state) = (columns.get(1)?, columns.get(3)?);
    let (_, own) = local.rsplit_once(':')?;
    let matches = u16::from_str_radix(own, 16) == Ok(port) && *state == LISTEN;
    matches.then(|| columns.get(9).copied()).flatten()
}

/// A port of this machine.
pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_port_is_told_by_name_and_number() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let told = problem(&[("proxy", listener.local_addr().unwrap().port())]);
        assert!(told.contains(&format!("(process {})", std::process::id())), "{told}");
        assert!(told.contains("ARGS=\"--proxy "), "{told}");
    }
}
