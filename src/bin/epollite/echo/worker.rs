//! One thread's loop: a stream server, with datagram sockets and signals in the same reactor.

mod handover;
mod metrics;
mod refusals;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use epollite::event::Ready;
use epollite::kernel::{CallError, Signal, Syscall, close_quietly};
use epollite::server::datagram::{self, EchoSocket};
use epollite::server::stream::{Outcome, ServerEvent, StreamServer};
use epollite::{Errno, Event, Fd, Interest, Io, Token, Trigger};

use crate::echo::client_log;
use crate::echo::coordinator::Coordinator;
use crate::echo::limits::SharedLimits;
use crate::echo::stats::StatsSnapshot;
use crate::exit::{CliError, failed, syscall_failure};
use crate::instrument::InstrumentedKernel;
use crate::instrument::origin::TraceOrigin;
use crate::instrument::recorder;
use crate::instrument::ring;
use crate::instrument::trace::Trace;
use crate::listen::SocketFiles;
use crate::models::CounterWriter;
use crate::operation::handover::Handover;
use crate::operation::scrape::Scrape;
use crate::operation::{notify, reload};
use crate::output::log::Log;
use crate::signals::{exit_by, read_signals};
use refusals::RefusalLog;

/// Registrations in the reactor other than streams. Boxed, so that the size of a registration is
/// that of one with a connection: those are many.
pub(crate) enum UserSource {
    Signals,
    Datagrams(Box<EchoSocket>),
    /// The socket that a successor connects to.
    Control,
    /// The connection to a successor.
    Successor,
    /// The connection to the server that this one replaces.
    Predecessor,
    /// The socket of `--metrics`.
    Metrics,
    Scrape(Scrape),
}

pub(crate) type EchoServer<K> = StreamServer<K, Box<UserSource>>;

/// The state registered under `token`, and its descriptor.
fn user_source<K: InstrumentedKernel>(
    server: &mut EchoServer<K>,
    token: Token,
) -> Option<(&mut UserSource, Io<'_, K>)> {
    server.get_mut(token).map(|(source, io)| (&mut **source, io))
}

/// The state of one thread.
pub(crate) struct Worker<K: InstrumentedKernel> {
    pub(crate) index: usize,
    pub(crate) server: EchoServer<K>,
    pub(crate) coordinator: Arc<Coordinator>,
    /// Only for the worker that reads the signals: files to remove on shutdown.
    pub(crate) socket_files: SocketFiles,
    pub(crate) log: Log,
    /// Connected clients and the bytes received from each; only if logging is verbose.
    peers: HashMap<Token, Peer>,
    datagrams: Vec<Token>,
    /// The registration of the signalfd, which has the deadlines below.
    signals: Option<Token>,
    /// How often a heartbeat is due, and when the next one is.
    watchdog: Option<(Duration, epollite::Instant)>,
    /// Whether the log names the threads without a heartbeat.
    is_silence_logged: bool,
    /// Only for the worker that reads the signals: what a successor gets.
    pub(crate) handover: Option<Handover>,
    /// The registration of the connection to a predecessor.
    predecessor: Option<Token>,
    /// The registrations of `--metrics`: the listener, and requests.
    metrics: Option<Token>,
    scrapes: Vec<Token>,
    /// Whether a successor has the listeners.
    is_handed_over: bool,
    /// When connections end that the successor does not have.
    serves_until: Option<epollite::Instant>,
    /// The statistics of closed datagram sockets.
    datagrams_closed: datagram::DatagramStats,
    /// When a pause was last logged: at a limit, pauses come by the thousand.
    last_pause_log: Option<Instant>,
    /// What limits the peers of datagram sockets.
    pub(crate) limits: Option<SharedLimits>,
    refusals: RefusalLog,
    /// Whether the server is drained.
    is_drained: bool,
    /// Whether a signal has requested shutdown.
    shutdown_requested: bool,
    /// The errno of accept4(2) when the last listener failed.
    last_failed: Option<Errno>,
    /// The destination of `--trace`.
    pub(crate) trace: Trace,
    /// The destination of `--explain`.
    pub(crate) explain: Trace,
    /// In a child process: its origin, and the counters shared with the parent.
    pub(crate) parent: Option<(TraceOrigin, CounterWriter)>,
    /// In a child process: how often the parent was answered that this process serves.
    pub(crate) heartbeat: Option<&'static AtomicU64>,
}

struct Peer {
    name: String,
    bytes: u64,
}

