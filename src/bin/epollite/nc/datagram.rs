//! The loop of datagrams: from one socket to stdout, from stdin to one address or to every known
//! sender.
//!
//! A datagram has no end of stream and no connection: one read of the input makes one datagram, and
//! received datagrams are written as they arrive.

use std::collections::VecDeque;

use epollite::event::Ready;
use epollite::kernel::{ReceivedDatagram, Signal, SocketOption, recv_datagram, reply_datagram};
use epollite::net::PacketInfo;
use epollite::server::datagram::{RefusedPorts, gets_no_reply};
use epollite::{Addr, Errno, Event, Fd, Instant, Interest, Kernel, Received, Token};

use super::messages;
use super::session::{FdEntry, Role, Session};
use crate::args::Mode;
use crate::exit::CliError;

/// The most input bytes in one datagram: nc's limit, and below that of UDP.
const DATAGRAM_BYTES_MAX: usize = 16 << 10;

/// Number of remembered senders; the least recently active is dropped first.
const SENDERS_MAX: usize = 1_024;

/// Datagrams received before the input is read.
const RECV_BATCH: u32 = 32;

/// The most datagrams queued for sending. Further ones are lost, as on any network.
const SEND_QUEUE_MAX: usize = 4_096;

/// The destination of a datagram, and the local address to send from: the one the peer sent to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sender {
    /// `Unspecified` is the peer that the socket is connected to.
    addr: Addr,
    packet_info: Option<PacketInfo>,
}

struct DatagramLoop<'a, K: Kernel> {
    session: Session<'a, K>,
    socket: Token,
    /// `None` for a listener.
    destination: Option<Addr>,
    /// Senders known to a listener.
    senders: VecDeque<Sender>,
    /// Datagrams not yet sent for lack of buffer space.
    send_queue: VecDeque<(Vec<u8>, Sender)>,
    own_port: Option<u16>,
    idle_deadline: Option<Instant>,
}

/// Serves `socket` until the end of the run.
pub(super) fn run<K: Kernel>(
    mut session: Session<'_, K>,
    socket: Fd,
    destination: Option<Addr>,
) -> Result<Option<Signal>, CliError> {
    if destination.is_none() {
        let broadcast = SocketOption::Broadcast(session.options.broadcast);
        let set = session.reactor.kernel().setsockopt(&socket, broadcast);
        set.map_err(messages::failed_call("setsockopt"))?;
    }
    let own = session.reactor.kernel().getsockname(&socket);
    let own_port = own.ok().and_then(|own| own.port());
    let socket = session.register(socket, FdEntry::new(Role::Datagrams, Interest::NONE))?;
    let mut datagram_loop = DatagramLoop {
        session,
        socket,
        destination,
        senders: VecDeque::new(),
        send_queue: VecDeque::new(),
        own_port,
        idle_deadline: None,
    };
    // A listener waits for its first datagram without a timeout, as nc's does.
    if datagram_loop.destination.is_some() {
        datagram_loop.reset_idle_timer();
    }
    while !datagram_loop.session.is_done() {
        datagram_loop.run_once()?;
    }
    datagram_loop.session.reactor.close(socket);
    Ok(datagram_loop.session.finish())
}

