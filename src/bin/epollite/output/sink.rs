//! Writes text to a stream that may have no reader: without blocking, or for a bounded time.
//!
//! A server that blocks on its log serves no client and reads no signal in that time. So text that
//! would block is dropped and reported. How a write is kept from blocking depends on the
//! stream:
//!
//! * standard error, if it is a pipe or a terminal, is opened a second time through `/proc`,
//!   non-blocking: the same pipe, but flags of our own, since the original flags are shared with
//!   other processes. Several processes may write at once there: a trace of workers;
//! * standard output, a socket, and a stream that cannot be reopened, is polled for room before
//!   each piece;
//! * a regular file takes every write, and a non-blocking stream fails by itself.
//!
//! It knows bytes, and of lines only where they end: a text written in part is completed before
//! anything else is written.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::mem::ManuallyDrop;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::models::{OPEN_NONBLOCKING, standard_stream, wait_writable};

/// What a writable pipe takes at once: `PIPE_BUF` of pipe(7).
const PIECE_BYTES: usize = 4096;

/// Writes whole texts to one stream, which stays open.
pub(crate) struct Sink {
    state: Mutex<State>,
    /// Of a file that can be opened again.
    path: Option<PathBuf>,
}

struct State {
    file: ManuallyDrop<File>,
    /// Whether a write blocks when there is no room.
    may_block: bool,
    /// The rest of a text that was written in part.
    rest: Vec<u8>,
}

/// One of the standard streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standard {
    Output = 1,
    Error = 2,
}

/// The result of writing a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Put {
    Written,
    Dropped,
}

impl Sink {
    fn new(file: ManuallyDrop<File>, may_block: bool) -> Self {
        Self { state: Mutex::new(State { file, may_block, rest: Vec::new() }), path: None }
    }

    pub(crate) fn for_standard(stream: Standard) -> Self {
        let path = format!("/proc/self/fd/{}", stream as i32);
        let kind = fs::metadata(&path).map(|meta| meta.file_type());
        let is = |test: fn(&fs::FileType) -> bool| kind.as_ref().is_ok_and(test);
        let is_pipe = is(FileTypeExt::is_fifo) || is(FileTypeExt::is_char_device);
        if stream == Standard::Error
            && is_pipe
            && let Ok(file) = File::options().write(true).custom_flags(OPEN_NONBLOCKING).open(&path)
        {
            return Self::new(ManuallyDrop::new(file), false);
        }
        let may_block = !is(fs::FileType::is_file) && !is_nonblocking(stream);
        Self::new(standard_stream(stream as i32), may_block)
    }

    /// For the file at `path`, which is created or truncated. A named pipe without a reader does
    /// not block.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.write(true).custom_flags(OPEN_NONBLOCKING);
        let is_pipe = fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo());
        let opened = options.create(!is_pipe).truncate(!is_pipe).open(path);
        let file = match opened {
            // The pipe has no reader yet (ENXIO). Opened for both directions it needs none.
            Err(_) if is_pipe => options.read(true).open(path)?,
            opened => opened?,
        };
        let sink = Self::new(ManuallyDrop::new(file), false);
        Ok(Self { path: (!is_pipe).then(|| path.to_owned()), ..sink })
    }

    /// Whether [`reopen`](Self::reopen) does anything.
    pub(crate) const fn can_reopen(&self) -> bool {
        self.path.is_some()
    }

    /// Opens the file at the same path again, which is another one when the old one was moved away.
    /// It is appended to: what is there stays.
    ///
    /// # Errors
    /// The error of open(2); the old file stays open.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut options = File::options();
        options.append(true).create(true).custom_flags(OPEN_NONBLOCKING);
        let file = options.open(path)?;
        let mut state = self.lock();
        // A text that was written in part is completed in the file where it begins.
        let _ = state.write_rest();
        state.rest.clear();
        drop(ManuallyDrop::into_inner(std::mem::replace(&mut state.file, ManuallyDrop::new(file))));
        Ok(())
    }

    /// Writes `text`, waiting for room for at most `timeout`.
    ///
    /// # Errors
    /// The error of write(2).
    pub(crate) fn put(&self, text: &[u8], timeout: Duration) -> io::Result<Put> {
        let (mut state, start) = (self.lock(), Instant::now());
        let mut put = Put::Dropped;
        loop {
            match put {
                Put::Dropped => put = state.put(text)?,
                Put::Written => state.write_rest()?,
            }
            let remaining = timeout.saturating_sub(start.elapsed());
            if put == Put::Written && state.rest.is_empty() || remaining.is_zero() {
                return Ok(put);
            }
            wait_writable(&state.file, remaining);
        }
    }

    /// Discards the rest of a text: after a fork it is the parent's to write.
    pub(crate) fn forget(&self) {
        self.lock().rest.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the stream was inherited non-blocking.
fn is_nonblocking(stream: Standard) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", stream as i32));
    let info = info.unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & OPEN_NONBLOCKING != 0)
}

impl State {
    /// Writes all of it or nothing; or a part, and the rest before anything else.
    fn put(&mut self, text: &[u8]) -> io::Result<Put> {
        self.write_rest()?;
        if !self.rest.is_empty() {
            return Ok(Put::Dropped);
        }
        let written = self.write(text)?;
        if written == 0 && !text.is_empty() {
            return Ok(Put::Dropped);
        }
        self.rest = text[written..].to_vec();
        Ok(Put::Written)
    }

    /// Continues a text that was written in part. After an error the rest is dropped.
    fn write_rest(&mut self) -> io::Result<()> {
        let mut rest = std::mem::take(&mut self.rest);
        rest.drain(..self.write(&rest)?);
        self.rest = rest;
        Ok(())
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// The error of write(2); [`ErrorKind::WriteZero`] when it wrote nothing without an error.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let (mut file, mut written) = (&*self.file, 0);
        while written < bytes.len()
            && (!self.may_block || wait_writable(&self.file, Duration::ZERO))
        {
            let piece = match &bytes[written..] {
                rest if self.may_block => &rest[..rest.len().min(PIECE_BYTES)],
                rest => rest,
            };
            let result = match file.write(piece) {
                // A repeated call would write nothing again.
                Ok(0) => Err(ErrorKind::WriteZero.into()),
                result => result,
            };
            match result {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A part was written: reported as a success; the next write reports the error.
                Err(_) if written > 0 => return Ok(bytes.len()),
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}
