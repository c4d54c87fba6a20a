//! One stream connection: sends messages in order and checks every byte of the echoes. It does not
//! connect, nor decide when messages are sent.

use std::time::Duration;

use super::write_interest::Io;
use epollite::event::Ready;
use epollite::{Errno, Instant, Received, Sent};

use super::diagnose;
use super::error::{LoadError, Result, is_local};
use super::mismatch::Mismatch;
use super::payload::MessageId;
use super::queue::{Queue, Segment};
use super::shared::LoadState;
use super::write_interest;

/// Messages of at least this size are sent directly from the block, as is a single message; smaller
/// ones are copied next to others, which is cheaper than a call for each.
const DIRECT_BYTES_MIN: usize = 16 * 1024;

/// A mismatch is diagnosed as soon as this many bytes were received,
const MISMATCH_BYTES_MAX: usize = 256 * 1024;

/// or after this time: no more bytes may follow a wrong echo.
const MISMATCH_WAIT: Duration = Duration::from_millis(50);

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Stream {
    index: u32,
    /// The socket is full; the next OUT edge reports room: see `write_interest.rs`.
    is_full: bool,
    pub(super) queue: Queue,
    /// Since when another message could be sent: a response opened the window, or the socket had
    /// room.
    window_open_since: Instant,
    /// Time of the last progress while messages were in flight.
    last_progress: Instant,
    mismatch: Option<Box<PendingMismatch>>,
}

/// A mismatch not yet classified; received bytes are collected for the diagnosis.
#[derive(Debug)]
struct PendingMismatch {
    /// Received bytes from the start of the expected message.
    received: Vec<u8>,
    until: Instant,
}

impl Stream {
    /// The connection with this index; its first message has the number `first`.
    pub(super) fn new(index: u32, first: u64) -> Self {
        Self { index, queue: Queue::new(index, first), ..Self::default() }
    }