impl<K: Kernel> DatagramLoop<'_, K> {
    fn run_once(&mut self) -> Result<(), CliError> {
        let is_ready = self.wants_input() && self.session.arm_input()?;
        self.arm()?;
        let deadline = if is_ready { Some(Instant::ZERO) } else { self.next_deadline() };
        match self.session.next_event(deadline)? {
            Some(Event::Io { token, ready }) => self.dispatch(token, ready)?,
            Some(Event::Timer { .. } | Event::Woken) | None => {}
        }
        if is_ready && self.wants_input() {
            self.read_input()?;
        }
        self.check_deadlines()
    }

    fn dispatch(&mut self, token: Token, ready: Ready) -> Result<(), CliError> {
        let Some(role) = self.session.role(token) else { return Ok(()) };
        match role {
            Role::Input if self.wants_input() => self.read_input(),
            Role::Datagrams => {
                self.flush()?;
                self.receive()
            }
            Role::Output => self.session.on_output_ready(ready),
            Role::Signals => self.session.on_signal(token),
            _ => Ok(()),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.session.next_deadline(self.idle_deadline)
    }

    fn check_deadlines(&mut self) -> Result<(), CliError> {
        if self.next_deadline().is_none() {
            return Ok(());
        }
        let now = self.session.now();
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        self.session.finished |= due(&mut self.session.quit_at) || due(&mut self.idle_deadline);
        due(&mut self.session.receive_at);
        if due(&mut self.session.line_at) { self.send_lines() } else { Ok(()) }
    }

    fn reset_idle_timer(&mut self) {
        if let Some(timeout) = self.session.options.timeout {
            self.idle_deadline = Some(self.session.deadline_after(timeout));
        }
    }

    fn arm(&mut self) -> Result<(), CliError> {
        self.session.arm_socket(self.socket, self.may_receive(), !self.send_queue.is_empty())
    }

    // Sending.

    /// Whether there is a destination, and room in the queue.
    fn wants_input(&self) -> bool {
        let has_destination = self.destination.is_some() || !self.senders.is_empty();
        has_destination && self.send_queue.is_empty() && self.session.may_read_input()
    }

    fn read_input(&mut self) -> Result<(), CliError> {
        match self.session.read_input(DATAGRAM_BYTES_MAX) {
            Received::Bytes(count) => {
                let session = &mut self.session;
                session.lines.push(&session.buf[..count]);
                self.send_lines()
            }
            Received::WouldBlock => Ok(()),
            Received::Eof => {
                self.session.close_input();
                self.send_lines()
            }
        }
    }

    fn send_lines(&mut self) -> Result<(), CliError> {
        if let Some(line) = self.session.next_line() {
            self.send_to_all(&line, None)?;
        }
        if let Some(quit_after) = self.session.options.quit_after
            && self.session.input_is_sent()
        {
            self.session.quit_at = Some(self.session.deadline_after(quit_after));
        }
        Ok(())
    }

    fn send_to_all(&mut self, datagram: &[u8], except: Option<Sender>) -> Result<(), CliError> {
        match self.destination {
            Some(addr) => {
                self.send_queue.push_back((datagram.to_vec(), Sender { addr, packet_info: None }))
            }
            None => {
                let capacity = SEND_QUEUE_MAX.saturating_sub(self.send_queue.len());
                let except = except.map(|sender| sender.addr);
                let others =
                    self.senders.iter().filter(|sender| Some(sender.addr) != except).take(capacity);
                self.send_queue.extend(others.map(|&sender| (datagram.to_vec(), sender)));
            }
        }
        self.flush()
    }

    /// Sends queued datagrams until the socket would block.
    fn flush(&mut self) -> Result<(), CliError> {
        while let Some((datagram, destination)) = self.send_queue.front() {
            let Some((_, mut io)) = self.session.reactor.get_mut(self.socket) else {
                return Ok(());
            };
            let sent = match &destination.addr {
                Addr::Unspecified => io.send(datagram).map(|sent| match sent {
                    epollite::Sent::Bytes(_) => true,
                    epollite::Sent::WouldBlock => false,
                }),
                addr => {
                    let info = destination.packet_info;
                    let is_unix = matches!(addr, Addr::Unix(_));
                    match io.syscall(|kernel, fd| reply_datagram(kernel, fd, datagram, addr, info))
                    {
                        Ok(_) => Ok(true),
                        // The receiver's queue is full, and no event reports when it has room: this
                        // datagram is dropped for it, so that the others need not wait.
                        Err(errno) if errno.is_would_block() && is_unix => Ok(true),
                        Err(errno) if errno.is_would_block() || errno.is_interrupted() => Ok(false),
                        Err(errno) => Err(errno),
                    }
                }
            };
            match sent {
                Ok(true) => self.reset_idle_timer(),
                Ok(false) => return Ok(()),
                Err(errno) => self.on_error(errno, "send")?,
            }
            self.send_queue.pop_front();
        }
        Ok(())
    }

    /// Handles an error of one datagram: a listener continues, since it concerns one sender.
    fn on_error(&mut self, errno: Errno, call: &str) -> Result<(), CliError> {
        if self.destination.is_none() {
            self.session.verbose(&format!("{call}: {}", messages::errno_text(errno)));
            return Ok(());
        }
        let why = messages::connect_error_hint(self.session.options, errno);
        Err(CliError::run(format!("{call}: {why}")))
    }

    // Receiving.

    /// Whether a datagram could be forwarded at once.
    fn may_receive(&self) -> bool {
        !self.session.output_pending()
            && !self.session.finished
            && self.session.receive_at.is_none()
            && (self.session.options.mode != Mode::Echo || self.send_queue.is_empty())
    }

    fn receive(&mut self) -> Result<(), CliError> {
        for _ in 0..RECV_BATCH {
            if !self.may_receive() {
                return Ok(());
            }
            let session = &mut self.session;
            let Some((_, mut io)) = session.reactor.get_mut(self.socket) else { return Ok(()) };
            let received = io.syscall(|kernel, fd| recv_datagram(kernel, fd, &mut session.buf));
            let (len, sender) = match received {
                Ok(ReceivedDatagram { len_bytes, from, packet_info, .. }) => {
                    let sender = Sender { addr: from, packet_info };
                    (len_bytes.min(session.buf.len()), sender)
                }
                Err(errno) if errno.is_would_block() => return Ok(()),
                Err(errno) if errno.is_interrupted() => continue,
                Err(errno) => return self.on_error(errno, "receive"),
            };
            self.reset_idle_timer();
            self.session.count_received();
            self.add_sender(sender);
            let datagram = self.session.buf[..len].to_vec();
            self.forward(&datagram, sender)?;
        }
        Ok(())
    }

    fn forward(&mut self, datagram: &[u8], sender: Sender) -> Result<(), CliError> {
        match self.session.options.mode {
            Mode::Discard => return Ok(()),
            Mode::Echo if self.may_reply(&sender.addr) => {
                self.send_queue.push_back((datagram.to_vec(), sender));
                return self.flush();
            }
            Mode::Echo => return Ok(()),
            Mode::Chat if self.may_reply(&sender.addr) => {
                self.send_to_all(datagram, Some(sender))?;
            }
            Mode::Chat | Mode::Interactive => {}
        }
        self.session.write_output(datagram)
    }

    /// Whether a reply cannot cause an endless loop: the source address of a datagram can be
    /// forged.
    fn may_reply(&self, sender: &Addr) -> bool {
        let own: Vec<u16> = self.own_port.into_iter().collect();
        !gets_no_reply(&own, RefusedPorts::Reflectors, sender)
    }

    /// Remembers a listener's sender and logs a new one; later input is sent to it too.
    fn add_sender(&mut self, sender: Sender) {
        if self.destination.is_some() {
            return;
        }
        let known = self.senders.iter().position(|other| other.addr == sender.addr);
        match known {
            Some(at) if self.senders[at] == sender && at + 1 == self.senders.len() => return,
            Some(at) => drop(self.senders.remove(at)),
            None => {
                let place = messages::addr_text(&sender.addr);
                self.session.verbose(&format!("Connection received on {place}"));
            }
        }
        let is_unnamed = matches!(sender.addr, Addr::Unix(name) if name.is_unnamed());
        if is_unnamed || sender.addr == Addr::Unspecified {
            return;
        }
        if self.senders.len() == SENDERS_MAX {
            self.senders.pop_front();
        }
        self.senders.push_back(sender);
    }
}
