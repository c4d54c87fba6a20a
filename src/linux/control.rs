//! Control messages: the encoding of a [`PacketInfo`] and of the length of segments in recvmsg(2)
//! and sendmsg(2).
//!
//! Knows the layouts, written by hand and compared with libc's at compile time:
//!
//! ```text
//!      0          8        12       16
//!      | cmsg_len | level  | type   | struct in_pktinfo, 12 bytes, or in6_pktinfo, 20
//!                                   | the length of segments: int (received), u16 (sent)
//! ```

use core::mem::offset_of;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::PacketInfo;

/// Room for three control messages: both kinds of packet info, and the length of segments. Each is
/// counted as the longest.
pub(super) const CONTROL_BYTES: usize = 3 * ENTRY_BYTES_MAX;

/// A header and the longest data, `in6_pktinfo`, padded.
const ENTRY_BYTES_MAX: usize = (HEADER_BYTES + V6_BYTES).next_multiple_of(ALIGN_BYTES);

const ALIGN_BYTES: usize = align_of::<libc::cmsghdr>();
pub(super) const HEADER_BYTES: usize = size_of::<libc::cmsghdr>();
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

/// What control messages say of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Ancillary {
    pub(super) packet_info: Option<PacketInfo>,
    /// 0: it is not segmented.
    pub(super) segment_bytes: u16,
}

impl Control {
    pub(super) const EMPTY: Self = Self([0; CONTROL_BYTES]);

    /// The control messages to send a datagram with, and their length.
    pub(super) fn encode(ancillary: Ancillary) -> (Self, usize) {
        let mut control = Self::EMPTY;
        let len = encode_into(&mut control.0, ancillary);
        (control, len)
    }

    /// What a call wrote into this buffer, which was zeroed before.
    pub(super) fn decode(&self) -> Ancillary {
        let mut ancillary = Ancillary::default();
        decode(&self.0, &mut ancillary);
        ancillary
    }
}

impl Ancillary {
    /// Adds what one control message says; `None` if it is too short.
    pub(super) fn add(&mut self, level: i32, kind: i32, data: &[u8]) -> Option<()> {
        match (level, kind) {
            // The first of several counts.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let interface = u32::from_ne_bytes(*data.first_chunk()?);
                let ip: [u8; 4] = *data.get(4..)?.first_chunk()?;
                let info = PacketInfo { addr: Ipv4Addr::from(ip).into(), interface };
                self.packet_info.get_or_insert(info);
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let ip: [u8; 16] = *data.first_chunk()?;
                let interface = u32::from_ne_bytes(*data.get(16..)?.first_chunk()?);
                let info = PacketInfo { addr: Ipv6Addr::from(ip).into(), interface };
                self.packet_info.get_or_insert(info);
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let segment_bytes = i32::from_ne_bytes(*data.first_chunk()?);
                self.segment_bytes = u16::try_from(segment_bytes).unwrap_or(0);
            }
            _ => {}
        }
        Some(())
    }
}

/// Writes the control messages to send a datagram with at the front of `control`, and returns their
/// length.
pub(super) fn encode_into(control: &mut [u8], ancillary: Ancillary) -> usize {
    let mut len = 0;
    if let Some(PacketInfo { addr, interface }) = ancillary.packet_info {
        let interface = interface.to_ne_bytes();
        let (level, kind, parts): (_, _, [&[u8]; 2]) = match addr {
            IpAddr::V4(ip) => (libc::IPPROTO_IP, libc::IP_PKTINFO, [&interface, &ip.octets()]),
            IpAddr::V6(ip) => (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, [&ip.octets(), &interface]),
        };
        let data_bytes = if addr.is_ipv4() { V4_BYTES } else { V6_BYTES };
        len = push(control, len, level, kind, data_bytes, &parts);
    }
    if ancillary.segment_bytes > 0 {
        let segment_bytes = ancillary.segment_bytes.to_ne_bytes();
        let (level, kind) = (libc::SOL_UDP, libc::UDP_SEGMENT);
        len = push(control, len, level, kind, segment_bytes.len(), &[&segment_bytes]);
    }
    len
}

