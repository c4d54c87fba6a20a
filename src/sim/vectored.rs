//! Several buffers in one call, and messages with descriptors.
//!
//! Knows every kind of file, and that a call with several buffers does what it does with one.
//! Credentials are accepted and not passed, timestamps and error queues are not modelled.

use alloc::vec;
use alloc::vec::Vec;
use core::mem;

use super::file::{FileId, Result, err_if};
use super::file_table::{FileKind, FileTable};
use super::net::Net;
use super::socket::{Protocol, State};
use crate::errno::Errno;
use crate::kernel::{
    IOVECS_MAX, OutgoingMessage, RECEIVED_DESCRIPTORS_MAX, ReceiveMode, ReceivedDatagram,
    ReceivedMessage,
};
use crate::net::Addr;

impl FileTable {
    /// Reference: fs/read_write.c: `vfs_readv`, which asks no file for nothing
    pub(super) fn readv(&mut self, file: FileId, bufs: &mut [&mut [u8]]) -> Result<usize> {
        let count = bufs.len().min(IOVECS_MAX);
        let bufs = &mut bufs[..count];
        let room = bufs.iter().map(|buf| buf.len()).sum();
        if room == 0 {
            return match self.kind(file) {
                FileKind::Epoll => Err(Errno::EINVAL),
                FileKind::Pipe(end) => end.pipe_to_read().map(|_| 0),
                _ => Ok(0),
            };
        }
        let mut bytes = vec![0; room];
        let count = self.read(file, &mut bytes)?;
        scatter(&bytes[..count], bufs);
        Ok(count)
    }

