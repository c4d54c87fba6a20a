//! The calls of [`Devices`] that are modelled: signals, urgent bytes, messages with descriptors,
//! regular files.
//!
//! Knows the test interface of [`Sim`], which has them all.

use super::handle::Sim;
use super::socket::Protocol;
use crate::errno::Errno;
use crate::kernel::{Devices, Fd, Kernel, MessageFlag, Signal};

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

    fn open_tmpfile(&mut self) -> Result<Fd, Errno> {
        self.0.open_regular_file()
    }

    /// Urgent bytes only.
    fn send_flag(&mut self, socket: &Fd, buf: &[u8], flag: MessageFlag) -> Result<usize, Errno> {
        let is_stream = matches!(self.protocol(socket)?, Protocol::Tcp | Protocol::UnixStream);
        match (flag, buf.split_last()) {
            (MessageFlag::OutOfBand, Some((urgent, before))) if is_stream => {
                if !before.is_empty() {
                    self.0.send(socket, before)?;
                }
                self.0.send_urgent(socket, *urgent)?;
                Ok(buf.len())
            }
            _ => Err(Errno::ENOSYS),
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
