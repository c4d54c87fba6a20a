//! Control messages: the encoding of a [`PacketInfo`] in recvmsg(2) and sendmsg(2).
//!
//! Knows two layouts, written by hand and compared with libc's at compile time:
//!
//! ```text
//!      0          8        12       16
//!      | cmsg_len | level  | type   | struct in_pktinfo, 12 bytes, or in6_pktinfo, 20
//! ```

use core::mem::offset_of;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::PacketInfo;

/// Size of one control message of either kind, or of both, each with its padding.
pub(super) const CONTROL_BYTES: usize = 2 * ENTRY_BYTES_MAX;

/// A header and the longer of the two, padded.
const ENTRY_BYTES_MAX: usize = (HEADER_BYTES + V6_BYTES).next_multiple_of(ALIGN_BYTES);

const ALIGN_BYTES: usize = align_of::<libc::cmsghdr>();
const HEADER_BYTES: usize = size_of::<libc::cmsghdr>();
const V4_BYTES: usize = size_of::<libc::in_pktinfo>();
const V6_BYTES: usize = size_of::<libc::in6_pktinfo>();

const LEVEL_OFFSET: usize = offset_of!(libc::cmsghdr, cmsg_level);
const TYPE_OFFSET: usize = offset_of!(libc::cmsghdr, cmsg_type);

// `ifindex, spec_dst, addr`, and `addr, ifindex`: four bytes each, an IPv6 address sixteen.
const _: () = {
    assert!(V4_BYTES == 12 && V6_BYTES == 20);
    assert!(offset_of!(libc::in_pktinfo, ipi_ifindex) == 0);
    assert!(offset_of!(libc::in_pktinfo, ipi_spec_dst) == 4);
    assert!(offset_of!(libc::in6_pktinfo, ipi6_addr) == 0);
    assert!(offset_of!(libc::in6_pktinfo, ipi6_ifindex) == 16);
    assert!(offset_of!(libc::cmsghdr, cmsg_len) == 0);
    assert!(align_of::<Control>() >= ALIGN_BYTES);
};

/// A buffer for control messages, aligned as the kernel requires.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(super) struct Control(pub(super) [u8; CONTROL_BYTES]);

impl Control {
    pub(super) const EMPTY: Self = Self([0; CONTROL_BYTES]);

    /// The control message that sends from `info`, and its length.
    pub(super) fn from_packet_info(info: PacketInfo) -> (Self, usize) {
        let mut control = Self::EMPTY;
        let interface = info.interface.to_ne_bytes();
        let data = &mut control.0[HEADER_BYTES..];
        let (level, kind, len) = match info.addr {
            IpAddr::V4(ip) => {
                data[..4].copy_from_slice(&interface);
                data[4..8].copy_from_slice(&ip.octets());
                (libc::IPPROTO_IP, libc::IP_PKTINFO, V4_BYTES)
            }
            IpAddr::V6(ip) => {
                data[..16].copy_from_slice(&ip.octets());
                data[16..20].copy_from_slice(&interface);
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, V6_BYTES)
            }
        };
        let len = HEADER_BYTES + len;
        control.0[..LEVEL_OFFSET].copy_from_slice(&len.to_ne_bytes()[..LEVEL_OFFSET]);
        control.0[LEVEL_OFFSET..TYPE_OFFSET].copy_from_slice(&level.to_ne_bytes());
        control.0[TYPE_OFFSET..HEADER_BYTES].copy_from_slice(&kind.to_ne_bytes());
        (control, len.next_multiple_of(ALIGN_BYTES))
    }

    /// The [`PacketInfo`] that a call wrote into this buffer, which was zeroed before.
    pub(super) fn packet_info(&self) -> Option<PacketInfo> {
        find(&self.0)
    }
}

/// The first [`PacketInfo`] among control messages; zeros mark their end.
fn find(mut bytes: &[u8]) -> Option<PacketInfo> {
    while let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) {
        let len = usize::from_ne_bytes(*header.first_chunk()?);
        let data = rest.get(..len.checked_sub(HEADER_BYTES)?)?;
        let level = i32::from_ne_bytes(*header[LEVEL_OFFSET..].first_chunk()?);
        let kind = i32::from_ne_bytes(*header[TYPE_OFFSET..].first_chunk()?);
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let interface = u32::from_ne_bytes(*data.first_chunk()?);
                let ip: [u8; 4] = *data.get(4..)?.first_chunk()?;
                return Some(PacketInfo { addr: Ipv4Addr::from(ip).into(), interface });
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let ip: [u8; 16] = *data.first_chunk()?;
                let interface = u32::from_ne_bytes(*data.get(16..)?.first_chunk()?);
                return Some(PacketInfo { addr: Ipv6Addr::from(ip).into(), interface });
            }
            _ => bytes = bytes.get(len.next_multiple_of(ALIGN_BYTES)..)?,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_info_reads_back_from_its_control_message() {
        for addr in ["127.0.0.2", "255.255.255.255", "::1", "fe80::1", "::ffff:10.1.2.3"] {
            let info = PacketInfo { addr: addr.parse().unwrap(), interface: 0x0102_0304 };
            let (control, len) = Control::from_packet_info(info);
            assert_eq!(find(&control.0[..len]), Some(info), "{addr}");
        }
    }

    #[test]
    fn a_control_message_of_another_kind_is_passed_over() {
        let info = PacketInfo { addr: "127.0.0.2".parse().unwrap(), interface: 1 };
        let (control, len) = Control::from_packet_info(info);
        let mut other = control.0[..len].to_vec();
        other[LEVEL_OFFSET] = other[LEVEL_OFFSET].wrapping_add(77);
        other.extend_from_slice(&control.0[..len]);
        assert_eq!(find(&other), Some(info));
    }

    #[test]
    fn control_messages_cut_short_or_out_of_bounds_are_none() {
        let info = PacketInfo { addr: "::1".parse().unwrap(), interface: 1 };
        let (control, len) = Control::from_packet_info(info);
        for cut in 0..HEADER_BYTES + V6_BYTES {
            assert_eq!(find(&control.0[..cut]), None, "{cut} bytes");
        }
        for lie in [0usize, 1, HEADER_BYTES - 1, 41, usize::MAX] {
            let mut bytes = control.0[..len].to_vec();
            bytes[..size_of::<usize>()].copy_from_slice(&lie.to_ne_bytes());
            assert_eq!(find(&bytes), None, "a length of {lie}");
        }
    }
}
