//! One connection of a stream: messages out, in order, and back, in order, every byte checked.
//! It does not know how it was connected, nor when its messages are meant to leave.

use std::time::Duration;

use epollite::reactor::Io;
use epollite::{Errno, Instant, Kernel, Linux, Ready, Received, Sent};

use super::autopsy;
use super::desk::Desk;
use super::failure::{Failure, is_ours};
use super::mismatch::Mismatch;
use super::noise::Name;
use super::queue::{Part, Queue};
use super::room;

/// From this many bytes on a message is sent from where it lies, as is one that is alone; else
/// copying it beside others is cheaper than a call of its own.
const DIRECT_BYTES_MIN: usize = 16 * 1024;

/// What has come instead of a message is looked at as soon as there is this much of it,
const EVIDENCE_BYTES: usize = 256 * 1024;

/// or after this time: a wrong echo may be the last one.
const EVIDENCE_TIME: Duration = Duration::from_millis(50);

/// One connection.
#[derive(Debug)]
pub(super) struct Stream {
    index: u32,
    /// The socket takes nothing now; an edge will tell: see `room`.
    is_full: bool,
    queue: Queue,
    /// Since when another message may leave: the oldest ones came back, or there was room.
    free: Instant,
    /// When it last made progress while something was under way.
    since: Instant,
    suspect: Option<Box<Suspect>>,
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
        let (queue, suspect) = (Queue::new(index, first), None);
        let (free, since) = (Instant::ZERO, Instant::ZERO);
        Self { index, is_full: false, queue, free, since, suspect }
    }

    /// So many messages more, which are meant to leave at `intended`.
    pub(super) fn begin(&mut self, intended: Instant, count: u32) {
        self.queue.begin(intended, count);
    }

    /// Messages that are owed an answer, or wait.
    pub(super) fn owed(&self) -> u64 {
        self.queue.owed()
    }

    /// Since when answers are owed and nothing has come; `None` when nothing is owed.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        if self.queue.under_way() == 0 { None } else { Some(self.since) }
    }

    /// The name of the message that is due next, and where it begins.
    pub(super) fn due(&self) -> (Name, u64) {
        let (name, back) = self.queue.due();
        (name, self.queue.offset() - back as u64)
    }

    /// Gives up those that wait; says since when they do.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Instant> {
        self.queue.give_up()
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
        while !self.is_full {
            let Some((next, is_last)) = self.queue.next_to_send() else { break };
            let Part { row, offset, bytes } = next;
            let is_alone = is_last && bytes <= row.size;
            let (wanted, sent) = if is_alone || row.size >= DIRECT_BYTES_MIN {
                let (name, from) = row.at(offset);
                desk.noise.lend(name, from, row.size - from, |piece| (piece.len(), io.send(piece)))
            } else {
                let length = self.compose(desk);
                (length, io.send(&desk.outbox[..length]))
            };
            match sent {
                Ok(Sent::Bytes(count)) => {
                    self.queue.sent(count);
                    self.is_full = count < wanted;
                }
                Ok(Sent::Nothing) => self.is_full = true,
                Err(errno) => return Err(self.broken("sendto", errno)),
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
                    let may_stop = desk.short_means_empty || self.queue.under_way() == 0;
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
                    return Err(self.broken("recvfrom", errno));
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
        let window_was_full = self.queue.under_way() as usize == desk.window;
        // What was not sent yet cannot be an answer, whatever it says.
        let (mut answers, mut wrong) = got.split_at(got.len().min(self.queue.outside()));
        let mut count = 0;
        while !answers.is_empty()
            && let Some(Part { row, offset, bytes }) = self.queue.next_to_come_back()
        {
            let (mine, others) = answers.split_at(answers.len().min(bytes));
            let differs = desk.noise.row_differs(row, offset, mine);
            if let Some(whole) = self.queue.back(differs.unwrap_or(mine.len())) {
                desk.answered(u64::from(whole.count), whole.intended, whole.size);
                count += whole.count;
            }
            if let Some(at) = differs {
                wrong = &got[got.len() - wrong.len() - answers.len() + at..];
                break;
            }
            answers = others;
        }
        if count > 0 {
            self.over(count, window_was_full, desk);
        }
        if !wrong.is_empty() {
            self.suspect(wrong, desk);
        }
    }

    /// So many messages are over and done with; as many others may begin.
    fn over(&mut self, count: u32, window_was_full: bool, desk: &mut Desk) {
        if window_was_full {
            self.free = desk.now;
        }
        if desk.answers_pace && !desk.churn {
            let others = desk.may_begin_some(desk.now, count);
            self.begin(desk.now, others);
        }
    }

    fn suspect(&mut self, got: &[u8], desk: &mut Desk) {
        let (name, back) = self.queue.due();
        let mut came = vec![0; back];
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
        let (unsent, sent_of) = self.queue.next_unsent();
        let sent = unsent.number;
        let (noise, sizes, seed) = (&desk.noise, &desk.sizes, desk.seed);
        let case = autopsy::Case { noise, sizes, seed, due, sent, sent_of, offset };
        let found = case.name(came);
        let found = found.expect("what made it suspicious is still there");
        self.suspect = None;
        Err(Failure::Mismatch(found))
    }

    /// A call on its socket failed: by the peer's deed, or by this machine's.
    fn broken(&self, call: &'static str, errno: Errno) -> Failure {
        if is_ours(errno) { Failure::Call { call, errno } } else { self.closed(Some(errno)) }
    }

    /// The end, while more is wanted.
    pub(super) fn closed(&self, errno: Option<Errno>) -> Failure {
        let (offset, owed) = (self.queue.offset(), self.owed());
        Failure::Closed { connection: self.index, offset, owed, errno }
    }

    /// Its oldest message did not come back although others did.
    pub(super) fn missing(&self) -> Mismatch {
        let (name, offset) = self.due();
        let wrong = super::mismatch::Wrong::Lost(1);
        let connection = name.connection;
        Mismatch { connection, offset: Some(offset), message: name.number, wrong }
    }

    /// Lets messages that wait out, as many as may be under way.
    fn commit(&mut self, desk: &mut Desk) {
        if self.queue.under_way() == 0 {
            self.since = desk.now;
        }
        while let Some(batch) = self.queue.commit(desk.window, |name| desk.size(name)) {
            desk.leaves(u64::from(batch.count), batch.intended.max(self.free));
        }
    }

    /// Writes what is to be sent next into the outbox, as much as fits.
    fn compose(&self, desk: &mut Desk) -> usize {
        let length = desk.outbox.len();
        let mut room = &mut desk.outbox[..];
        for Part { row, offset, bytes } in self.queue.to_send() {
            let (piece, others) = room.split_at_mut(bytes.min(room.len()));
            desk.noise.write_row(row, offset, piece);
            room = others;
            if room.is_empty() {
                break;
            }
        }
        length - room.len()
    }
}
