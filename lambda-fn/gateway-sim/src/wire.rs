//! The stream under HTTP: TLS over TCP, with a handle by which a request's handler can spoil its own connection.
//!
//! The handler cannot reach the socket through an HTTP library, and must not act before what it wrote has left. So it
//! leaves an order with the [`Saboteur`]; the stream obeys at its next poll and wakes itself for that.

mod partial;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub use partial::Partial;

/// Bytes that are neither an HTTP/1 status line nor an HTTP/2 frame of any use.
pub const GARBAGE: &[u8] =
    b"\x00\xffNOT-HTTP \x15\x03 \xde\xad\xbe\xef this is not the protocol you expected\x00\n";

/// How a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// TCP reset at once: nothing that is still queued leaves.
    Reset = 1,
    /// TLS close notification and FIN.
    Close = 2,
    /// [`GARBAGE`], then as [`End::Close`].
    Garbage = 3,
}

/// Gives orders to one connection's [`Wire`].
#[derive(Debug, Default)]
pub struct Saboteur {
    order: AtomicU8,
    flushed: AtomicU64,
    wakers: Mutex<Wakers>,
}

#[derive(Debug, Default)]
struct Wakers {
    connection: Option<Waker>,
    flush: Vec<Waker>,
}

impl Saboteur {
    /// Ends the connection; the first order counts.
    pub fn end(&self, end: End) {
        if self.order.compare_exchange(0, end as u8, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let waker = self.wakers.lock().unwrap_or_else(PoisonError::into_inner).connection.take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// How many bytes of HTTP have left through TLS so far.
    pub fn flushed(&self) -> u64 {
        self.flushed.load(Ordering::Acquire)
    }

    /// Ready once that many bytes have left.
    pub fn poll_flushed(&self, cx: &mut Context<'_>, bytes: u64) -> Poll<()> {
        if self.flushed() >= bytes {
            return Poll::Ready(());
        }
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.flushed() >= bytes {
            return Poll::Ready(());
        }
        if !wakers.flush.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.flush.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn ordered(&self) -> Option<End> {
        match self.order.load(Ordering::Acquire) {
            1 => Some(End::Reset),
            2 => Some(End::Close),
            3 => Some(End::Garbage),
            _ => None,
        }
    }

    fn remember(&self, cx: &Context<'_>) {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut wakers.connection {
            Some(known) if known.will_wake(cx.waker()) => {}
            known => *known = Some(cx.waker().clone()),
        }
    }

    fn note_flush(&self, written: u64) {
        if self.flushed.swap(written, Ordering::AcqRel) == written {
            return;
        }
        let wakers = std::mem::take(&mut self.wakers.lock().unwrap_or_else(PoisonError::into_inner).flush);
        for waker in wakers {
            waker.wake();
        }
    }
}

/// The stream an HTTP library reads and writes.
#[derive(Debug)]
pub struct Wire {
    stream: TlsStream<TcpStream>,
    saboteur: Arc<Saboteur>,
    written: u64,
    garbage_written: usize,
}

impl Wire {
    /// Wraps an accepted stream.
    #[must_use]
    pub fn new(stream: TlsStream<TcpStream>) -> Self {
        Self { stream, saboteur: Arc::default(), written: 0, garbage_written: 0 }
    }

    /// The handle for this connection's handlers.
    #[must_use]
    pub fn saboteur(&self) -> Arc<Saboteur> {
        Arc::clone(&self.saboteur)
    }

    /// Whether the client and the endpoint agreed on HTTP/2.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        self.stream.get_ref().1.alpn_protocol() == Some(b"h2")
    }

    /// Obeys an order, if there is one; the error that comes back makes the HTTP library drop the stream.
    fn poll_order(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Error>> {
        self.saboteur.remember(cx);
        let end = self.saboteur.ordered()?;
        Some(match end {
            End::Reset => Poll::Ready(self.reset()),
            End::Close => self.poll_close(cx),
            End::Garbage => self.poll_garbage(cx),
        })
    }

    fn reset(&self) -> io::Error {
        match self.stream.get_ref().0.set_zero_linger() {
            Ok(()) => io::ErrorKind::ConnectionReset.into(),
            Err(error) => error,
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match ready!(Pin::new(&mut self.stream).poll_shutdown(cx)) {
            Ok(()) => Poll::Ready(io::ErrorKind::ConnectionAborted.into()),
            Err(error) => Poll::Ready(error),
        }
    }

    fn poll_garbage(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while let Some(rest) = GARBAGE.get(self.garbage_written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                Ok(0) => return Poll::Ready(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.garbage_written += count,
                Err(error) => return Poll::Ready(error),
            }
        }
        self.poll_close(cx)
    }

    fn count(&mut self, written: io::Result<usize>) -> io::Result<usize> {
        if let Ok(count) = &written {
            self.written += *count as u64;
        }
        written
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.poll_order(cx) {
            Some(error) => error.map(Err),
            None => Pin::new(&mut this.stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.poll_order(cx) {
            Some(error) => error.map(Err),
            None => Pin::new(&mut this.stream).poll_write(cx, buf).map(|written| this.count(written)),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.poll_order(cx) {
            Some(error) => error.map(Err),
            None => {
                Pin::new(&mut this.stream).poll_write_vectored(cx, bufs).map(|written| this.count(written))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.poll_order(cx) {
            Some(error) => error.map(Err),
            None => {
                ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
                this.saboteur.note_flush(this.written);
                Poll::Ready(Ok(()))
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.poll_order(cx) {
            Some(error) => error.map(Err),
            None => Pin::new(&mut this.stream).poll_shutdown(cx),
        }
    }
}
