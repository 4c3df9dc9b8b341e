//! The last moment of a listener that nobody takes over.
//!
//! What is in its queue when a listening socket is closed, the system resets: clients that believe themselves connected,
//! and may have sent a request that must not be sent twice. So before it closes a listener lets no more clients begin:
//! their first packet is dropped, which they send again a second later, when they are refused or reach another proxy.
//! Who had begun is still accepted.

use socket2::{SockFilter, SockRef};
use std::io;
use std::net::TcpListener;
use std::time::Duration;

/// Whoever had begun to connect is there within this: a handshake with a client far away, and the time to accept it.
pub const SPAN: Duration = Duration::from_millis(250);

/// Where a TCP header has its flags (RFC 9293 section 3.1), and two of them.
const FLAGS_AT: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

/// A filter of the system's own language (`linux/filter.h`): drops what begins a connection, and passes the rest.
const NO_BEGINNING: [SockFilter; 5] = {
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_AT),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
};

/// From now on nobody new comes to this socket, nor to any other that shares its queue.
///
/// # Errors
/// When the system does not allow it.
pub fn make(socket: &TcpListener) -> io::Result<()> {
    SockRef::from(socket).attach_filter(&NO_BEGINNING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn who_has_connected_is_accepted_and_nobody_new_connects() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let before = TcpStream::connect(address).unwrap();
        make(&socket).unwrap();
        let (_, accepted) = socket.accept().unwrap();
        assert_eq!(accepted, before.local_addr().unwrap());
        let late = TcpStream::connect_timeout(&address, Duration::from_millis(300));
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(socket);
        let refused = TcpStream::connect_timeout(&address, Duration::from_secs(5));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
