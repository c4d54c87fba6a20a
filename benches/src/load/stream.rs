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
///   messages:  under way: sent ... | being sent, sent_of of it | to send | waiting: when meant
///              first               + unsent                              + under_way
///              got_of of it is back
/// ```
#[derive(Debug)]
pub(super) struct Stream {
    index: u32,
    /// The number of the message at the front.
    first: u64,
    messages: VecDeque<Message>,
    /// So many of them are on their way: to be sent at once, or sent.
    under_way: usize,
    /// The first that is not sent whole, and how much of it is.
    unsent: usize,
    sent_of: usize,
    got_of: usize,
    /// Bytes that have come back.
    offset: u64,
    /// The socket takes nothing now; an edge will tell: see `room`.
    is_full: bool,
    /// Since when another message may leave: the oldest ones came back, or there was room.
    free: Instant,
    /// When it last made progress while something was under way.
    since: Instant,
    suspect: Option<Suspect>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Message {
    intended: Instant,
    /// Known once it is under way.
    size: u32,
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
            first,
            messages: VecDeque::new(),
            under_way: 0,
            unsent: 0,
            sent_of: 0,
            got_of: 0,
            offset: 0,
            is_full: false,
            free: Instant::ZERO,
            since: Instant::ZERO,
            suspect: None,
        }
    }

    /// One more message, which is meant to leave at `intended`.
    pub(super) fn begin(&mut self, intended: Instant) {
        self.messages.push_back(Message { intended, size: 0 });
    }

    /// Messages that are owed an answer, or wait.
    pub(super) fn owed(&self) -> usize {
        self.messages.len()
    }

    /// Since when answers are owed and nothing has come; `None` when nothing is owed.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        if self.under_way == 0 { None } else { Some(self.since) }
    }

    /// The name of the message that is due next, and where it begins.
    pub(super) fn due(&self) -> (Name, u64) {
        (self.name(0), self.offset - self.got_of as u64)
    }

    /// Gives up those that wait; says since when they do.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Instant> {
        self.messages.drain(self.under_way..).map(|message| message.intended)
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
        while self.unsent < self.under_way && !self.is_full {
            let rest = self.messages[self.unsent].size as usize - self.sent_of;
            let is_alone = self.unsent + 1 == self.under_way;
            let (wanted, sent) = if is_alone || rest >= DIRECT_BYTES_MIN {
                let (name, from) = (self.name(self.unsent), self.sent_of);
                desk.noise.lend(name, from, rest, |piece| (piece.len(), io.send(piece)))
            } else {
                let length = self.compose(desk);
                (length, io.send(&desk.outbox[..length]))
            };
            match sent {
                Ok(Sent::Bytes(count)) => {
                    self.sent(count);
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
    fn take(&mut self, mut got: &[u8], desk: &mut Desk) {
        if let Some(suspect) = &mut self.suspect {
            suspect.came.extend_from_slice(got);
            return;
        }
        let mut name = self.name(0);
        // Messages that left together often come back together: such are one entry.
        let (mut alike, mut count) = (Message { intended: desk.now, size: 0 }, 0);
        for (at, message) in self.messages.iter().take(self.under_way).enumerate() {
            let rest = message.size as usize - self.got_of;
            // What was not sent yet cannot be an answer, whatever it says.
            let sent = if at < self.unsent { rest } else { self.sent_of - self.got_of };
            let (mine, others) = got.split_at(got.len().min(sent));
            if mine.is_empty() || desk.noise.differs(name, self.got_of, mine).is_some() {
                break;
            }
            got = others;
            self.offset += mine.len() as u64;
            if mine.len() < rest {
                self.got_of += mine.len();
                break;
            }
            self.got_of = 0;
            name.number += 1;
            if count > 0 && alike != *message {
                desk.answered(count, alike.intended, alike.size);
                count = 0;
            }
            (alike, count) = (*message, count + 1);
        }
        if count > 0 {
            desk.answered(count, alike.intended, alike.size);
            self.over(name.number - self.first, desk);
        }
        if !got.is_empty() {
            self.suspect(got, desk);
        }
    }

    /// The first `count` are over and done with; as many others may begin.
    fn over(&mut self, count: u64, desk: &mut Desk) {
        let brings_others = desk.answers_pace && !desk.churn;
        let others = if brings_others { desk.may_begin_some(desk.now, count) } else { 0 };
        self.first += count;
        let count = usize::try_from(count).expect("they were in the queue");
        if self.under_way == desk.window {
            self.free = desk.now;
        }
        self.under_way -= count;
        self.unsent -= count;
        self.messages.drain(..count);
        for _ in 0..others {
            self.begin(desk.now);
        }
    }

    fn suspect(&mut self, got: &[u8], desk: &mut Desk) {
        let mut came = vec![0; self.got_of];
        desk.noise.write(self.name(0), 0, &mut came);
        came.extend_from_slice(got);
        self.suspect = Some(Suspect { came, until: desk.now + EVIDENCE_TIME });
    }

    /// Gives what is wrong its name, when there is enough of it or nothing more will come.
    pub(super) fn conclude(&mut self, desk: &mut Desk, is_last: bool) -> Result<(), Failure> {
        let Some(Suspect { came, until }) = &self.suspect else {
            return Ok(());
        };
        if !is_last && desk.now < *until && came.len() < EVIDENCE_BYTES {
            return Ok(());
        }
        let (due, offset) = self.due();
        let (sent, sent_of) = (self.first + self.unsent as u64, self.sent_of);
        let (noise, sizes, seed) = (&desk.noise, &desk.sizes, desk.seed);
        let case = autopsy::Case { noise, sizes, seed, due, sent, sent_of, offset };
        let found = case.name(came);
        let found = found.expect("what made it suspicious is still there");
        self.suspect = None;
        Err(Failure::Mismatch(found))
    }

    /// The end, while more is wanted.
    pub(super) fn closed(&self, errno: Option<Errno>) -> Failure {
        let (offset, owed) = (self.offset, self.owed() as u64);
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
        let end = self.messages.len().min(desk.window);
        if self.under_way >= end {
            return;
        }
        if self.under_way == 0 {
            self.since = desk.now;
        }
        let mut name = self.name(self.under_way);
        for message in self.messages.range_mut(self.under_way..end) {
            message.size = desk.size(name);
            desk.leaves(message.intended.max(self.free));
            name.number += 1;
        }
        self.under_way = end;
    }

    /// Writes what is to be sent next into the outbox, as much as fits.
    fn compose(&self, desk: &mut Desk) -> usize {
        let length = desk.outbox.len();
        let mut room = &mut desk.outbox[..];
        let mut from = self.sent_of;
        let mut name = self.name(self.unsent);
        for message in self.messages.range(self.unsent..self.under_way) {
            let rest = message.size as usize - from;
            let (piece, others) = room.split_at_mut(rest.min(room.len()));
            desk.noise.write(name, from, piece);
            room = others;
            if room.is_empty() {
                break;
            }
            from = 0;
            name.number += 1;
        }
        length - room.len()
    }

    fn sent(&mut self, mut count: usize) {
        for message in self.messages.range(self.unsent..self.under_way) {
            let rest = message.size as usize - self.sent_of;
            if count < rest {
                self.sent_of += count;
                return;
            }
            count -= rest;
            self.unsent += 1;
            self.sent_of = 0;
        }
    }

    /// The name of the message at this place of the queue.
    fn name(&self, at: usize) -> Name {
        Name { connection: self.index, number: self.first + at as u64 }
    }
}
