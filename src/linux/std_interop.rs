//! With `std`: conversions between descriptors of the standard library and [`Fd`].
//!
//! Only real descriptors convert back: one of a simulated kernel is invalid outside it.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use crate::kernel::Fd;

const SIMULATED_FD: &str = "a descriptor of a simulated kernel is invalid outside it";

/// Takes ownership of it. It should be non-blocking: a reactor that drains a blocking one hangs.
impl From<OwnedFd> for Fd {
    fn from(owned: OwnedFd) -> Self {
        Self::from_raw(owned.into_raw_fd())
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
