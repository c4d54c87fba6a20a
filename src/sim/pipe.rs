//! Pipes, and splice(2), which moves bytes from a pipe or into one.
//!
//! Knows the two ends and the buffer between: sixteen pages, each filled by one write and
//! extended by the next, so that many small writes share pages and large ones do not.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::state::{FileId, FileKind, KernelState, Result, WAKE_ALL, drain_into, mask_if};
use super::version::Version;
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT};
use crate::kernel::Fd;

/// Man page: pipe(7), "Pipe capacity"
const CAPACITY_PAGES: usize = 16;
const PAGE_BYTES: usize = 4_096;

#[derive(Default)]
pub(super) struct Pipe {
    pages: VecDeque<Page>,
    reader: Option<FileId>,
    writer: Option<FileId>,
}

struct Page {
    bytes: VecDeque<u8>,
    /// How far it has been written; bytes read from its front do not free space.
    filled: usize,
    /// False for spliced bytes, which are in a page that the pipe does not own.
    mergeable: bool,
}

/// One end, as a file.
#[derive(Clone, Copy)]
pub(super) struct PipeEnd {
    buffer: FileId,
    pub(super) is_writer: bool,
}

impl Page {
    fn new(bytes: &[u8], mergeable: bool) -> Self {
        Self { bytes: bytes.iter().copied().collect(), filled: bytes.len(), mergeable }
    }
}

impl Pipe {
    fn is_full(&self) -> bool {
        self.pages.len() == CAPACITY_PAGES
    }

    /// Reads from the front; returns how many bytes, and whether a page was freed.
    fn pop(&mut self, buf: &mut [u8]) -> (usize, bool) {
        let before = self.pages.len();
        let mut count = 0;
        while count < buf.len()
            && let Some(page) = self.pages.front_mut()
        {
            count += drain_into(&mut page.bytes, &mut buf[count..]);
            if page.bytes.is_empty() {
                self.pages.pop_front();
            }
        }
        (count, self.pages.len() < before)
    }

