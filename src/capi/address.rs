//! Addresses as texts of C: the grammar of [`Addr`], by inet_pton(3) and inet_ntop(3).
//!
//! Not by the library's own parser, which brings that of `core`: more code than the rest of a
//! small program. A test compares the two.

use core::ffi::{CStr, c_char, c_int};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use crate::errno::Errno;
use crate::net::{Addr, UnixAddr, parse_unix};

/// Room for an IP address and a zero byte: `INET6_ADDRSTRLEN`.
const HOST_BYTES: usize = 46;
const HOST_LEN: u32 = 46;

unsafe extern "C" {
    fn inet_pton(family: c_int, text: *const c_char, ip: *mut u8) -> c_int;
    fn inet_ntop(family: c_int, ip: *const u8, text: *mut c_char, bytes: u32) -> *const c_char;
}

/// What a text says; `EINVAL` for one that is not an address.
pub(super) fn parse(text: &[u8]) -> Result<Addr, Errno> {
    parse_some(text).ok_or(Errno::EINVAL)
}

fn parse_some(text: &[u8]) -> Option<Addr> {
    if text == b"unspec" {
        return Some(Addr::Unspecified);
    }
    if let Some(name) = text.strip_prefix(b"unix:") {
        return parse_unix(name).ok().map(Addr::Unix);
    }
    // An IPv6 address has colons too, but no port has.
    let colon = text.iter().rposition(|byte| *byte == b':')?;
    let (host, port) = text.split_at_checked(colon)?;
    let port = u16::try_from(number(port.strip_prefix(b":")?)?).ok()?;
    let Some(host) = host.strip_prefix(b"[") else {
        let ip = if host.is_empty() { [0; 4] } else { ip(libc::AF_INET, host)? };
        return Some(Addr::V4(SocketAddrV4::new(Ipv4Addr::from(ip), port)));
    };
    let host = host.strip_suffix(b"]")?;
    let percent = host.iter().position(|byte| *byte == b'%').unwrap_or(host.len());
    let (host, scope) = host.split_at_checked(percent)?;
    let scope = if scope.is_empty() { 0 } else { number(scope.strip_prefix(b"%")?)? };
    let ip = Ipv6Addr::from(ip::<16>(libc::AF_INET6, host)?);
    Some(Addr::V6(SocketAddrV6::new(ip, port, 0, scope)))
}

/// The address of `family`, whose addresses have `N` bytes.
fn ip<const N: usize>(family: c_int, host: &[u8]) -> Option<[u8; N]> {
    let (mut text, mut ip) = ([0; HOST_BYTES], [0; N]);
    // The last zero byte stays: what is longer is no address.
    let room = text.get_mut(..HOST_BYTES - 1)?;
    if host.len() > room.len() {
        return None;
    }
    for (place, byte) in room.iter_mut().zip(host) {
        if *byte == 0 {
            return None;
        }
        *place = *byte;
    }
    let text = text.as_ptr().cast();
    // SAFETY: inet_pton(3) reads `text` up to its zero byte, and writes the `N` bytes of an address
    // of that family at `ip`; both are local.
    if unsafe { inet_pton(family, text, ip.as_mut_ptr()) } == 1 { Some(ip) } else { None }
}

/// A number of digits only; no sign.
fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// Writes `addr` with a zero byte at the end; returns its length without that. `ERANGE` if there
/// is no room: what fits is there, and ends with a zero byte.
pub(super) fn write(room: &mut [u8], addr: &Addr) -> Result<usize, Errno> {
    let mut text = Text { room, len: 0 };
    let is_whole = match addr {
        Addr::V4(v4) => {
            text.ip(libc::AF_INET, &v4.ip().octets()) && text.labelled(b":", v4.port().into())
        }
        Addr::V6(v6) => {
            text.bytes(b"[")
                && text.ip(libc::AF_INET6, &v6.ip().octets())
                && (v6.scope_id() == 0 || text.labelled(b"%", v6.scope_id()))
                && text.labelled(b"]:", v6.port().into())
        }
        Addr::Unix(unix) => text.bytes(b"unix:") && text.unix(unix),
        Addr::Unspecified => text.bytes(b"unspec"),
    };
    let len = text.len;
    if let Some(end) = text.room.get_mut(len) {
        *end = 0;
    }
    if is_whole && len < text.room.len() { Ok(len) } else { Err(Errno::ERANGE) }
}

/// A text in a buffer of C, with room for the zero byte. Each part returns whether it fits.
struct Text<'t> {
    room: &'t mut [u8],
    len: usize,
}

