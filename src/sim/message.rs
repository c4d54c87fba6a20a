//! Many messages in one call, on whatever socket.
//!
//! Knows batches.

use super::world::{FileId, Result, World};
use crate::addr::{Addr, SockAddr};
use crate::batch::{Batch, DATAGRAMS_A_CALL_MAX as A_CALL_MAX};
use crate::errno::Errno;
use crate::kernel::Message;

impl World {
    /// Reference: net/socket.c: `do_recvmmsg`
    pub(super) fn recvmmsg(&mut self, file: FileId, batch: &mut Batch) -> Result<usize> {
        let mut count = 0;
        let has_packet_info = batch.has_packet_info();
        for (bytes, header) in batch.room().take(A_CALL_MAX) {
            match self.recvmsg(file, bytes) {
                Ok(Message { len_bytes: len, from, packet_info }) => {
                    header.packet_info = packet_info.filter(|_| has_packet_info);
                    header.addr = match from {
                        Addr::Unspec => SockAddr::EMPTY,
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
    pub(super) fn sendmmsg(&mut self, file: FileId, batch: &Batch, first: usize) -> Result<usize> {
        let mut count = 0;
        for datagram in batch.iter().skip(first).take(A_CALL_MAX) {
            // What goes wrong behind the first one only ends the call: a signal, say.
            let odds = self.config.odds.interrupted;
            if count > 0 && self.chance.happens(odds) {
                break;
            }
            let addr = datagram.addr.decode().map_err(|_| Errno::EAFNOSUPPORT)?;
            let addr = Some(&addr).filter(|_| !datagram.addr.as_bytes().is_empty());
            match self.sendmsg(file, datagram.bytes, addr, datagram.packet_info) {
                Ok(_) => count += 1,
                Err(errno) if count == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(count)
    }
}
