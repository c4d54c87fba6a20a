//! Takes over the sockets of a server that runs: connects to its control socket, receives every
//! socket that it listens on (`SCM_RIGHTS`), and tells it when to stop accepting.
//!
//! The sockets are the same open files in both processes, so what is queued in them stays there:
//! the predecessor closes its descriptors, and no socket is closed. `handover.rs` is its side.
//! It accepts until the successor serves: for a moment both do, and each connection is accepted by
//! one of them. A successor that ends before that changes nothing.
//!
//! ```text
//! successor                        predecessor
//! connect                      ->  accept; the same user?
//!                              <-  records, each with up to 32 descriptors
//! (serves the sockets)             serves them, too
//! READY                        ->  stops accepting: what is queued is accepted and served on
//!                              <-  CLOSED
//!                                  serves its connections until they end
//! ```

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::time::Duration;

use epollite::kernel::{
    ReceiveMode, SENT_DESCRIPTORS_MAX, SocketOption, SocketOptionName, close_quietly,
};
use epollite::net::UnixAddr;
use epollite::{Addr, Errno, Fd, Kernel, Linux};

use super::activation::inspect;
use crate::exit::CliError;
use crate::listen::{BoundSocket, socket_file};
use crate::models::effective_uid;

/// How long the predecessor may take for an answer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The most sockets of a server: 1024 threads with a few ports each.
pub(super) const SOCKETS_MAX: usize = 8192;

/// The successor serves.
pub(crate) const READY: u8 = b'R';

/// The predecessor accepts no more.
pub(crate) const CLOSED: u8 = b'C';

/// The bytes of a message with descriptors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// How many sockets are sent in all.
    pub(super) total: u16,
    /// How many descriptors are in this message.
    pub(super) count: u16,
    /// A bit for each of them: the name of the socket is a file, which the server removes when it
    /// shuts down.
    pub(super) files: u32,
    /// A bit for the one that is the listener of `--metrics`.
    pub(super) metrics: u32,
}

const _: () = assert!(SENT_DESCRIPTORS_MAX <= 32, "a bit for each descriptor of a message");

impl Record {
    pub(super) const BYTES: usize = 20;
    /// The protocol, with its version.
    const MAGIC: [u8; 8] = *b"epoltko1";

    pub(super) fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&Self::MAGIC);
        bytes[8..10].copy_from_slice(&self.total.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.count.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.files.to_le_bytes());
        bytes[16..].copy_from_slice(&self.metrics.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&Self::MAGIC)?;
        let (total, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (files, metrics) = rest.split_first_chunk()?;
        let (total, count) = (u16::from_le_bytes(*total), u16::from_le_bytes(*count));
        let files = u32::from_le_bytes(*files);
        let metrics = u32::from_le_bytes(metrics.try_into().ok()?);
        let is_valid = usize::from(total) <= SOCKETS_MAX && (1..=total).contains(&count);
        is_valid.then_some(Self { total, count, files, metrics })
    }
}

/// The server whose sockets have been received, and that still accepts.
pub(crate) struct Predecessor {
    /// The connection to it, which does not block.
    pub(crate) connection: Fd,
    pub(crate) sockets: TakenSockets,
}

/// What has been received from it.
pub(crate) struct TakenSockets {
    /// The socket that it was connected to by.
    pub(crate) control: BoundSocket,
    /// The listener of `--metrics`, if it has one.
    pub(crate) metrics: Option<BoundSocket>,
    pub(crate) echo: Vec<BoundSocket>,
}

/// Connects to the server at `name` and receives its sockets; `None` if there is no server. It goes
/// on as before until it is sent [`READY`], and if this process ends before.
///
/// # Errors
/// It belongs to another user, refuses, does not answer, or a socket cannot be served.
pub(crate) fn connect(name: &UnixAddr) -> Result<Option<Predecessor>, CliError> {
    let failed = |why: &str| {
        let name = Addr::Unix(*name);
        CliError::new(CliError::UNAVAILABLE, format!("--takeover {name}: {why}"))
    };
    let stream = match connect_stream(name) {
        Ok(stream) => stream,
        Err(error) => {
            let is_unserved =
                matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused);
            return if is_unserved { Ok(None) } else { Err(failed(&error.to_string())) };
        }
    };
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(|error| failed(&error.to_string()))?;
    let connection = Linux::from_owned_fd(stream.into()).into_fd_as_is();
    let received = check_user(&mut Linux, &connection).and_then(|()| receive(&connection));
    match received {
        Ok(sockets) => {
            // By this conversion it becomes non-blocking.
            let connection = Fd::from(OwnedFd::from(connection));
            Ok(Some(Predecessor { connection, sockets }))
        }
        Err(why) => {
            close_quietly(&mut Linux, connection);
            Err(failed(&why))
        }
    }
}

