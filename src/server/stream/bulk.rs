//! Bulk: a connection that streams moves its bytes from the socket to a pipe and from the pipe to
//! the socket, by splice(2), so that they are not copied through this process.
//!
//! Knows one socket, and pipes. What is done when, the connection decides.
//!
//! Invariants:
//!
//! * Bytes are moved into an empty pipe only, so that `EAGAIN` from there concerns the socket, and
//!   from the pipe to the socket only while the pipe holds bytes.
//! * Only recv(2) decides that a socket is empty or at its end: splice(2) also returns nothing at
//!   an urgent mark.
//! * A pipe is with its connection only while it holds bytes of it: kept under a number between
//!   events. It returns to the free ones when it is empty, by the pool's own count; if the
//!   connection ends first, it is closed.
//! * A [`BulkSocket`] must end with `finish`: dropping one loses its pipe, whose descriptors
//!   nothing closes.
//! * The pool has at most [`StreamConfig::pipes_max`] pipes, and none is asked to hold more than
//!   twice the receive buffer. A connection that finds none copies.

use alloc::vec::Vec;
use core::num::NonZeroU8;

use super::config::StreamConfig;
use super::transport::{Socket, Transport};
use crate::collections::Array as _;
use crate::errno::Errno;
use crate::kernel::{ConnectionDecision, Fd, Kernel, Shutdown, close_quietly};
use crate::reactor::retry::retry_on_eintr;
use crate::reactor::{Received, Sent};

/// The most bytes that a pipe of the server holds: what Linux grants an unprivileged process.
const PIPE_BYTES_MAX: usize = 1 << 20;

/// The size of a pipe, in receive buffers: 128 KiB by default, with which it was measured
/// (docs/performance.md).
const PIPE_BUFFERS: usize = 2;

/// A pipe that the pool keeps for a connection: its number.
pub(super) type PipeNumber = NonZeroU8;

/// A pipe, and how many bytes have been moved into it and not out of it.
struct Pipe {
    reader: Fd,
    writer: Fd,
    held_bytes: usize,
}

/// The pipes of one server.
pub(super) struct PipePool {
    /// Empty ones.
    free: Vec<Pipe>,
    /// Those that hold bytes of a connection, by number less one.
    held: Vec<Option<Pipe>>,
    /// How many pipes there are: those above, and those in use by a [`BulkSocket`].
    len: usize,
    pipes_max: usize,
    pipe_bytes: usize,
    /// Whether splice(2) is not permitted here, or not known to the kernel: set by the first
    /// connection to which that happens, for all of them.
    is_unavailable: bool,
}

impl PipePool {
    /// Creates an empty pool. Cost: O(1), no allocation.
    pub(super) fn new(config: &StreamConfig) -> Self {
        let buffers = config.buffer_bytes.saturating_mul(PIPE_BUFFERS);
        let pipe_bytes = buffers.min(config.budget_bytes).min(PIPE_BYTES_MAX);
        Self {
            free: Vec::new(),
            held: Vec::new(),
            len: 0,
            pipes_max: config.pipes_max.into(),
            pipe_bytes,
            is_unavailable: false,
        }
    }

    /// An empty pipe; `None` if there is none to be had. Cost: at most four system calls.
    fn acquire<K: Kernel>(&mut self, kernel: &mut K) -> Option<Pipe> {
        if self.is_unavailable {
            return None;
        }
        if let Some(pipe) = self.free.pop() {
            return Some(pipe);
        }
        if self.len >= self.pipes_max {
            return None;
        }
        // Room to keep it, whatever becomes of it.
        let more = self.len + 1;
        self.free.try_reserve(more - self.free.len()).ok()?;
        self.held.try_reserve(more.saturating_sub(self.held.len())).ok()?;
        let (reader, writer) = retry_on_eintr(|| kernel.pipe2()).ok()?;
        // A pipe of unknown size may hold one page only, and would be slower than to copy.
        if retry_on_eintr(|| kernel.fcntl_setpipe_sz(&writer, self.pipe_bytes)).is_err() {
            close_quietly(kernel, reader);
            close_quietly(kernel, writer);
            return None;
        }
        self.len += 1;
        Some(Pipe { reader, writer, held_bytes: 0 })
    }

