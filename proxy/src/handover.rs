//! One process takes over from another, and no connection notices: `aorta-proxy upgrade`.
//!
//! The running process starts its program anew, with one end of a socket as standard input, and hands over the
//! sockets of its listeners. Both accept from the same queue until the new one says that it serves; then the old
//! one accepts no more and serves to the end whom it has. A new process that fails before changes nothing.

mod channel;

use crate::life::Life;
use crate::notify;
use channel::{Channel, Message};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What the process started with, and would start again.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    config: PathBuf,
}

impl Program {
    /// This program, by the name it was started by: what stands there now may be a newer one.
    ///
    /// # Errors
    /// When it cannot be found out where the program is.
    pub fn new(config: &Path) -> io::Result<Self> {
        let named =
            std::env::args_os().next().map(PathBuf::from).filter(|name| name.components().count() > 1);
        let path = named.map_or_else(std::env::current_exe, std::path::absolute)?;
        Ok(Self { path, config: config.to_owned() })
    }

    /// Starts the program anew and hands these sockets over, with what is remembered; returns once the new process
    /// serves, with its number. Waits, so it must not run where connections are served.
    ///
    /// # Errors
    /// In words, when the new process does not come to serve: then it is gone, and nothing has changed.
    pub fn succeed(&self, life: &Life, memory: impl FnOnce() -> Vec<u8>) -> Result<u32, String> {
        let (channel, other) = Channel::pair().map_err(|error| format!("no socket: {error}"))?;
        let mut command = Command::new(&self.path);
        command.arg("run").arg("--take-over").arg("--config").arg(&self.config).stdin(Stdio::from(other));
        // The watchdog is fed by whoever is the service; this number is the old process's.
        command.env_remove("WATCHDOG_PID");
        let started = command.spawn();
        // It holds the other end of the socket, whose closing tells that the new process has ended.
        drop(command);
        let mut child =
            started.map_err(|error| format!("{} does not start: {error}", self.path.display()))?;
        match talk(&channel, life, memory, child.id()) {
            Ok(()) => Ok(child.id()),
            Err(error) => Err(end(&mut child, &error)),
        }
    }
}

fn talk(channel: &Channel, life: &Life, memory: impl FnOnce() -> Vec<u8>, new: u32) -> io::Result<()> {
    let strange = || io::Error::new(io::ErrorKind::InvalidData, "the new process is of another kind");
    let Message::Prepared = channel.hear()? else { return Err(strange()) };
    for (address, socket) in life.sockets()? {
        channel.say(&Message::Socket(address, socket))?;
    }
    channel.remember(&memory())?;
    channel.say(&Message::Complete)?;
    let Message::Serving = channel.hear()? else { return Err(strange()) };
    // Only the process that systemd knows may name another.
    notify::replaced_by(new);
    // It serves: whether it still hears this or not, it is the one.
    let _ = channel.say(&Message::Yours);
    Ok(())
}

fn end(child: &mut Child, error: &io::Error) -> String {
    let ended = match child.try_wait() {
        Ok(Some(ended)) => Some(ended),
        _ => {
            let _ = child.kill();
            child.wait().ok()
        }
    };
    let ended = ended.map_or_else(|| "unknown".to_owned(), |ended| ended.to_string());
    format!("the new process does not serve ({error}; {ended}): its log says why. Nothing has changed")
}

/// What the process before has left.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(SocketAddr, TcpListener)>,
    /// What it remembered.
    pub memory: Vec<u8>,
    channel: Option<Channel>,
}

impl Inherited {
    /// Takes over from the process that started this one, whose end of the socket is standard input.
    ///
    /// # Errors
    /// When it hands nothing over.
    pub fn receive() -> io::Result<Self> {
        let channel = Channel::over(io::stdin().as_fd().try_clone_to_owned()?)?;
        channel.say(&Message::Prepared)?;
        let mut inherited = Self::default();
        loop {
            match channel.hear()? {
                Message::Socket(address, socket) => inherited.sockets.push((address, socket)),
                Message::Memory(piece) => inherited.memory.extend(piece),
                Message::Complete => break,
                other => {
                    let strange = format!("{other:?} is no inheritance");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, strange));
                }
            }
        }
        inherited.channel = Some(channel);
        Ok(inherited)
    }

    /// The socket of this address, if there was one.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let found = self.sockets.iter().position(|(held, _)| *held == address)?;
        Some(self.sockets.swap_remove(found).1)
    }

    /// Every listener has what it takes: closes what nobody wants any more, and returns what to call when this
    /// process serves.
    #[must_use]
    pub fn settled(self) -> Heir {
        Heir(self.channel)
    }
}

/// A process that may still have to say that it took over.
#[derive(Debug, Default)]
pub struct Heir(Option<Channel>);

impl Heir {
    /// Tells the process before that it may go. Returns when systemd knows this one.
    pub fn serves(&mut self) {
        let Some(channel) = self.0.take() else { return };
        let answered = channel.say(&Message::Serving).and_then(|()| channel.hear());
        if let Err(error) = answered {
            tracing::warn!(%error, "the process before this one says no goodbye");
        }
    }
}
