//! The open files of the whole kernel, of every kind, and the descriptors that refer to them.
//!
//! Knows each kind of file and calls its operations; the rules of each kind are in the file of its
//! name. Of epolls it knows only that they are files.

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::config::{Ipv6, SimConfig};
use super::eventfd::EventFd;
use super::file::{FileId, Result, WAKE_ALL, Wakes, err_if};
use super::id_map::IdMap;
use super::net::Net;
use super::pipe::{Pipe, PipeEnd};
use super::process::Process;
use super::signalfd::SignalFd;
use super::socket::{Protocol, Socket};
use super::version::Version;
use crate::errno::Errno;
use crate::event::{EPOLLIN, EPOLLOUT};
use crate::kernel::{Fd, Signal, SocketType};
use crate::net::{Addr, AddressFamily};

pub(super) struct FileTable {
    pub(super) net: Net,
    pub(super) processes: Vec<Process>,
    /// Those that a descriptor refers to: what the system counts.
    files: IdMap<File>,
    /// The buffer between two ends, each of which is a file.
    pipes: BTreeMap<FileId, Pipe>,
}

struct File {
    kind: FileKind,
    /// How many descriptors refer to it.
    descriptors: usize,
}

pub(super) enum FileKind {
    Epoll,
    Socket,
    Pipe(PipeEnd),
    EventFd(EventFd),
    SignalFd(SignalFd),
    /// A regular file. It is always empty and accepts every write.
    Regular,
}

const FILE_IS_OPEN: &str = "an id in use keeps its file open";

/// Descriptors: what opens files, and finds and closes them.
impl FileTable {
    pub(super) fn new(config: SimConfig) -> Self {
        Self {
            net: Net::new(config),
            processes: Vec::new(),
            files: IdMap::new(),
            pipes: BTreeMap::new(),
        }
    }

    /// Starts a process with nothing open. Returns its number.
    pub(super) fn spawn_process(&mut self) -> usize {
        let number = self.processes.len();
        self.processes.push(Process::new(number, self.net.config.descriptors_max));
        number
    }

    /// Opens a file that needs nothing but its kind.
    pub(super) fn open(&mut self, process: usize, kind: FileKind) -> Result<Fd> {
        self.check_available(process, 1)?;
        let file = self.net.new_file_id();
        Ok(self.install(process, file, kind))
    }

    pub(super) fn open_socket(
        &mut self,
        process: usize,
        family: AddressFamily,
        kind: SocketType,
    ) -> Result<Fd> {
        err_if(
            family == AddressFamily::Inet6 && self.net.config.ipv6 == Ipv6::Absent,
            Errno::EAFNOSUPPORT,
        )?;
        // Reference: net/ipv4/af_inet.c: `inet_create`; SCTP has it.
        err_if(
            kind == SocketType::SeqPacket && family != AddressFamily::Unix,
            Errno::ESOCKTNOSUPPORT,
        )?;
        self.check_available(process, 1)?;
        let socket = Socket::new(family, kind, &self.net.config);
        let file = self.net.add(socket);
        Ok(self.install(process, file, FileKind::Socket))
    }

    pub(super) fn socketpair(&mut self, process: usize, kind: SocketType) -> Result<(Fd, Fd)> {
        self.check_available(process, 2)?;
        let pair = self.net.socketpair(kind);
        Ok(pair.map(|file| self.install(process, file, FileKind::Socket)).into())
    }

    pub(super) fn pipe2(&mut self, process: usize) -> Result<(Fd, Fd)> {
        self.check_available(process, 2)?;
        let [pipe, reader, writer] = [(), (), ()].map(|()| self.net.new_file_id());
        self.pipes.insert(pipe, Pipe::new(reader, writer));
        let ends = [(reader, false), (writer, true)];
        let fds = ends.map(|(file, is_writer)| {
            self.install(process, file, FileKind::Pipe(PipeEnd { pipe, is_writer }))
        });
        Ok(fds.into())
    }

    /// Sets the capacity of a pipe, through either end.
    ///
    /// Reference: fs/pipe.c: `pipe_fcntl`, `pipe_set_size`
    pub(super) fn set_pipe_size(&mut self, file: FileId, bytes: usize) -> Result<usize> {
        let PipeEnd { pipe, .. } = self.pipe_end(file).ok_or(Errno::EBADF)?;
        let (pipe, wakes) = self.pipe(pipe);
        pipe.set_size(bytes, wakes)
    }

    /// The first connection of the queue gets a descriptor. The descriptor is reserved first: with
    /// none available the call fails without looking at the queue.
    ///
    /// Reference: net/socket.c: `__sys_accept4_file`
    pub(super) fn accept(&mut self, process: usize, listener: FileId) -> Result<(Fd, Addr)> {
        self.check_available(process, 1)?;
        let is_aborted = self.net.entropy.chance(self.net.config.probabilities.aborted);
        self.net.find_socket(listener).ok_or(Errno::ENOTSOCK)?;
        let child = self.net.accept(listener)?;
        if is_aborted {
            self.net.close_socket(child);
            return Err(Errno::ECONNABORTED);
        }
        let remote = self.net.socket(child).remote;
        let remote = remote.expect("an accepted socket has a peer");
        Ok((self.install(process, child, FileKind::Socket), remote))
    }

