//! What two processes say to each other while one takes over: messages over a socket that both hold an end of.

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

/// What is longer goes in pieces; a message of such a socket arrives whole or not at all.
const PIECE: usize = 32 << 10;
/// Who says nothing for so long has failed: a process starts in far less.
const PATIENCE: Duration = Duration::from_secs(30);
/// One message carries one socket at most.
const ANCILLARY: usize = rustix::cmsg_space!(ScmRights(1));

/// One thing that is said.
#[derive(Debug)]
pub(super) enum Message {
    /// The new process has read its configuration, and can begin.
    Prepared,
    /// Here is the socket of this address.
    Socket(SocketAddr, TcpListener),
    /// A piece of what the old process remembers.
    Memory(Vec<u8>),
    /// That was all.
    Complete,
    /// The new process serves.
    Serving,
    /// The service manager knows the new process.
    Yours,
}

impl Message {
    const fn kind(&self) -> u8 {
        match self {
            Self::Prepared => b'p',
            Self::Socket(..) => b's',
            Self::Memory(_) => b'm',
            Self::Complete => b'c',
            Self::Serving => b'r',
            Self::Yours => b'y',
        }
    }
}

/// One end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// Both ends.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (own, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self::over(own)?, other))
    }

    /// The end that this process was started with.
    pub(super) fn over(end: OwnedFd) -> io::Result<Self> {
        set_socket_timeout(&end, Timeout::Recv, Some(PATIENCE))?;
        set_socket_timeout(&end, Timeout::Send, Some(PATIENCE))?;
        Ok(Self(end))
    }

    /// Says what may be longer than one message.
    pub(super) fn remember(&self, memory: &[u8]) -> io::Result<()> {
        memory.chunks(PIECE).try_for_each(|piece| self.say(&Message::Memory(piece.to_vec())))
    }

    pub(super) fn say(&self, message: &Message) -> io::Result<()> {
        let kind = [message.kind()];
        let (text, socket) = match message {
            Message::Socket(address, socket) => (address.to_string().into_bytes(), Some(socket.as_fd())),
            Message::Memory(piece) => (piece.clone(), None),
            _ => (Vec::new(), None),
        };
        let rights: Vec<BorrowedFd<'_>> = socket.into_iter().collect();
        let mut space = [MaybeUninit::uninit(); ANCILLARY];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !rights.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&rights)) {
            return Err(io::Error::other("there is no room for a socket"));
        }
        let parts = [IoSlice::new(&kind), IoSlice::new(&text)];
        sendmsg(&self.0, &parts, &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message.
    ///
    /// # Errors
    /// When the other process has ended, says nothing for half a minute, or speaks another language.
    pub(super) fn hear(&self) -> io::Result<Message> {
        let mut bytes = vec![0; PIECE + 1];
        let mut space = [MaybeUninit::uninit(); ANCILLARY];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let came =
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let mut sockets = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights),
            _ => None,
        });
        let socket = sockets.next().and_then(|mut rights| rights.next());
        let strange = || io::Error::new(io::ErrorKind::InvalidData, "the other process is of another kind");
        let (kind, text) = bytes
            .get(..came.bytes)
            .and_then(<[u8]>::split_first)
            .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the other process has ended"))?;
        match (kind, socket) {
            (b'p', None) => Ok(Message::Prepared),
            (b'm', None) => Ok(Message::Memory(text.to_vec())),
            (b'c', None) => Ok(Message::Complete),
            (b'r', None) => Ok(Message::Serving),
            (b'y', None) => Ok(Message::Yours),
            (b's', Some(socket)) => {
                let address = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
                Ok(Message::Socket(address.ok_or_else(strange)?, TcpListener::from(socket)))
            }
            _ => Err(strange()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_was_handed_over_is_the_same_socket() {
        let (one, other) = Channel::pair().unwrap();
        let other = Channel::over(other).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        one.say(&Message::Socket(address, socket)).unwrap();
        let Message::Socket(told, socket) = other.hear().unwrap() else { panic!("no socket came") };
        assert_eq!((told, socket.local_addr().unwrap()), (address, address));
        let client = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(socket.accept().unwrap().1, client.local_addr().unwrap());
    }

    #[test]
    fn what_is_remembered_comes_whole_however_long_it_is() {
        let (one, other) = Channel::pair().unwrap();
        let other = Channel::over(other).unwrap();
        let memory: Vec<u8> = (0..=255).cycle().take(3 * PIECE + 7).collect();
        let told = memory.clone();
        let telling =
            std::thread::spawn(move || one.remember(&told).and_then(|()| one.say(&Message::Complete)));
        let mut heard = Vec::new();
        while let Message::Memory(piece) = other.hear().unwrap() {
            heard.extend(piece);
        }
        assert!(heard == memory);
        telling.join().unwrap().unwrap();
    }

    #[test]
    fn the_end_of_the_other_process_is_heard() {
        let (one, other) = Channel::pair().unwrap();
        drop(other);
        assert_eq!(one.hear().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(one.say(&Message::Yours).is_err());
    }
}
