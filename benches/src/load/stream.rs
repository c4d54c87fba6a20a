//! One connection of a stream: messages out, in order, and back, in order, every byte checked.
//! It does not know how it was connected, nor when its messages are meant to leave.

use std::time::Duration;

use epollite::reactor::Io;
use epollite::{Errno, Instant, Kernel, Linux, Ready, Received, Sent};

use super::diagnose;
use super::error::{LoadError, is_ours};
use super::mismatch::Mismatch;
use super::payload::MessageId;
use super::queue::{Queue, Segment};
use super::shared::LoadState;
use super::write_interest;

/// From this many bytes on a message is sent from where it lies, as is one that is alone; else
/// copying it beside others is cheaper than a call of its own.
const DIRECT_BYTES_MIN: usize = 16 * 1024;

/// What has come instead of a message is looked at as soon as there is this much of it,
const MISMATCH_BYTES_MAX: usize = 256 * 1024;

/// or after this time: a wrong echo may be the last one.
const MISMATCH_WAIT: Duration = Duration::from_millis(50);

/// One connection.
#[derive(Debug)]
pub(super) struct Stream {
    index: u32,
    /// The socket takes nothing now; an edge will tell: see `room`.
    is_full: bool,
    queue: Queue,
    /// Since when another message may leave: the oldest ones came back, or there was room.
    window_open_since: Instant,
    /// When it last made progress while something was under way.
    last_progress: Instant,
    mismatch: Option<Box<PendingMismatch>>,
}

/// Something does not fit; what comes is kept until it has a id.
#[derive(Debug)]
struct PendingMismatch {
    /// From the beginning of the message that was due.
    received: Vec<u8>,
    until: Instant,
}

impl Stream {
    /// The connection of this index; its first message has this number.
    pub(super) fn new(index: u32, first: u64) -> Self {
        let (queue, mismatch) = (Queue::new(index, first), None);
        let (window_open_since, last_progress) = (Instant::ZERO, Instant::ZERO);
        Self { index, is_full: false, queue, window_open_since, last_progress, mismatch }
    }

    /// So many messages more, which are meant to leave at `intended`.
    pub(super) fn enqueue(&mut self, intended: Instant, count: u32) {
        self.queue.enqueue(intended, count);
    }

    /// Messages that are outstanding an answer, or wait.
    pub(super) fn outstanding(&self) -> u64 {
        self.queue.outstanding()
    }

