//! Lines of a stream, of bounded length.
//!
//! Knows where a line ends. It knows no text: lines are bytes.

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroUsize;

use super::stream::ReadHalf;
use crate::errno::Errno;
use crate::kernel::Kernel;

/// Receives line by line. Made by [`ReadHalf::lines`].
pub struct Lines<K: Kernel> {
    half: ReadHalf<K>,
    /// What was received; lines before `start` have been returned.
    buffer: Vec<u8>,
    start: usize,
    /// Up to where there is no line feed behind `start`.
    searched: usize,
    line_bytes_max: NonZeroUsize,
    /// Whether the peer has sent everything.
    is_at_eof: bool,
}

/// Why there is no next line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LineError {
    /// What receiving returned.
    Recv(Errno),
    /// More bytes without a line feed than a line may have. The line cannot be continued: close
    /// the connection.
    TooLong,
}

impl<K: Kernel> ReadHalf<K> {
    /// Receives lines of up to `line_bytes_max` bytes, without counting their end. Cost: O(1).
    #[must_use]
    pub const fn lines(self, line_bytes_max: NonZeroUsize) -> Lines<K> {
        Lines {
            half: self,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            line_bytes_max,
            is_at_eof: false,
        }
    }
}

impl<K: Kernel> Lines<K> {
    /// The next line without its end, which is a line feed and the carriage return before it, if
    /// there is one; `None` at the end of file. A last line without an end is one, too. Cost: one
    /// system call when no whole line has been received yet, O(bytes), and memory for a line and
    /// what one receive returns.
    ///
    /// Cancel-safe: dropped before it completes, it has lost nothing.
    ///
    /// # Errors
    /// * [`LineError::TooLong`]: the line is longer than permitted.
    /// * [`LineError::Recv`]: as [`ReadHalf::recv`].
    pub async fn next(&mut self) -> Result<Option<&[u8]>, LineError> {
        let (line, has_end) = loop {
            let found = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n');
            if let Some(at) = found {
                let line = self.start..self.searched + at;
                self.start = line.end + 1;
                self.searched = self.start;
                break (line, true);
            }
            self.searched = self.buffer.len();
            // A carriage return may still belong to the end.
            if self.searched - self.start > self.line_bytes_max.get().saturating_add(1) {
                return Err(LineError::TooLong);
            }
            if self.is_at_eof {
                let line = self.start..self.searched;
                if line.is_empty() {
                    return Ok(None);
                }
                self.start = line.end;
                break (line, false);
            }
            // Once for each receive, and not for each line: short lines would be moved again and
            // again.
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
            match self.half.recv_pooled().await.map_err(LineError::Recv)? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => self.is_at_eof = true,
            }
        };
        let line = &self.buffer[line];
        let line = if has_end { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        if line.len() > self.line_bytes_max.get() {
            Err(LineError::TooLong)
        } else {
            Ok(Some(line))
        }
    }

    /// The half, and the bytes that were received and not returned as lines. Cost: at most one
    /// copy of them.
    pub fn into_parts(mut self) -> (ReadHalf<K>, Vec<u8>) {
        self.buffer.drain(..self.start);
        (self.half, self.buffer)
    }
}

impl<K: Kernel> fmt::Debug for Lines<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("half", &self.half).finish_non_exhaustive()
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recv(errno) => errno.fmt(f),
            Self::TooLong => f.write_str("a line is too long"),
        }
    }
}

impl core::error::Error for LineError {}

impl From<LineError> for Errno {
    /// [`EMSGSIZE`](Errno::EMSGSIZE) for a line that is too long.
    fn from(error: LineError) -> Self {
        match error {
            LineError::Recv(errno) => errno,
            LineError::TooLong => Self::EMSGSIZE,
        }
    }
}
