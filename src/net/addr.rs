//! `Addr`: a socket address, and its encoding as Linux uses it.
//!
//! The layouts of `sockaddr_in`, `sockaddr_in6` and `sockaddr_un` are written by hand, byte by
//! byte (`linux/layout.rs` checks them against libc's at compile time). It makes no system call
//! and uses no resolver: a host name is rejected, not resolved. `net/unix.rs` has the Unix names,
//! `net/parse.rs` the textual form.
//!
//! ```text
//!            0        2       4            8                          24        28
//! AF_INET    | family | port  | IPv4       | eight zeros              |16
//! AF_INET6   | family | port  | flowinfo   | IPv6                     | scope   |
//! AF_UNIX    | family | path, with a NUL if it fits  |  or  NUL, abstract name   | at most 110
//! ```
//!
//! Family and scope are in the machine's byte order; port, flowinfo and IP in the network's.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::addr_error::AddrError;
use super::unix::{SUN_PATH_BYTES, UnixAddr};

pub(crate) const AF_UNSPEC: u16 = 0;
pub(crate) const AF_UNIX: u16 = 1;
pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;

pub(crate) const SOCKADDR_IN_BYTES: usize = 16;
pub(crate) const SOCKADDR_IN6_BYTES: usize = 28;

/// A socket address.
///
/// Man page: ip(7), ipv6(7), unix(7)
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Addr {
    /// An IPv4 address and a port.
    V4(SocketAddrV4),
    /// An IPv6 address and a port, with flowinfo and scope.
    ///
    /// `flowinfo()` is a number: 1 is the flow label 1, whatever the machine's byte order.
    V6(SocketAddrV6),
    /// A Unix socket's name.
    Unix(UnixAddr),
    /// No address: `AF_UNSPEC`, or no bytes at all. `connect` to it removes the default peer.
    Unspecified,
}

/// An address family.
///
/// Man page: address_families(7)
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddressFamily {
    /// IPv4, `AF_INET`.
    Inet,
    /// IPv6, `AF_INET6`.
    Inet6,
    /// Sockets within the machine, `AF_UNIX`.
    Unix,
}

impl AddressFamily {
    /// The number used by socket(2) and in `sa_family`. Cost: O(1).
    ///
    /// ```
    /// # use epollite::net::AddressFamily;
    /// assert_eq!(AddressFamily::Inet.number(), 2);
    /// ```
    ///
    /// Man page: address_families(7)
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Inet => AF_INET,
            Self::Inet6 => AF_INET6,
            Self::Unix => AF_UNIX,
        }
    }
}

impl Addr {
    /// Decodes an address from bytes that come from the kernel, or are meant for it.
    ///
    /// Accepts any bytes of any length. No bytes are [`Addr::Unspecified`], as when `recvfrom`
    /// returns no sender. Bytes after an IP address are ignored, as in the kernel; a Unix path ends
    /// at the first NUL or at the end of the bytes. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Addr;
    /// let v4 = [2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    /// # if cfg!(target_endian = "little") {
    /// assert_eq!(Addr::decode(&v4)?, "127.0.0.1:80".parse()?);
    /// # }
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    ///
    /// # Errors
    /// * [`AddrError::TooShort`]: the family or its address is incomplete.
    /// * [`AddrError::TooLong`]: a Unix name longer than `sun_path`.
    /// * [`AddrError::Family`]: an unsupported family.
    ///
    /// Man page: ip(7), ipv6(7), unix(7)
    pub fn decode(bytes: &[u8]) -> Result<Self, AddrError> {
        if bytes.is_empty() {
            return Ok(Self::Unspecified);
        }
        let mut rest = bytes;
        match u16::from_ne_bytes(split_array(&mut rest)?) {
            AF_UNSPEC => Ok(Self::Unspecified),
            AF_UNIX => UnixAddr::from_sun_path(rest).map(Self::Unix),
            AF_INET => decode_v4(rest).map(Self::V4),
            AF_INET6 => decode_v6(rest).map(Self::V6),
            other => Err(AddrError::Family(other)),
        }
    }