    /// Time of the last progress, while responses are outstanding; otherwise `None`.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        if self.queue.in_flight == 0 { None } else { Some(self.last_progress) }
    }

    /// The id of the message expected next, and the stream offset of its start.
    pub(super) fn expected_message(&self) -> (MessageId, u64) {
        let (id, back) = self.queue.expected_message();
        (id, self.queue.offset - back as u64)
    }

    /// Handles OUT: the socket accepts data again.
    pub(super) fn writable(&mut self, shared: &LoadState) {
        if self.is_full {
            (self.is_full, self.window_open_since) = (false, shared.now);
        }
    }

    /// Sends messages within the window until the socket is full; the next OUT resumes sending.
    pub(super) fn send(&mut self, io: &mut Io<'_>, shared: &mut LoadState) -> Result<()> {
        if self.is_full || self.mismatch.is_some() {
            return Ok(());
        }
        self.start_batches(shared);
        while !self.is_full {
            let Some((next, is_last)) = self.queue.next_to_send() else { break };
            let Segment { run, offset, bytes } = next;
            let is_alone = is_last && bytes <= run.size;
            let (wanted, sent) = if is_alone || run.size >= DIRECT_BYTES_MIN {
                let (id, from) = run.at(offset);
                shared
                    .payload
                    .with_chunk(id, from, run.size - from, |piece| (piece.len(), io.send(piece)))
            } else {
                let length = self.fill_send_buffer(shared);
                (length, io.send(&shared.send_buffer[..length]))
            };
            match sent {
                Ok(Sent::Bytes(count)) => {
                    self.queue.sent(count);
                    self.is_full = count < wanted;
                }
                Ok(Sent::WouldBlock) => self.is_full = true,
                Err(errno) => return Err(self.call_error("sendto", errno)),
            }
        }
        if self.is_full { write_interest::enable_write_interest(io) } else { Ok(()) }
    }

    /// Receives and checks data. Returns whether EOF was received.
    pub(super) fn receive(
        &mut self,
        io: &mut Io<'_>,
        ready: Ready,
        shared: &mut LoadState,
    ) -> Result<bool> {
        let mut buf = std::mem::take(&mut shared.recv_buffer);
        let result = self.receive_into(&mut buf, io, ready, shared);
        shared.recv_buffer = buf;
        result
    }

    fn receive_into(
        &mut self,
        buf: &mut [u8],
        io: &mut Io<'_>,
        ready: Ready,
        shared: &mut LoadState,
    ) -> Result<bool> {
        let is_conclusive = ready.short_read_means_empty();
        loop {
            match io.recv(buf) {
                Ok(Received::Bytes(count)) => {
                    shared.now = io.now();
                    self.last_progress = shared.now;
                    self.check(&buf[..count], shared);
                    // A short read empties a TCP socket. On a Unix socket reading may stop when
                    // nothing is outstanding: later data causes another edge.
                    let may_stop = shared.short_read_drains || self.queue.in_flight == 0;
                    if is_conclusive && may_stop && count < buf.len() {
                        break;
                    }
                }
                Ok(Received::WouldBlock) => break,
                Ok(Received::Eof) => {
                    self.diagnose(shared, true)?;
                    return Ok(true);
                }
                Err(errno) => {
                    self.diagnose(shared, true)?;
                    return Err(self.call_error("recvfrom", errno));
                }
            }
        }
        if self.mismatch.is_some() {
            self.diagnose(shared, false)?;
        }
        Ok(false)
    }

    /// Checks received bytes; complete messages are counted, and in a closed loop start the next
    /// ones.
    fn check(&mut self, got: &[u8], shared: &mut LoadState) {
        if let Some(mismatch) = &mut self.mismatch {
            mismatch.received.extend_from_slice(got);
            return;
        }
        let window_was_full = self.queue.in_flight as usize == shared.window;
        // Bytes beyond those sent cannot be a response, whatever they contain.
        let (mut responses, mut wrong) = got.split_at(got.len().min(self.queue.in_flight_bytes));
        let mut count = 0;
        while !responses.is_empty()
            && let Some(Segment { run, offset, bytes }) = self.queue.expected()
        {
            let (mine, others) = responses.split_at(responses.len().min(bytes));
            let differs = shared.payload.first_difference_in_run(run, offset, mine);
            if let Some(whole) = self.queue.received(differs.unwrap_or(mine.len())) {
                shared.record_response(u64::from(whole.count), whole.intended, whole.size);
                count += whole.count;
            }
            if let Some(at) = differs {
                wrong = &got[got.len() - wrong.len() - responses.len() + at..];
                break;
            }
            responses = others;
        }
        if count > 0 {
            self.completed(count, window_was_full, shared);
        }
        if !wrong.is_empty() {
            self.start_mismatch(wrong, shared);
        }
    }

    /// Handles `count` completed messages: in a closed loop as many new ones start.
    fn completed(&mut self, count: u32, window_was_full: bool, shared: &mut LoadState) {
        if window_was_full {
            self.window_open_since = shared.now;
        }
        if shared.closed_loop && !shared.churn {
            let started = shared.try_start_many(shared.now, count);
            self.queue.enqueue(shared.now, started);
        }
    }

    fn start_mismatch(&mut self, got: &[u8], shared: &mut LoadState) {
        let (id, back) = self.queue.expected_message();
        let mut received = vec![0; back];
        shared.payload.write(id, 0, &mut received);
        received.extend_from_slice(got);
        self.mismatch =
            Some(Box::new(PendingMismatch { received, until: shared.now + MISMATCH_WAIT }));
    }

    /// Classifies a pending mismatch, when enough bytes were received or no more will follow.
    pub(super) fn diagnose(&mut self, shared: &mut LoadState, is_last: bool) -> Result<()> {
        let Some(PendingMismatch { received, until }) = self.mismatch.as_deref() else {
            return Ok(());
        };
        if !is_last && shared.now < *until && received.len() < MISMATCH_BYTES_MAX {
            return Ok(());
        }
        let (due, offset) = self.expected_message();
        let (unsent, sent_of) = self.queue.send_position();
        let sent = unsent.number;
        let (payload, sizes, seed) = (&shared.payload, &shared.sizes, shared.seed);
        let case = diagnose::Diagnosis { payload, sizes, seed, due, sent, sent_of, offset };
        let found = case.classify(received);
        let found = found.expect("the differing bytes are still there");
        self.mismatch = None;
        Err(LoadError::Mismatch(found))
    }

    /// Converts an error of a socket call, caused by the peer or by this machine.
    fn call_error(&self, call: &'static str, errno: Errno) -> LoadError {
        if is_local(errno) {
            LoadError::Call { call, errno }
        } else {
            self.closed_error(Some(errno))
        }
    }

    /// The error for a connection closed while it was in use.
    pub(super) fn closed_error(&self, errno: Option<Errno>) -> LoadError {
        let (offset, outstanding) = (self.queue.offset, self.queue.outstanding());
        LoadError::Closed { connection: self.index, offset, outstanding, errno }
    }

    /// The mismatch for an oldest message that was not received although others were.
    pub(super) fn missing_message(&self) -> Mismatch {
        let (id, offset) = self.expected_message();
        let wrong = super::mismatch::MismatchKind::Lost(1);
        let connection = id.connection;
        Mismatch { connection, offset: Some(offset), message: id.number, wrong }
    }

    /// Moves queued messages into flight, as many as the window allows.
    fn start_batches(&mut self, shared: &mut LoadState) {
        if self.queue.in_flight == 0 {
            self.last_progress = shared.now;
        }
        while let Some(batch) = self.queue.start_batch(shared.window, |id| shared.size(id)) {
            shared.record_sent(u64::from(batch.count), batch.intended.max(self.window_open_since));
        }
    }

    /// Copies the next bytes to send into the send buffer, as many as fit.
    fn fill_send_buffer(&self, shared: &mut LoadState) -> usize {
        let length = shared.send_buffer.len();
        let mut room = &mut shared.send_buffer[..];
        for Segment { run, offset, bytes } in self.queue.sendable() {
            let (piece, others) = room.split_at_mut(bytes.min(room.len()));
            shared.payload.write_run(run, offset, piece);
            room = others;
            if room.is_empty() {
                break;
            }
        }
        length - room.len()
    }
}
