//! Where what was found goes: standard output, and the file of the record.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

/// Prints to standard output, at once.
///
/// # Errors
/// When nobody reads it, or there is no room for it.
pub(crate) fn write_out(text: &str) -> Result<()> {
    write_all(io::stdout().as_fd(), text.as_bytes()).context("standard output")
}

/// Prints to standard error. Where that cannot be written there is nobody to be told.
pub(crate) fn write_err(text: &str) {
    let _ = write_all(io::stderr().as_fd(), text.as_bytes());
}

/// One line on standard error.
pub(crate) fn complain(why: &str) {
    write_err(&format!("epollite-bench: {why}\n"));
}

/// Writes it all. Whether a descriptor blocks is for whoever opened it to say, and others may share
/// it: where one does not, room is waited for.
fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                match poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], PollTimeout::NONE) {
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Whether the record can be written where it is to go: better known before than after an hour.
///
/// # Errors
/// Why not.
pub(crate) fn is_writable(json: Option<&Path>) -> Result<()> {
    let Some(path) = json else { return Ok(()) };
    let name = path.file_name().with_context(|| format!("{} is no file", path.display()))?;
    let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
    let attempt = path.with_file_name(name);
    std::fs::write(&attempt, "")
        .and_then(|()| std::fs::remove_file(&attempt))
        .with_context(|| format!("cannot write {}", path.display()))
}
