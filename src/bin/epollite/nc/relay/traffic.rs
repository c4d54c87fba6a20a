//! What connections say and are told: reading, sending, owing, ending.
//!
//! ```text
//!            stdin ends, all is paid        the other side ends
//! client     sends no more (-N: FIN)        is not read; over when it sends no more either
//! listener   the same                       lingers while stdin has something; then over
//! --echo     (stdin is not read)            is paid, then over
//! ```

use epollite::{Errno, Interest, Kernel, Ready, Received, Sent, Shut, Token};

use super::super::desk::Read;
use super::super::say;
use super::Relay;
use crate::args::Mode;
use crate::failure::Failure;

/// Reads of one connection, or of the input, before the others have their turn.
const ROUNDS: u32 = 8;

/// Read at once in a chat, where each line is given a name in front.
const CHAT_BYTES: usize = 16 << 10;

/// A chat's guest who is owed so much does not read: nobody waits for him.
const CHAT_OWED_MAX: usize = 1 << 20;

/// The longest line of a chat. What is longer comes out as several.
const CHAT_LINE_MAX: usize = 8 << 10;

impl<K: Kernel> Relay<'_, K> {
    // The input, to everybody.

    /// Whether what the input has could be sent on at once.
    pub(super) const fn wants_input(&self) -> bool {
        let has_room = match self.mode {
            Mode::Talk => self.owing == 0,
            Mode::Chat => true,
            Mode::Echo | Mode::Discard => false,
        };
        has_room
            && self.peers > 0
            && !self.is_over
            && !self.desk.input_is_gone()
            && self.desk.line_at.is_none()
    }

    pub(super) fn read_input(&mut self) -> Result<(), Failure> {
        let rounds = if self.desk.input_is_patient() { ROUNDS } else { 1 };
        for _ in 0..rounds {
            if !self.wants_input() {
                break;
            }
            match self.desk.read_input(usize::MAX) {
                Read::Bytes(count) if self.desk.lines.are_plain() => {
                    let buf = std::mem::take(&mut self.desk.buf);
                    let sent = self.send_all(&buf[..count], None);
                    self.desk.buf = buf;
                    sent?;
                }
                Read::Bytes(count) => {
                    let desk = &mut self.desk;
                    desk.lines.push(&desk.buf[..count]);
                    self.send_lines()?;
                }
                Read::Nothing => break,
                Read::End => {
                    self.desk.close_input();
                    self.send_lines()?;
                }
            }
        }
        Ok(())
    }

    /// Sends what waits of the input: all of it, or one line and the next one later.
    pub(super) fn send_lines(&mut self) -> Result<(), Failure> {
        let is_last = self.desk.input_is_gone();
        if let Some(line) = self.desk.lines.take(is_last) {
            self.send_all(&line, None)?;
            if let Some(interval) = self.desk.options.interval {
                self.desk.line_at = Some(self.desk.after(interval));
            }
        }
        let is_everything_sent = self.desk.lines.is_empty() && self.desk.line_at.is_none();
        if is_last && is_everything_sent { self.input_has_ended() } else { Ok(()) }
    }

    /// Nothing more will be sent to anybody.
    fn input_has_ended(&mut self) -> Result<(), Failure> {
        for slot in 0..self.desk.reactor.slots() {
            if let Some(token) = self.desk.reactor.token_at(slot) {
                self.end_sending(token)?;
                self.settle(token)?;
            }
        }
        self.look_whether_to_quit();
        Ok(())
    }

    /// Starts the time of `-q` when everything has been sent.
    fn look_whether_to_quit(&mut self) {
        let has_ended = self.desk.input_is_gone() && self.desk.lines.is_empty();
        let is_everything_sent = has_ended && self.owing == 0 && self.desk.line_at.is_none();
        if let Some(quits) = self.desk.options.quits
            && is_everything_sent
            && self.desk.quit_at.is_none()
        {
            self.desk.quit_at = Some(self.desk.after(quits));
        }
    }

    // Out to connections.

    /// Sends to everybody but `but`.
    fn send_all(&mut self, bytes: &[u8], but: Option<Token>) -> Result<(), Failure> {
        for slot in 0..self.desk.reactor.slots() {
            if let Some(token) = self.desk.reactor.token_at(slot)
                && Some(token) != but
            {
                self.send(token, bytes)?;
                self.settle(token)?;
            }
        }
        Ok(())
    }

    /// Sends what there is room for, and owes the rest.
    fn send(&mut self, token: Token, bytes: &[u8]) -> Result<(), Failure> {
        let Some(mut source) = self.desk.reactor.source(token) else { return Ok(()) };
        let Some(peer) = &mut source.state.peer else { return Ok(()) };
        if !peer.writes || peer.ends {
            return Ok(());
        }
        let mut gone = 0;
        if peer.owed.is_empty() {
            match source.io.send(bytes) {
                Ok(Sent::Bytes(count)) => gone = count,
                Ok(Sent::Nothing) => {}
                Err(errno) => return self.lose(token, errno),
            }
        }
        let was_owed = !peer.owed.is_empty();
        let bytes_max = if self.mode == Mode::Chat { CHAT_OWED_MAX } else { usize::MAX };
        let is_too_slow = peer.owed.owe(&bytes[gone..], bytes_max).is_err();
        self.owing += u32::from(!was_owed && !peer.owed.is_empty());
        if gone > 0 {
            self.is_alive(token);
        }
        if is_too_slow { self.part(token, "does not read: cut off") } else { Ok(()) }
    }

    /// A connection has room for what it is owed.
    fn pay(&mut self, token: Token) -> Result<(), Failure> {
        let Some(mut source) = self.desk.reactor.source(token) else { return Ok(()) };
        let Some(peer) = &mut source.state.peer else { return Ok(()) };
        if peer.owed.is_empty() {
            return Ok(());
        }
        match source.io.send(peer.owed.bytes()) {
            Ok(Sent::Bytes(count)) => peer.owed.paid(count),
            Ok(Sent::Nothing) => return Ok(()),
            Err(errno) => return self.lose(token, errno),
        }
        let is_paid = peer.owed.is_empty();
        let ends = is_paid && std::mem::take(&mut peer.ends);
        self.owing -= u32::from(is_paid);
        self.is_alive(token);
        if ends {
            self.end_sending(token)?;
        }
        if is_paid {
            self.look_whether_to_quit();
        }
        Ok(())
    }

    /// Sends nothing more to it, behind what it is owed; under `-N` it is told so.
    pub(super) fn end_sending(&mut self, token: Token) -> Result<(), Failure> {
        let shuts = self.desk.options.shuts;
        let Some(mut source) = self.desk.reactor.source(token) else { return Ok(()) };
        let Some(peer) = &mut source.state.peer else { return Ok(()) };
        if !peer.owed.is_empty() {
            peer.ends = true;
            return Ok(());
        }
        if std::mem::take(&mut peer.writes) && shuts {
            // Where nobody is any more (ENOTCONN), nobody needs to be told.
            let _ = source.io.shutdown(Shut::Write);
        }
        Ok(())
    }

    /// A connection is broken: neither side will hear the other again. To nc that is an end.
    fn lose(&mut self, token: Token, errno: Errno) -> Result<(), Failure> {
        self.part(token, &say::errno(errno))
    }

    // In from connections.

    /// Whether what it says could be passed on at once.
    fn may_read(&mut self, token: Token) -> bool {
        let Some(peer) = self.peer(token) else { return false };
        let (reads, is_paid) = (peer.reads, peer.owed.is_empty());
        let has_room = match self.mode {
            Mode::Talk | Mode::Chat => !self.desk.owes_output(),
            Mode::Echo => is_paid,
            Mode::Discard => true,
        };
        has_room && reads && !self.is_over && self.desk.receive_at.is_none()
    }

    pub(super) fn serve_peer(&mut self, token: Token, ready: Ready) -> Result<(), Failure> {
        if ready.is_writable() || ready.is_hup() || ready.is_error() {
            self.pay(token)?;
        }
        for _ in 0..ROUNDS {
            if !self.may_read(token) || !self.receive(token, ready)? {
                break;
            }
        }
        self.settle(token)
    }

    /// Reads once. False when there is nothing more to be read now.
    fn receive(&mut self, token: Token, ready: Ready) -> Result<bool, Failure> {
        let len_max = match self.mode {
            Mode::Talk => self.desk.output_bytes,
            Mode::Chat => CHAT_BYTES,
            Mode::Echo | Mode::Discard => self.desk.buf.len(),
        };
        let Some(mut source) = self.desk.reactor.source(token) else { return Ok(false) };
        let count = match source.io.recv(&mut self.desk.buf[..len_max]) {
            Ok(Received::Bytes(count)) => count,
            Ok(Received::Nothing) => return Ok(false),
            Ok(Received::End) => {
                if let Some(peer) = self.peer(token) {
                    peer.reads = false;
                    // Both ways are over: whatever is sent now, nobody reads it.
                    peer.writes &= !ready.is_hup();
                }
                self.finish_line(token)?;
                return Ok(false);
            }
            Err(errno) => {
                self.lose(token, errno)?;
                return Ok(false);
            }
        };
        self.is_alive(token);
        self.is_over |= self.desk.count_received();
        let buf = std::mem::take(&mut self.desk.buf);
        let passed = self.pass_on(token, &buf[..count]);
        self.desk.buf = buf;
        passed.map(|()| count == len_max)
    }

    fn pass_on(&mut self, token: Token, bytes: &[u8]) -> Result<(), Failure> {
        match self.mode {
            Mode::Talk => self.put(bytes),
            Mode::Echo => self.send(token, bytes),
            Mode::Discard => Ok(()),
            Mode::Chat => {
                for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
                    let Some(peer) = self.peer(token) else { return Ok(()) };
                    peer.line.extend_from_slice(piece);
                    if piece.ends_with(b"\n") || peer.line.len() >= CHAT_LINE_MAX {
                        self.finish_line(token)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Passes a guest's line on to the others and to the output, with a name in front.
    fn finish_line(&mut self, token: Token) -> Result<(), Failure> {
        let Some(peer) = self.peer(token) else { return Ok(()) };
        let line = std::mem::take(&mut peer.line);
        if line.is_empty() {
            return Ok(());
        }
        let mut told = format!("<{}> ", peer.number).into_bytes();
        told.extend_from_slice(&line);
        if !line.ends_with(b"\n") {
            told.push(b'\n');
        }
        self.send_all(&told, Some(token))?;
        self.put(&told)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.is_over |= !self.desk.put(bytes)?;
        Ok(())
    }

    // What comes next.

    /// Arms a connection for what is wanted of it now, or lets it go.
    pub(super) fn settle(&mut self, token: Token) -> Result<(), Failure> {
        let is_listening = self.desk.options.is_listening;
        let input_may_come = !self.desk.input_is_gone() || !self.desk.lines.is_empty();
        let (mode, shuts) = (self.mode, self.desk.options.shuts);
        let Some(peer) = self.peer(token) else { return Ok(()) };
        let is_paid = peer.owed.is_empty();
        let is_finished = match mode {
            _ if peer.reads || !is_paid => false,
            Mode::Echo | Mode::Discard | Mode::Chat => true,
            Mode::Talk => !peer.writes || (is_listening && !input_may_come),
        };
        if is_finished {
            return self.part(token, "");
        }
        // A listener with -N sends its input to the end; without, as long as there is some.
        let lingers = is_listening && mode == Mode::Talk && !peer.reads && !shuts;
        let begins_to = lingers && !std::mem::replace(&mut peer.lingers, lingers);
        self.lingering += u32::from(begins_to);
        self.arm_peer(token)
    }

    fn arm_peer(&mut self, token: Token) -> Result<(), Failure> {
        let Some(peer) = self.peer(token) else { return Ok(()) };
        let owes = !peer.owed.is_empty();
        let may_read = self.may_read(token);
        let wanted = match (may_read, owes) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => Interest::NONE,
        };
        self.desk.arm(token, wanted)
    }

    /// There is room again, or the time has come: all that wait are read.
    pub(super) fn arm_all(&mut self) -> Result<(), Failure> {
        for slot in 0..self.desk.reactor.slots() {
            if let Some(token) = self.desk.reactor.token_at(slot) {
                self.arm_peer(token)?;
            }
        }
        Ok(())
    }
}