impl<K: InstrumentedKernel> Worker<K> {
    pub(crate) fn new(
        index: usize,
        server: EchoServer<K>,
        coordinator: Arc<Coordinator>,
        log: Log,
    ) -> Self {
        Self {
            index,
            server,
            coordinator,
            socket_files: SocketFiles::default(),
            log,
            peers: HashMap::new(),
            datagrams: Vec::new(),
            signals: None,
            watchdog: None,
            is_silence_logged: false,
            handover: None,
            predecessor: None,
            metrics: None,
            scrapes: Vec::new(),
            is_handed_over: false,
            serves_until: None,
            datagrams_closed: datagram::DatagramStats::default(),
            last_pause_log: None,
            limits: None,
            refusals: RefusalLog::default(),
            is_drained: false,
            shutdown_requested: false,
            last_failed: None,
            trace: Trace::Off,
            explain: Trace::Off,
            parent: None,
            heartbeat: None,
        }
    }

    /// Adds a datagram socket to the loop.
    pub(crate) fn open_datagrams(
        &mut self,
        socket: Fd,
        config: datagram::DatagramConfig,
    ) -> Result<(), CallError> {
        let mut service = EchoSocket::new(self.server.kernel(), &socket, config)?;
        if let Some(limits) = &self.limits {
            service.set_admission(Box::new(Arc::clone(limits)));
        }
        let source = Box::new(UserSource::Datagrams(Box::new(service)));
        let token = self
            .server
            .register(socket, EchoSocket::interest(), config.trigger, source)
            .map_err(|errno| CallError { call: Syscall::EpollCtl, errno })?;
        self.datagrams.push(token);
        Ok(())
    }

    /// Calls `visit` for each datagram socket.
    fn for_each_datagrams(&mut self, mut visit: impl FnMut(&mut EchoSocket)) {
        for &token in &self.datagrams {
            if let Some((UserSource::Datagrams(service), _)) = user_source(&mut self.server, token)
            {
                visit(service);
            }
        }
    }

    /// The ports of the worker's datagram sockets.
    pub(crate) fn datagram_ports(&mut self) -> Vec<u16> {
        let mut ports = Vec::new();
        self.for_each_datagrams(|service| ports.extend(service.port()));
        ports
    }

    /// Datagrams from any of `ports` are not answered: they are our own.
    pub(crate) fn add_own_ports(&mut self, ports: &[u16]) {
        self.for_each_datagrams(|service| {
            ports.iter().for_each(|&port| service.add_own_port(port));
        });
    }

    /// Adds the signalfd to the loop; the signals must be blocked already.
    pub(crate) fn open_signals(&mut self, signalfd: Fd) -> Result<(), Errno> {
        let source = Box::new(UserSource::Signals);
        let token = self.server.register(signalfd, Interest::READABLE, Trigger::Level, source)?;
        self.signals = Some(token);
        Ok(())
    }

    /// Gives a heartbeat each `interval`.
    pub(crate) fn start_watchdog(&mut self, interval: Duration) {
        self.watchdog = Some((interval, self.server.kernel().now() + interval));
        self.set_deadline();
    }

    /// Serves until shutdown is complete. A failure here shuts down the other threads too.
    pub(crate) fn run(&mut self) -> Result<StatsSnapshot, CliError> {
        ring::set_thread_number(self.index);
        // The calls of the setup are shown before the first wait, which may be long.
        self.drain_trace();
        let result = self.run_loop().map_err(failed("epoll_wait"));
        self.log_events();
        self.log_last_refusals();
        let result = result.and_then(|()| match self.last_failed {
            Some(errno) => Err(syscall_failure("accept4", errno)),
            None => Ok(()),
        });
        if result.is_err() {
            self.coordinator.request_shutdown(self.index);
        }
        self.drain_trace();
        let snapshot = self.snapshot();
        if let Some(sum) = self.coordinator.thread_exited(self.index, &snapshot) {
            sum.print(&self.log);
        }
        result.map(|()| snapshot)
    }

    fn run_loop(&mut self) -> Result<(), Errno> {
        loop {
            match self.run_rounds()? {
                Outcome::Drained => self.is_drained = true,
                Outcome::User(event) => self.on_user_event(event),
                Outcome::TimedOut | Outcome::Handled => {}
            }
            self.drain_trace();
            self.log_events();
            let is_unused = self.last_failed.is_some() && self.server.connections() == 0;
            if is_unused && !self.coordinator.is_shutting_down() {
                self.coordinator.request_shutdown(self.index);
                self.apply_requests();
            }
            if self.is_handed_over && self.handover.is_none() && self.server.connections() == 0 {
                self.server.begin_shutdown();
            }
            // The thread that reads the signals exits last: a second signal must still end all.
            if self.is_drained && (self.index > 0 || self.coordinator.all_exited()) {
                return Ok(());
            }
        }
    }