    /// Encodes the address as the kernel expects it.
    ///
    /// [`Addr::decode`] returns the same address. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Addr;
    /// let addr: Addr = "[::1]:80".parse()?;
    /// assert_eq!(addr.encode().as_bytes().len(), 28);
    /// assert_eq!(addr.encode().decode()?, addr);
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn encode(&self) -> SockAddr {
        let mut out = SockAddr::EMPTY;
        match self {
            Self::V4(v4) => {
                out.push(&AF_INET.to_ne_bytes());
                out.push(&v4.port().to_be_bytes());
                out.push(&v4.ip().octets());
                out.push(&[0; 8]);
            }
            Self::V6(v6) => {
                out.push(&AF_INET6.to_ne_bytes());
                out.push(&v6.port().to_be_bytes());
                out.push(&v6.flowinfo().to_be_bytes());
                out.push(&v6.ip().octets());
                out.push(&v6.scope_id().to_ne_bytes());
            }
            Self::Unix(unix) => {
                out.push(&AF_UNIX.to_ne_bytes());
                out.push(unix.sun_path());
                if unix.as_path().is_some_and(|path| path.len() < SUN_PATH_BYTES) {
                    out.push(&[0]);
                }
            }
            Self::Unspecified => out.push(&AF_UNSPEC.to_ne_bytes()),
        }
        out
    }

    /// The same address with another port; a Unix name has no port and is returned unchanged.
    /// Cost: O(1).
    ///
    /// ```
    /// # use epollite::Addr;
    /// let addr: Addr = "127.0.0.1:0".parse()?;
    /// assert_eq!(addr.with_port(7).to_string(), "127.0.0.1:7");
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    #[must_use]
    pub const fn with_port(mut self, port: u16) -> Self {
        match &mut self {
            Self::V4(v4) => v4.set_port(port),
            Self::V6(v6) => v6.set_port(port),
            Self::Unix(_) | Self::Unspecified => {}
        }
        self
    }

    /// The address family; `None` for [`Addr::Unspecified`]. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Addr;
    /// # use epollite::net::AddressFamily;
    /// assert_eq!("unix:/run/echo".parse::<Addr>()?.family(), Some(AddressFamily::Unix));
    /// assert_eq!(Addr::Unspecified.family(), None);
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    #[must_use]
    pub const fn family(&self) -> Option<AddressFamily> {
        match self {
            Self::V4(_) => Some(AddressFamily::Inet),
            Self::V6(_) => Some(AddressFamily::Inet6),
            Self::Unix(_) => Some(AddressFamily::Unix),
            Self::Unspecified => None,
        }
    }

    /// The IP address, if it has one. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Addr;
    /// let addr: Addr = "127.0.0.1:7".parse()?;
    /// assert!(addr.ip().is_some_and(|ip| ip.is_loopback()));
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4(v4) => Some(IpAddr::V4(*v4.ip())),
            Self::V6(v6) => Some(IpAddr::V6(*v6.ip())),
            Self::Unix(_) | Self::Unspecified => None,
        }
    }

    /// The port, if it has one. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Addr;
    /// assert_eq!("127.0.0.1:7".parse::<Addr>()?.port(), Some(7));
    /// assert_eq!("unix:/run/echo".parse::<Addr>()?.port(), None);
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::V4(v4) => Some(v4.port()),
            Self::V6(v6) => Some(v6.port()),
            Self::Unix(_) | Self::Unspecified => None,
        }
    }
}

/// Splits a field of `N` bytes off the front.
fn split_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], AddrError> {
    let (field, after) = rest.split_first_chunk().ok_or(AddrError::TooShort)?;
    *rest = after;
    Ok(*field)
}

fn decode_v4(mut rest: &[u8]) -> Result<SocketAddrV4, AddrError> {
    let port = u16::from_be_bytes(split_array(&mut rest)?);
    let ip = Ipv4Addr::from(split_array::<4>(&mut rest)?);
    // Their content is ignored, but the kernel requires them.
    let _zeros: [u8; 8] = split_array(&mut rest)?;
    Ok(SocketAddrV4::new(ip, port))
}

fn decode_v6(mut rest: &[u8]) -> Result<SocketAddrV6, AddrError> {
    let port = u16::from_be_bytes(split_array(&mut rest)?);
    let flowinfo = u32::from_be_bytes(split_array(&mut rest)?);
    let ip = Ipv6Addr::from(split_array::<16>(&mut rest)?);
    let scope = u32::from_ne_bytes(split_array(&mut rest)?);
    Ok(SocketAddrV6::new(ip, port, flowinfo, scope))
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(v4) => Self::V4(v4),
            SocketAddr::V6(v6) => Self::V6(v6),
        }
    }
}

