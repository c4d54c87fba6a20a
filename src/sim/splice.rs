//! splice(2): bytes move from a pipe or into one.
//!
//! Knows pipes; the other side is any file that can be read or written.

use alloc::vec::Vec;

use super::file::{FileId, Result, err_if};
use super::file_table::FileTable;
use super::pipe::PipeEnd;
use super::version::Version;
use crate::errno::Errno;

impl FileTable {
    /// Moves bytes between a pipe and a socket or another pipe. An empty source pipe is an error
    /// before the other side is checked.
    ///
    /// Reference: fs/splice.c: `do_splice`
    pub(super) fn splice(&mut self, from: FileId, into: FileId, len: usize) -> Result<usize> {
        if len == 0 {
            return Ok(0);
        }
        let source = self.pipe_end(from).map(PipeEnd::pipe_to_read).transpose()?;
        let target = self.pipe_end(into).map(PipeEnd::pipe_to_write).transpose()?;
        // Neither is a pipe, or both are the same one.
        err_if(source == target, Errno::EINVAL)?;
        let mut bytes = match source {
            Some(source) => self.pipe(source).0.peek(len)?,
            None => Vec::new(),
        };
        let room = match target {
            Some(target) => self.pipe(target).0.splice_room()?,
            None => usize::MAX,
        };
        if source.is_none() {
            let len = self.net.splice_len(from, len.min(room))?;
            if len == 0 {
                return Ok(0);
            }
            bytes.resize(len, 0);
            let count = self.read(from, &mut bytes)?;
            bytes.truncate(count);
        }
        let bytes = &bytes[..bytes.len().min(room)];
        let count = match (source, target) {
            _ if bytes.is_empty() => 0,
            (_, Some(target)) => {
                let (target, wakes) = self.pipe(target);
                target.splice_in(bytes, wakes)
            }
            (Some(source), None) => self.splice_out(source, into, bytes)?,
            (None, None) => unreachable!("one of the two is a pipe"),
        };
        if let Some(source) = source {
            let (source, wakes) = self.pipe(source);
            source.consume_spliced(count, wakes);
        }
        Ok(count)
    }

    /// Sends bytes of a pipe. Before Linux 6.5 each of its pages was sent separately: TCP and UDP
    /// held them back until the last (`MSG_MORE`), Unix sockets did not.
    ///
    /// Reference: fs/splice.c: `splice_to_socket`, and before Linux 6.5
    /// `generic_splice_sendpage`
    fn splice_out(&mut self, source: FileId, into: FileId, bytes: &[u8]) -> Result<usize> {
        let is_unix = self.net.find_socket(into).is_some_and(|socket| socket.is_unix());
        if self.net.config.version >= Version::LINUX_6_5 || !is_unix {
            return self.write(into, bytes);
        }
        let (mut rest, mut count) = (bytes, 0);
        for len in self.pipe(source).0.page_lengths() {
            let (page, after) = rest.split_at(len.min(rest.len()));
            if page.is_empty() {
                break;
            }
            let is_appended = self.net.append_page(into, page);
            match if is_appended { Ok(page.len()) } else { self.write(into, page) } {
                Ok(sent) => count += sent,
                Err(errno) if count == 0 => return Err(errno),
                Err(_) => break,
            }
            rest = after;
        }
        Ok(count)
    }
}