    /// Since when answers are outstanding and nothing has come; `None` when nothing is outstanding.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        if self.queue.in_flight() == 0 { None } else { Some(self.last_progress) }
    }

    /// The id of the message that is due next, and where it begins.
    pub(super) fn expected_message(&self) -> (MessageId, u64) {
        let (id, back) = self.queue.expected_message();
        (id, self.queue.offset() - back as u64)
    }

    /// Gives up those that wait; says since when they do.
    pub(super) fn drop_queued(&mut self) -> impl Iterator<Item = Instant> {
        self.queue.drop_queued()
    }

    /// There is room again.
    pub(super) fn writable(&mut self, shared: &LoadState) {
        if self.is_full {
            (self.is_full, self.window_open_since) = (false, shared.now);
        }
    }

    /// Sends what may be sent, until the socket is full: its next OUT brings us back.
    pub(super) fn send(
        &mut self,
        io: &mut Io<'_, Linux>,
        shared: &mut LoadState,
    ) -> Result<(), LoadError> {
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
                Err(errno) => return Err(self.broken("sendto", errno)),
            }
        }
        if self.is_full { write_interest::enable_write_interest(io) } else { Ok(()) }
    }

    /// Takes and checks what has come. Returns whether the peer has ended.
    pub(super) fn receive(
        &mut self,
        io: &mut Io<'_, Linux>,
        ready: Ready,
        shared: &mut LoadState,
    ) -> Result<bool, LoadError> {
        let mut buf = std::mem::take(&mut shared.recv_buffer);
        let result = self.receive_into(&mut buf, io, ready, shared);
        shared.recv_buffer = buf;
        result
    }

    fn receive_into(
        &mut self,
        buf: &mut [u8],
        io: &mut Io<'_, Linux>,
        ready: Ready,
        shared: &mut LoadState,
    ) -> Result<bool, LoadError> {
        let hides_nothing = ready.short_read_means_empty();
        loop {
            match io.recv(buf) {
                Ok(Received::Bytes(count)) => {
                    shared.now = io.kernel.now();
                    self.last_progress = shared.now;
                    self.check(&buf[..count], shared);
                    // A short read of TCP has emptied the socket; of a Unix socket we need not
                    // know when nothing is outstanding. What comes later comes with an edge of its own.
                    let may_stop = shared.short_read_drains || self.queue.in_flight() == 0;
                    if hides_nothing && may_stop && count < buf.len() {
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
                    return Err(self.broken("recvfrom", errno));
                }
            }
        }
        if self.mismatch.is_some() {
            self.diagnose(shared, false)?;
        }
        Ok(false)
    }

    /// Checks bytes that came; messages that are whole are counted, and may bring the next.
    fn check(&mut self, got: &[u8], shared: &mut LoadState) {
        if let Some(mismatch) = &mut self.mismatch {
            mismatch.received.extend_from_slice(got);
            return;
        }
        let window_was_full = self.queue.in_flight() as usize == shared.window;
        // What was not sent yet cannot be an answer, whatever it says.
        let (mut answers, mut wrong) = got.split_at(got.len().min(self.queue.in_flight_bytes()));
        let mut count = 0;
        while !answers.is_empty()
            && let Some(Segment { run, offset, bytes }) = self.queue.expected()
        {
            let (mine, others) = answers.split_at(answers.len().min(bytes));
            let differs = shared.payload.first_difference_in_run(run, offset, mine);
            if let Some(whole) = self.queue.received(differs.unwrap_or(mine.len())) {
                shared.record_response(u64::from(whole.count), whole.intended, whole.size);
                count += whole.count;
            }
            if let Some(at) = differs {
                wrong = &got[got.len() - wrong.len() - answers.len() + at..];
                break;
            }
            answers = others;
        }
        if count > 0 {
            self.completed(count, window_was_full, shared);
        }
        if !wrong.is_empty() {
            self.start_mismatch(wrong, shared);
        }
    }

    /// So many messages are over and done with; as many others may begin.
    fn completed(&mut self, count: u32, window_was_full: bool, shared: &mut LoadState) {
        if window_was_full {
            self.window_open_since = shared.now;
        }
        if shared.closed_loop && !shared.churn {
            let others = shared.try_start_many(shared.now, count);
            self.enqueue(shared.now, others);
        }
    }

    fn start_mismatch(&mut self, got: &[u8], shared: &mut LoadState) {
        let (id, back) = self.queue.expected_message();
        let mut came = vec![0; back];
        shared.payload.write(id, 0, &mut came);
        came.extend_from_slice(got);
        self.mismatch =
            Some(Box::new(PendingMismatch { received: came, until: shared.now + MISMATCH_WAIT }));
    }

    /// Gives what is wrong its id, when there is enough of it or nothing more will come.
    pub(super) fn diagnose(
        &mut self,
        shared: &mut LoadState,
        is_last: bool,
    ) -> Result<(), LoadError> {
        let Some(PendingMismatch { received: came, until }) = self.mismatch.as_deref() else {
            return Ok(());
        };
        if !is_last && shared.now < *until && came.len() < MISMATCH_BYTES_MAX {
            return Ok(());
        }
        let (due, offset) = self.expected_message();
        let (unsent, sent_of) = self.queue.send_position();
        let sent = unsent.number;
        let (payload, sizes, seed) = (&shared.payload, &shared.sizes, shared.seed);
        let case = diagnose::Diagnosis { payload, sizes, seed, due, sent, sent_of, offset };
        let found = case.classify(came);
        let found = found.expect("what made it suspicious is still there");
        self.mismatch = None;
        Err(LoadError::Mismatch(found))
    }

    /// A call on its socket failed: by the peer's deed, or by this machine's.
    fn broken(&self, call: &'static str, errno: Errno) -> LoadError {
        if is_ours(errno) {
            LoadError::Call { call, errno }
        } else {
            self.closed_error(Some(errno))
        }
    }

    /// The end, while more is wanted.
    pub(super) fn closed_error(&self, errno: Option<Errno>) -> LoadError {
        let (offset, outstanding) = (self.queue.offset(), self.outstanding());
        LoadError::Closed { connection: self.index, offset, outstanding, errno }
    }

    /// Its oldest message did not come back although others did.
    pub(super) fn missing_message(&self) -> Mismatch {
        let (id, offset) = self.expected_message();
        let wrong = super::mismatch::MismatchKind::Lost(1);
        let connection = id.connection;
        Mismatch { connection, offset: Some(offset), message: id.number, wrong }
    }

    /// Lets messages that wait out, as many as may be under way.
    fn start_batches(&mut self, shared: &mut LoadState) {
        if self.queue.in_flight() == 0 {
            self.last_progress = shared.now;
        }
        while let Some(batch) = self.queue.start_batch(shared.window, |id| shared.size(id)) {
            shared.record_sent(u64::from(batch.count), batch.intended.max(self.window_open_since));
        }
    }

    /// Writes what is to be sent next into the outbox, as much as fits.
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