impl From<UnixAddr> for Addr {
    fn from(unix: UnixAddr) -> Self {
        Self::Unix(unix)
    }
}

#[cfg(feature = "std")]
impl From<&std::os::unix::net::SocketAddr> for Addr {
    fn from(addr: &std::os::unix::net::SocketAddr) -> Self {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;

        let unix = if let Some(path) = addr.as_pathname() {
            UnixAddr::path(path.as_os_str().as_bytes())
        } else if let Some(name) = addr.as_abstract_name() {
            UnixAddr::abstract_name(name)
        } else {
            Ok(UnixAddr::unnamed())
        };
        Self::Unix(unix.expect("std holds only names that the kernel accepts"))
    }
}

impl TryFrom<Addr> for SocketAddr {
    type Error = AddrError;

    fn try_from(addr: Addr) -> Result<Self, AddrError> {
        match addr {
            Addr::V4(v4) => Ok(Self::V4(v4)),
            Addr::V6(v6) => Ok(Self::V6(v6)),
            Addr::Unix(_) => Err(AddrError::Family(AF_UNIX)),
            Addr::Unspecified => Err(AddrError::Family(AF_UNSPEC)),
        }
    }
}

/// An encoded address as the kernel reads and writes it: a buffer and a length.
///
/// Size and alignment are those of C's `sockaddr_storage`, so every address fits, and so does the
/// kernel's encoding of a path that fills `sun_path`: with its NUL it is longer than `sockaddr_un`.
#[doc(alias = "sockaddr_storage")]
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct SockAddr {
    bytes: [u8; Self::CAPACITY],
    len: u32,
}

impl SockAddr {
    /// The size of the buffer.
    pub const CAPACITY: usize = Self::LEN_MAX as usize;
    /// The same as the kernel's type: the size of `sockaddr_storage`.
    pub const LEN_MAX: u32 = 128;

    /// An empty buffer, for a kernel to fill. It decodes to [`Addr::Unspecified`].
    pub const EMPTY: Self = Self { bytes: [0; Self::CAPACITY], len: 0 };

    /// The whole buffer, for a kernel to fill; then [`SockAddr::set_len`] must be called.
    /// Cost: O(1).
    #[doc(hidden)]
    pub const fn buffer_mut(&mut self) -> &mut [u8; Self::CAPACITY] {
        &mut self.bytes
    }

    /// Sets the length. A kernel reports the full length even if it did not fit: it is clamped.
    /// Cost: O(1).
    #[doc(hidden)]
    pub const fn set_len(&mut self, len: u32) {
        self.len = if len < Self::LEN_MAX { len } else { Self::LEN_MAX };
    }

    fn push(&mut self, field: &[u8]) {
        let rest = self.bytes.get_mut(self.len as usize..).unwrap_or_default();
        for (place, byte) in rest.iter_mut().zip(field) {
            *place = *byte;
        }
        let end = self.len.saturating_add(u32::try_from(field.len()).unwrap_or(u32::MAX));
        self.set_len(end);
    }

    /// The length, as system calls take it. Cost: O(1).
    #[doc(hidden)]
    #[must_use]
    pub const fn socklen(&self) -> u32 {
        self.len
    }

    /// Decodes the address. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Addr;
    /// # use epollite::net::SockAddr;
    /// assert_eq!(SockAddr::EMPTY.decode()?, Addr::Unspecified);
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Addr::decode`].
    pub fn decode(&self) -> Result<Addr, AddrError> {
        Addr::decode(self.as_bytes())
    }

    /// The port of an internet address, without decoding the rest. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Addr;
    /// let addr: Addr = "[::1]:80".parse()?;
    /// assert_eq!(addr.encode().port(), Some(80));
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    #[inline]
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        // Both families have it after the family itself, in network byte order.
        let [a, b, c, d, ..] = self.bytes;
        let len = self.len as usize;
        match u16::from_ne_bytes([a, b]) {
            AF_INET if len >= SOCKADDR_IN_BYTES => Some(u16::from_be_bytes([c, d])),
            AF_INET6 if len >= SOCKADDR_IN6_BYTES => Some(u16::from_be_bytes([c, d])),
            _ => None,
        }
    }

    /// The encoded bytes. Cost: O(1).
    ///
    /// ```
    /// # use epollite::Addr;
    /// # use epollite::net::UnixAddr;
    /// let name = Addr::from(UnixAddr::path(b"/a")?).encode();
    /// assert_eq!(name.as_bytes()[2..], *b"/a\0");
    /// # Ok::<(), epollite::net::AddrError>(())
    /// ```
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len as usize).unwrap_or_default()
    }
}

