//! Output of results: standard output and the record file. If one of them fails, the other is still
//! written.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

use crate::atomic_file;
use crate::schema::ResultFile;

/// Prints to standard output, unbuffered. Fails if standard output is closed or full.
pub(crate) fn print(text: &str) -> Result<()> {
    write_all(io::stdout().as_fd(), text.as_bytes()).context("standard output")
}

/// Prints to standard error. Errors are ignored: they cannot be reported anywhere.
pub(crate) fn write_err(text: &str) {
    let _ = write_all(io::stderr().as_fd(), text.as_bytes());
}

/// One line on standard error.
pub(crate) fn print_error(why: impl std::fmt::Display) {
    write_err(&format!("epollite-bench: {why}\n"));
}

/// Both outputs of a long run.
#[derive(Debug)]
pub(crate) struct Outputs {
    json: Option<PathBuf>,
    /// Whether standard output failed.
    stdout_closed: bool,
    /// Whether the last attempt to write the record failed.
    is_unwritten: bool,
}

impl Outputs {
    /// Standard output, and the record file if one is requested.
    pub(crate) fn new(json: Option<PathBuf>) -> Self {
        Self { json, stdout_closed: false, is_unwritten: false }
    }

    /// Prints text to standard output. Fails if that fails, and the record is not written either.
    pub(crate) fn show(&mut self, text: &str) -> Result<()> {
        let Err(error) = print(text) else { return Ok(()) };
        if self.json.is_none() || self.is_unwritten {
            return Err(error);
        }
        if !std::mem::replace(&mut self.stdout_closed, true) {
            print_error(format!("{error:#}; the run continues, for its record"));
        }
        Ok(())
    }

    /// Writes the record, if one is requested. Fails if that fails, and printing has failed too.
    pub(crate) fn keep(&mut self, record: &ResultFile) -> Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        let Err(error) = record.write(path) else {
            self.is_unwritten = false;
            return Ok(());
        };
        if self.stdout_closed {
            return Err(error);
        }
        if !std::mem::replace(&mut self.is_unwritten, true) {
            print_error(format!("{error:#}; the run continues, for its printed results"));
        }
        Ok(())
    }

    /// Whether a requested record is not completely written.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.is_unwritten
    }
}

/// Writes all bytes. `O_NONBLOCK` belongs to the open file description, which other processes may
/// share, so it is not changed: on `EAGAIN` this waits for POLLOUT.
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

/// Checks that the record can be written, before a long run rather than after it.
pub(crate) fn check_writable(json: Option<&Path>) -> Result<()> {
    let Some(path) = json else { return Ok(()) };
    path.file_name().with_context(|| format!("{} is not a file", path.display()))?;
    let attempt = atomic_file::create_beside(path);
    attempt.map(drop).with_context(|| format!("cannot write {}", path.display()))
}