/// Writes one control message at `start`, and returns its end.
pub(super) fn push(
    control: &mut [u8],
    start: usize,
    level: i32,
    kind: i32,
    data_bytes: usize,
    parts: &[&[u8]],
) -> usize {
    let entry = &mut control[start..];
    let len = HEADER_BYTES + data_bytes;
    entry[..LEVEL_OFFSET].copy_from_slice(&len.to_ne_bytes()[..LEVEL_OFFSET]);
    entry[LEVEL_OFFSET..TYPE_OFFSET].copy_from_slice(&level.to_ne_bytes());
    entry[TYPE_OFFSET..HEADER_BYTES].copy_from_slice(&kind.to_ne_bytes());
    let data = parts.iter().copied().flatten();
    entry[HEADER_BYTES..].iter_mut().zip(data).for_each(|(byte, &data)| *byte = data);
    start + len.next_multiple_of(ALIGN_BYTES)
}

/// The control messages in `bytes`, each as its level, its type and its data, up to one that is
/// incomplete: zeros mark the end.
pub(super) fn entries(mut bytes: &[u8]) -> impl Iterator<Item = (i32, i32, &[u8])> {
    core::iter::from_fn(move || {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let len = usize::from_ne_bytes(*header.first_chunk()?);
        let data = rest.get(..len.checked_sub(HEADER_BYTES)?)?;
        let level = i32::from_ne_bytes(*header[LEVEL_OFFSET..].first_chunk()?);
        let kind = i32::from_ne_bytes(*header[TYPE_OFFSET..].first_chunk()?);
        bytes = bytes.get(len.next_multiple_of(ALIGN_BYTES)..).unwrap_or_default();
        Some((level, kind, data))
    })
}

/// Adds what the control messages in `bytes` say.
fn decode(bytes: &[u8], ancillary: &mut Ancillary) {
    for (level, kind, data) in entries(bytes) {
        // What is too short for its kind is skipped.
        let _ = ancillary.add(level, kind, data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both kinds of control messages, as they are sent.
    fn example(addr: &str) -> (Ancillary, Control, usize) {
        let info = PacketInfo { addr: addr.parse().unwrap(), interface: 0x0102_0304 };
        let ancillary = Ancillary { packet_info: Some(info), segment_bytes: 0x1234 };
        let (control, len) = Control::encode(ancillary);
        (ancillary, control, len)
    }

    fn decoded(bytes: &[u8]) -> Ancillary {
        let mut ancillary = Ancillary::default();
        decode(bytes, &mut ancillary);
        ancillary
    }

    /// What is sent as `UDP_SEGMENT` is received as `UDP_GRO`.
    fn as_received(control: &Control, start: usize) -> Control {
        let mut received = Control(control.0);
        received.0[start + TYPE_OFFSET..start + HEADER_BYTES]
            .copy_from_slice(&libc::UDP_GRO.to_ne_bytes());
        received.0[start..start + LEVEL_OFFSET]
            .copy_from_slice(&(HEADER_BYTES + 4).to_ne_bytes()[..LEVEL_OFFSET]);
        received
    }

    #[test]
    fn control_messages_read_back() {
        for addr in ["127.0.0.2", "255.255.255.255", "::1", "fe80::1", "::ffff:10.1.2.3"] {
            let (ancillary, control, len) = example(addr);
            let info_alone = Ancillary { segment_bytes: 0, ..ancillary };
            assert_eq!(decoded(&control.0[..len]), info_alone, "{addr}, as it is sent");
            let (_, start) = Control::encode(info_alone);
            assert_eq!(as_received(&control, start).decode(), ancillary, "{addr}");
            let segments = Ancillary { packet_info: None, ..ancillary };
            let (control, len) = Control::encode(segments);
            assert_eq!(as_received(&control, 0).decode(), segments);
            assert_eq!(len, (HEADER_BYTES + 2).next_multiple_of(ALIGN_BYTES));
        }
    }

    #[test]
    fn a_control_message_of_another_kind_is_passed_over() {
        let (ancillary, control, len) = example("127.0.0.2");
        let mut other = control.0[..len].to_vec();
        other[LEVEL_OFFSET] = other[LEVEL_OFFSET].wrapping_add(77);
        other.extend_from_slice(&control.0[..len]);
        assert_eq!(decoded(&other).packet_info, ancillary.packet_info);
    }

    #[test]
    fn control_messages_cut_short_or_out_of_bounds_are_none() {
        let (_, control, len) = example("::1");
        for cut in 0..HEADER_BYTES + V6_BYTES {
            assert_eq!(decoded(&control.0[..cut]), Ancillary::default(), "{cut} bytes");
        }
        for lie in [0usize, 1, HEADER_BYTES - 1, len + 1, usize::MAX] {
            let mut bytes = control.0[..len].to_vec();
            bytes[..size_of::<usize>()].copy_from_slice(&lie.to_ne_bytes());
            assert_eq!(decoded(&bytes), Ancillary::default(), "a length of {lie}");
        }
    }
}