fn connect_stream(name: &UnixAddr) -> std::io::Result<UnixStream> {
    use std::os::unix::ffi::OsStrExt;
    let addr = match (name.as_path(), name.as_abstract()) {
        (Some(path), _) => SocketAddr::from_pathname(Path::new(std::ffi::OsStr::from_bytes(path)))?,
        (None, name) => SocketAddr::from_abstract_name(name.unwrap_or_default())?,
    };
    UnixStream::connect_addr(&addr)
}

/// Whether the process at the other end is one of the same user, or root: others must not get the
/// sockets, nor have theirs served here.
///
/// # Errors
/// The reason why it is refused.
pub(super) fn check_user<K: Kernel>(kernel: &mut K, connection: &Fd) -> Result<(), String> {
    /// May have everything anyway. A server that has become another user (`--user`) is replaced by
    /// one that is root until it becomes that user too.
    const ROOT: u32 = 0;
    let own = effective_uid();
    match kernel.getsockopt(connection, SocketOptionName::PeerCredentials) {
        Ok(SocketOption::PeerCredentials(peer)) if [own, ROOT].contains(&peer.uid) => Ok(()),
        Ok(SocketOption::PeerCredentials(peer)) => {
            Err(format!("the other process is of user {}, not of {own}", peer.uid))
        }
        Ok(_) => Err("the other process has no credentials".into()),
        Err(errno) => Err(format!("getsockopt: {errno}")),
    }
}

/// Receives every socket, the control socket first.
fn receive(connection: &Fd) -> Result<TakenSockets, String> {
    let (mut control, mut metrics, mut echo, mut count) = (None, None, Vec::new(), 0);
    loop {
        let mut bytes = [0; Record::BYTES];
        let (len, arrived) = receive_message(connection, &mut bytes)?;
        if len == 0 {
            return Err("it refused: it is shutting down, or another takeover is going on".into());
        }
        let record = Record::decode(&bytes[..len]).ok_or("it is no epollite of this version")?;
        if arrived.len() != usize::from(record.count) {
            return Err("descriptors are missing: is their limit reached (ulimit -n)?".into());
        }
        for (at, passed) in arrived.into_iter().enumerate() {
            let mut bound = inspect(passed).map_err(|why| format!("what it passed {why}"))?;
            if record.files & 1 << at != 0
                && let Ok(Addr::Unix(name)) = Linux.getsockname(&bound.fd)
            {
                bound.file = socket_file(&name);
            }
            count += 1;
            if record.metrics & 1 << at != 0 {
                metrics = Some(bound);
            } else if control.is_none() {
                control = Some(bound);
            } else {
                echo.push(bound);
            }
        }
        if count >= record.total {
            let control = control.ok_or("it passed no control socket")?;
            return Ok(TakenSockets { control, metrics, echo });
        }
    }
}

/// One message: its length, and the descriptors, which are closed when they are dropped.
fn receive_message(connection: &Fd, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), String> {
    let mut message = loop {
        match Linux.recv_message(connection, &mut [&mut *bytes], ReceiveMode::Consume) {
            Err(errno) if errno.is_interrupted() => {}
            received => break received.map_err(no_answer)?,
        }
    };
    let mut arrived = Vec::new();
    while let Some(fd) = message.descriptors.take() {
        arrived.push(OwnedFd::from(fd));
    }
    Ok((message.len_bytes, arrived))
}

fn no_answer(errno: Errno) -> String {
    if errno.is_would_block() {
        format!("no answer within {} seconds", ANSWER_TIMEOUT.as_secs())
    } else {
        format!("recvmsg: {errno}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_is_written() {
        let record = Record { total: 300, count: 32, files: 0x8000_0001, metrics: 2 };
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Some(record));
        for len in 0..Record::BYTES {
            assert_eq!(Record::decode(&bytes[..len]), None, "{len} bytes are not a record");
        }
        for wrong in [Record { count: 0, ..record }, Record { count: 301, ..record }] {
            assert_eq!(Record::decode(&wrong.encode()), None, "{wrong:?}");
        }
        let mut other = bytes;
        other[7] = b'2';
        assert_eq!(Record::decode(&other), None, "another version");
    }
}
