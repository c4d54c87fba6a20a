//! `Net`: all sockets, their names, and what they share with the rest of the kernel.
//!
//! Knows no protocol: `tcp.rs`, `udp.rs`, `unix_stream.rs` and `unix_datagram.rs` are above.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::config::SimConfig;
use super::entropy::Entropy;
use super::file::{FileId, Result, Wakes};
use super::id_map::IdMap;
use super::socket::Socket;
use crate::errno::Errno;
use crate::event::EPOLLOUT;

pub(super) struct Net {
    pub(super) config: SimConfig,
    pub(super) entropy: Entropy,
    /// Also connections that wait to be accepted, and closed sockets that still have bytes to
    /// deliver: no descriptor refers to those.
    pub(super) sockets: IdMap<Box<Socket>>,
    /// Unix socket files, by path. One outlives its socket, as on a disk.
    pub(super) paths: BTreeMap<Vec<u8>, FileId>,
    /// Of sockets and of all other files.
    pub(super) wakes: Wakes,
    /// Events put off, which happen at the next wait.
    pub(super) deferred: Vec<Deferred>,
    pub(super) autobind_next: u16,
    /// How many sockets were bound.
    pub(super) binds: u64,
    /// The files whose descriptors go with the message that is being sent.
    pub(super) rights_to_send: Option<Vec<FileId>>,
    /// Those that came with the message that was received last.
    pub(super) rights_received: Vec<FileId>,
    /// Whether a file was ever sent: only then may files be open that no descriptor refers to.
    pub(super) has_sent_rights: bool,
    last_file_id: FileId,
}

/// An event that `Entropy` has put off.
#[derive(Clone, Copy)]
pub(super) enum Deferred {
    Readable(FileId),
    Writable(FileId),
    Connect(FileId),
}

impl Net {
    pub(super) fn new(config: SimConfig) -> Self {
        Self {
            entropy: config.entropy.clone(),
            config,
            sockets: IdMap::new(),
            paths: BTreeMap::new(),
            wakes: Wakes::default(),
            deferred: Vec::new(),
            autobind_next: 0,
            binds: 0,
            rights_to_send: None,
            rights_received: Vec::new(),
            has_sent_rights: false,
            last_file_id: 0,
        }
    }

    /// The id of a new file, which need not be a socket.
    pub(super) fn new_file_id(&mut self) -> FileId {
        self.last_file_id += 1;
        self.last_file_id
    }

    pub(super) fn add(&mut self, socket: Socket) -> FileId {
        let file = self.new_file_id();
        self.sockets.insert(file, socket.into());
        file
    }

    pub(super) fn remove(&mut self, file: FileId) {
        self.sockets.remove(file);
    }

    /// The socket, which the caller has checked to be one.
    pub(super) fn socket(&mut self, file: FileId) -> &mut Socket {
        self.find_socket(file).expect("the caller has checked that it is a socket")
    }

    /// The socket, which may have been closed (the peer's, for example).
    pub(super) fn find_socket(&mut self, file: FileId) -> Option<&mut Socket> {
        self.sockets.get_mut(file).map(|socket| &mut **socket)
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = (FileId, &Socket)> {
        self.sockets.iter().map(|(id, socket)| (id, &**socket))
    }

    /// Something happened to `file`; `key` says what may have changed.
    pub(super) fn wake(&mut self, file: FileId, key: u32) {
        self.wakes.push_back((file, key));
    }

    /// Wakes a writer that found the buffer full, once there is enough room. A Unix socket is woken
    /// each time a packet of its own is read, whether or not its buffer was full.
    ///
    /// Reference: net/ipv4/tcp_input.c: `tcp_check_space`,
    /// net/unix/af_unix.c: `unix_write_space`
    pub(super) fn wake_writers(&mut self, file: FileId) {
        if let Some(socket) = self.find_socket(file)
            && socket.is_writable()
            && (socket.is_unix() || socket.nospace)
        {
            socket.nospace = false;
            self.wake(file, EPOLLOUT);
        }
    }

    /// A signal may interrupt calls that transfer bytes, before anything was done.
    pub(super) fn maybe_eintr(&mut self) -> Result<&mut Self> {
        let probability = self.config.probabilities.interrupted;
        if self.entropy.chance(probability) { Err(Errno::EINTR) } else { Ok(self) }
    }
}