    /// An eventfd is written buffer by buffer, others in one piece.
    ///
    /// Reference: fs/read_write.c: `vfs_writev`, `do_loop_readv_writev`
    pub(super) fn writev(&mut self, file: FileId, bufs: &[&[u8]]) -> Result<usize> {
        let bufs = &bufs[..bufs.len().min(IOVECS_MAX)];
        let bytes = bufs.concat();
        match self.kind(file) {
            FileKind::Epoll | FileKind::SignalFd(_) => return Err(Errno::EINVAL),
            FileKind::Pipe(end) if bytes.is_empty() => return end.pipe_to_write().map(|_| 0),
            FileKind::EventFd(_) => {}
            _ if bytes.is_empty() => return Ok(0),
            _ => return self.write(file, &bytes),
        }
        let mut written = 0;
        for buf in bufs.iter().filter(|_| !bytes.is_empty()) {
            match self.write(file, buf) {
                Ok(count) => written += count,
                Err(errno) if written == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(written)
    }

    /// Sends one message. A descriptor keeps its file open until the message is received or
    /// dropped.
    ///
    /// Reference: net/unix/af_unix.c: `unix_stream_sendmsg`, net/core/scm.c: `__scm_send`
    pub(super) fn send_message(
        &mut self,
        process: usize,
        file: FileId,
        message: &OutgoingMessage<'_>,
    ) -> Result<usize> {
        message.check()?;
        let passed = message.descriptors.iter().map(|fd| self.file(process, fd));
        let passed: Vec<FileId> = passed.collect();
        let net = &mut self.net;
        net.find_socket(file).ok_or(Errno::ENOTSOCK)?;
        net.maybe_eintr()?;
        let OutgoingMessage { to, packet_info, segment_bytes, .. } = *message;
        net.has_sent_rights |= !passed.is_empty();
        net.rights_to_send = Some(passed).filter(|passed| !passed.is_empty());
        let sent = net.sendmsg(file, &message.bufs.concat(), to, packet_info, segment_bytes);
        net.rights_to_send = None;
        sent
    }

    /// Receives one message. What does not fit the process' limit is dropped.
    ///
    /// Reference: net/core/scm.c: `scm_detach_fds`
    pub(super) fn recv_message(
        &mut self,
        process: usize,
        file: FileId,
        bufs: &mut [&mut [u8]],
        mode: ReceiveMode,
    ) -> Result<ReceivedMessage> {
        err_if(bufs.len() > IOVECS_MAX, Errno::EMSGSIZE)?;
        let room = bufs.iter().map(|buf| buf.len()).sum();
        let net = &mut self.net;
        let socket = net.find_socket(file).ok_or(Errno::ENOTSOCK)?;
        let (protocol, is_unix) = (socket.protocol(), socket.is_unix());
        net.maybe_eintr()?;
        // Nothing is ever in the error queue; a Unix socket has none and ignores the flag.
        err_if(mode == ReceiveMode::ErrorQueue && !is_unix, Errno::EAGAIN)?;
        net.rights_received.clear();
        let mut bytes = vec![0; room];
        let ReceivedDatagram { len_bytes, segment_bytes, from, packet_info } =
            if mode == ReceiveMode::Peek {
                net.peek(file, &mut bytes)?
            } else {
                net.recvmsg(file, &mut bytes)?
            };
        let mut message = ReceivedMessage::new(len_bytes.min(room));
        scatter(&bytes[..message.len_bytes], bufs);
        (message.from, message.segment_bytes) = (from, segment_bytes);
        message.packet_info = packet_info;
        let is_stream = matches!(protocol, Protocol::Tcp | Protocol::UnixStream);
        message.is_truncated = !is_stream && len_bytes > room;
        for (index, passed) in mem::take(&mut self.net.rights_received).into_iter().enumerate() {
            match self.install_passed(process, passed) {
                Ok(fd) if index < RECEIVED_DESCRIPTORS_MAX => message.descriptors.push(fd),
                Ok(_) => unreachable!("fewer are sent with a message"),
                Err(_) => {
                    message.is_control_truncated = true;
                    break;
                }
            }
        }
        Ok(message)
    }
}

impl Net {
    /// As [`peek`](Self::peek), without what comes beside the bytes.
    pub(super) fn peek_bytes(&mut self, file: FileId, buf: &mut [u8]) -> Result<usize> {
        self.rights_received.clear();
        let received = self.peek(file, buf);
        self.rights_received.clear();
        received.map(|received| received.len_bytes.min(buf.len()))
    }

    /// As [`recvmsg`](Self::recvmsg), and everything stays as it is. Not modelled while an urgent
    /// byte is unread.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_recvmsg_locked`, net/unix/af_unix.c:
    /// `unix_stream_read_generic`, `__unix_dgram_recvmsg`
    fn peek(&mut self, file: FileId, buf: &mut [u8]) -> Result<ReceivedDatagram> {
        let socket = self.socket(file);
        let protocol = socket.protocol();
        let is_stream = matches!(protocol, Protocol::Tcp | Protocol::UnixStream);
        let is_urgent = socket.packets.iter().any(|packet| packet.is_urgent);
        err_if(is_urgent || socket.tcp.urgent_at.is_some(), Errno::ENOSYS)?;
        let is_empty = socket.packets.is_empty() && socket.tcp.recv_queue.is_empty();
        if is_empty || is_stream && (socket.state != State::Open && protocol != Protocol::Tcp) {
            // Then there is nothing to be left, and an error is taken by a peek, too.
            return self.recvmsg(file, buf);
        }
        let mut len = 0;
        if protocol == Protocol::Tcp {
            let bytes = socket.tcp.recv_queue.iter();
            len = buf.iter_mut().zip(bytes).map(|(slot, &byte)| *slot = byte).count();
            return Ok(of_stream(len));
        }
        if !is_stream {
            socket.error.take().map_or(Ok(()), Err)?;
        }
        let mut rights = Vec::new();
        let options = socket.options.clone();
        let mut received = of_stream(0);
        for packet in &socket.packets {
            let bytes = packet.bytes.iter();
            len += buf[len..].iter_mut().zip(bytes).map(|(slot, &byte)| *slot = byte).count();
            rights.extend_from_slice(&packet.rights);
            if !is_stream {
                received = ReceivedDatagram {
                    len_bytes: packet.bytes.len(),
                    segment_bytes: 0,
                    from: packet.from,
                    packet_info: packet.to.and_then(|to| options.packet_info(to)),
                };
                break;
            }
            if packet.has_rights || len == buf.len() {
                break;
            }
        }
        self.rights_received = rights;
        Ok(if is_stream { of_stream(len) } else { received })
    }
}

const fn of_stream(len_bytes: usize) -> ReceivedDatagram {
    ReceivedDatagram { len_bytes, segment_bytes: 0, from: Addr::Unspecified, packet_info: None }
}

/// Distributes bytes over buffers, one after the other.
fn scatter(mut bytes: &[u8], bufs: &mut [&mut [u8]]) {
    for buf in bufs {
        let (here, later) = bytes.split_at(bytes.len().min(buf.len()));
        buf[..here.len()].copy_from_slice(here);
        bytes = later;
    }
}