    /// Appends as much as fits. A write of up to a page is written whole or not at all: its
    /// remainder extends the last page or takes a page of its own.
    ///
    /// Reference: fs/pipe.c: `anon_pipe_write`
    fn push(&mut self, buf: &[u8]) -> usize {
        let odd = buf.len() % PAGE_BYTES;
        let mut rest = buf;
        if odd > 0
            && let Some(last) = self.pages.back_mut()
            && last.mergeable
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

impl PipeEnd {
    /// The buffer, if this is the reading end.
    fn read_buffer(self) -> Result<FileId> {
        if self.is_writer { Err(Errno::EBADF) } else { Ok(self.buffer) }
    }

    /// The buffer, if this is the writing end.
    fn write_buffer(self) -> Result<FileId> {
        if self.is_writer { Ok(self.buffer) } else { Err(Errno::EBADF) }
    }
}

impl KernelState {
    pub(super) fn pipe2(&mut self, process: usize) -> Result<(Fd, Fd)> {
        self.check_fds_available(process, 2)?;
        let buffer = self.add(FileKind::PipeBuffer(Pipe::default()));
        let [reader, writer] =
            [false, true].map(|is_writer| self.add(FileKind::Pipe(PipeEnd { buffer, is_writer })));
        let pipe = self.pipe(buffer);
        (pipe.reader, pipe.writer) = (Some(reader), Some(writer));
        Ok((self.install(process, reader), self.install(process, writer)))
    }

    /// Reference: fs/pipe.c: `pipe_poll`
    pub(super) fn poll_pipe(&mut self, PipeEnd { buffer, is_writer }: PipeEnd) -> u32 {
        let pipe = self.pipe(buffer);
        if is_writer {
            mask_if(!pipe.is_full(), EPOLLOUT) | mask_if(pipe.reader.is_none(), EPOLLERR)
        } else {
            mask_if(!pipe.pages.is_empty(), EPOLLIN) | mask_if(pipe.writer.is_none(), EPOLLHUP)
        }
    }

    /// The writer is woken only if the pipe was full.
    ///
    /// Reference: fs/pipe.c: `anon_pipe_read`
    pub(super) fn read_pipe(&mut self, end: PipeEnd, buf: &mut [u8]) -> Result<usize> {
        let pipe = self.pipe(end.read_buffer()?);
        if buf.is_empty() {
            return Ok(0);
        }
        if pipe.pages.is_empty() {
            return if pipe.writer.is_some() { Err(Errno::EAGAIN) } else { Ok(0) };
        }
        let (writer, was_full) = (pipe.writer, pipe.is_full());
        let (count, came_free) = pipe.pop(buf);
        if let Some(writer) = writer
            && was_full
            && came_free
        {
            self.wake(writer, EPOLLOUT);
        }
        Ok(count)
    }

    /// The reader is woken for every write, once it has been polled.
    ///
    /// Reference: fs/pipe.c: `anon_pipe_write`
    pub(super) fn write_pipe(&mut self, end: PipeEnd, buf: &[u8]) -> Result<usize> {
        let pipe = self.pipe(end.write_buffer()?);
        if buf.is_empty() {
            return Ok(0);
        }
        let reader = pipe.reader.ok_or(Errno::EPIPE)?;
        let count = pipe.push(buf);
        // Even when no byte fitted.
        self.wake(reader, EPOLLIN);
        if count == 0 { Err(Errno::EAGAIN) } else { Ok(count) }
    }

    /// Moves bytes between a pipe and a socket or another pipe. An empty source pipe is an error
    /// before the other side is checked.
    ///
    /// Reference: fs/splice.c: `do_splice`, `ipipe_prep`, `wait_for_space`
    pub(super) fn splice(&mut self, from: FileId, into: FileId, len: usize) -> Result<usize> {
        if len == 0 {
            return Ok(0);
        }
        let source = self.end(from).map(PipeEnd::read_buffer).transpose()?;
        let target = self.end(into).map(PipeEnd::write_buffer).transpose()?;
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
            let count = self.read_file(from, &mut bytes)?;
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
            self.consume_spliced(source, count);
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
        Ok((CAPACITY_PAGES - pipe.pages.len()) * PAGE_BYTES)
    }

    /// Reference: fs/splice.c: `splice_to_pipe`
    fn splice_in(&mut self, buffer: FileId, bytes: &[u8]) -> usize {
        let pipe = self.pipe(buffer);
        pipe.pages.extend(bytes.chunks(PAGE_BYTES).map(|page| Page::new(page, false)));
        if let Some(reader) = pipe.reader {
            self.wake(reader, WAKE_ALL);
        }
        bytes.len()
    }

    /// Sends bytes of a pipe. Before Linux 6.5 each of its pages was sent separately: TCP and UDP
    /// held them back until the last (`MSG_MORE`), Unix sockets did not.
    ///
    /// Reference: fs/splice.c: `splice_to_socket`, and before Linux 6.5
    /// `generic_splice_sendpage`
    fn splice_out(&mut self, source: FileId, into: FileId, bytes: &[u8]) -> Result<usize> {
        let is_unix = self.find_socket(into).is_some_and(|socket| socket.is_unix());
        if self.config.version >= Version::LINUX_6_5 || !is_unix {
            return self.write_file(into, bytes);
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

    /// Unlike a read, it wakes the writer for each freed page.
    ///
    /// Reference: fs/splice.c: `splice_from_pipe_feed`
    fn consume_spliced(&mut self, buffer: FileId, count: usize) {
        let pipe = self.pipe(buffer);
        let writer = pipe.writer;
        let (_, came_free) = pipe.pop(&mut vec![0; count]);
        if let Some(writer) = writer
            && came_free
        {
            self.wake(writer, WAKE_ALL);
        }
    }

    /// Reference: fs/pipe.c: `pipe_release`
    pub(super) fn close_pipe(&mut self, file: FileId, PipeEnd { buffer, is_writer }: PipeEnd) {
        self.files.remove(&file);
        let pipe = self.pipe(buffer);
        let end = if is_writer { &mut pipe.writer } else { &mut pipe.reader };
        *end = None;
        match pipe.reader.or(pipe.writer) {
            Some(remaining) => self.wake(remaining, WAKE_ALL),
            None => _ = self.files.remove(&buffer),
        }
    }

    fn end(&mut self, file: FileId) -> Option<PipeEnd> {
        match self.file_mut(file).kind {
            FileKind::Pipe(end) => Some(end),
            _ => None,
        }
    }

    fn pipe(&mut self, buffer: FileId) -> &mut Pipe {
        match &mut self.file_mut(buffer).kind {
            FileKind::PipeBuffer(pipe) => pipe,
            _ => unreachable!("an end names its own buffer"),
        }
    }
}
