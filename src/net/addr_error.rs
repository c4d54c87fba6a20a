//! `AddrError`: why bytes or a text are no address.

use core::fmt;

/// Why bytes or a text are not an address.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddrError {
    /// An address or a path is empty.
    Empty,
    /// The bytes end before the address does.
    TooShort,
    /// A Unix name is longer than `sun_path`.
    TooLong,
    /// An unsupported address family, or not the requested one.
    Family(u16),
    /// A Unix path contains a NUL, at which the kernel would truncate it.
    NulInPath,
    /// A backslash that is not followed by `x` and two hexadecimal digits.
    Escape,
    /// Not an IP address. Host names are not resolved here.
    Host,
    /// The port is missing, or not a number up to 65535.
    Port,
    /// The scope after `%` is not a number. Interface names are not resolved here.
    Scope,
}

impl fmt::Display for AddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the address or path is empty",
            Self::TooShort => "the address is cut short",
            Self::TooLong => "the Unix socket name is too long",
            Self::Family(number) => return write!(f, "address family {number} does not fit here"),
            Self::NulInPath => "a Unix socket path cannot hold a NUL",
            Self::Escape => "a backslash must begin \\xNN",
            Self::Host => "the host is not an IP address (IPv6 goes in brackets)",
            Self::Port => "the port must be a number from 0 to 65535 after a colon",
            Self::Scope => "the scope after % must be a number",
        })
    }
}

impl core::error::Error for AddrError {}
