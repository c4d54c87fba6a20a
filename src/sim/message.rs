//! Messages with an address, one at a time and many at once, on whatever socket.
//!
//! Knows no queue: those of streams are in `stream.rs`, those of datagrams in `datagram.rs`.

use super::stream::Far;
use super::world::{FileId, World};
use crate::addr::Addr;
use crate::batch::{Batch, DATAGRAMS_A_CALL_MAX as A_CALL_MAX};
use crate::errno::Errno;

impl World {
    /// Reads one message: how much of it there was, and who sent it. A stream says no names.
    pub(super) fn recv_message(
        &mut self,
        file: FileId,
        buf: &mut [u8],
    ) -> Result<(usize, Addr), Errno> {
        if self.find_stream(file).is_some() {
            return self.recv_stream(file, buf).map(|count| (count, Addr::Unspec));
        }
        self.recv_datagram(file, buf)
    }

    /// Sends one message, to `addr` if there is one.
    pub(super) fn send_message(
        &mut self,
        file: FileId,
        buf: &[u8],
        addr: Option<&Addr>,
    ) -> Result<usize, Errno> {
        match self.find_stream(file).map(|stream| (stream.is_unix(), stream.far)) {
            None => self.send_datagram(file, buf, addr),
            // A stream has one peer: TCP ignores the address, Unix minds it.
            Some((true, Far::Nobody)) if addr.is_some() => Err(Errno::EOPNOTSUPP),
            Some((true, _)) if addr.is_some() => Err(Errno::EISCONN),
            Some(_) => self.send_stream(file, buf),
        }
    }

    /// Reference: net/socket.c: `do_recvmmsg`
    pub(super) fn recvmmsg(&mut self, file: FileId, batch: &mut Batch) -> Result<usize, Errno> {
        let mut count = 0;
        for (bytes, header) in batch.room().take(A_CALL_MAX) {
            match self.recv_message(file, bytes) {
                Ok((len, from)) => {
                    header.addr = match from {
                        Addr::Unspec => crate::addr::SockAddr::EMPTY,
                        from => from.encode(),
                    };
                    header.truncated = len > bytes.len();
                    header.len_bytes = len.min(bytes.len());
                    count += 1;
                }
                Err(errno) if count == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        batch.filled(count);
        Ok(count)
    }

    /// Reference: net/socket.c: `__sys_sendmmsg`
    pub(super) fn sendmmsg(
        &mut self,
        file: FileId,
        batch: &Batch,
        first: usize,
    ) -> Result<usize, Errno> {
        let mut count = 0;
        for datagram in batch.iter().skip(first).take(A_CALL_MAX) {
            // What goes wrong behind the first one only ends the call: a signal, say.
            let odds = self.config.odds.interrupted;
            if count > 0 && self.chance.happens(odds) {
                break;
            }
            let addr = datagram.addr.decode().map_err(|_| Errno::EAFNOSUPPORT)?;
            let addr = Some(&addr).filter(|_| !datagram.addr.as_bytes().is_empty());
            match self.send_message(file, datagram.bytes, addr) {
                Ok(_) => count += 1,
                Err(errno) if count == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(count)
    }
}
