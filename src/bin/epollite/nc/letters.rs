//! The loop of datagrams: from one socket to stdout, from stdin to one address or to everybody
//! who has been heard of.
//!
//! A datagram has no end and no connection: what is read at once from the input is one datagram,
//! and what comes is written as it comes.

use std::collections::VecDeque;

use epollite::kernel::{recv_datagram, reply_datagram};
use epollite::{
    Addr, Errno, Event, Fd, Instant, Interest, Kernel, Message, PacketInfo, Ready, Signal,
    SocketOption, Token,
};

use super::desk::{Desk, Read, Role};
use super::mailbox::To;
use super::{End, say};
use crate::args::Mode;
use crate::failure::Failure;

/// The input's bytes that make a datagram at most: what nc takes, and what UDP always holds.
const LETTER_BYTES: usize = 16 << 10;

/// Senders that are remembered; the one not heard of for longest is forgotten.
const SENDERS_MAX: usize = 1_024;

/// Datagrams read before the input has its turn.
const ROUNDS: u32 = 32;

/// The most datagrams that wait for room. More are lost, as they are on any network.
const WAITING_MAX: usize = 4_096;

/// Where a datagram goes to, and from which address of ours: the one that the other has asked.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sender {
    /// `Unspec` is the peer that the socket is connected to.
    addr: Addr,
    asked: Option<PacketInfo>,
}

impl Sender {
    const fn at(addr: Addr) -> Self {
        Self { addr, asked: None }
    }
}

struct Letters<'a, K: Kernel> {
    desk: Desk<'a, K>,
    mode: Mode,
    socket: Token,
    /// `None` for a listener.
    to: Option<To>,
    /// Whom a listener has heard of.
    senders: VecDeque<Sender>,
    /// Datagrams that found no room yet.
    waiting: VecDeque<(Vec<u8>, Sender)>,
    own_port: Option<u16>,
    idle_at: Option<Instant>,
    is_over: bool,
    signalled: Option<Signal>,
}

/// Serves `socket` until it is over.
pub(super) fn run<K: Kernel>(
    mut desk: Desk<'_, K>,
    socket: Fd,
    to: Option<To>,
) -> Result<End, Failure> {
    let mode = desk.options.mode;
    if matches!(mode, Mode::Echo | Mode::Discard) {
        desk.close_input();
    }
    if to.is_none() {
        let broadcast = SocketOption::Broadcast(desk.options.may_broadcast);
        let set = desk.reactor.kernel().setsockopt(&socket, broadcast);
        set.map_err(|errno| say::broken("setsockopt", errno))?;
    }
    let own = desk.reactor.kernel().getsockname(&socket);
    let own_port = own.ok().and_then(|own| own.port());
    let socket = desk.watch(socket, Interest::NONE, Role::Letters)?;
    let mut letters = Letters {
        desk,
        mode,
        socket,
        to,
        senders: VecDeque::new(),
        waiting: VecDeque::new(),
        own_port,
        idle_at: None,
        is_over: false,
        signalled: None,
    };
    // A listener waits for the first as long as it takes, and so does nc's.
    if letters.to.is_some() {
        letters.is_alive();
    }
    while !letters.is_over || (letters.desk.owes_output() && letters.signalled.is_none()) {
        letters.turn()?;
    }
    match letters.signalled {
        Some(signal) => Ok(End::Signalled(signal)),
        None => {
            letters.desk.reactor.close(socket);
            letters.desk.leave()
        }
    }
}

