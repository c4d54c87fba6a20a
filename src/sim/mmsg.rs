//! Many messages in one call, on any socket.
//!
//! Knows batches.

use super::file::{FileId, Result};
use super::net::Net;
use crate::errno::Errno;
use crate::kernel::ReceivedDatagram;
use crate::net::{Addr, BATCH_MAX, Datagram, DatagramBatch, SockAddr};

impl Net {
    /// Reference: net/socket.c: `do_recvmmsg`
    pub(super) fn recvmmsg(&mut self, file: FileId, batch: &mut DatagramBatch) -> Result<usize> {
        let mut count = 0;
        let has_control_messages = batch.has_control_messages();
        for (bytes, header) in batch.recv_slots().take(BATCH_MAX) {
            match self.recvmsg(file, bytes) {
                Ok(ReceivedDatagram { len_bytes: len, segment_bytes, from, packet_info }) => {
                    header.packet_info = packet_info.filter(|_| has_control_messages);
                    header.segment_bytes = if has_control_messages { segment_bytes } else { 0 };
                    header.addr = match from {
                        Addr::Unspecified => SockAddr::EMPTY,
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
        batch.set_len(count);
        Ok(count)
    }

    /// Reference: net/socket.c: `__sys_sendmmsg`
    pub(super) fn sendmmsg(
        &mut self,
        file: FileId,
        batch: &DatagramBatch,
        first: usize,
    ) -> Result<usize> {
        let mut count = 0;
        for datagram in batch.iter().skip(first).take(BATCH_MAX) {
            // An error after the first message only ends the call: a signal, for example.
            let probability = self.config.probabilities.interrupted;
            if count > 0 && self.entropy.chance(probability) {
                break;
            }
            let addr = datagram.addr.decode().map_err(|_| Errno::EAFNOSUPPORT)?;
            let addr = Some(&addr).filter(|_| !datagram.addr.as_bytes().is_empty());
            let Datagram { bytes, packet_info, segment_bytes, .. } = datagram;
            match self.sendmsg(file, bytes, addr, packet_info, segment_bytes) {
                Ok(_) => count += 1,
                Err(errno) if count == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(count)
    }
}
