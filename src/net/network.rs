//! `Network`: the addresses with a common prefix, `10.0.0.0/8`.
//!
//! Knows numbers and texts. It resolves nothing.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// A network of IPv4 or IPv6 addresses, in the notation of CIDR.
///
/// A peer that reaches a socket of both families over IPv4 has a mapped address there,
/// `::ffff:10.0.0.1`. That is an IPv4 address here, and `::ffff:10.0.0.0/104` the same network as
/// `10.0.0.0/8`. A network of IPv6 contains no IPv4 address: not even `::/0` does.
///
/// ```
/// # use epollite::net::{Network, NetworkError};
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse().unwrap()));
/// assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
/// assert!(!network.contains("11.0.0.0".parse().unwrap()));
/// assert_eq!("10.1.2.3".parse::<Network>()?.to_string(), "10.1.2.3/32");
/// assert_eq!("10.0.0.1/8".parse::<Network>(), Err(NetworkError::HostBits));
/// # Ok::<(), NetworkError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network {
    /// Its first address.
    address: IpAddr,
    prefix_bits: u8,
}

/// Why a text is not a network.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NetworkError {
    /// Not an IP address before the slash.
    Address,
    /// Not a number after the slash, or one of more bits than an address has.
    Prefix,
    /// Bits are set after the prefix: it is not known whether the address or the prefix is wrong.
    HostBits,
}

/// Bits of the prefix of mapped addresses, `::ffff:0:0/96`.
const MAPPED_BITS: u8 = 96;

impl Network {
    /// The network whose first address is `address`. A mapped one becomes IPv4. Cost: O(1).
    ///
    /// # Errors
    /// * [`NetworkError::Prefix`]: `prefix_bits` is more than an address has.
    /// * [`NetworkError::HostBits`]: `address` is not the first of the network.
    pub fn new(address: IpAddr, prefix_bits: u8) -> Result<Self, NetworkError> {
        let (address, prefix_bits) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), v4 @ IpAddr::V4(_)) if prefix_bits >= MAPPED_BITS => {
                (v4, prefix_bits - MAPPED_BITS)
            }
            _ => (address, prefix_bits),
        };
        if prefix_bits > bits_of(address) {
            return Err(NetworkError::Prefix);
        }
        if masked(address, prefix_bits) != number(address) {
            return Err(NetworkError::HostBits);
        }
        Ok(Self { address, prefix_bits })
    }

    /// Whether the network contains an address. Cost: O(1).
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && masked(address, self.prefix_bits) == number(self.address)
    }

    /// Its first address. Cost: O(1).
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses have in common. Cost: O(1).
    #[must_use]
    pub const fn prefix_bits(&self) -> u8 {
        self.prefix_bits
    }
}

const fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Its bits, in the low end of the number.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

/// The number without the bits after the prefix.
fn masked(address: IpAddr, prefix_bits: u8) -> u128 {
    let host_bits = u32::from(bits_of(address).saturating_sub(prefix_bits));
    let ones = u128::MAX.checked_shl(host_bits).unwrap_or(0);
    number(address) & ones
}

impl FromStr for Network {
    type Err = NetworkError;

    /// An address alone is a network of one.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = match address.parse::<Ipv4Addr>() {
            Ok(v4) => v4.into(),
            Err(_) => address.parse::<Ipv6Addr>().map_err(|_| NetworkError::Address)?.into(),
        };
        let prefix_bits = match prefix {
            None => bits_of(address),
            // Digits only: `parse` alone would accept a plus sign.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| NetworkError::Prefix)?
            }
            Some(_) => return Err(NetworkError::Prefix),
        };
        Self::new(address, prefix_bits)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "not an IP address",
            Self::Prefix => "the prefix must be a number from 0 to 32 (IPv4) or 128 (IPv6)",
            Self::HostBits => "bits are set after the prefix",
        })
    }
}

impl core::error::Error for NetworkError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_contains_what_shares_its_prefix() {
        for (text, inside, outside) in [
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.168.1.128/25", "192.168.1.255", "192.168.1.127"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1/32", "::ffff:127.0.0.1", "::ffff:127.0.0.2"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "::ffff:11.0.0.0"),
            ("::ffff:0:0/96", "8.8.8.8", "::8.8.8.8"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("::/0", "::1", "::ffff:10.0.0.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8:0:1::/64", "2001:db8:0:1:ffff::", "2001:db8:0:2::"),
            ("::1", "::1", "::2"),
            ("::1/128", "::1", "::"),
        ] {
            let network = network(text);
            assert!(network.contains(inside.parse().unwrap()), "{text} without {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{text} with {outside}");
            assert_eq!(network.to_string().parse(), Ok(network), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_network_is_said_to_be_none() {
        for (text, error) in [
            ("", NetworkError::Address),
            ("/8", NetworkError::Address),
            ("localhost", NetworkError::Address),
            ("10.0.0/8", NetworkError::Address),
            ("10.0.0.0.0/8", NetworkError::Address),
            ("[::1]", NetworkError::Address),
            ("fe80::1%2", NetworkError::Address),
            ("10.0.0.0/", NetworkError::Prefix),
            ("10.0.0.0/33", NetworkError::Prefix),
            ("10.0.0.0/+8", NetworkError::Prefix),
            ("10.0.0.0/-1", NetworkError::Prefix),
            ("10.0.0.0/8/8", NetworkError::Prefix),
            ("10.0.0.0/256", NetworkError::Prefix),
            ("::/129", NetworkError::Prefix),
            ("10.0.0.1/8", NetworkError::HostBits),
            ("10.128.0.0/8", NetworkError::HostBits),
            ("::1/127", NetworkError::HostBits),
            ("::ffff:10.0.0.1/104", NetworkError::HostBits),
            ("::ffff:10.0.0.0/80", NetworkError::HostBits),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text:?}");
        }
        assert_eq!(network("::ffff:10.0.0.0/104"), network("10.0.0.0/8"));
    }
}