    pub(super) fn dup(&mut self, process: usize, fd: &Fd) -> Result<Fd> {
        let process = &mut self.processes[process];
        process.check_available(1)?;
        let file = process.file(fd);
        let duplicate = process.install(file);
        self.file_mut(file).descriptors += 1;
        Ok(duplicate)
    }

    /// Removes one descriptor from the count; returns whether it was the last.
    pub(super) fn put(&mut self, file: FileId) -> bool {
        let descriptors = &mut self.file_mut(file).descriptors;
        *descriptors -= 1;
        *descriptors == 0
    }

    /// Closes a file that no descriptor refers to any more.
    pub(super) fn close(&mut self, file: FileId) {
        match self.files.remove(file).map(|file| file.kind) {
            Some(FileKind::Socket) => self.net.close_socket(file),
            Some(FileKind::Pipe(PipeEnd { pipe, is_writer })) => {
                let (both, wakes) = self.pipe(pipe);
                if !both.close(is_writer, wakes) {
                    self.pipes.remove(&pipe);
                }
            }
            _ => {}
        }
    }

    /// The file that a descriptor refers to.
    pub(super) fn file(&self, process: usize, fd: &Fd) -> FileId {
        self.processes[process].file(fd)
    }

    /// Whether a descriptor of the file is in a message that was not received yet.
    pub(super) fn is_in_flight(&self, file: FileId) -> bool {
        let mut packets = self.net.sockets().flat_map(|(_, socket)| &socket.packets);
        self.net.has_sent_rights && packets.any(|packet| packet.rights.contains(&file))
    }

    /// A file that is open, and in no message, and that no descriptor refers to.
    pub(super) fn discarded(&self) -> Option<FileId> {
        if !self.net.has_sent_rights {
            return None;
        }
        let mut unreferenced = self.files.iter().filter(|(_, file)| file.descriptors == 0);
        unreferenced.find(|(id, _)| !self.is_in_flight(*id)).map(|(id, _)| id)
    }

    /// A descriptor for a file that was passed.
    pub(super) fn install_passed(&mut self, process: usize, file: FileId) -> Result<Fd> {
        let process = &mut self.processes[process];
        process.check_available(1)?;
        let fd = process.install(file);
        self.file_mut(file).descriptors += 1;
        Ok(fd)
    }

    /// Whether `count` more descriptors, each of a file of its own, are available.
    ///
    /// Reference: fs/file_table.c: `alloc_empty_file`
    fn check_available(&self, process: usize, count: usize) -> Result<()> {
        self.processes[process].check_available(count)?;
        err_if(self.files.len() + count > self.net.config.files_max, Errno::ENFILE)?;
        Ok(())
    }

    fn install(&mut self, process: usize, file: FileId, kind: FileKind) -> Fd {
        self.files.insert(file, File { kind, descriptors: 1 });
        self.processes[process].install(file)
    }

    /// For messages: every descriptor that is still open.
    pub(super) fn open_descriptors(&self, process: usize) -> Vec<String> {
        let descriptors = self.processes[process].descriptors();
        descriptors.map(|(fd, file)| format!("Fd {fd} ({})", self.describe(file))).collect()
    }

    /// For messages: what kind of file this is.
    fn describe(&self, file: FileId) -> String {
        match self.kind(file) {
            FileKind::Epoll => "epoll".into(),
            FileKind::Socket => {
                let socket = self.net.sockets.get(file).expect("a socket is open");
                let name = match socket.protocol() {
                    Protocol::Tcp => "tcp socket",
                    Protocol::Udp => "udp socket",
                    Protocol::UnixStream => "unix stream socket",
                    Protocol::UnixDatagram => "unix datagram socket",
                    Protocol::UnixSeqPacket => "unix seqpacket socket",
                };
                let address = socket.local.map(|local| format!(" at {local}"));
                name.to_owned() + &address.unwrap_or_default()
            }
            FileKind::Pipe(end) if end.is_writer => "pipe, writing end".into(),
            FileKind::Pipe(_) => "pipe, reading end".into(),
            FileKind::EventFd(_) => "eventfd".into(),
            FileKind::SignalFd(_) => "signalfd".into(),
            FileKind::Regular => "regular file".into(),
        }
    }
}

/// The operations of an open file, by its kind.
impl FileTable {
    /// As [`Net::maybe_eintr`].
    pub(super) fn maybe_eintr(&mut self) -> Result<&mut Self> {
        self.net.maybe_eintr()?;
        Ok(self)
    }