impl Text<'_> {
    fn bytes(&mut self, text: &[u8]) -> bool {
        for byte in text {
            let is_last = self.len + 1 >= self.room.len();
            let Some(place) = self.room.get_mut(self.len).filter(|_| !is_last) else {
                return false;
            };
            *place = *byte;
            self.len += 1;
        }
        true
    }

    /// `before`, and a number.
    fn labelled(&mut self, before: &[u8], mut number: u32) -> bool {
        let mut digits = [b'0'; 10];
        let mut first = digits.len();
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            if number > 0 || at + 1 == 10 {
                // Below ten, so that it fits.
                *digit += (number % 10) as u8;
                first = at;
            }
            number /= 10;
        }
        self.bytes(before) && self.bytes(digits.get(first..).unwrap_or_default())
    }

    fn ip(&mut self, family: c_int, ip: &[u8]) -> bool {
        let mut text = [0; HOST_BYTES];
        // SAFETY: inet_ntop(3) reads an address of `family` at `ip`, which holds one, and writes at
        // most as many bytes at `text`, which is local, with a zero byte at the end.
        unsafe { inet_ntop(family, ip.as_ptr(), text.as_mut_ptr(), HOST_LEN) };
        // SAFETY: it ends with a zero byte: the last one at least.
        self.bytes(unsafe { CStr::from_ptr(text.as_ptr()) }.to_bytes())
    }

    fn unix(&mut self, unix: &UnixAddr) -> bool {
        let (is_abstract, name) = match unix.as_abstract() {
            Some(name) => (true, name),
            None => (false, unix.as_path().unwrap_or_default()),
        };
        if is_abstract && !self.bytes(b"@") {
            return false;
        }
        name.iter().enumerate().all(|(at, byte)| match byte {
            // A path that begins as an abstract name does.
            b'@' if at == 0 && !is_abstract => self.bytes(b"\\x40"),
            b'\\' => self.bytes(b"\\x5c"),
            b' '..=b'~' => self.bytes(&[*byte]),
            _ => self.bytes(&[b'\\', b'x', hex(byte >> 4), hex(byte & 15)]),
        })
    }
}

/// The digit of a number below 16.
const fn hex(number: u8) -> u8 {
    if number < 10 { b'0' + number } else { b'a' + (number - 10) }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn written(addr: &Addr) -> String {
        let mut room = [1; 448];
        let len = write(&mut room, addr).unwrap();
        assert_eq!(room[len], 0);
        String::from_utf8(room[..len].to_vec()).unwrap()
    }

    proptest! {
        #[test]
        fn every_text_is_read_as_by_the_library(
            text in concat!(
                r"(\[?[0-9a-f:.]{0,12}(%[0-9]{0,3})?\]?|[0-9]{1,3}(\.[0-9]{1,3}){3}",
                r"|unix:@?.{0,9}|\[::(ffff:)?[0-9.]{1,9}\])(:[0-9]{0,6})?",
            ),
        ) {
            prop_assert_eq!(parse(text.as_bytes()).ok(), text.parse::<Addr>().ok());
        }

        #[test]
        fn every_address_is_written_and_read_back(
            family in 0..4_u16, bytes in prop::collection::vec(any::<u8>(), 26),
            zeros in prop::collection::vec(any::<bool>(), 26), port in any::<u16>(),
            scope in any::<u32>(),
        ) {
            let byte = |(byte, is_zero): (u8, bool)| if is_zero { 0 } else { byte };
            let bytes: Vec<u8> = bytes.into_iter().zip(zeros).map(byte).collect();
            let v6: [u8; 16] = bytes[..16].try_into().unwrap();
            let v4: [u8; 4] = bytes[..4].try_into().unwrap();
            let addr = match family {
                0 => Addr::V4(SocketAddrV4::new(v4.into(), port)),
                1 => Addr::V6(SocketAddrV6::new(v6.into(), port, 0, scope)),
                2 => Addr::Unix(UnixAddr::abstract_name(&bytes).unwrap()),
                _ => UnixAddr::path(&bytes).map_or(Addr::Unspecified, Addr::Unix),
            };
            let text = written(&addr);
            prop_assert_eq!(parse(text.as_bytes()), Ok(addr));
            // inet_ntop(3) writes the last 32 bits of some as an IPv4 address.
            if !matches!(addr, Addr::V6(v6) if v6.ip().segments()[..6] == [0; 6]) {
                prop_assert_eq!(text, addr.to_string());
            }
        }
    }

    #[test]
    fn a_text_that_does_not_fit_is_cut() {
        let addr = Addr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 80));
        for bytes in 0..13 {
            let mut room = [1; 13];
            assert_eq!(write(&mut room[..bytes], &addr), Err(Errno::ERANGE));
            if bytes > 0 {
                assert_eq!(room[..bytes - 1], b"127.0.0.1:80"[..bytes - 1]);
                assert_eq!(room[bytes - 1], 0);
            }
        }
        assert_eq!(write(&mut [1; 13], &addr), Ok(12));
    }
}
