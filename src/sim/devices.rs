//! The calls of [`Devices`] that are modelled: signals, urgent bytes, messages with descriptors,
//! regular files.
//!
//! Knows the test interface of [`Sim`], which has them all.

use super::handle::Sim;
use super::socket::Protocol;
use crate::errno::Errno;
use crate::kernel::{Device, Devices, Fd, Kernel, MessageFlag, Signal};

/// The devices of a simulated process ([`Sim::devices`]).
#[derive(Debug)]
pub struct SimDevices(Sim);

impl Sim {
    /// The calls that are not the reactor's, for the same process: use it beside this handle.
    /// Cost: O(1).
    #[must_use]
    pub fn devices(&self) -> SimDevices {
        SimDevices(self.alias())
    }
}

impl SimDevices {
    fn protocol(&self, socket: &Fd) -> Result<Protocol, Errno> {
        let found = self.0.with_file(socket, |files, file| {
            files.net.find_socket(file).map(|socket| socket.protocol())
        });
        found.ok_or(Errno::ENOTSOCK)
    }
}

impl Devices for SimDevices {
    fn raise(&mut self, signal: Signal) -> Result<(), Errno> {
        self.0.raise(signal);
        Ok(())
    }

    fn create(&mut self, device: Device, _: Option<&Fd>) -> Result<Fd, Errno> {
        match device {
            Device::Tmpfile => self.0.open_regular_file(),
            _ => Err(Errno::ENOSYS),
        }
    }

    /// Urgent bytes only. Of a Unix stream none is urgent when not all fit. Of TCP it is the last
    /// one that fits, which the peer may be told of before it comes: that is not modelled.
    ///
    /// Reference: net/ipv4/tcp.c: `tcp_sendmsg_locked`, `tcp_mark_urg`; net/unix/af_unix.c:
    /// `unix_stream_sendmsg`, `queue_oob`
    fn send_flag(&mut self, socket: &Fd, buf: &[u8], flag: MessageFlag) -> Result<usize, Errno> {
        let protocol = self.protocol(socket)?;
        let is_stream = matches!(protocol, Protocol::Tcp | Protocol::UnixStream);
        let (MessageFlag::OutOfBand, Some((urgent, before)), true) =
            (flag, buf.split_last(), is_stream)
        else {
            return Err(Errno::ENOSYS);
        };
        if before.is_empty() {
            return self.0.send_urgent(socket, *urgent).map(|()| 1);
        }
        let sent = self.0.send(socket, before)?;
        let is_sent = sent == before.len() && self.0.send_urgent(socket, *urgent).is_ok();
        match protocol {
            Protocol::Tcp if !is_sent => Err(Errno::ENOSYS),
            _ => Ok(sent + usize::from(is_sent)),
        }
    }

    /// The descriptor itself is not passed.
    fn send_rights(&mut self, socket: &Fd, buf: &[u8], _: &Fd) -> Result<usize, Errno> {
        match self.protocol(socket)? {
            Protocol::UnixStream => self.0.send_with_rights(socket, buf),
            _ => Err(Errno::ENOSYS),
        }
    }
}