impl<K: Kernel> Letters<'_, K> {
    fn turn(&mut self) -> Result<(), Failure> {
        let is_ready = self.wants_input() && self.desk.arm_input()?;
        self.arm()?;
        let deadline = if is_ready { Some(Instant::ZERO) } else { self.earliest() };
        match self.desk.next(deadline)? {
            Some(Event::Io { token, ready }) => self.serve(token, ready)?,
            Some(Event::Timer { .. } | Event::Woken) | None => {}
        }
        if is_ready && self.wants_input() {
            self.read_input()?;
        }
        self.look_at_the_clock()
    }

    fn serve(&mut self, token: Token, ready: Ready) -> Result<(), Failure> {
        let Some(role) = self.desk.role(token) else { return Ok(()) };
        match role {
            Role::Input if self.wants_input() => self.read_input(),
            Role::Letters => {
                self.deliver()?;
                self.receive()
            }
            Role::Output if self.desk.owes_output() => {
                self.is_over |= !self.desk.pay_output()?;
                Ok(())
            }
            Role::Output => {
                self.is_over |= ready.is_error() && self.mode == Mode::Talk;
                Ok(())
            }
            Role::Signals => {
                self.signalled = self.desk.signal(token)?;
                self.is_over |= self.signalled.is_some();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn earliest(&self) -> Option<Instant> {
        let desk = &self.desk;
        [self.idle_at, desk.line_at, desk.receive_at, desk.quit_at].into_iter().flatten().min()
    }

    fn look_at_the_clock(&mut self) -> Result<(), Failure> {
        if self.earliest().is_none() {
            return Ok(());
        }
        let now = self.desk.now();
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        self.is_over |= due(&mut self.desk.quit_at) || due(&mut self.idle_at);
        due(&mut self.desk.receive_at);
        if due(&mut self.desk.line_at) { self.send_lines() } else { Ok(()) }
    }

    fn is_alive(&mut self) {
        if let Some(patience) = self.desk.options.patience {
            self.idle_at = Some(self.desk.after(patience));
        }
    }

    fn arm(&mut self) -> Result<(), Failure> {
        let reads = !self.desk.owes_output()
            && self.desk.receive_at.is_none()
            && !self.is_over
            && (self.mode != Mode::Echo || self.waiting.is_empty());
        let wanted = match (reads, self.waiting.is_empty()) {
            (true, true) => Interest::READABLE,
            (true, false) => Interest::READABLE | Interest::WRITABLE,
            (false, false) => Interest::WRITABLE,
            (false, true) => Interest::NONE,
        };
        self.desk.arm(self.socket, wanted)
    }

    // Out.

    /// Whether there is somebody to send to, and room.
    fn wants_input(&self) -> bool {
        let has_somebody = self.to.is_some() || !self.senders.is_empty();
        has_somebody
            && self.waiting.is_empty()
            && !self.is_over
            && !self.desk.input_is_gone()
            && self.desk.line_at.is_none()
    }

    fn read_input(&mut self) -> Result<(), Failure> {
        match self.desk.read_input(LETTER_BYTES) {
            Read::Bytes(count) if self.desk.lines.are_plain() => {
                let letter = self.desk.buf[..count].to_vec();
                self.send_to_all(&letter, None)
            }
            Read::Bytes(count) => {
                let desk = &mut self.desk;
                desk.lines.push(&desk.buf[..count]);
                self.send_lines()
            }
            Read::Nothing => Ok(()),
            Read::End => {
                self.desk.close_input();
                self.send_lines()
            }
        }
    }

    fn send_lines(&mut self) -> Result<(), Failure> {
        let is_last = self.desk.input_is_gone();
        if let Some(line) = self.desk.lines.take(is_last) {
            self.send_to_all(&line, None)?;
            if let Some(interval) = self.desk.options.interval {
                self.desk.line_at = Some(self.desk.after(interval));
            }
        }
        let is_everything_sent = self.desk.lines.is_empty() && self.desk.line_at.is_none();
        if let Some(quits) = self.desk.options.quits
            && is_last
            && is_everything_sent
        {
            self.desk.quit_at = Some(self.desk.after(quits));
        }
        Ok(())
    }

    fn send_to_all(&mut self, letter: &[u8], but: Option<Sender>) -> Result<(), Failure> {
        match self.to {
            Some(To::Connected) => {
                self.waiting.push_back((letter.to_vec(), Sender::at(Addr::Unspec)))
            }
            Some(To::Anyone(addr)) => self.waiting.push_back((letter.to_vec(), Sender::at(addr))),
            None => {
                let room = WAITING_MAX.saturating_sub(self.waiting.len());
                let but = but.map(|sender| sender.addr);
                let others =
                    self.senders.iter().filter(|sender| Some(sender.addr) != but).take(room);
                self.waiting.extend(others.map(|&sender| (letter.to_vec(), sender)));
            }
        }
        self.deliver()
    }

    /// Sends what waits, as far as there is room.
    fn deliver(&mut self) -> Result<(), Failure> {
        while let Some((letter, to)) = self.waiting.front() {
            let Some(mut source) = self.desk.reactor.source(self.socket) else { return Ok(()) };
            let sent = match &to.addr {
                Addr::Unspec => source.io.send(letter).map(|sent| match sent {
                    epollite::Sent::Bytes(_) => true,
                    epollite::Sent::Nothing => false,
                }),
                addr => {
                    let (kernel, fd) = (source.io.kernel, source.io.fd);
                    match reply_datagram(kernel, fd, letter, addr, to.asked) {
                        Ok(_) => Ok(true),
                        // Its queue is full, which no event tells the end of: it loses this one,
                        // and nobody else waits for it.
                        Err(errno) if errno.would_block() && is_unix(addr) => Ok(true),
                        Err(errno) if errno.would_block() || errno.interrupted() => Ok(false),
                        Err(errno) => Err(errno),
                    }
                }
            };
            match sent {
                Ok(true) => self.is_alive(),
                Ok(false) => return Ok(()),
                Err(errno) => self.mind(errno, "send")?,
            }
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// An error of a datagram: a listener goes on, since it is one sender's affair.
    fn mind(&mut self, errno: Errno, call: &str) -> Result<(), Failure> {
        if self.to.is_none() {
            say::remark(self.desk.options, &format!("{call}: {}", say::errno(errno)));
            return Ok(());
        }
        let why = say::why(self.desk.options, errno);
        Err(Failure::new(Failure::RUN, format!("{call}: {why}")))
    }

    // In.

    fn receive(&mut self) -> Result<(), Failure> {
        for _ in 0..ROUNDS {
            if self.desk.owes_output() || self.is_over || self.desk.receive_at.is_some() {
                return Ok(());
            }
            if self.mode == Mode::Echo && !self.waiting.is_empty() {
                return Ok(());
            }
            let desk = &mut self.desk;
            let Some(source) = desk.reactor.source(self.socket) else { return Ok(()) };
            let came = recv_datagram(source.io.kernel, source.io.fd, &mut desk.buf);
            let (len, sender) = match came {
                Ok(Message { len_bytes, from, packet_info }) => {
                    let sender = Sender { addr: from, asked: packet_info };
                    (len_bytes.min(desk.buf.len()), sender)
                }
                Err(errno) if errno.would_block() => return Ok(()),
                Err(errno) if errno.interrupted() => continue,
                Err(errno) => return self.mind(errno, "receive"),
            };
            self.is_alive();
            self.is_over |= self.desk.count_received();
            self.remember(sender);
            let letter = self.desk.buf[..len].to_vec();
            self.pass_on(&letter, sender)?;
        }
        Ok(())
    }

    fn pass_on(&mut self, letter: &[u8], sender: Sender) -> Result<(), Failure> {
        match self.mode {
            Mode::Discard => return Ok(()),
            Mode::Echo if self.may_answer(&sender.addr) => {
                self.waiting.push_back((letter.to_vec(), sender));
                return self.deliver();
            }
            Mode::Echo => return Ok(()),
            Mode::Chat if self.may_answer(&sender.addr) => {
                self.send_to_all(letter, Some(sender))?;
            }
            Mode::Chat | Mode::Talk => {}
        }
        self.is_over |= !self.desk.put(letter)?;
        Ok(())
    }

    /// Whether an answer could not come back for ever: a datagram's sender can be forged.
    fn may_answer(&self, sender: &Addr) -> bool {
        let own: Vec<u16> = self.own_port.into_iter().collect();
        !epollite::server::datagram::refuses(&own, sender)
    }

    /// A listener's new sender is told of, and answered from now on.
    fn remember(&mut self, sender: Sender) {
        if self.to.is_some() {
            return;
        }
        let known = self.senders.iter().position(|other| other.addr == sender.addr);
        match known {
            Some(at) if self.senders[at] == sender && at + 1 == self.senders.len() => return,
            Some(at) => drop(self.senders.remove(at)),
            None => {
                let place = say::place(&sender.addr);
                say::remark(self.desk.options, &format!("Connection received on {place}"));
            }
        }
        let is_nobody = matches!(sender.addr, Addr::Unix(name) if name.is_unnamed());
        if is_nobody || sender.addr == Addr::Unspec {
            return;
        }
        if self.senders.len() == SENDERS_MAX {
            self.senders.pop_front();
        }
        self.senders.push_back(sender);
    }
}

const fn is_unix(addr: &Addr) -> bool {
    matches!(addr, Addr::Unix(_))
}
