//! One connection of a stream: messages out, in order, and back, in order, every byte checked.
//! It does not know how it was connected, nor when its messages are meant to leave.

use std::collections::VecDeque;
use std::time::Duration;

use epollite::reactor::Io;
use epollite::{Errno, Instant, Kernel, Linux, Ready, Received, Sent};

use super::autopsy;
use super::desk::Desk;
use super::failure::Failure;
use super::mismatch::Mismatch;
use super::noise::Name;
use super::room;
use super::row::Row;

/// From this many bytes on a message is sent from where it lies, as is one that is alone; else
/// copying it beside others is cheaper than a call of its own.
const DIRECT_BYTES_MIN: usize = 16 * 1024;

/// What has come instead of a message is looked at as soon as there is this much of it,
const EVIDENCE_BYTES: usize = 256 * 1024;

/// or after this time: a wrong echo may be the last one.
const EVIDENCE_TIME: Duration = Duration::from_millis(50);

/// One connection.
///
/// ```text
///   queue:  answered in part | sent | being sent | to send | waiting
///           first, got_of           unsent         under_way  meant to leave later, or no room
/// ```
#[derive(Debug)]
pub(super) struct Stream {
    index: u32,
    /// The socket takes nothing now; an edge will tell: see `room`.
    is_full: bool,
    /// The number of the first message, and how much of its batch is back.
    first: u64,
    got_of: usize,
    queue: VecDeque<Batch>,
    /// So many batches are on their way, to be sent at once, or sent; and their messages.
    batches_under_way: u32,
    under_way: u32,
    unsent: Unsent,
    /// Bytes that have come back, and bytes that were sent and have not.
    offset: u64,
    outside: usize,
    /// Since when another message may leave: the oldest ones came back, or there was room.
    free: Instant,
    /// When it last made progress while something was under way.
    since: Instant,
    suspect: Option<Box<Suspect>>,
}

/// Messages that were meant to leave at the same time, and are equally long.
#[derive(Debug, Clone, Copy)]
struct Batch {
    intended: Instant,
    /// Known once it is under way.
    size: u32,
    count: u32,
}

impl Batch {
    const fn bytes(&self) -> usize {
        self.size as usize * self.count as usize
    }
}

/// How far we are with sending: the batch in the queue that is not sent whole, the number of its
/// first message, and the bytes of it that are sent.
#[derive(Debug, Clone, Copy)]
struct Unsent {
    batch: u32,
    first: u64,
    of: usize,
}

/// Something does not fit; what comes is kept until it has a name.
#[derive(Debug)]
struct Suspect {
    /// From the beginning of the message that was due.
    came: Vec<u8>,
    until: Instant,
}

impl Stream {
    /// The connection of this index; its first message has this number.
    pub(super) fn new(index: u32, first: u64) -> Self {
        Self {
            index,
            is_full: false,
            first,
            got_of: 0,
            queue: VecDeque::new(),
            batches_under_way: 0,
            under_way: 0,
            unsent: Unsent { batch: 0, first, of: 0 },
            offset: 0,
            outside: 0,
            free: Instant::ZERO,
            since: Instant::ZERO,
            suspect: None,
        }
    }

    /// So many messages more, which are meant to leave at `intended`.
    pub(super) fn begin(&mut self, intended: Instant, count: u32) {
        let waits = (self.batches_under_way as usize) < self.queue.len();
        match self.queue.back_mut() {
            Some(last) if waits && last.intended == intended => last.count += count,
            _ => self.queue.push_back(Batch { intended, size: 0, count }),
        }
    }

    /// Messages that are owed an answer, or wait.
    pub(super) fn owed(&self) -> u64 {
        self.queue.iter().map(|batch| u64::from(batch.count)).sum()
    }