    /// Runs until something is to be done here. Records and a parent's counters are passed on after
    /// every round.
    fn run_rounds(&mut self) -> Result<Outcome, Errno> {
        let is_recording = self.server.kernel().is_recording();
        match &mut self.parent {
            _ if is_recording => self.server.run_once(None),
            None => self.server.run_rounds(),
            Some((_, writer)) => self.server.run_rounds_with(&mut |stats, kernel| {
                writer.flush_echoes(stats, kernel.counts());
            }),
        }
    }

    /// Prints and sums up the recorded calls, if enabled; updates the counters of the parent.
    pub(crate) fn drain_trace(&mut self) {
        self.flush_records();
        if self.parent.is_some() {
            let snapshot = self.snapshot();
            if let Some((_, writer)) = &mut self.parent {
                writer.flush(snapshot);
            }
        }
    }

    fn flush_records(&mut self) {
        let Self { server, trace, explain, coordinator, index, parent, .. } = self;
        let process = parent.as_ref().map(|(origin, _)| *origin);
        let thread = (coordinator.threads() > 1).then_some(TraceOrigin::Thread(*index as u64));
        let origin = process.or(thread);
        server.kernel().drain_trace(|entry| {
            trace.write_entry(origin, entry);
            explain.write_sentence(origin, entry);
        });
    }

    fn on_user_event(&mut self, event: Event) {
        match event {
            Event::Io { token, ready } => self.on_user_io(token, ready),
            Event::Timer { token } if Some(token) == self.signals => self.on_deadline(),
            Event::Timer { token } if Some(token) == self.predecessor => {
                self.close_predecessor(Some("it does not answer"));
            }
            Event::Timer { token } if self.end_scrape(token) => {}
            Event::Timer { token } => self.on_user_io(token, Ready::READABLE),
            Event::Woken => self.apply_requests(),
        }
    }

    fn on_user_io(&mut self, token: Token, ready: Ready) {
        match user_source(&mut self.server, token) {
            Some((UserSource::Datagrams(service), mut io)) => service.on_ready(&mut io, ready),
            Some((UserSource::Signals, mut io)) => {
                let signals =
                    read_signals(|records| io.syscall(|kernel, fd| kernel.read(fd, records)));
                signals.into_iter().for_each(|signal| self.on_signal(signal));
            }
            Some((UserSource::Control, _)) => self.on_control(token),
            Some((UserSource::Successor, _)) => self.on_successor(token),
            Some((UserSource::Predecessor, _)) => self.on_predecessor(),
            Some((UserSource::Metrics, _)) => self.on_metrics(token),
            Some((UserSource::Scrape(_), _)) => self.on_scrape(token),
            None => {}
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::USR1 => self.coordinator.request_stats(self.index),
            Signal::USR2 => {
                return match &self.heartbeat {
                    // The parent asks whether this process serves its events.
                    Some(count) => _ = count.fetch_add(1, Ordering::Relaxed),
                    None => recorder::dump(),
                };
            }
            Signal::HUP if reload::is_on() => return reload::run(&self.log),
            _ if self.shutdown_requested => {
                self.socket_files.remove();
                exit_by(signal)
            }
            _ => {
                self.shutdown_requested = true;
                self.coordinator.request_shutdown(self.index);
            }
        }
        self.apply_requests();
    }

    /// Handles the requests of the coordinator.
    fn apply_requests(&mut self) {
        let (index, coordinator) = (self.index, Arc::clone(&self.coordinator));
        if let Some(sum) = coordinator.submit_stats(index, || self.snapshot()) {
            sum.print(&self.log);
        }
        coordinator.submit_scrape(index, || self.snapshot());
        if index == 0
            && let Some(sum) = coordinator.take_scrape()
        {
            self.answer_scrapes(&sum);
        }
        if coordinator.give_heartbeat(index) {
            notify::is_alive();
        }
        if coordinator.is_handing_over() && !self.is_handed_over {
            self.is_handed_over = true;
            self.server.stop_listening();
            self.close_datagrams();
            coordinator.listeners_closed(index);
        }
        if coordinator.is_handed_over() {
            self.confirm_handover();
        }
        if coordinator.is_shutting_down() {
            if index == 0 {
                notify::stopping();
            }
            // One that has the sockets and is about to serve needs their files, too. If it ends
            // before that, they are those of a dead server, which the next one replaces.
            if self.handover.as_ref().is_some_and(|handover| handover.successor.is_some()) {
                self.socket_files.forget();
            }
            self.close_handover();
            self.socket_files.remove();
            self.close_datagrams();
            self.server.begin_shutdown();
        }
    }

    /// Sets the earlier of the deadlines.
    fn set_deadline(&mut self) {
        let deadlines = [self.watchdog.map(|(_, due)| due), self.serves_until];
        let Some(deadline) = deadlines.into_iter().flatten().min() else { return };
        if let Some((_, mut io)) = self.signals.and_then(|token| self.server.get_mut(token)) {
            io.set_deadline(deadline);
        }
    }

