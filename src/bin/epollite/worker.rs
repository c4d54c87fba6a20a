//! One thread's loop: a stream server, with datagram sockets and signals in the same reactor.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use epollite::kernel::{SIGINFO_BYTES, release};
use epollite::server::datagram::{self, Service};
use epollite::server::stream::{Note, Server, Turn};
use epollite::{Errno, Event, Fd, Interest, Ready, Signal, Token, Trigger};

use crate::control::Control;
use crate::echo::failed;
use crate::failure::Failure;
use crate::listen::SocketFiles;
use crate::log::Log;
use crate::meter::{Maker, Meter, Tally, Trace};
use crate::models::Account;
use crate::report::Snapshot;
use crate::tell;

/// What is in the reactor beside streams.
pub(crate) enum Mine {
    Signals,
    Datagrams(Box<Service>),
}

/// Everything that one thread has.
pub(crate) struct Worker<K: Meter> {
    pub(crate) me: usize,
    pub(crate) server: Server<K, Mine>,
    pub(crate) control: Arc<Control>,
    /// For the one that reads the signals: what is to be removed when we leave.
    pub(crate) files: SocketFiles,
    pub(crate) log: Log,
    /// Who is connected, and how much each has sent; only when that is told.
    peers: HashMap<Token, Peer>,
    datagrams: Vec<Token>,
    /// What those had counted that are closed.
    datagrams_closed: datagram::Stats,
    /// When a pause was last told: at a limit, pauses come by the thousand.
    paused_told: Option<Instant>,
    /// Whether its server has left.
    has_left: bool,
    /// Whether a signal has asked us to leave.
    is_signalled: bool,
    /// What accept4(2) said when the last listener failed.
    last_failed: Option<Errno>,
    /// Where the calls are printed.
    pub(crate) trace: Trace,
    /// With `--count`, what they sum up to.
    pub(crate) tally: Option<Tally>,
    /// In a process of its own: which it is, and where its parent sees what it counts.
    pub(crate) parent: Option<(Maker, Account)>,
}

struct Peer {
    name: String,
    bytes: u64,
}

impl<K: Meter> Worker<K> {
    pub(crate) fn new(me: usize, server: Server<K, Mine>, control: Arc<Control>, log: Log) -> Self {
        Self {
            me,
            server,
            control,
            files: SocketFiles::default(),
            log,
            peers: HashMap::new(),
            datagrams: Vec::new(),
            datagrams_closed: datagram::Stats::default(),
            paused_told: None,
            has_left: false,
            is_signalled: false,
            last_failed: None,
            trace: Trace::Nowhere,
            tally: None,
            parent: None,
        }
    }

    /// Takes a datagram socket into the loop.
    pub(crate) fn open_datagrams(
        &mut self,
        socket: Fd,
        config: datagram::Config,
    ) -> Result<(), Errno> {
        let service = Service::of(self.server.kernel(), &socket, config)?;
        let mine = Mine::Datagrams(Box::new(service));
        let token = self.server.admit(socket, Service::interest(), config.trigger, mine)?;
        self.datagrams.push(token);
        Ok(())
    }

    /// The ports of its datagram sockets.
    pub(crate) fn datagram_ports(&mut self) -> Vec<u16> {
        let mut ports = Vec::new();
        for &token in &self.datagrams {
            if let Some((Mine::Datagrams(service), _)) = self.server.foreign(token) {
                ports.extend(service.port());
            }
        }
        ports
    }

    /// No datagram from any of `ports` is answered: they are our own.
    pub(crate) fn refuse(&mut self, ports: &[u16]) {
        for &token in &self.datagrams {
            if let Some((Mine::Datagrams(service), _)) = self.server.foreign(token) {
                ports.iter().for_each(|&port| service.refuse(port));
            }
        }
    }

    /// Takes the signals into the loop; they must be blocked already.
    pub(crate) fn open_signals(&mut self, signalfd: Fd) -> Result<(), Errno> {
        self.server.admit(signalfd, Interest::READABLE, Trigger::Level, Mine::Signals)?;
        Ok(())
    }

    /// Serves until it is told to leave, and has left. Whatever ends it ends the others.
    pub(crate) fn run(&mut self) -> Result<Snapshot, Failure> {
        let result = self.turns().map_err(|errno| failed("epoll_wait", errno));
        let result = result.and_then(|()| match self.last_failed {
            Some(errno) => Err(failed("accept4", errno)),
            None => Ok(()),
        });
        if result.is_err() {
            self.control.leave(self.me);
        }
        self.look();
        let counted = self.snapshot();
        if let Some(sum) = self.control.depart(self.me, &counted) {
            self.report(&sum);
        }
        result.map(|()| counted)
    }

    fn turns(&mut self) -> Result<(), Errno> {
        loop {
            match self.server.turn(None)? {
                Turn::Over => self.has_left = true,
                Turn::Foreign(event) => self.foreign(event),
                Turn::Idle | Turn::Served => {}
            }
            self.look();
            self.tell();
            let is_deserted = self.last_failed.is_some() && self.server.connections() == 0;
            if is_deserted && !self.control.is_leaving() {
                self.control.leave(self.me);
                self.obey();
            }
            // Who reads the signals leaves last: a second one ends everybody at once.
            if self.has_left && (self.me > 0 || self.control.is_deserted()) {
                return Ok(());
            }
        }
    }

