//! Pipes, and splice(2), which moves bytes from a pipe or into one.
//!
//! Knows the two ends and the buffer between: sixteen pages, each filled by one write and
//! topped up by the next, so that many small writes lie close together and large ones do not.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::version::Version;
use super::world::{ANYTHING, FileId, Node, Result, World, bit, take};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT};
use crate::kernel::Fd;

/// Man page: pipe(7), "Pipe capacity"
const PAGES: usize = 16;
const PAGE_BYTES: usize = 4_096;

#[derive(Default)]
pub(super) struct Pipe {
    pages: VecDeque<Page>,
    reader: Option<FileId>,
    writer: Option<FileId>,
}

struct Page {
    bytes: VecDeque<u8>,
    /// How far it has been written to; what is read from its front does not come free.
    filled: usize,
    /// Bytes that were spliced in lie in a page of somebody else's.
    is_ours: bool,
}

/// One end, as a file.
#[derive(Clone, Copy)]
pub(super) struct End {
    buffer: FileId,
    pub(super) is_writer: bool,
}

impl Page {
    fn new(bytes: &[u8], is_ours: bool) -> Self {
        Self { bytes: bytes.iter().copied().collect(), filled: bytes.len(), is_ours }
    }
}

impl Pipe {
    fn is_full(&self) -> bool {
        self.pages.len() == PAGES
    }

    /// Takes from the front; returns how many bytes, and whether a page came free.
    fn take(&mut self, buf: &mut [u8]) -> (usize, bool) {
        let before = self.pages.len();
        let mut count = 0;
        while count < buf.len()
            && let Some(page) = self.pages.front_mut()
        {
            count += take(&mut page.bytes, &mut buf[count..]);
            if page.bytes.is_empty() {
                self.pages.pop_front();
            }
        }
        (count, self.pages.len() < before)
    }

    /// Puts at the end as much as there is room for. A write of up to a page goes whole or not
    /// at all: its odd bytes top up the last page or take a page of their own.
    ///
    /// Reference: fs/pipe.c: `anon_pipe_write`
    fn put(&mut self, buf: &[u8]) -> usize {
        let odd = buf.len() % PAGE_BYTES;
        let mut rest = buf;
        if odd > 0
            && let Some(last) = self.pages.back_mut()
            && last.is_ours
            && last.filled + odd <= PAGE_BYTES
        {
            last.bytes.extend(&buf[..odd]);
            last.filled += odd;
            rest = &buf[odd..];
        }
        while !rest.is_empty() && !self.is_full() {
            let (page, after) = rest.split_at(rest.len().min(PAGE_BYTES));
            self.pages.push_back(Page::new(page, true));
            rest = after;
        }
        buf.len() - rest.len()
    }
}

impl End {
    /// The buffer, which this end is to read from.
    fn reads(self) -> Result<FileId> {
        if self.is_writer { Err(Errno::EBADF) } else { Ok(self.buffer) }
    }

    /// The buffer, which this end is to write to.
    fn writes(self) -> Result<FileId> {
        if self.is_writer { Ok(self.buffer) } else { Err(Errno::EBADF) }
    }
}

impl World {
    pub(super) fn pipe2(&mut self, process: usize) -> Result<(Fd, Fd)> {
        self.room_for(process, 2)?;
        let buffer = self.add(Node::PipeBuffer(Pipe::default()));
        let [reader, writer] =
            [false, true].map(|is_writer| self.add(Node::Pipe(End { buffer, is_writer })));
        let pipe = self.pipe(buffer);
        (pipe.reader, pipe.writer) = (Some(reader), Some(writer));
        Ok((self.install(process, reader), self.install(process, writer)))
    }

    /// Reference: fs/pipe.c: `pipe_poll`
    pub(super) fn poll_pipe(&mut self, End { buffer, is_writer }: End) -> u32 {
        let pipe = self.pipe(buffer);
        if is_writer {
            bit(!pipe.is_full(), EPOLLOUT) | bit(pipe.reader.is_none(), EPOLLERR)
        } else {
            bit(!pipe.pages.is_empty(), EPOLLIN) | bit(pipe.writer.is_none(), EPOLLHUP)
        }
    }

    /// The writer is told of room only when there was none.
    ///
    /// Reference: fs/pipe.c: `anon_pipe_read`
    pub(super) fn read_pipe(&mut self, end: End, buf: &mut [u8]) -> Result<usize> {
        let pipe = self.pipe(end.reads()?);
        if buf.is_empty() {
            return Ok(0);
        }
        if pipe.pages.is_empty() {
            return if pipe.writer.is_some() { Err(Errno::EAGAIN) } else { Ok(0) };
        }
        let (writer, was_full) = (pipe.writer, pipe.is_full());
        let (count, came_free) = pipe.take(buf);
        if let Some(writer) = writer
            && was_full
            && came_free
        {
            self.wake(writer, EPOLLOUT);
        }
        Ok(count)
    }

    /// The reader is told of every write, once somebody has waited for it.
    ///
    /// Reference: fs/pipe.c: `anon_pipe_write`
    pub(super) fn write_pipe(&mut self, end: End, buf: &[u8]) -> Result<usize> {
        let pipe = self.pipe(end.writes()?);
        if buf.is_empty() {
            return Ok(0);
        }
        let reader = pipe.reader.ok_or(Errno::EPIPE)?;
        let count = pipe.put(buf);
        // Even when there was no room for a byte.
        self.wake(reader, EPOLLIN);
        if count == 0 { Err(Errno::EAGAIN) } else { Ok(count) }
    }

