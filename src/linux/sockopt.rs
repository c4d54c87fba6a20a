//! setsockopt(2) and getsockopt(2): typed options to levels, numbers and bytes, and back.
//!
//! Knows the numbers of levels and names; everything else is in the table of `kernel/option.rs`.

use core::ptr::from_mut;

use super::result::check_ok;
use crate::errno::Errno;
use crate::kernel::{
    Fd, OptionBytes, SocketOption, SocketOptionName, TCP_INFO_BYTES, TcpInfo,
    for_each_socket_option,
};

macro_rules! define_numbers {
    ($($(#[$doc:meta])* $option:ident($ty:ty): $level:ident $name:ident, $codec:ident;)*) => {
        /// The numbers of the level and of the name of an option.
        #[cfg_attr(epl_staticlib, inline(always))]
        const fn level_and_name(name: SocketOptionName) -> (i32, i32) {
            match name {
                $(SocketOptionName::$option => (libc::$level, libc::$name),)*
            }
        }
    };
}
for_each_socket_option!(define_numbers);

/// The length of a value in C, and that of the struct that the kernel reads there.
const fn is_len_of<T>(name: SocketOptionName) -> bool {
    name.value_bytes() as usize == size_of::<T>()
}
const _: () = assert!(is_len_of::<libc::c_int>(SocketOptionName::ReuseAddr));
const _: () = assert!(is_len_of::<libc::linger>(SocketOptionName::LingerSeconds));
const _: () = assert!(is_len_of::<libc::ucred>(SocketOptionName::PeerCredentials));
const _: () = assert!(is_len_of::<[u8; libc::IFNAMSIZ]>(SocketOptionName::BindToDevice));
const _: () = assert!(is_len_of::<libc::in_addr>(SocketOptionName::MulticastInterfaceV4));
const _: () = assert!(is_len_of::<libc::ip_mreq>(SocketOptionName::JoinMulticastV4));
const _: () = assert!(is_len_of::<libc::ipv6_mreq>(SocketOptionName::JoinMulticastV6));

/// Inlined in the libraries for C, so that they have the numbers of the options that they set, and
/// not the tables.
#[cfg_attr(epl_staticlib, inline(always))]
pub(super) fn setsockopt(socket: &Fd, option: SocketOption) -> Result<(), Errno> {
    let (level, number) = level_and_name(option.name());
    set(socket, level, number, option.name().value_bytes(), &option.encode())
}

#[inline(never)]
fn set(
    socket: &Fd,
    level: i32,
    number: i32,
    len: libc::socklen_t,
    value: &OptionBytes,
) -> Result<(), Errno> {
    let value = value.as_ptr().cast();
    // SAFETY: setsockopt(2) reads `len` bytes at `value`, an array of at least as many that lives
    // until the call returns, and keeps no pointer.
    check_ok(unsafe { libc::setsockopt(socket.raw(), level, number, value, len) })
}

pub(super) fn getsockopt(socket: &Fd, name: SocketOptionName) -> Result<SocketOption, Errno> {
    let (level, number) = level_and_name(name);
    let (mut value, mut len) = (OptionBytes::default(), name.value_bytes());
    let (into, len) = (from_mut(&mut value).cast(), from_mut(&mut len));
    // SAFETY: getsockopt(2) writes at most `*len` bytes at `into`, an array of at least as many,
    // and one number at `len`; both live until the call returns, and it keeps no pointer.
    check_ok(unsafe { libc::getsockopt(socket.raw(), level, number, into, len) })?;
    name.decode(value).ok_or(Errno::ENOPROTOOPT)
}

pub(super) fn getsockopt_tcp_info(socket: &Fd) -> Result<TcpInfo, Errno> {
    let mut value = [0_u8; TCP_INFO_BYTES];
    let mut len = libc::socklen_t::try_from(TCP_INFO_BYTES).unwrap_or(0);
    let (into, len_at) = (value.as_mut_ptr().cast(), from_mut(&mut len));
    // SAFETY: getsockopt(2) writes at most `len` bytes at `into`, an array of as many, and one
    // number at `len_at`; both live until the call returns, and it keeps no pointer.
    check_ok(unsafe {
        libc::getsockopt(socket.raw(), libc::SOL_TCP, libc::TCP_INFO, into, len_at)
    })?;
    let written = value.get(..len as usize).unwrap_or(&value);
    TcpInfo::decode(written).ok_or(Errno::ENOPROTOOPT)
}
