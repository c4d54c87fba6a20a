//! Unix sequenced packets: connected as a stream is, sent and received as datagrams are.
//!
//! Knows the rules of datagrams, and adds those of a connection. Connecting, shutting down and
//! closing are a stream's.

use super::file::{FileId, Result, err_if};
use super::net::Net;
use super::socket::State;
use crate::errno::Errno;
use crate::kernel::ReceivedDatagram;
use crate::net::Addr;

impl Net {
    /// Reference: net/unix/af_unix.c: `unix_seqpacket_sendmsg`
    pub(super) fn send_seqpacket(&mut self, file: FileId, buf: &[u8]) -> Result<usize> {
        let socket = self.socket(file);
        socket.error.take().map_or(Ok(()), Err)?;
        err_if(socket.state != State::Open, Errno::ENOTCONN)?;
        self.send_unix_datagram(file, buf, None)
    }

    /// Receives one message. An error comes before the messages, and the end after them.
    ///
    /// Reference: net/unix/af_unix.c: `unix_seqpacket_recvmsg`, `__unix_dgram_recvmsg`
    pub(super) fn recv_seqpacket(
        &mut self,
        file: FileId,
        buf: &mut [u8],
    ) -> Result<ReceivedDatagram> {
        let socket = self.socket(file);
        err_if(socket.state != State::Open, Errno::ENOTCONN)?;
        let has_ended = socket.read_shut;
        match self.recv_datagram(file, buf) {
            Err(Errno::EAGAIN) if has_ended => Ok(ReceivedDatagram {
                len_bytes: 0,
                segment_bytes: 0,
                from: Addr::Unspecified,
                packet_info: None,
            }),
            result => result,
        }
    }
}