    /// The pipe that is kept under `number`.
    fn take(&mut self, number: Option<PipeNumber>) -> Option<Pipe> {
        self.held.get_mut(usize::from(number?.get()) - 1)?.take()
    }

    /// Takes a pipe back. One that holds bytes is kept for its connection, under the number that is
    /// returned. Cost: O(pipes); two system calls if it is of no use any more.
    fn put<K: Kernel>(&mut self, pipe: Option<Pipe>, kernel: &mut K) -> Option<PipeNumber> {
        let pipe = pipe?;
        if pipe.held_bytes == 0 {
            if self.is_unavailable {
                self.close(pipe, kernel);
            } else if let Err(pipe) = self.free.try_push(pipe) {
                self.close(pipe, kernel);
            }
            return None;
        }
        let vacant = self.held.iter().position(Option::is_none).unwrap_or(self.held.len());
        if vacant == self.held.len() {
            // There is room, since it was created.
            let _ = self.held.try_push(None);
        }
        *self.held.get_mut(vacant)? = Some(pipe);
        // A pool has at most 255.
        u8::try_from(vacant + 1).ok().and_then(NonZeroU8::new)
    }

    /// Closes the pipe of a connection that has ended, with the bytes in it. Cost: two system calls
    /// if it has one.
    pub(super) fn discard<K: Kernel>(&mut self, number: Option<PipeNumber>, kernel: &mut K) {
        if let Some(pipe) = self.take(number) {
            self.close(pipe, kernel);
        }
    }

    /// Closes the pipes that are not in use, because descriptors are needed for something else.
    /// Returns whether there were any. Cost: two system calls for each.
    pub(super) fn close_free<K: Kernel>(&mut self, kernel: &mut K) -> bool {
        let any = !self.free.is_empty();
        while let Some(pipe) = self.free.pop() {
            self.close(pipe, kernel);
        }
        any
    }

    /// Closes every pipe. Cost: two system calls for each.
    pub(super) fn close_all<K: Kernel>(&mut self, kernel: &mut K) {
        self.close_free(kernel);
        while let Some(pipe) = self.held.pop() {
            if let Some(pipe) = pipe {
                self.close(pipe, kernel);
            }
        }
    }

    fn close<K: Kernel>(&mut self, pipe: Pipe, kernel: &mut K) {
        self.len -= 1;
        close_quietly(kernel, pipe.reader);
        close_quietly(kernel, pipe.writer);
    }
}

/// A socket, and a pipe of the pool while one is needed.
pub(super) struct BulkSocket<'a, K: Kernel> {
    socket: Socket<'a, K>,
    pool: &'a mut PipePool,
    pipe: Option<Pipe>,
}

impl<'a, K: Kernel> BulkSocket<'a, K> {
    /// With the pipe `number`, which holds bytes of this connection, if it has one. Cost: O(1).
    pub(super) fn new(
        socket: Socket<'a, K>,
        pool: &'a mut PipePool,
        number: Option<PipeNumber>,
    ) -> Self {
        let pipe = pool.take(number);
        Self { socket, pool, pipe }
    }

    /// Gives the pipe back; returns its number if it holds bytes. Cost: as [`PipePool::put`].
    pub(super) fn finish(self) -> Option<PipeNumber> {
        self.pool.put(self.pipe, self.socket.kernel)
    }

    /// Whether splice(2) was refused, and the socket has not failed. If so it is not tried again,
    /// unless there was no memory.
    fn is_refusal(&mut self, errno: Errno) -> bool {
        let is_permanent =
            matches!(errno, Errno::ENOSYS | Errno::EINVAL | Errno::EPERM | Errno::EOPNOTSUPP);
        self.pool.is_unavailable |= is_permanent;
        is_permanent || errno.is_resource_exhausted()
    }
}

