//! What this program outside of the sandbox and this program inside of it say to each other.
//!
//! Over a socket that keeps messages apart (unix(7), `SOCK_SEQPACKET`), one JSON document a message. The first message from
//! inside carries the socket on which the Runtime API is served, which belongs to the sandbox's network, and the directories
//! by which its memory is counted: all of them are used outside.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest message; the environment is the largest part of one, and Lambda takes 4 KB of it.
const LONGEST: usize = 128 << 10;

/// What to do inside.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Instruction {
    /// End every process, then start these extensions.
    StartExtensions {
        /// Their file names in /opt/extensions.
        names: Vec<String>,
        /// Their whole environment.
        environment: Vec<(String, String)>,
    },
    /// Start the bootstrap.
    StartRuntime {
        /// Its whole environment.
        environment: Vec<(String, String)>,
    },
    /// Have the runtime end by itself (SIGTERM), or end it by force (SIGKILL).
    EndRuntime {
        /// By force.
        force: bool,
    },
    /// Kill every process, and do not wait.
    Kill,
    /// End every process.
    Stop,
}

/// A file that could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StartFailure {
    /// What it would have been.
    pub(super) process: Process,
    /// The file.
    pub(super) program: String,
    /// The number of the error (errno(3)), 0 if it has none.
    pub(super) errno: i32,
}

/// What has happened inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Notification {
    /// The Runtime API's socket listens. With it come that socket, /proc, /tmp and, if there is one, the list of shared
    /// segments.
    Listening,
    /// No file to start was found.
    NoBootstrap,
    /// A file was found and could not be started.
    NotStarted(StartFailure),
    /// A process has ended.
    Exited(Process, Exit),
    /// No process is left.
    Stopped,
    /// Something without which nothing works failed.
    Broken(String),
}

/// A process that is started from outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Process {
    /// The bootstrap.
    Runtime,
    /// The extension with this file name.
    Extension(String),
}

/// How a process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exit {
    /// Its exit status.
    pub(super) status: Option<i32>,
    /// The signal that ended it.
    pub(super) signal: Option<i32>,
}

/// The most descriptors that come with a message.
const MOST_DESCRIPTORS: usize = 4;

/// Two ends of a new connection.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Sends a message with these descriptors.
pub(super) fn send(to: impl AsFd, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    if text.len() > LONGEST {
        return Err(io::Error::other("the environment is too large"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut with = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        with.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(to, &[IoSlice::new(&text)], &mut with, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for a message; `None` once the other side is gone.
pub(super) fn receive<T: DeserializeOwned>(from: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut buffer = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut with = RecvAncillaryBuffer::new(&mut space);
    let read = loop {
        match recvmsg(
            &from,
            &mut [IoSliceMut::new(&mut buffer)],
            &mut with,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            read => break read?.bytes,
        }
    };
    if read == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in with.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    let message = serde_json::from_slice(&buffer[..read])?;
    Ok(Some((message, descriptors)))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn messages_and_descriptors_come_over() {
        let (here, there) = pair().unwrap();
        let (mut read, write) = io::pipe().unwrap();
        send(&here, &Notification::Listening, &[write.as_fd(), here.as_fd()]).unwrap();
        send(&here, &Notification::Stopped, &[]).unwrap();
        drop(write);
        let (notification, mut descriptors) = receive::<Notification>(&there).unwrap().unwrap();
        assert_eq!((notification, descriptors.len()), (Notification::Listening, 2));
        let mut file = std::fs::File::from(descriptors.remove(0));
        drop(descriptors);
        io::Write::write_all(&mut file, b"over").unwrap();
        drop(file);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "over");
        let (notification, descriptors) = receive::<Notification>(&there).unwrap().unwrap();
        assert_eq!(notification, Notification::Stopped);
        assert!(descriptors.is_empty());
        drop(here);
        assert!(receive::<Notification>(&there).unwrap().is_none());
    }
}
