//! What a server holds to hand its sockets over to a successor: a duplicate of each, and the
//! control socket. `takeover.rs` has the protocol.
//!
//! Knows descriptors, and not the loop that serves them.

use std::time::Duration;

use epollite::kernel::{OutgoingMessage, SENT_DESCRIPTORS_MAX, close_quietly};
use epollite::{Errno, Fd, Kernel, Token};

use super::takeover::{Record, SOCKETS_MAX, check_user};

/// How long a successor may take to set itself up.
pub(crate) const SUCCESSOR_TIMEOUT: Duration = Duration::from_secs(30);

/// A duplicate of a socket that this server listens on.
pub(crate) struct HeldSocket {
    pub(crate) fd: Fd,
    /// Whether its name is a file of this server.
    pub(crate) has_file: bool,
    /// Whether it is that of `--metrics`.
    pub(crate) is_metrics: bool,
}

/// A server that can be taken over.
pub(crate) struct Handover {
    /// The control socket, which is the first, and all that is listened on.
    sockets: Vec<HeldSocket>,
    /// The registration of the control socket.
    pub(crate) control: Option<Token>,
    /// The registration of the connection to a successor.
    pub(crate) successor: Option<Token>,
    /// How long connections are served that the successor does not have.
    pub(crate) serves_for: Duration,
}

impl Handover {
    /// With a duplicate of the control socket.
    pub(crate) fn new(control: HeldSocket, serves_for: Duration) -> Self {
        Self { sockets: vec![control], control: None, successor: None, serves_for }
    }

    /// Keeps a duplicate of another socket.
    pub(crate) fn hold(&mut self, socket: HeldSocket) {
        self.sockets.push(socket);
    }

    /// Checks the user of the other process, and sends every socket.
    ///
    /// # Errors
    /// The reason why it gets none, or not all: the connection is to be closed.
    pub(crate) fn send_sockets<K: Kernel>(
        &self,
        kernel: &mut K,
        successor: &Fd,
    ) -> Result<(), String> {
        check_user(kernel, successor)?;
        let total = u16::try_from(self.sockets.len()).ok();
        let total = total.filter(|&total| usize::from(total) <= SOCKETS_MAX);
        let total = total.ok_or_else(|| format!("more than {SOCKETS_MAX} sockets"))?;
        for sockets in self.sockets.chunks(SENT_DESCRIPTORS_MAX) {
            let descriptors: Vec<&Fd> = sockets.iter().map(|held| &held.fd).collect();
            let bits = |is_set: fn(&HeldSocket) -> bool| {
                sockets.iter().rev().fold(0, |bits, held| bits << 1 | u32::from(is_set(held)))
            };
            let (files, metrics) = (bits(|held| held.has_file), bits(|held| held.is_metrics));
            let count = u16::try_from(sockets.len()).expect("a message has at most 32");
            let bytes = Record { total, count, files, metrics }.encode();
            let (bufs, descriptors) = (&[&bytes[..]][..], &descriptors[..]);
            let message = OutgoingMessage { bufs, descriptors, ..OutgoingMessage::default() };
            match kernel.send_message(successor, &message) {
                Ok(Record::BYTES) => {}
                Ok(_) => return Err(format!("sendmsg: {}", Errno::EAGAIN)),
                Err(errno) => return Err(format!("sendmsg: {errno}")),
            }
        }
        Ok(())
    }

    /// Closes the duplicates.
    pub(crate) fn close<K: Kernel>(self, kernel: &mut K) {
        for held in self.sockets {
            close_quietly(kernel, held.fd);
        }
    }
}
