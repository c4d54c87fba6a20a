//! Standard input and output as descriptors to wait for, without changing their flags.
//!
//! The non-blocking flag belongs to the open file description. Processes that share it, such as the
//! shell of the terminal, would get `EAGAIN` after we exit. So their flags are never changed:
//!
//! * an anonymous pipe is opened a second time through `/proc`: the same pipe, but another open
//!   file description, whose flags are ours alone;
//! * a terminal, a socket, a named pipe (open(2) on it could block until its other end is opened)
//!   or a pipe that cannot be reopened is used as it is, blocking: one read when epoll reports
//!   input, one write of at most `PIPE_BUF` bytes when it reports room, and neither blocks;
//! * a regular file, or /dev/null, is rejected by epoll (`EPERM`) since it is always ready: it
//!   is read and written without waiting.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use epollite::{Fd, Linux};

use crate::models::OPEN_NONBLOCKING;

/// What fits into a writable pipe: `PIPE_BUF` of pipe(7).
pub(super) const PIPE_BUF: usize = 4_096;

/// Both streams, duplicated or reopened: closing them leaves the originals open.
#[derive(Debug)]
pub(super) struct Stdio {
    pub(super) input: Stream,
    pub(super) output: Stream,
}

/// One of the two streams.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) fd: Fd,
    /// Whether calls on it never block.
    pub(super) is_nonblocking: bool,
}

impl Stdio {
    /// The streams of this process. The standard library ensures that they are open.
    pub(super) fn from_process() -> io::Result<Self> {
        Ok(Self { input: open(&io::stdin(), 0, false)?, output: open(&io::stdout(), 1, true)? })
    }
}

fn open(stream: &impl AsFd, number: u32, is_output: bool) -> io::Result<Stream> {
    match reopen(number, is_output) {
        Some(fd) => Ok(Stream { fd, is_nonblocking: true }),
        None => {
            // Not made non-blocking: other processes share this open file.
            let fd = Linux::from_owned_fd(stream.as_fd().try_clone_to_owned()?);
            Ok(Stream { fd: fd.into_fd_as_is(), is_nonblocking: false })
        }
    }
}

/// Reopens an anonymous pipe; `None` for anything else, and if /proc is missing or the pipe belongs
/// to another user.
fn reopen(number: u32, is_output: bool) -> Option<Fd> {
    let path = format!("/proc/self/fd/{number}");
    let name = fs::read_link(&path).ok()?;
    if !name.as_os_str().as_bytes().starts_with(b"pipe:[") {
        return None;
    }
    let mut options = File::options();
    options.read(!is_output).write(is_output).custom_flags(OPEN_NONBLOCKING);
    Some(OwnedFd::from(options.open(&path).ok()?).into())
}
