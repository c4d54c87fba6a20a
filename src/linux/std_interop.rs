//! With `std`: conversions between descriptors of the standard library and [`Fd`].
//!
//! Only real descriptors convert back: one of a simulated kernel is invalid outside it.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use super::Linux;
use super::file::set_nonblocking;
use crate::kernel::{Fd, MaybeBlockingFd};

const SIMULATED_FD: &str = "a descriptor of a simulated kernel is invalid outside it";

/// Takes ownership of it, and makes it non-blocking: a reactor that drained a blocking one would
/// hang. Cost: one system call, two if it was blocking.
///
/// That is a property of the open file, not of the descriptor: duplicates of it, in this process
/// and in others, are non-blocking from then on, too. Think of it where it is standard input or
/// output.
///
/// Man page: fcntl(2), `O_NONBLOCK`
impl From<OwnedFd> for Fd {
    fn from(owned: OwnedFd) -> Self {
        let fd = Linux::from_owned_fd(owned).into_fd_as_is();
        // Cannot fail: the descriptor is open, and the flags are those that it has.
        let _ = set_nonblocking(&fd);
        fd
    }
}

impl Linux {
    /// Takes ownership of a descriptor as it is: a blocking one stays blocking, and cannot be
    /// registered yet. `Fd::from` makes it non-blocking. Cost: O(1), no system call.
    pub fn from_owned_fd(owned: OwnedFd) -> MaybeBlockingFd {
        Fd::from_raw(owned.into_raw_fd()).into()
    }
}

/// Transfers it to the standard library, which will close it.
///
/// # Panics
/// It belongs to a simulated kernel.
impl From<Fd> for OwnedFd {
    fn from(fd: Fd) -> Self {
        assert!(!fd.is_simulated(), "{SIMULATED_FD}");
        // SAFETY: from_raw_fd touches no memory; the descriptor is open, since an `Fd` owns it,
        // and that owner ends here.
        unsafe { Self::from_raw_fd(fd.raw()) }
    }
}

/// As it is: blocking, if it was.
///
/// # Panics
/// It belongs to a simulated kernel.
impl From<MaybeBlockingFd> for OwnedFd {
    fn from(fd: MaybeBlockingFd) -> Self {
        fd.into_fd_as_is().into()
    }
}

/// # Panics
/// It belongs to a simulated kernel.
impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        assert!(!self.is_simulated(), "{SIMULATED_FD}");
        // SAFETY: borrow_raw touches no memory; the descriptor stays open while `self` is
        // borrowed, since only its owner can close it.
        unsafe { BorrowedFd::borrow_raw(self.raw()) }
    }
}

/// # Panics
/// It belongs to a simulated kernel.
impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

macro_rules! from_sockets {
    ($($socket:ty),*) => {
        $(impl From<$socket> for Fd {
            fn from(socket: $socket) -> Self {
                OwnedFd::from(socket).into()
            }
        })*
    };
}
from_sockets!(TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream, UnixDatagram);
