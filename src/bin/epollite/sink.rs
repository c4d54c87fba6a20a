//! Writes text to a stream that perhaps nobody reads: without waiting, or for a bounded time.
//!
//! A server that waits for the reader of its log serves no client meanwhile and reads no signal.
//! So what finds no room is dropped, and its writer is told. How a write is kept from waiting
//! depends on the stream:
//!
//! * a pipe or a terminal is opened a second time through `/proc`, non-blocking: the same pipe,
//!   but a flag of our own, since the flags of the first belong to everybody who shares it;
//! * a socket, and what cannot be opened again, is asked for room by a [`Gate`] before each piece;
//! * a regular file takes every write.
//!
//! It knows bytes, and nothing of lines but where they end: what was taken in part is completed
//! before anything else is written.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::gate::Gate;
use super::models::OPEN_NONBLOCKING;

/// What a pipe that has room takes at once: `PIPE_BUF` of pipe(7).
const PIECE_BYTES: usize = 4096;

/// Writes whole texts to one stream.
pub(crate) struct Sink(OnceLock<Mutex<State>>);

struct State {
    /// None when there is no such stream.
    file: Option<File>,
    room: Gate,
    /// Whether a write to it waits when there is no room.
    may_wait: bool,
    /// The end of a text of which only the beginning has been taken.
    rest: Vec<u8>,
}

/// What became of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Put {
    Written,
    Dropped,
}

impl Sink {
    /// For a standard stream, which is looked at when it is first used.
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// For the file at `path`, which is made, or emptied. A named pipe is not waited for until
    /// somebody reads it.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.write(true).custom_flags(OPEN_NONBLOCKING);
        let is_pipe = fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo());
        let opened = options.create(!is_pipe).truncate(!is_pipe).open(path);
        let file = match opened {
            // Nobody reads it yet (ENXIO). Who opens both ends needs nobody.
            Err(_) if is_pipe => options.read(true).open(path)?,
            opened => opened?,
        };
        let sink = Self::new();
        sink.state(|| State::new(Some(file), false));
        Ok(sink)
    }

    /// Looks at the stream now, so that its descriptors are taken before others are counted on.
    pub(crate) fn prepare(&self, stream: &impl AsFd) {
        self.state(|| State::of(stream));
    }

    /// Writes `text`, and waits for room at most so long.
    ///
    /// # Errors
    /// What write(2) said.
    pub(crate) fn put(
        &self,
        stream: &impl AsFd,
        text: &[u8],
        patience: Duration,
    ) -> io::Result<Put> {
        let state = self.state(|| State::of(stream));
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        loop {
            let put = state.put(text)?;
            let left = patience.saturating_sub(start.elapsed());
            if put == Put::Written && state.rest.is_empty() || left.is_zero() {
                return Ok(put);
            }
            if put == Put::Written {
                state.complete(left)?;
                return Ok(put);
            }
            state.wait(left);
        }
    }

    /// The same for one that was [created](Self::create).
    pub(crate) fn put_now(&self, text: &[u8]) -> io::Result<Put> {
        let state = self.state(|| State::new(None, false));
        state.lock().unwrap_or_else(PoisonError::into_inner).put(text)
    }

    fn state(&self, make: impl FnOnce() -> State) -> &Mutex<State> {
        self.0.get_or_init(|| Mutex::new(make()))
    }
}

impl State {
    const fn new(file: Option<File>, may_wait: bool) -> Self {
        Self { file, room: Gate::new(), may_wait, rest: Vec::new() }
    }

    fn of(stream: &impl AsFd) -> Self {
        let number = std::os::fd::AsRawFd::as_raw_fd(&stream.as_fd());
        let path = format!("/proc/self/fd/{number}");
        let kind = fs::metadata(&path).map(|meta| meta.file_type());
        if kind.as_ref().is_ok_and(|kind| kind.is_fifo() || kind.is_char_device())
            && let Ok(file) = File::options().write(true).custom_flags(OPEN_NONBLOCKING).open(&path)
        {
            return Self::new(Some(file), false);
        }
        let file = stream.as_fd().try_clone_to_owned().ok().map(File::from);
        let state = Self::new(file, !kind.is_ok_and(|kind| kind.is_file()));
        // The gate takes its descriptors now.
        state.is_open();
        state
    }

    /// All of it, or nothing; or its beginning, and the rest is written before anything else.
    fn put(&mut self, text: &[u8]) -> io::Result<Put> {
        let rest = std::mem::take(&mut self.rest);
        let gone = self.write(&rest)?;
        if gone < rest.len() {
            self.rest = rest[gone..].to_vec();
            return Ok(Put::Dropped);
        }
        let gone = self.write(text)?;
        if gone == 0 && !text.is_empty() {
            return Ok(Put::Dropped);
        }
        self.rest = text[gone..].to_vec();
        Ok(Put::Written)
    }

    /// Writes as much as there is room for.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &self.file else { return Ok(bytes.len()) };
        let mut gone = 0;
        while gone < bytes.len() && (!self.may_wait || self.is_open()) {
            let piece = match &bytes[gone..] {
                rest if self.may_wait => &rest[..rest.len().min(PIECE_BYTES)],
                rest => rest,
            };
            match (&*file).write(piece) {
                Ok(count) => gone += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What was taken is gone; the next write says what is wrong.
                Err(_) if gone > 0 => return Ok(bytes.len()),
                Err(error) => return Err(error),
            }
        }
        Ok(gone)
    }

    /// Writes the rest of a text, within `patience`.
    fn complete(&mut self, patience: Duration) -> io::Result<()> {
        let start = Instant::now();
        while !self.rest.is_empty() {
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            self.wait(left);
            let gone = self.write(&self.rest)?;
            self.rest.drain(..gone);
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.file.as_ref().is_none_or(|file| self.room.is_open(file))
    }

    fn wait(&self, patience: Duration) {
        if let Some(file) = &self.file {
            self.room.wait(file, patience);
        }
    }
}