    /// Moves bytes between a pipe and a socket or another pipe. A pipe that has nothing to give
    /// says so before anybody looks at the other side.
    ///
    /// Reference: fs/splice.c: `do_splice`, `ipipe_prep`, `wait_for_space`
    pub(super) fn splice(&mut self, from: FileId, into: FileId, len: usize) -> Result<usize> {
        if len == 0 {
            return Ok(0);
        }
        let source = self.end(from).map(End::reads).transpose()?;
        let target = self.end(into).map(End::writes).transpose()?;
        // Neither is a pipe, or both are the same one.
        if source == target {
            return Err(Errno::EINVAL);
        }
        let mut bytes: Vec<u8> = Vec::new();
        if let Some(source) = source {
            let pipe = self.pipe(source);
            bytes.extend(pipe.pages.iter().flat_map(|page| &page.bytes).take(len));
            if bytes.is_empty() && pipe.writer.is_some() {
                return Err(Errno::EAGAIN);
            }
        }
        let room = match target {
            Some(target) => self.room_to_splice(target)?,
            None => usize::MAX,
        };
        if source.is_none() {
            bytes.resize(len.min(room), 0);
            let count = self.read_any(from, &mut bytes)?;
            bytes.truncate(count);
        }
        let bytes = &bytes[..bytes.len().min(room)];
        let count = match (source, target) {
            _ if bytes.is_empty() => 0,
            (_, Some(target)) => self.splice_in(target, bytes),
            (Some(source), None) => self.splice_out(source, into, bytes)?,
            (None, None) => unreachable!("one of the two is a pipe"),
        };
        if let Some(source) = source {
            self.spliced_out(source, count);
        }
        Ok(count)
    }

    fn room_to_splice(&mut self, buffer: FileId) -> Result<usize> {
        let pipe = self.pipe(buffer);
        if pipe.reader.is_none() {
            return Err(Errno::EPIPE);
        }
        if pipe.is_full() {
            return Err(Errno::EAGAIN);
        }
        Ok((PAGES - pipe.pages.len()) * PAGE_BYTES)
    }

    /// Reference: fs/splice.c: `splice_to_pipe`
    fn splice_in(&mut self, buffer: FileId, bytes: &[u8]) -> usize {
        let pipe = self.pipe(buffer);
        pipe.pages.extend(bytes.chunks(PAGE_BYTES).map(|page| Page::new(page, false)));
        if let Some(reader) = pipe.reader {
            self.wake(reader, ANYTHING);
        }
        bytes.len()
    }

    /// Sends what a pipe gives. Before Linux 6.5 each of its pages was sent by itself: TCP and UDP
    /// held them back until the last (`MSG_MORE`), Unix sockets did not.
    ///
    /// Reference: fs/splice.c: `splice_to_socket`, and before Linux 6.5
    /// `generic_splice_sendpage`
    fn splice_out(&mut self, source: FileId, into: FileId, bytes: &[u8]) -> Result<usize> {
        let is_unix = self.find_socket(into).is_some_and(|socket| socket.is_unix());
        if self.config.version >= Version::LINUX_6_5 || !is_unix {
            return self.write_any(into, bytes);
        }
        let pages: Vec<usize> = self.pipe(source).pages.iter().map(|it| it.bytes.len()).collect();
        let (mut rest, mut count) = (bytes, 0);
        for len in pages {
            let (page, after) = rest.split_at(len.min(rest.len()));
            if page.is_empty() {
                break;
            }
            match self.send_page(into, page) {
                Ok(sent) => count += sent,
                Err(errno) if count == 0 => return Err(errno),
                Err(_) => break,
            }
            rest = after;
        }
        Ok(count)
    }

    /// Unlike a read, it tells the writer of each page that comes free.
    ///
    /// Reference: fs/splice.c: `splice_from_pipe_feed`
    fn spliced_out(&mut self, buffer: FileId, count: usize) {
        let pipe = self.pipe(buffer);
        let writer = pipe.writer;
        let (_, came_free) = pipe.take(&mut vec![0; count]);
        if let Some(writer) = writer
            && came_free
        {
            self.wake(writer, ANYTHING);
        }
    }

    /// Reference: fs/pipe.c: `pipe_release`
    pub(super) fn close_pipe(&mut self, file: FileId, End { buffer, is_writer }: End) {
        self.files.remove(&file);
        let pipe = self.pipe(buffer);
        let gone = if is_writer { &mut pipe.writer } else { &mut pipe.reader };
        *gone = None;
        match pipe.reader.or(pipe.writer) {
            Some(left) => self.wake(left, ANYTHING),
            None => _ = self.files.remove(&buffer),
        }
    }

    fn end(&mut self, file: FileId) -> Option<End> {
        match self.at(file).node {
            Node::Pipe(end) => Some(end),
            _ => None,
        }
    }

    fn pipe(&mut self, buffer: FileId) -> &mut Pipe {
        match &mut self.at(buffer).node {
            Node::PipeBuffer(pipe) => pipe,
            _ => unreachable!("an end names its own buffer"),
        }
    }
}