    /// Shows and sums up the calls that were made, if that is wanted; a parent sees the figures.
    pub(crate) fn look(&mut self) {
        self.show();
        if self.parent.is_some() {
            let counted = self.snapshot();
            if let Some((_, account)) = &mut self.parent {
                account.settle(counted);
            }
        }
    }

    fn show(&mut self) {
        let Self { server, trace, tally, control, me, parent, .. } = self;
        let process = parent.as_ref().map(|(maker, _)| *maker);
        let thread = (control.threads() > 1).then_some(Maker::Thread(*me as u64));
        let maker = process.or(thread);
        server.kernel().look(|record| {
            trace.line(maker, &record);
            if let Some(tally) = tally {
                tally.see(&record);
            }
        });
    }

    fn foreign(&mut self, event: Event) {
        match event {
            Event::Io { token, ready } => self.io(token, ready),
            Event::Timer { token } => self.io(token, Ready::READABLE),
            Event::Woken => self.obey(),
        }
    }

    fn io(&mut self, token: Token, ready: Ready) {
        let signal = match self.server.foreign(token) {
            Some((Mine::Datagrams(service), mut io)) => {
                service.serve(&mut io, ready);
                None
            }
            Some((Mine::Signals, io)) => {
                let mut record = [0; SIGINFO_BYTES];
                let read = io.kernel.read(io.fd, &mut record);
                read.ok().and_then(|count| Signal::from_siginfo(&record[..count]))
            }
            None => None,
        };
        match signal {
            Some(Signal::USR1) => self.control.ask(self.me),
            Some(signal) if self.is_signalled => self.leave_at_once(signal),
            Some(_) => {
                self.is_signalled = true;
                self.control.leave(self.me);
            }
            None => return,
        }
        self.obey();
    }

    /// Does what everybody was asked to do.
    fn obey(&mut self) {
        let (me, control) = (self.me, Arc::clone(&self.control));
        if let Some(sum) = control.tell(me, || self.snapshot()) {
            self.report(&sum);
        }
        if control.is_leaving() {
            self.files.remove();
            self.close_datagrams();
            self.server.stop();
        }
    }

    /// What has arrived is answered, as far as one turn goes; then nothing more does.
    fn close_datagrams(&mut self) {
        for token in std::mem::take(&mut self.datagrams) {
            if let Some((Mine::Datagrams(service), mut io)) = self.server.foreign(token) {
                service.serve(&mut io, Ready::READABLE);
                self.datagrams_closed.add(&service.stats());
                while let Some(turned) = service.note() {
                    tell::datagram(&self.log, &turned);
                }
            }
            if let Some((socket, _)) = self.server.dismiss(token) {
                release(self.server.kernel(), socket);
            }
        }
    }

    fn report(&self, sum: &Snapshot) {
        sum.tell(&self.log);
    }

    /// A second signal: the user means it. The exit code is the shell's for that signal.
    fn leave_at_once(&mut self, signal: Signal) -> ! {
        self.files.remove();
        std::process::exit(128 + i32::from(signal.number()))
    }

    fn snapshot(&mut self) -> Snapshot {
        // The table holds the calls that the figures hold.
        self.show();
        let mut datagram = self.datagrams_closed;
        for at in 0..self.datagrams.len() {
            if let Some((Mine::Datagrams(service), _)) = self.server.foreign(self.datagrams[at]) {
                datagram.add(&service.stats());
            }
        }
        Snapshot {
            open: self.server.connections().into(),
            stream: self.server.stats(),
            datagram,
            calls: self.server.kernel().counts(),
            tally: self.tally,
        }
    }

    /// Tells what the servers noted.
    fn tell(&mut self) {
        let log = self.log;
        while let Some(note) = self.server.note() {
            match note {
                Note::Connected { token, peer } => {
                    let name = tell::name(&peer, token);
                    tell::connected(&log, &name);
                    self.peers.insert(token, Peer { name, bytes: 0 });
                }
                Note::Said { token, bytes } => {
                    if let Some(peer) = self.peers.get_mut(&token) {
                        peer.bytes += bytes as u64;
                        tell::said(&log, &peer.name, bytes);
                    }
                }
                Note::Left { token, why } => {
                    if let Some(Peer { name, bytes }) = self.peers.remove(&token) {
                        tell::left(&log, &name, bytes, why);
                    }
                }
                Note::Paused { errno } => {
                    tell::paused(&log, &mut self.paused_told, errno, self.server.connections());
                }
                Note::ListenerFailed { errno, .. } => {
                    tell::listener_failed(&log, errno);
                    if self.server.listeners() == 0 && self.datagrams.is_empty() {
                        // Connections are served on; nobody else comes.
                        self.last_failed = Some(errno);
                    }
                }
                // A note of a later library: this program has no words for it yet.
                _ => {}
            }
        }
        for at in 0..self.datagrams.len() {
            while let Some((Mine::Datagrams(service), _)) = self.server.foreign(self.datagrams[at])
            {
                let Some(turned) = service.note() else { break };
                tell::datagram(&log, &turned);
            }
        }
    }
}
