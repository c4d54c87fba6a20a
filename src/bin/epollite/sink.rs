//! Writes text to a stream that perhaps nobody reads: without waiting, or for a bounded time.
//!
//! A server that waits for the reader of its log serves no client meanwhile and reads no signal.
//! So what finds no room is dropped, and its writer is told. How a write is kept from waiting
//! depends on the stream:
//!
//! * standard error, if it is a pipe or a terminal, is opened a second time through `/proc`,
//!   non-blocking: the same pipe, but a flag of our own, since the flags of the first belong to
//!   everybody who shares it. Several processes may write at once there: a trace of workers;
//! * standard output, a socket, and what cannot be opened again, is asked for room by a [`Gate`]
//!   before each piece;
//! * a regular file takes every write, and what is non-blocking already refuses by itself.
//!
//! It knows bytes, and nothing of lines but where they end: what was taken in part is completed
//! before anything else is written.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::mem::ManuallyDrop;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::gate::Gate;
use super::models::{OPEN_NONBLOCKING, standard_stream};

/// What a pipe that has room takes at once: `PIPE_BUF` of pipe(7).
const PIECE_BYTES: usize = 4096;

/// Writes whole texts to one stream.
pub(crate) struct Sink(OnceLock<Mutex<State>>);

struct State {
    file: Handle,
    room: Gate,
    /// Whether a write to it waits when there is no room.
    may_wait: bool,
    /// The end of a text of which only the beginning has been taken.
    rest: Vec<u8>,
}

enum Handle {
    Own(File),
    /// One of the standard streams, which is not closed.
    Standard(ManuallyDrop<File>),
}

/// Which of the standard streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standard {
    Output = 1,
    Error = 2,
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
        sink.state(|| State::new(Handle::Own(file), false));
        Ok(sink)
    }

    /// Looks at the stream now, so that its descriptors are taken before others are counted on.
    pub(crate) fn prepare(&self, stream: Standard) {
        self.state(|| State::of(stream));
    }

    /// Writes `text`, and waits for room at most so long.
    ///
    /// # Errors
    /// What write(2) said.
    pub(crate) fn put(&self, stream: Standard, text: &[u8], patience: Duration) -> io::Result<Put> {
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
        let state = self.state(|| State::of(Standard::Error));
        state.lock().unwrap_or_else(PoisonError::into_inner).put(text)
    }

    /// Forgets the rest of a text: after a fork it is the parent's to write.
    pub(crate) fn forget(&self) {
        if let Some(state) = self.0.get() {
            state.lock().unwrap_or_else(PoisonError::into_inner).rest.clear();
        }
    }

    fn state(&self, make: impl FnOnce() -> State) -> &Mutex<State> {
        self.0.get_or_init(|| Mutex::new(make()))
    }
}

/// Whether the stream was given to us non-blocking.
fn is_nonblocking(stream: Standard) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", stream as i32));
    let info = info.unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & OPEN_NONBLOCKING != 0)
}

impl State {
    const fn new(file: Handle, may_wait: bool) -> Self {
        Self { file, room: Gate::new(), may_wait, rest: Vec::new() }
    }

    fn of(stream: Standard) -> Self {
        let path = format!("/proc/self/fd/{}", stream as i32);
        let kind = fs::metadata(&path).map(|meta| meta.file_type());
        let is = |ask: fn(&fs::FileType) -> bool| kind.as_ref().is_ok_and(ask);
        let is_pipe = is(FileTypeExt::is_fifo) || is(FileTypeExt::is_char_device);
        if stream == Standard::Error
            && is_pipe
            && let Ok(file) = File::options().write(true).custom_flags(OPEN_NONBLOCKING).open(&path)
        {
            return Self::new(Handle::Own(file), false);
        }
        let file = Handle::Standard(standard_stream(stream as i32));
        let state = Self::new(file, !is(fs::FileType::is_file) && !is_nonblocking(stream));
        // The gate takes its descriptors now.
        state.is_open();
        state
    }

    fn file(&self) -> &File {
        match &self.file {
            Handle::Own(file) => file,
            Handle::Standard(file) => file,
        }
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
    ///
    /// # Errors
    /// What write(2) said; [`ErrorKind::WriteZero`] when it took nothing and said nothing.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let (mut file, mut gone) = (self.file(), 0);
        while gone < bytes.len() && (!self.may_wait || self.is_open()) {
            let piece = match &bytes[gone..] {
                rest if self.may_wait => &rest[..rest.len().min(PIECE_BYTES)],
                rest => rest,
            };
            let taken = match file.write(piece) {
                // Asked again it would take nothing again.
                Ok(0) => Err(ErrorKind::WriteZero.into()),
                taken => taken,
            };
            match taken {
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
        self.room.is_open(self.file())
    }

    fn wait(&self, patience: Duration) {
        self.room.wait(self.file(), patience);
    }
}