    /// Since when answers are owed and nothing has come; `None` when nothing is owed.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        if self.under_way == 0 { None } else { Some(self.since) }
    }

    /// The name of the message that is due next, and where it begins.
    pub(super) fn due(&self) -> (Name, u64) {
        let (name, from) = self.row_due().at(self.got_of);
        (name, self.offset - from as u64)
    }

    /// Gives up those that wait; says since when they do.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Instant> {
        let waiting = self.queue.drain(self.batches_under_way as usize..);
        waiting.flat_map(|Batch { intended, count, .. }| (0..count).map(move |_| intended))
    }

    /// There is room again.
    pub(super) fn writable(&mut self, desk: &Desk) {
        if self.is_full {
            (self.is_full, self.free) = (false, desk.now);
        }
    }

    /// Sends what may be sent, until the socket is full: its next OUT brings us back.
    pub(super) fn send(&mut self, io: &mut Io<'_, Linux>, desk: &mut Desk) -> Result<(), Failure> {
        if self.is_full || self.suspect.is_some() {
            return Ok(());
        }
        self.commit(desk);
        while self.unsent.batch < self.batches_under_way && !self.is_full {
            let batch = self.queue[self.unsent.batch as usize];
            let size = batch.size as usize;
            let ends_all = self.unsent.batch + 1 == self.batches_under_way;
            let is_alone = ends_all && batch.bytes() - self.unsent.of <= size;
            let (wanted, sent) = if is_alone || size >= DIRECT_BYTES_MIN {
                let (name, from) = self.row(self.unsent.first, size).at(self.unsent.of);
                desk.noise.lend(name, from, size - from, |piece| (piece.len(), io.send(piece)))
            } else {
                let length = self.compose(desk);
                (length, io.send(&desk.outbox[..length]))
            };
            match sent {
                Ok(Sent::Bytes(count)) => {
                    self.advance(count);
                    self.is_full = count < wanted;
                }
                Ok(Sent::Nothing) => self.is_full = true,
                Err(errno) => return Err(self.closed(Some(errno))),
            }
        }
        if self.is_full { room::await_room(io) } else { Ok(()) }
    }

    /// Takes and checks what has come. Returns whether the peer has ended.
    pub(super) fn receive(
        &mut self,
        io: &mut Io<'_, Linux>,
        ready: Ready,
        desk: &mut Desk,
    ) -> Result<bool, Failure> {
        let mut inbox = std::mem::take(&mut desk.inbox);
        let result = self.receive_into(&mut inbox, io, ready, desk);
        desk.inbox = inbox;
        result
    }

    fn receive_into(
        &mut self,
        inbox: &mut [u8],
        io: &mut Io<'_, Linux>,
        ready: Ready,
        desk: &mut Desk,
    ) -> Result<bool, Failure> {
        let hides_nothing = ready.short_read_means_empty();
        loop {
            match io.recv(inbox) {
                Ok(Received::Bytes(count)) => {
                    desk.now = io.kernel.now();
                    self.since = desk.now;
                    self.take(&inbox[..count], desk);
                    // A short read of TCP has emptied the socket; of a Unix socket we need not
                    // know when nothing is owed. What comes later comes with an edge of its own.
                    let may_stop = desk.short_means_empty || self.under_way == 0;
                    if hides_nothing && may_stop && count < inbox.len() {
                        break;
                    }
                }
                Ok(Received::Nothing) => break,
                Ok(Received::End) => {
                    self.conclude(desk, true)?;
                    return Ok(true);
                }
                Err(errno) => {
                    self.conclude(desk, true)?;
                    return Err(self.closed(Some(errno)));
                }
            }
        }
        if self.suspect.is_some() {
            self.conclude(desk, false)?;
        }
        Ok(false)
    }

    /// Checks bytes that came; messages that are whole are counted, and may bring the next.
    fn take(&mut self, got: &[u8], desk: &mut Desk) {
        if let Some(suspect) = &mut self.suspect {
            suspect.came.extend_from_slice(got);
            return;
        }
        // What was not sent yet cannot be an answer, whatever it says.
        let (mut due, mut wrong) = got.split_at(got.len().min(self.outside));
        let mut count = 0;
        while !due.is_empty() {
            let rest = self.queue[0].bytes() - self.got_of;
            let (mine, others) = due.split_at(due.len().min(rest));
            match desk.noise.row_differs(self.row_due(), self.got_of, mine) {
                None => {
                    count += self.credit(mine.len(), desk);
                    due = others;
                }
                Some(at) => {
                    count += self.credit(at, desk);
                    wrong = &got[got.len() - wrong.len() - due.len() + at..];
                    break;
                }
            }
        }
        if count > 0 {
            self.over(count, desk);
        }
        if !wrong.is_empty() {
            self.suspect(wrong, desk);
        }
    }

    /// So many bytes of the first batch are right. Returns how many messages that makes whole.
    fn credit(&mut self, bytes: usize, desk: &mut Desk) -> u32 {
        self.offset += bytes as u64;
        self.outside -= bytes;
        self.got_of += bytes;
        let batch = &mut self.queue[0];
        let size = batch.size as usize;
        if self.got_of < size {
            return 0;
        }
        #[expect(clippy::cast_possible_truncation, reason = "no more than the batch has")]
        let whole = (self.got_of / size) as u32;
        let bytes = whole as usize * size;
        desk.answered(u64::from(whole), batch.intended, batch.size);
        self.first += u64::from(whole);
        self.got_of -= bytes;
        batch.count -= whole;
        if batch.count == 0 {
            self.queue.pop_front();
            self.batches_under_way -= 1;
            self.unsent.batch -= 1;
        } else if self.unsent.batch == 0 {
            self.unsent.first += u64::from(whole);
            self.unsent.of -= bytes;
        }
        whole
    }

    /// So many of the first messages are over and done with; as many others may begin.
    fn over(&mut self, count: u32, desk: &mut Desk) {
        if self.under_way as usize == desk.window {
            self.free = desk.now;
        }
        self.under_way -= count;
        if desk.answers_pace && !desk.churn {
            let others = desk.may_begin_some(desk.now, count);
            if others > 0 {
                self.begin(desk.now, others);
            }
        }
    }

    fn suspect(&mut self, got: &[u8], desk: &mut Desk) {
        let (name, from) = self.row_due().at(self.got_of);
        let mut came = vec![0; from];
        desk.noise.write(name, 0, &mut came);
        came.extend_from_slice(got);
        self.suspect = Some(Box::new(Suspect { came, until: desk.now + EVIDENCE_TIME }));
    }

    /// Gives what is wrong its name, when there is enough of it or nothing more will come.
    pub(super) fn conclude(&mut self, desk: &mut Desk, is_last: bool) -> Result<(), Failure> {
        let Some(Suspect { came, until }) = self.suspect.as_deref() else {
            return Ok(());
        };
        if !is_last && desk.now < *until && came.len() < EVIDENCE_BYTES {
            return Ok(());
        }
        let (due, offset) = self.due();
        let (sent, sent_of) = self.sent();
        let (noise, sizes, seed) = (&desk.noise, &desk.sizes, desk.seed);
        let case = autopsy::Case { noise, sizes, seed, due, sent, sent_of, offset };
        let found = case.name(came);
        let found = found.expect("what made it suspicious is still there");
        self.suspect = None;
        Err(Failure::Mismatch(found))
    }

    /// The end, while more is wanted.
    pub(super) fn closed(&self, errno: Option<Errno>) -> Failure {
        let (offset, owed) = (self.offset, self.owed());
        Failure::Closed { connection: self.index, offset, owed, errno }
    }

    /// Its oldest message did not come back although others did.
    pub(super) fn missing(&self) -> Mismatch {
        let (name, offset) = self.due();
        let wrong = super::mismatch::Wrong::Lost(1);
        let connection = name.connection;
        Mismatch { connection, offset: Some(offset), message: name.number, wrong }
    }

    /// Lets messages from the queue out, as many as may be under way.
    fn commit(&mut self, desk: &mut Desk) {
        while (self.under_way as usize) < desk.window
            && let Some(batch) = self.queue.get_mut(self.batches_under_way as usize)
        {
            if self.under_way == 0 {
                self.since = desk.now;
            }
            let number = self.first + u64::from(self.under_way);
            let (size, alike) = desk.size(Name { connection: self.index, number });
            let room = desk.window - self.under_way as usize;
            let count = batch.count.min(alike).min(u32::try_from(room).unwrap_or(u32::MAX));
            let (intended, rest) = (batch.intended, batch.count - count);
            *batch = Batch { intended, size, count };
            self.batches_under_way += 1;
            self.under_way += count;
            if rest > 0 {
                let rest = Batch { intended, size: 0, count: rest };
                self.queue.insert(self.batches_under_way as usize, rest);
            }
            desk.leaves(u64::from(count), intended.max(self.free));
        }
    }

    /// Writes what is to be sent next into the outbox, as much as fits.
    fn compose(&self, desk: &mut Desk) -> usize {
        let length = desk.outbox.len();
        let mut room = &mut desk.outbox[..];
        let Unsent { batch, mut first, mut of, .. } = self.unsent;
        for batch in self.queue.range(batch as usize..self.batches_under_way as usize) {
            let (piece, others) = room.split_at_mut((batch.bytes() - of).min(room.len()));
            desk.noise.write_row(self.row(first, batch.size as usize), of, piece);
            room = others;
            if room.is_empty() {
                break;
            }
            first += u64::from(batch.count);
            of = 0;
        }
        length - room.len()
    }

    /// So many bytes more are sent.
    fn advance(&mut self, count: usize) {
        self.outside += count;
        let Unsent { batch, first, of } = &mut self.unsent;
        *of += count;
        while *batch < self.batches_under_way
            && let Some(of_next) = of.checked_sub(self.queue[*batch as usize].bytes())
        {
            *of = of_next;
            *first += u64::from(self.queue[*batch as usize].count);
            *batch += 1;
        }
    }

    /// The first message that is not sent whole, and how much of it is sent.
    fn sent(&self) -> (u64, usize) {
        let size =
            self.queue.get(self.unsent.batch as usize).map_or(0, |batch| batch.size as usize);
        let (name, of) = self.row(self.unsent.first, size).at(self.unsent.of);
        (name.number, of)
    }

    /// What is to come back next.
    fn row_due(&self) -> Row {
        self.row(self.first, self.queue.front().map_or(0, |batch| batch.size as usize))
    }

    fn row(&self, first: u64, size: usize) -> Row {
        Row { first: Name { connection: self.index, number: first }, size }
    }
}
