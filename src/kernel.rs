//! The syscall layer: everything this crate needs of an operating system, one method per system
//! call.
//!
//! Knows the primitive types below it and nothing above: no reactor, no policy. A kernel returns
//! every result, `EINTR` and `EAGAIN` included; the layer above decides how to handle them.

mod arguments;
mod call_error;
mod close;
mod credentials;
mod datagram;
pub(crate) mod decision;
#[cfg(feature = "alloc")]
mod devices;
mod epoll;
pub(crate) mod fd;
mod forward;
mod hook;
mod itself;
#[expect(clippy::module_inception, reason = "a type is in the file of its name")]
pub(crate) mod kernel;
mod make_nonblocking;
mod maybe_blocking_fd;
mod message;
mod option;
mod received_datagram;
mod signal;
mod syscall;
mod tcp_info;

pub use arguments::{Resource, Rlimit, Shutdown, SocketType};
pub use call_error::CallError;
pub use close::close_quietly;
pub use credentials::Credentials;
#[cfg(feature = "alloc")]
pub(crate) use datagram::{is_source_unusable, is_unavailable};
pub use datagram::{recv_datagram, reply_datagram};
pub use decision::{ConnectionDecision, Decision, ListenerDecision, StopReason};
#[cfg(feature = "alloc")]
pub use devices::{
    Access, BadAddress, ChildProcess, ChildRole, Device, DeviceOption, Devices, ExtendedError,
    IoctlRequest, MessageFlag,
};
pub use epoll::{EpollEvent, EpollOp};
pub(crate) use fd::Fd;
pub use hook::{Hooked, SyscallHook};
pub use itself::is_connected_to_itself;
pub(crate) use kernel::Kernel;
pub use maybe_blocking_fd::MaybeBlockingFd;
pub(crate) use message::CONTROL_BYTES;
pub use message::{
    Descriptors, ErrorOrigin, IOVECS_MAX, OutgoingMessage, RECEIVED_DESCRIPTORS_MAX, ReceiveMode,
    ReceivedMessage, SENT_DESCRIPTORS_MAX, SocketError,
};
pub use option::{MembershipV4, MembershipV6, ShortName, SocketOption, SocketOptionName};
pub(crate) use option::{OptionBytes, for_each_socket_option};
pub use received_datagram::ReceivedDatagram;
pub use signal::{SIGINFO_BYTES, Signal, SignalSet};
pub use syscall::Syscall;
pub(crate) use syscall::for_each_syscall;
pub(crate) use tcp_info::TCP_INFO_BYTES;
pub use tcp_info::{TcpInfo, TcpState};