    pub(super) fn read(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize> {
        match &mut self.file_mut(file).kind {
            // Reference: net/socket.c: `sock_read_iter`
            FileKind::Socket if buf.is_empty() => Ok(0),
            FileKind::Socket => self.net.recv_bytes(file, buf),
            &mut FileKind::Pipe(end) => {
                let (pipe, wakes) = self.pipe(end.pipe_to_read()?);
                pipe.read(buf, wakes)
            }
            FileKind::EventFd(counter) => {
                counter.read(buf).inspect(|_| self.net.wake(file, EPOLLOUT))
            }
            &mut FileKind::SignalFd(signals) => {
                signals.read(&mut self.processes[signals.process].pending, buf)
            }
            FileKind::Regular => Ok(0),
            FileKind::Epoll => Err(Errno::EINVAL),
        }
    }

    pub(super) fn write(&mut self, file: FileId, buf: &[u8]) -> Result<usize> {
        let version = self.net.config.version;
        match &mut self.file_mut(file).kind {
            FileKind::Socket => self.net.sendmsg(file, buf, None, None, 0),
            &mut FileKind::Pipe(end) => {
                let (pipe, wakes) = self.pipe(end.pipe_to_write()?);
                pipe.write(buf, wakes)
            }
            // An edge each time, whether or not the counter was read: a waker needs no read.
            FileKind::EventFd(counter) => {
                counter.write(buf, version).inspect(|_| self.net.wake(file, EPOLLIN))
            }
            FileKind::Regular => Ok(buf.len()),
            FileKind::Epoll | FileKind::SignalFd(_) => Err(Errno::EINVAL),
        }
    }

    /// Bytes that were sent and are still in the send buffer.
    pub(super) fn outq(&mut self, file: FileId) -> Result<usize> {
        match *self.kind(file) {
            FileKind::Socket => self.net.outq(file),
            // Since Linux 6.9 an epoll has ioctls of its own, and rejects others with EINVAL.
            // Reference: fs/eventpoll.c: `ep_eventpoll_ioctl`
            FileKind::Epoll if self.net.config.version >= Version::LINUX_6_9 => Err(Errno::EINVAL),
            _ => Err(Errno::ENOTTY),
        }
    }

    /// The current readiness, as poll(2) would report it.
    pub(super) fn poll(&mut self, file: FileId) -> u32 {
        match self.kind(file) {
            FileKind::Socket => self.net.poll_socket(file),
            &FileKind::Pipe(end) => self.pipe(end.pipe).0.poll(end.is_writer),
            FileKind::EventFd(counter) => counter.poll(),
            FileKind::SignalFd(signals) => signals.poll(self.processes[signals.process].pending),
            FileKind::Epoll | FileKind::Regular => 0,
        }
    }

    /// Sends a signal.
    ///
    /// Reference: include/linux/signalfd.h: `signalfd_notify`
    pub(super) fn raise(&mut self, process: usize, signal: Signal) {
        if !self.processes[process].raise(signal) {
            return;
        }
        for (id, file) in self.files.iter() {
            if matches!(&file.kind, FileKind::SignalFd(signals) if signals.process == process) {
                self.net.wake(id, WAKE_ALL);
            }
        }
    }

    /// A write has failed: `SIGPIPE` for a pipe or a stream without a reader. Most programs ignore
    /// it, and here every one does; one that blocks it can read it from a signalfd.
    ///
    /// Reference: fs/pipe.c: `anon_pipe_write`, net/core/stream.c: `sk_stream_error`
    pub(super) fn raise_sigpipe(&mut self, process: usize, file: FileId, errno: Errno) {
        let is_datagram = self.net.find_socket(file).is_some_and(|socket| {
            !matches!(socket.protocol(), Protocol::Tcp | Protocol::UnixStream)
        });
        let is_blocked = self.processes[process].has_blocked(Signal::PIPE);
        if errno == Errno::EPIPE && is_blocked && !is_datagram {
            self.raise(process, Signal::PIPE);
        }
    }

    pub(super) fn is_regular(&self, file: FileId) -> bool {
        matches!(self.kind(file), FileKind::Regular)
    }

    pub(super) fn pipe_end(&self, file: FileId) -> Option<PipeEnd> {
        match *self.kind(file) {
            FileKind::Pipe(end) => Some(end),
            _ => None,
        }
    }

    /// A pipe, and where it pushes its wake-ups.
    pub(super) fn pipe(&mut self, pipe: FileId) -> (&mut Pipe, &mut Wakes) {
        let found = self.pipes.get_mut(&pipe).expect("an end names its own pipe");
        (found, &mut self.net.wakes)
    }

    fn file_mut(&mut self, file: FileId) -> &mut File {
        self.files.get_mut(file).expect(FILE_IS_OPEN)
    }

    pub(super) fn kind(&self, file: FileId) -> &FileKind {
        &self.files.get(file).expect(FILE_IS_OPEN).kind
    }
}
