//! Pipes: two ends and the buffer between.
//!
//! Knows the files of both ends by id. The buffer is sixteen pages unless it is set otherwise, each
//! filled by one write and extended by the next, so that many small writes share pages and large
//! ones do not.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::file::{FileId, Result, WAKE_ALL, Wakes, drain_into, err_if, mask_if};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT};

/// Man page: pipe(7), "Pipe capacity"
const CAPACITY_PAGES: usize = 16;
const PAGE_BYTES: usize = 4_096;
/// What an unprivileged process may set: `/proc/sys/fs/pipe-max-size`.
const CAPACITY_MAX_BYTES: usize = 1 << 20;

pub(super) struct Pipe {
    pages: VecDeque<Page>,
    capacity_pages: usize,
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
    pub(super) pipe: FileId,
    pub(super) is_writer: bool,
}

impl Page {
    fn new(bytes: &[u8], mergeable: bool) -> Self {
        Self { bytes: bytes.iter().copied().collect(), filled: bytes.len(), mergeable }
    }
}

impl Pipe {
    pub(super) fn new(reader: FileId, writer: FileId) -> Self {
        Self {
            pages: VecDeque::new(),
            capacity_pages: CAPACITY_PAGES,
            reader: Some(reader),
            writer: Some(writer),
        }
    }

    /// Sets the capacity; returns it in bytes. A writer is woken even if there was room before.
    ///
    /// Reference: fs/pipe.c: `pipe_set_size`, `pipe_resize_ring`
    pub(super) fn set_size(&mut self, bytes: usize, wakes: &mut Wakes) -> Result<usize> {
        err_if(bytes > 1 << 31, Errno::EINVAL)?;
        let bytes = bytes.max(PAGE_BYTES).next_power_of_two();
        let pages = bytes / PAGE_BYTES;
        err_if(pages > self.capacity_pages && bytes > CAPACITY_MAX_BYTES, Errno::EPERM)?;
        err_if(pages < self.pages.len(), Errno::EBUSY)?;
        self.capacity_pages = pages;
        if let Some(writer) = self.writer {
            wakes.push_back((writer, WAKE_ALL));
        }
        Ok(bytes)
    }

    /// The writer is woken only if the pipe was full.
    ///
    /// Reference: fs/pipe.c: `anon_pipe_read`
    pub(super) fn read(&mut self, buf: &mut [u8], wakes: &mut Wakes) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.pages.is_empty() {
            return if self.writer.is_some() { Err(Errno::EAGAIN) } else { Ok(0) };
        }
        let was_full = self.is_full();
        let (count, came_free) = self.pop(buf);
        if let Some(writer) = self.writer
            && was_full
            && came_free
        {
            wakes.push_back((writer, EPOLLOUT));
        }
        Ok(count)
    }

    /// The reader is woken for every write, once it has been polled.
    ///
    /// Reference: fs/pipe.c: `anon_pipe_write`
    pub(super) fn write(&mut self, buf: &[u8], wakes: &mut Wakes) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let reader = self.reader.ok_or(Errno::EPIPE)?;
        let count = self.push(buf);
        // Even when no byte fitted.
        wakes.push_back((reader, EPOLLIN));
        if count == 0 { Err(Errno::EAGAIN) } else { Ok(count) }
    }

    /// Appends spliced bytes, for which there is [room](Self::splice_room).
    ///
    /// Reference: fs/splice.c: `splice_to_pipe`
    pub(super) fn splice_in(&mut self, bytes: &[u8], wakes: &mut Wakes) -> usize {
        self.pages.extend(bytes.chunks(PAGE_BYTES).map(|page| Page::new(page, false)));
        if let Some(reader) = self.reader {
            wakes.push_back((reader, WAKE_ALL));
        }
        bytes.len()
    }

    /// Removes bytes that were spliced. Unlike a read, it wakes the writer for each freed page.
    ///
    /// Reference: fs/splice.c: `splice_from_pipe_feed`
    pub(super) fn consume_spliced(&mut self, count: usize, wakes: &mut Wakes) {
        let (_, came_free) = self.pop(&mut vec![0; count]);
        if let Some(writer) = self.writer
            && came_free
        {
            wakes.push_back((writer, WAKE_ALL));
        }
    }

    /// Closes one end; returns whether the other is still open.
    ///
    /// Reference: fs/pipe.c: `pipe_release`
    pub(super) fn close(&mut self, is_writer: bool, wakes: &mut Wakes) -> bool {
        let end = if is_writer { &mut self.writer } else { &mut self.reader };
        *end = None;
        let remaining = self.reader.or(self.writer);
        if let Some(remaining) = remaining {
            wakes.push_back((remaining, WAKE_ALL));
        }
        remaining.is_some()
    }

    /// Reference: fs/pipe.c: `pipe_poll`
    pub(super) fn poll(&self, is_writer: bool) -> u32 {
        if is_writer {
            mask_if(!self.is_full(), EPOLLOUT) | mask_if(self.reader.is_none(), EPOLLERR)
        } else {
            mask_if(!self.pages.is_empty(), EPOLLIN) | mask_if(self.writer.is_none(), EPOLLHUP)
        }
    }

    /// A copy of up to `len` unread bytes, to be spliced.
    ///
    /// Reference: fs/splice.c: `ipipe_prep`
    pub(super) fn peek(&self, len: usize) -> Result<Vec<u8>> {
        let bytes = self.pages.iter().flat_map(|page| &page.bytes).copied().take(len);
        let bytes: Vec<u8> = bytes.collect();
        if bytes.is_empty() && self.writer.is_some() { Err(Errno::EAGAIN) } else { Ok(bytes) }
    }

    /// The number of unread bytes in each page.
    pub(super) fn page_lengths(&self) -> Vec<usize> {
        self.pages.iter().map(|page| page.bytes.len()).collect()
    }

    /// How many bytes can be spliced into the pipe.
    ///
    /// Reference: fs/splice.c: `wait_for_space`
    pub(super) fn splice_room(&self) -> Result<usize> {
        err_if(self.reader.is_none(), Errno::EPIPE)?;
        err_if(self.is_full(), Errno::EAGAIN)?;
        Ok((self.capacity_pages - self.pages.len()) * PAGE_BYTES)
    }

    fn is_full(&self) -> bool {
        self.pages.len() == self.capacity_pages
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
    /// The pipe, if this is the reading end.
    pub(super) fn pipe_to_read(self) -> Result<FileId> {
        if self.is_writer { Err(Errno::EBADF) } else { Ok(self.pipe) }
    }

    /// The pipe, if this is the writing end.
    pub(super) fn pipe_to_write(self) -> Result<FileId> {
        if self.is_writer { Ok(self.pipe) } else { Err(Errno::EBADF) }
    }
}
