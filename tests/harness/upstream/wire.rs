//! The bytes under HTTP: plain or TLS, and the two ways to break them that HTTP itself does not offer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection.
pub(super) enum Io {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    /// From now on, closing it resets it.
    pub(super) fn reset_on_close(&self) {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        };
        // It may be closed already, and then there is nothing to reset.
        let _ = tcp.set_zero_linger();
    }

    /// HTTP/2 was agreed on.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// What no HTTP reader can take for an answer.
pub(super) const GARBAGE: &[u8] = b"\x00\x13\x37 this is not HTTP at all \xff\xfe\r\n\r\n\x00\x00\x00";

/// HTTP/2's GOAWAY on stream 0: 8 bytes, the last stream that was looked at (none), NO_ERROR (RFC 9113 section 6.8).
const GOODBYE: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const WHOLE: u8 = 0;
const RESET: u8 = 1;
const JUNK: u8 = 2;
const LEAVE: u8 = 3;

/// The switch of a [`Breakable`] connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Switch(Arc<AtomicU8>);

impl Switch {
    /// The next write resets the connection instead.
    pub(super) fn reset(&self) {
        self.0.store(RESET, Ordering::Release);
    }

    /// The next write sends [`GARBAGE`] instead, and ends the connection.
    pub(super) fn junk(&self) {
        self.0.store(JUNK, Ordering::Release);
    }

    /// The next write sends HTTP/2's goodbye instead, and ends the connection.
    pub(super) fn say_goodbye(&self) {
        self.0.store(LEAVE, Ordering::Release);
    }
}

/// A connection that can be broken under a protocol which knows nothing of it.
pub(super) struct Breakable {
    pub(super) io: Io,
    pub(super) switch: Switch,
}

impl AsyncRead for Breakable {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Breakable {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.switch.0.load(Ordering::Acquire) {
            WHOLE => Pin::new(&mut this.io).poll_write(cx, bytes),
            RESET => {
                this.io.reset_on_close();
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            last => match Pin::new(&mut this.io).poll_write(cx, last_words(last)) {
                Poll::Ready(Ok(_)) => {
                    // Under TLS the bytes lie in a buffer until they are flushed.
                    let _ = Pin::new(&mut this.io).poll_flush(cx);
                    Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
                }
                other => other,
            },
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

const fn last_words(switch: u8) -> &'static [u8] {
    if switch == LEAVE { GOODBYE } else { GARBAGE }
}