impl<K: Kernel> Transport for BulkSocket<'_, K> {
    fn recv(&mut self, buf: &mut [u8]) -> Result<Received, Errno> {
        self.socket.recv(buf)
    }

    fn peek(&mut self, buf: &mut [u8]) -> Result<Received, Errno> {
        self.socket.peek(buf)
    }

    fn send(&mut self, buf: &[u8]) -> Result<Sent, Errno> {
        self.socket.send(buf)
    }

    fn shutdown(&mut self, how: Shutdown) -> Result<(), Errno> {
        self.socket.shutdown(how)
    }

    fn unsent_bytes(&mut self) -> usize {
        self.socket.unsent_bytes()
    }

    #[inline]
    fn on_decision(&mut self, what: ConnectionDecision) {
        self.socket.on_decision(what);
    }

    fn splice_in(&mut self, bytes_max: usize) -> Result<Option<usize>, Errno> {
        let Socket { kernel, fd } = &mut self.socket;
        if self.pipe.is_none() {
            self.pipe = self.pool.acquire(*kernel);
        }
        let Some(pipe) = &mut self.pipe else { return Ok(None) };
        assert!(
            !crate::assertions::ASSERTS || pipe.held_bytes == 0,
            "bytes are moved into an empty pipe"
        );
        let len = bytes_max.min(self.pool.pipe_bytes);
        match retry_on_eintr(|| kernel.splice(fd, &pipe.writer, len)) {
            Ok(count) => {
                pipe.held_bytes = count;
                Ok(Some(count))
            }
            Err(errno) if errno.is_would_block() => Ok(Some(0)),
            Err(errno) if self.is_refusal(errno) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn splice_out(&mut self, bytes: usize) -> Result<Option<Sent>, Errno> {
        let Socket { kernel, fd } = &mut self.socket;
        // External bytes are in a pipe.
        let pipe = self.pipe.as_mut().ok_or(Errno::EIO)?;
        assert!(
            !crate::assertions::ASSERTS || pipe.held_bytes == bytes,
            "the pipe holds the external bytes and no others"
        );
        match retry_on_eintr(|| kernel.splice(&pipe.reader, fd, bytes)) {
            // The pipe does not hold what was moved into it.
            Ok(0) => Err(Errno::EIO),
            Ok(count) => {
                pipe.held_bytes -= count;
                Ok(Some(Sent::Bytes(count)))
            }
            Err(errno) if errno.is_would_block() => Ok(Some(Sent::WouldBlock)),
            Err(errno) if self.is_refusal(errno) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn read_pipe(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        let kernel = &mut self.socket.kernel;
        let pipe = self.pipe.as_mut().ok_or(Errno::EIO)?;
        let count = retry_on_eintr(|| kernel.read(&pipe.reader, buf))?;
        if count == 0 {
            return Err(Errno::EIO);
        }
        pipe.held_bytes -= count;
        Ok(count)
    }
}

#[cfg(feature = "sim")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Sim;

    #[test]
    fn a_pool_is_bounded_and_a_pipe_with_bytes_is_kept_under_its_number() {
        let mut sim = Sim::default();
        let mut pool = PipePool::new(&StreamConfig { pipes_max: 2, ..StreamConfig::default() });
        let [one, two] = [(), ()].map(|()| pool.acquire(&mut sim).unwrap());
        assert!(pool.acquire(&mut sim).is_none(), "two are the limit");
        let number = pool.put(Some(Pipe { held_bytes: 7, ..one }), &mut sim);
        assert_eq!(pool.put(Some(two), &mut sim), None, "an empty pipe belongs to no connection");
        assert!(
            pool.acquire(&mut sim).is_some_and(|pipe| pool.put(Some(pipe), &mut sim).is_none())
        );
        assert_eq!(pool.take(number).map(|pipe| pool.put(Some(pipe), &mut sim)), Some(number));
        assert_eq!((pool.free.len(), pool.len), (1, 2));
        pool.discard(number, &mut sim);
        assert!(pool.take(number).is_none());
        assert_eq!((pool.free.len(), pool.len), (1, 1), "a pipe with bytes is not used again");
        pool.close_all(&mut sim);
        assert_eq!(pool.len, 0);
    }
}
