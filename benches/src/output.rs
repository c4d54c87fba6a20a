//! Where what was found goes: standard output, and the file of the record. Where one of them fails the
//! other still gets it all.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

use crate::schema::ResultFile;

/// Prints to standard output, at once.
///
/// # Errors
/// When nobody reads it, or there is no room for it.
pub(crate) fn print(text: &str) -> Result<()> {
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

/// Both of them, in a run that takes its time.
#[derive(Debug)]
pub(crate) struct Outputs {
    json: Option<PathBuf>,
    /// Whether nobody reads what is printed.
    stdout_closed: bool,
    /// Whether the record could not be written when that was last tried.
    is_unwritten: bool,
}

impl Outputs {
    /// The terminal, and this file if there is to be a record.
    pub(crate) fn new(json: Option<PathBuf>) -> Self {
        Self { json, stdout_closed: false, is_unwritten: false }
    }

    /// Prints something for people.
    ///
    /// # Errors
    /// When it cannot be printed, and the record is not written either.
    pub(crate) fn show(&mut self, text: &str) -> Result<()> {
        let Err(error) = print(text) else { return Ok(()) };
        if self.json.is_none() || self.is_unwritten {
            return Err(error);
        }
        if !std::mem::replace(&mut self.stdout_closed, true) {
            complain(&format!("{error:#}; the run goes on, for its record"));
        }
        Ok(())
    }

    /// Writes the record, if there is to be one.
    ///
    /// # Errors
    /// When it cannot be written, and nobody reads what is printed either.
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
            complain(&format!("{error:#}; the run goes on, for what it prints"));
        }
        Ok(())
    }

    /// Whether there should be a record and is none of all that was found.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.is_unwritten
    }
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
pub(crate) fn check_writable(json: Option<&Path>) -> Result<()> {
    let Some(path) = json else { return Ok(()) };
    let name = path.file_name().with_context(|| format!("{} is no file", path.display()))?;
    let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
    let attempt = path.with_file_name(name);
    std::fs::write(&attempt, "")
        .and_then(|()| std::fs::remove_file(&attempt))
        .with_context(|| format!("cannot write {}", path.display()))
}
