//! Leased ports: one process at a time owns a port, from the lease to its end, whether or not it listens.
//!
//! Whoever can should bind port 0. A lease is for what must be known before it listens, or must come back on the
//! same port: an upstream that refuses connections for a while. Leases lie below the range from which the system
//! takes ports for outgoing connections, so that nobody else moves in while the port is closed.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// A port on 127.0.0.1 that no other lease holds until this one is dropped.
#[derive(Debug)]
pub struct Lease {
    port: u16,
    /// The lock lives as long as the file is open: also after a crash nothing stays locked.
    _lock: File,
}

impl Lease {
    /// Takes a free port.
    ///
    /// # Panics
    /// When the lock files cannot be written, or no port is free.
    #[must_use]
    pub fn take() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let directory = std::env::temp_dir().join("aorta-port-leases");
        fs::create_dir_all(&directory).expect("the directory of the port leases can be made");
        let count = LAST - FIRST;
        // Processes start at different places, so that they seldom meet at one lock.
        let start = u16::try_from(std::process::id() % u32::from(count)).unwrap_or_default();
        for _ in 0..count {
            let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(start) % count;
            let port = FIRST + offset;
            let Ok(lock) = File::create(directory.join(port.to_string())) else { continue };
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Self { port, _lock: lock };
            }
        }
        panic!("no free port between {FIRST} and {LAST}");
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The port on the loopback address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_leases_hold_one_port() {
        let leases: Vec<_> = (0..50).map(|_| Lease::take()).collect();
        let ports: HashSet<_> = leases.iter().map(Lease::port).collect();
        assert_eq!(ports.len(), leases.len());
    }
}
