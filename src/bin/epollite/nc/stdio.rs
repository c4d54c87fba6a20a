//! Standard input and output as descriptors to wait for, without a mark left on them.
//!
//! A descriptor's non-blocking flag belongs to the open file, and whoever shares that, the shell
//! whose terminal it is, would read `EAGAIN` when we are gone. So no flag of theirs is touched:
//!
//! * an anonymous pipe is opened a second time through `/proc`: the same pipe, another open file,
//!   whose flag is ours alone;
//! * a terminal, a socket, a named pipe (which could make open(2) wait for its other end) or a
//!   pipe that cannot be opened again is used as it is, blocking: one read when epoll says that
//!   there is something, one write of at most `PIPE_BUF` bytes when it says that there is room,
//!   and neither waits;
//! * a regular file, or /dev/null, is refused by epoll (`EPERM`) since it is always ready: it
//!   is read and written without asking.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;

use epollite::Fd;

/// What fits into a pipe that is writable: `PIPE_BUF` of pipe(7).
pub(super) const PIPE_BUF: usize = 4_096;

/// Both, duplicated or opened again: closing them closes nobody else's.
#[derive(Debug)]
pub(super) struct Stdio {
    pub(super) input: Stream,
    pub(super) output: Stream,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) fd: Fd,
    /// Whether no call on it waits.
    pub(super) is_nonblocking: bool,
}

impl Stdio {
    /// Those of this process. The standard library has seen to it that they are open.
    pub(super) fn of_the_process() -> io::Result<Self> {
        Ok(Self { input: open(&io::stdin(), 0, false)?, output: open(&io::stdout(), 1, true)? })
    }
}

fn open(stream: &impl AsFd, number: u32, is_output: bool) -> io::Result<Stream> {
    match open_again(number, is_output) {
        Some(fd) => Ok(Stream { fd, is_nonblocking: true }),
        None => {
            let fd = stream.as_fd().try_clone_to_owned()?.into();
            Ok(Stream { fd, is_nonblocking: false })
        }
    }
}

/// An anonymous pipe, opened a second time; `None` for all else, and where /proc is not there
/// or the pipe is another user's.
fn open_again(number: u32, is_output: bool) -> Option<Fd> {
    let path = format!("/proc/self/fd/{number}");
    let name = fs::read_link(&path).ok()?;
    if !name.as_os_str().as_bytes().starts_with(b"pipe:[") {
        return None;
    }
    let file = File::options().read(!is_output).write(is_output).open(&path).ok()?;
    // Not a socket; but what is asked of it (ioctl FIONBIO) every descriptor takes.
    let stream = UnixStream::from(OwnedFd::from(file));
    stream.set_nonblocking(true).ok()?;
    Some(OwnedFd::from(stream).into())
}