    fn on_deadline(&mut self) {
        let now = self.server.kernel().now();
        if let Some((interval, due)) = &mut self.watchdog
            && *due <= now
        {
            *due = now + *interval;
            let silent = self.coordinator.request_heartbeats(self.index);
            self.log_silent(&silent);
        }
        if self.serves_until.is_some_and(|until| until <= now) {
            self.serves_until = None;
            self.coordinator.request_shutdown(self.index);
        }
        self.set_deadline();
        self.apply_requests();
    }

    /// Names threads that have given no heartbeat since it was requested, once.
    fn log_silent(&mut self, silent: &[usize]) {
        if !silent.is_empty() && !self.is_silence_logged {
            let names: Vec<String> = silent.iter().map(usize::to_string).collect();
            let names = names.join(", ");
            let text = format!("no heartbeat: thread {names} does not serve its events");
            self.log.event("thread_hangs", &text, &names);
        }
        self.is_silence_logged = !silent.is_empty();
    }

    /// Answers the datagrams that have arrived, up to the batch limit, and closes the sockets.
    fn close_datagrams(&mut self) {
        for token in std::mem::take(&mut self.datagrams) {
            if let Some((UserSource::Datagrams(service), mut io)) =
                user_source(&mut self.server, token)
            {
                service.on_ready(&mut io, Ready::READABLE);
                self.datagrams_closed.add(&service.stats());
                log_datagrams(&self.log, service);
            }
            if let Some((socket, _)) = self.server.deregister(token) {
                close_quietly(self.server.kernel(), socket);
            }
        }
    }

    fn snapshot(&mut self) -> StatsSnapshot {
        // Flushed first, so that the table and the statistics include the same calls.
        self.flush_records();
        let mut datagram = self.datagrams_closed;
        self.for_each_datagrams(|service| datagram.add(&service.stats()));
        StatsSnapshot {
            open: self.server.connections().into(),
            slots: self.server.slot_count().into(),
            deadlines: self.server.deadline_count() as u64,
            stream: self.server.stats(),
            datagram,
            calls: *self.server.kernel().counts(),
        }
    }

    /// Logs the events of the servers.
    fn log_events(&mut self) {
        let log = self.log;
        while let Some(event) = self.server.next_event() {
            match event {
                ServerEvent::Accepted { token, peer } => {
                    let name = client_log::client_name(&peer, token);
                    client_log::connected(&log, &name);
                    self.peers.insert(token, Peer { name, bytes: 0 });
                }
                ServerEvent::Received { token, bytes } => {
                    if let Some(peer) = self.peers.get_mut(&token) {
                        peer.bytes += bytes as u64;
                        client_log::received(&log, &peer.name, bytes);
                    }
                }
                ServerEvent::Closed { token, why } => {
                    if let Some(Peer { name, bytes }) = self.peers.remove(&token) {
                        client_log::closed(&log, &name, bytes, why);
                    }
                }
                ServerEvent::Refused { peer, why } => {
                    self.refusals.connection(&log, &peer, why, &self.server.stats());
                }
                ServerEvent::AcceptPaused { errno } => {
                    client_log::accept_paused(
                        &log,
                        &mut self.last_pause_log,
                        errno,
                        self.server.connections(),
                    );
                }
                ServerEvent::ListenerFailed { errno, .. } => {
                    client_log::listener_failed(&log, errno);
                    if self.server.listeners() == 0 && self.datagrams.is_empty() {
                        // Existing connections are still served; no new ones can arrive.
                        self.last_failed = Some(errno);
                    }
                }
                // An event of a later library version: there is no log line for it yet.
                _ => {}
            }
        }
        let mut refused = 0;
        self.for_each_datagrams(|service| {
            log_datagrams(&log, service);
            refused += refusals::datagrams_refused(&service.stats());
        });
        if refused > 0 && self.refusals.has_new_datagrams(refused) {
            let mut sum = datagram::DatagramStats::default();
            self.for_each_datagrams(|service| sum.add(&service.stats()));
            self.refusals.datagrams(&log, &sum);
        }
        if self.coordinator.is_shutting_down() || self.is_handed_over {
            self.log_last_refusals();
        }
    }

    /// Logs the refusals that a period of the log has held back. Nothing more is refused then.
    fn log_last_refusals(&mut self) {
        let mut datagram = self.datagrams_closed;
        self.for_each_datagrams(|service| datagram.add(&service.stats()));
        self.refusals.finish(&self.log, &self.server.stats(), &datagram);
    }
}

fn log_datagrams(log: &Log, service: &mut EchoSocket) {
    while let Some(event) = service.next_event() {
        client_log::datagram(log, &event);
    }
}