impl fmt::Debug for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SockAddr").field(&self.as_bytes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn v6(flowinfo: u32, scope: u32) -> Addr {
        Addr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 443, flowinfo, scope))
    }

    #[test]
    fn an_ipv4_address_is_16_bytes() {
        let addr = Addr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 0x1f90));
        let mut expected = [0, 0, 0x1f, 0x90, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0];
        expected[..2].copy_from_slice(&2_u16.to_ne_bytes());
        assert_eq!(addr.encode().as_bytes(), expected);
        assert_eq!(addr.encode().as_bytes().len(), SOCKADDR_IN_BYTES);
        assert_eq!(Addr::decode(&expected), Ok(addr));
    }

    #[test]
    fn an_ipv6_address_is_28_bytes() {
        let mut expected = Vec::from(10_u16.to_ne_bytes());
        expected.extend([0x01, 0xbb, 0, 0, 0x12, 0x34]);
        expected.extend([0; 15]);
        expected.push(1);
        expected.extend(2_u32.to_ne_bytes());
        assert_eq!(v6(0x1234, 2).encode().as_bytes(), expected);
        assert_eq!(expected.len(), SOCKADDR_IN6_BYTES);
        assert_eq!(Addr::decode(&expected), Ok(v6(0x1234, 2)));
    }

    #[test]
    fn no_address_is_the_family_zero_or_no_bytes() {
        assert_eq!(Addr::Unspecified.encode().as_bytes(), [0, 0]);
        assert_eq!(Addr::decode(&[]), Ok(Addr::Unspecified));
        assert_eq!(Addr::decode(&[0; 16]), Ok(Addr::Unspecified));
        assert_eq!(SockAddr::EMPTY.decode(), Ok(Addr::Unspecified));
    }

    #[test]
    fn a_truncated_address_is_rejected_at_every_length() {
        for whole in [Addr::from(SocketAddr::from(([127, 0, 0, 1], 80))), v6(0, 0)] {
            let encoded = whole.encode();
            let bytes = encoded.as_bytes();
            for len in 1..bytes.len() {
                assert_eq!(Addr::decode(&bytes[..len]), Err(AddrError::TooShort), "{len} bytes");
            }
        }
    }

    #[test]
    fn bytes_after_an_ip_address_are_ignored() {
        let mut bytes = Vec::from(v6(0, 0).encode().as_bytes());
        bytes.extend([0xff; 172]);
        assert_eq!(Addr::decode(&bytes), Ok(v6(0, 0)));
    }

    #[test]
    fn an_unsupported_family_is_reported() {
        assert_eq!(Addr::decode(&16_u16.to_ne_bytes()), Err(AddrError::Family(16)));
        assert_eq!(SocketAddr::try_from(Addr::Unspecified), Err(AddrError::Family(0)));
    }

    #[test]
    fn a_length_beyond_the_room_is_clamped() {
        let mut sockaddr = SockAddr::EMPTY;
        sockaddr.set_len(u32::MAX);
        assert_eq!(sockaddr.as_bytes().len(), SockAddr::CAPACITY);
    }

    #[test]
    fn accessors_match_each_variant() {
        let v4 = Addr::from(SocketAddr::from(([10, 0, 0, 1], 80))).with_port(81);
        assert_eq!((v4.family(), v4.port()), (Some(AddressFamily::Inet), Some(81)));
        assert_eq!(v4.ip(), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(v6(0, 0).with_port(1).port(), Some(1));
        assert_eq!(v6(0, 0).family().map(AddressFamily::number), Some(10));
        let unix = Addr::from(UnixAddr::unnamed());
        assert_eq!(
            (unix.family(), unix.port(), unix.ip()),
            (Some(AddressFamily::Unix), None, None)
        );
        assert_eq!(unix.with_port(80), unix);
        assert_eq!(Addr::Unspecified.family(), None);
    }
}
