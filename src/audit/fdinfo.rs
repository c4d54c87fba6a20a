//! Parses `/proc/PID/fdinfo/FD` of an epoll.
//!
//! A line for each entry, after a few that every descriptor has; numbers are decimal (`tfd`,
//! `pos`) or hexadecimal (the others):
//!
//! ```text
//! tfd:        6 events: 80000019 data:        300000002  pos:0 ino:98e85 sdev:9
//! ```
//!
//! Reference: fs/eventpoll.c: `ep_show_fdinfo`; proc_pid_fdinfo(5)

use alloc::vec::Vec;
use core::fmt;

use super::entry::{EpollEntry, FileId};

/// A line that is not as Linux writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FdinfoError {
    /// Its number, from 1.
    pub line: usize,
}

impl fmt::Display for FdinfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is not an entry of an epoll", self.line)
    }
}

impl core::error::Error for FdinfoError {}

/// The entries of an epoll, in the kernel's order: by file, then by descriptor. Lines that begin
/// with another word than `tfd:` are skipped: an epoll that watches nothing, and a descriptor that
/// is no epoll, have none. Cost: O(text), one allocation that grows.
///
/// # Errors
/// [`FdinfoError`]: a line lacks the descriptor, the mask or the data, or has a number that is
/// none. (The file is missing in Linux before 4.13, which is no error.)
pub fn parse_fdinfo(text: &str) -> Result<Vec<EpollEntry>, FdinfoError> {
    let mut entries = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("tfd:") {
            entries.push(parse_entry(line).ok_or(FdinfoError { line: at + 1 })?);
        }
    }
    Ok(entries)
}

fn parse_entry(line: &str) -> Option<EpollEntry> {
    let hex = |name| u64::from_str_radix(value(line, name)?, 16).ok();
    let file = match value(line, "ino:") {
        None => None,
        Some(_) => Some(FileId { inode: hex("ino:")?, device: encode_device(hex("sdev:")?) }),
    };
    Some(EpollEntry {
        fd: value(line, "tfd:")?.parse().ok()?,
        events: u32::try_from(hex("events:")?).ok()?,
        data: hex("data:")?,
        file,
    })
}

/// The word after `name`, with or without a space between them.
fn value<'t>(line: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = line.split_once(name)?;
    rest.split_ascii_whitespace().next()
}

/// The number of a device as stat(2) returns it, of the kernel's own encoding: 12 bits for the
/// driver before 20 for the device.
///
/// Reference: include/linux/kdev_t.h: `new_encode_dev`
const fn encode_device(internal: u64) -> u64 {
    let (major, minor) = (internal >> 20, internal & 0xf_ffff);
    (minor & 0xff) | major << 8 | (minor & !0xff) << 12
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLONESHOT};
    use crate::token::Token;
    use alloc::vec;

    /// Of a process with a Unix socket, a listener, a pipe registered for nothing, an eventfd
    /// registered one-shot that has fired, and a file of ext4 in an overlay; Linux 6.18.
    const RECORDED: &str = "\
pos:\t0
flags:\t02000002
mnt_id:\t17
ino:\t1044
tfd:        4 events:       19 data:                4  pos:0 ino:98e83 sdev:9
tfd:        6 events: 80000019 data:        300000002  pos:0 ino:98e85 sdev:9
tfd:        7 events:       18 data: ffffffffffffffff  pos:0 ino:98e86 sdev:f
tfd:        9 events: 40000000 data:     7f4e00000009  pos:0 ino:414 sdev:10
";

    #[test]
    fn a_recorded_text_is_parsed() {
        let entries = parse_fdinfo(RECORDED).unwrap();
        let numbers: Vec<u32> = entries.iter().map(|entry| entry.fd).collect();
        assert_eq!(numbers, [4, 6, 7, 9]);
        assert_eq!(entries[0].events, EPOLLIN | EPOLLERR | EPOLLHUP);
        assert_eq!(entries[0].file, Some(FileId { inode: 0x98e83, device: 9 }));
        assert_eq!(entries[1].requested(), EPOLLIN | EPOLLET);
        assert_eq!(entries[1].token(), Token::new(2, 3));
        assert_eq!((entries[2].requested(), entries[2].data), (0, u64::MAX));
        assert!(entries[3].is_disarmed() && !entries[2].is_disarmed());
        assert_eq!(entries[3].events, EPOLLONESHOT);
    }

    #[test]
    fn an_epoll_without_entries_has_none() {
        assert_eq!(
            parse_fdinfo("pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t1044\n"),
            Ok(vec![])
        );
        assert_eq!(parse_fdinfo(""), Ok(vec![]));
    }

    #[test]
    fn an_old_kernel_names_no_file() {
        let entries = parse_fdinfo("tfd:        5 events:       1d data: 5\n").unwrap();
        assert_eq!((entries[0].fd, entries[0].file), (5, None));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_an_error_with_its_number() {
        for bad in [
            "tfd:",
            "tfd: x events: 19 data: 4",
            "tfd: 4 events: 19",
            "tfd: 4 events: 1ffffffff data: 4",
            "tfd: -1 events: 19 data: 4",
            "tfd: 4 events: 19 data: 4 pos:0 ino:zz sdev:9",
            "tfd: 4 events: 19 data: 4 pos:0 ino:98",
        ] {
            let text = alloc::format!("pos:\t0\n{bad}\n");
            assert_eq!(parse_fdinfo(&text), Err(FdinfoError { line: 2 }), "{bad}");
        }
    }

    #[test]
    fn a_device_is_encoded_as_by_stat() {
        // Block device 259:1 (an NVMe partition), and an anonymous one over 255.
        assert_eq!(encode_device(259 << 20 | 1), 259 << 8 | 1);
        assert_eq!(encode_device(0x123), 0x10_0023);
    }
}
