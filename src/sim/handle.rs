//! `Sim`: one process of a simulated kernel, and what a test can do to that kernel.
//!
//! Knows no rule of Linux; the system calls are in `syscalls.rs`.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::time::Duration;

use super::config::SimConfig;
use super::file::FileId;
use super::file_table::{FileKind, FileTable};
use super::net::Net;
use super::process::DESCRIPTORS_MAX;
use super::socket::{Protocol, Socket};
use super::state::KernelState;
use crate::errno::Errno;
use crate::kernel::{Fd, Signal};

/// A process of a simulated kernel: small, faithful, deterministic, in memory.
///
/// The kernel has one thread, and a `Sim` is neither `Send` nor `Sync`. What is sent has arrived
/// when the call returns; time passes only in waits that end by their timeout
/// ([`epoll_wait`](crate::Kernel::epoll_wait)) and by [`advance`](Self::advance). Descriptors are
/// allocated lowest first, so that a closed one's number is reused at once.
///
/// It is stricter than Linux: using a descriptor that is closed, or of another process, panics;
/// so does waiting without a timeout when no event can arrive; and so does dropping a process
/// that has left descriptors open.
///
/// ```
/// use epollite::Kernel;
/// use epollite::kernel::SocketType;
/// use epollite::sim::Sim;
/// let mut sim = Sim::default();
/// let (near, far) = sim.socketpair(SocketType::Stream)?;
/// assert_eq!(sim.send(&far, b"hello")?, 5);
/// let mut buf = [0; 16];
/// assert_eq!(sim.recv(&near, &mut buf)?, 5);
/// sim.close(near)?;
/// sim.close(far)?;
/// # Ok::<(), epollite::Errno>(())
/// ```
///
/// Clients and a server under test are two processes of one kernel:
///
/// ```
/// use epollite::Kernel;
/// use epollite::sim::Sim;
/// let mut clients = Sim::default();
/// let mut server = clients.new_process();
/// let eventfd = server.eventfd(0)?;
/// assert_eq!(clients.open_descriptors(), 0);
/// server.close(eventfd)?;
/// # Ok::<(), epollite::Errno>(())
/// ```
#[must_use = "the simulated kernel ends with its last process"]
pub struct Sim {
    state: Rc<RefCell<KernelState>>,
    process: usize,
    /// It shares the process of another handle, which looks for leaks.
    is_alias: bool,
}

impl Sim {
    /// Creates a kernel, and a process in it. Cost: O(1).
    ///
    /// # Panics
    /// `config.descriptors_max` is over 16,777,216.
    pub fn new(config: SimConfig) -> Self {
        let max = DESCRIPTORS_MAX;
        assert!(config.descriptors_max <= max, "a process has at most {max} descriptors");
        let mut state = KernelState::new(config);
        let process = state.files.spawn_process();
        Self { state: Rc::new(RefCell::new(state)), process, is_alias: false }
    }

    /// Creates another process of the same kernel, with no descriptors and limits of its own.
    /// Cost: O(1).
    pub fn new_process(&self) -> Self {
        let process = self.enter(|state, _| state.files.spawn_process());
        Self { state: Rc::clone(&self.state), process, is_alias: false }
    }

    /// Another handle of the same process.
    pub(super) fn alias(&self) -> Self {
        Self { state: Rc::clone(&self.state), process: self.process, is_alias: true }
    }

    /// Advances the clock of the whole kernel. Cost: O(1).
    pub fn advance(&mut self, span: Duration) {
        self.enter(|state, _| state.now = state.now + span);
    }

    /// Sends this process a signal. A blocked one stays pending for a signalfd; any other
    /// interrupts the next wait that would block, as with a handler that does nothing.
    /// Cost: O(files).
    pub fn raise(&mut self, signal: Signal) {
        self.enter(|state, process| state.files.raise(process, signal));
    }

    /// Drops the link of a TCP connection: from now on nothing arrives at either end, no data,
    /// no FIN and no RST. Cost: O(1).
    ///
    /// # Panics
    /// `socket` is no TCP socket.
    pub fn drop_link(&mut self, socket: &Fd) {
        self.with_file(socket, |FileTable { net, .. }, file| {
            let peer = expect_tcp(net, file).peer.take();
            if let Some(far) = peer.and_then(|peer| net.find_socket(peer)) {
                far.peer = None;
            }
        });
    }

    /// Sends one urgent byte (`MSG_OOB`) on a TCP or a Unix stream socket: the peer reports
    /// `EPOLLPRI`, and its reads stop at the mark. A Unix socket with only that byte unread is
    /// readable, and a read discards it and returns `EAGAIN`. Cost: O(unread packets).
    ///
    /// # Errors
    /// As [`send`](crate::Kernel::send).
    ///
    /// # Panics
    /// `socket` is no stream socket.
    ///
    /// Man page: tcp(7), "Sockatmark"; unix(7), `MSG_OOB`
    pub fn send_urgent(&mut self, socket: &Fd, byte: u8) -> Result<(), Errno> {
        self.with_file(socket, |FileTable { net, .. }, file| {
            let protocol = net.find_socket(file).map(|socket| socket.protocol());
            if protocol == Some(Protocol::UnixStream) {
                return net.send_urgent_unix(file, byte);
            }
            expect_tcp(net, file);
            net.send_urgent(file, byte)
        })
    }

    /// Sends bytes with descriptors (`SCM_RIGHTS`) on a Unix stream socket: a read stops after
    /// them. The descriptors themselves are not passed.
    /// Cost: O(bytes).
    ///
    /// # Errors
    /// As [`send`](crate::Kernel::send).
    ///
    /// # Panics
    /// `socket` is no Unix stream socket.
    ///
    /// Man page: unix(7), `SCM_RIGHTS`
    pub fn send_with_rights(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        self.with_file(socket, |FileTable { net, .. }, file| {
            let protocol = net.find_socket(file).map(|socket| socket.protocol());
            assert!(protocol == Some(Protocol::UnixStream), "only Unix sockets pass descriptors");
            net.rights_to_send = Some(Vec::new());
            let sent = net.send_unix(file, buf);
            net.rights_to_send = None;
            sent
        })
    }

    /// Opens a regular file, to test calls that reject it: epoll, and all socket calls.
    /// Cost: O(descriptors).
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`]: out of descriptors.
    pub fn open_regular_file(&mut self) -> Result<Fd, Errno> {
        self.enter(|state, process| state.files.open(process, FileKind::Regular))
    }

    /// Removes a Unix socket's path; returns whether there was one. Cost: O(log paths).
    ///
    /// Man page: unlink(2)
    pub fn unlink(&mut self, path: &[u8]) -> bool {
        self.enter(|state, _| state.files.net.paths.remove(path)).is_some()
    }

    /// How many descriptors this process has open. Cost: O(descriptors).
    #[must_use]
    pub fn open_descriptors(&self) -> usize {
        self.describe_descriptors().len()
    }

    /// Ends this process as a crash would: the kernel closes its descriptors, which counts as no
    /// leak. Cost: O(descriptors).
    pub fn exit(self) {
        self.enter(KernelState::exit);
    }

    /// The one entrance to the kernel: applies a call for this process, and delivers the wake-ups
    /// that it caused before it returns.
    pub(super) fn enter<R>(&self, apply: impl FnOnce(&mut KernelState, usize) -> R) -> R {
        let mut state = self.state.borrow_mut();
        let result = apply(&mut state, self.process);
        state.end_call();
        result
    }

    /// As [`enter`](Self::enter), with the file that a descriptor refers to.
    pub(super) fn with_file<R>(
        &self,
        fd: &Fd,
        apply: impl FnOnce(&mut FileTable, FileId) -> R,
    ) -> R {
        self.enter(|state, process| {
            let file = state.files.file(process, fd);
            apply(&mut state.files, file)
        })
    }

    fn describe_descriptors(&self) -> Vec<String> {
        self.state.borrow().files.open_descriptors(self.process)
    }
}

/// The socket, which must be a TCP socket.
fn expect_tcp(net: &mut Net, file: FileId) -> &mut Socket {
    let tcp = net.find_socket(file).filter(|socket| socket.protocol() == Protocol::Tcp);
    tcp.expect("only TCP sockets have urgent bytes and links")
}

impl Default for Sim {
    /// A kernel with Linux' default sizes, and no random behaviour.
    fn default() -> Self {
        Self::new(SimConfig::default())
    }
}

/// # Panics
/// Descriptors are open: a leak. (Not while another panic unwinds.)
impl Drop for Sim {
    fn drop(&mut self) {
        #[cfg(any(feature = "std", test))]
        if std::thread::panicking() {
            return;
        }
        if self.is_alias {
            return;
        }
        let leaked = self.describe_descriptors();
        assert!(leaked.is_empty(), "leak: {}", leaked.join(", "));
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("process", &self.process)
            .field("open", &self.describe_descriptors())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::panic::AssertUnwindSafe;
    use std::panic::catch_unwind;

    use super::super::entropy::{Entropy, Probabilities};
    use super::*;
    use crate::event::{EPOLLET, EPOLLIN, EPOLLPRI};
    use crate::kernel::{
        EpollEvent, EpollOp, Kernel, Resource, Rlimit, SIGINFO_BYTES, SignalSet, SocketType,
    };
    use crate::net::{Addr, AddressFamily};

    fn panic_message(misuse: impl FnOnce()) -> String {
        let panic = catch_unwind(AssertUnwindSafe(misuse)).expect_err("it did not panic");
        panic.downcast_ref::<String>().expect("a message").clone()
    }

    fn tcp_pair(sim: &mut Sim) -> (Fd, Fd) {
        let listener = sim.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
        sim.listen(&listener, 1).unwrap();
        let addr = sim.getsockname(&listener).unwrap();
        let near = sim.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
        assert_eq!(sim.connect(&near, &addr), Err(Errno::EINPROGRESS));
        let (far, _) = sim.accept4(&listener).unwrap();
        sim.close(listener).unwrap();
        (near, far)
    }

    fn wait(sim: &mut Sim, epoll: &Fd) -> Vec<u32> {
        let mut events = [EpollEvent::default(); 8];
        let count = sim.epoll_wait(epoll, &mut events, Some(0)).unwrap();
        events[..count].iter().map(|event| event.events()).collect()
    }

    fn register(sim: &mut Sim, fd: &Fd, events: u32) -> Fd {
        let epoll = sim.epoll_create1().unwrap();
        let op = EpollOp::Add(EpollEvent::new(events, 0));
        sim.epoll_ctl(&epoll, op, fd).unwrap();
        epoll
    }

    #[test]
    fn a_leak_is_named_when_its_process_ends() {
        let message = panic_message(|| {
            let mut sim = Sim::default();
            let _ = sim.eventfd(0);
            let _ = sim.socket(AddressFamily::Inet, SocketType::Stream);
        });
        assert_eq!(message, "leak: Fd 3 (eventfd), Fd 4 (tcp socket)");
    }

    #[test]
    fn a_process_that_exits_leaks_nothing() {
        let mut sim = Sim::default();
        let (near, _far) = sim.socketpair(SocketType::Stream).unwrap();
        let _ = near;
        sim.exit();
    }

    #[test]
    fn a_descriptor_of_another_process_is_detected() {
        let mut sim = Sim::default();
        let mut other = sim.new_process();
        let message = panic_message(|| _ = other.close(Fd::simulated(3)));
        assert_eq!(message, "Fd 3 is process 0's, and process 1 uses it");
        let message = panic_message(|| _ = sim.close(Fd::simulated(3)));
        assert_eq!(message, "Fd 3 is used after it was closed, or closed twice");
        let message = panic_message(|| _ = sim.close(Fd::from_raw(3)));
        assert_eq!(message, "a descriptor of the real kernel, Fd 3, in a simulated one");
    }

    #[test]
    fn an_endless_wait_without_events_panics() {
        let mut sim = Sim::default();
        let epoll = sim.epoll_create1().unwrap();
        let waits = AssertUnwindSafe(|| sim.epoll_wait(&epoll, &mut [EpollEvent::default()], None));
        catch_unwind(waits).expect_err("it would wait forever");
        sim.close(epoll).unwrap();
    }

    #[test]
    fn the_lowest_number_is_given_first_and_the_limit_holds() {
        let mut sim = Sim::default();
        let old = sim.prlimit(Resource::Nofile, None).unwrap();
        let limit = Rlimit { soft: 6, ..old };
        sim.prlimit(Resource::Nofile, Some(limit)).unwrap();
        let fds = [(), (), ()].map(|()| sim.eventfd(0).unwrap());
        assert_eq!(sim.eventfd(0), Err(Errno::EMFILE));
        let [first, second, third] = fds;
        sim.close(second).unwrap();
        assert_eq!(sim.socketpair(SocketType::Stream), Err(Errno::EMFILE));
        let again = sim.dup(&third).unwrap();
        assert_eq!(again.number(), 4, "the hole is filled");
        for fd in [first, again, third] {
            sim.close(fd).unwrap();
        }
        let raised = Rlimit { hard: old.hard + 1, ..old };
        assert_eq!(sim.prlimit(Resource::Nofile, Some(raised)), Err(Errno::EPERM));
    }

    #[test]
    fn accept_with_emfile_keeps_the_connection_queued() {
        let mut sim = Sim::default();
        let mut server = sim.new_process();
        let listener = server.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
        server.listen(&listener, 1).unwrap();
        let addr = server.getsockname(&listener).unwrap();
        let old = server.prlimit(Resource::Nofile, Some(Rlimit { soft: 4, hard: 9 })).unwrap();
        assert_eq!(server.accept4(&listener).unwrap_err(), Errno::EMFILE);
        let client = sim.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
        assert_eq!(sim.connect(&client, &addr), Err(Errno::EINPROGRESS));
        assert_eq!(server.accept4(&listener).unwrap_err(), Errno::EMFILE);
        assert!(server.prlimit(Resource::Nofile, Some(old)).is_err());
        server.prlimit(Resource::Nofile, Some(Rlimit { soft: 9, hard: 9 })).unwrap();
        let (accepted, from) = server.accept4(&listener).unwrap();
        assert_eq!(from, sim.getsockname(&client).unwrap());
        sim.close(client).unwrap();
        server.close(accepted).unwrap();
        server.close(listener).unwrap();
    }

    #[test]
    fn the_system_runs_out_of_files_too() {
        let mut sim = Sim::new(SimConfig { files_max: 2, ..SimConfig::default() });
        let (one, other) = sim.pipe2().unwrap();
        assert_eq!(sim.eventfd(0), Err(Errno::ENFILE));
        let duplicate = sim.dup(&one).unwrap();
        for fd in [one, other, duplicate] {
            sim.close(fd).unwrap();
        }
    }

    #[test]
    fn a_read_stops_short_at_the_urgent_mark() {
        let mut sim = Sim::default();
        let (near, far) = tcp_pair(&mut sim);
        let epoll = register(&mut sim, &near, EPOLLIN | EPOLLPRI | EPOLLET);
        sim.send(&far, b"before").unwrap();
        sim.send_urgent(&far, b'!').unwrap();
        sim.send(&far, b"behind").unwrap();
        assert_eq!(wait(&mut sim, &epoll), [EPOLLIN | EPOLLPRI]);
        let mut buf = [0; 32];
        assert_eq!(sim.recv(&near, &mut buf), Ok(6), "though more is there");
        assert_eq!(wait(&mut sim, &epoll), [], "and no edge comes again");
        assert_eq!(sim.recv(&near, &mut buf), Ok(6));
        assert_eq!(&buf[..6], b"behind");
        sim.send_urgent(&far, b'!').unwrap();
        assert_eq!(wait(&mut sim, &epoll), [EPOLLPRI], "alone it is not readable");
        assert_eq!(sim.recv(&near, &mut buf), Err(Errno::EAGAIN));
        for fd in [near, far, epoll] {
            sim.close(fd).unwrap();
        }
    }

    #[test]
    fn a_read_stops_short_after_passed_descriptors() {
        let mut sim = Sim::default();
        let (near, far) = sim.socketpair(SocketType::Stream).unwrap();
        sim.send(&far, b"a").unwrap();
        sim.send_with_rights(&far, b"b").unwrap();
        sim.send(&far, b"c").unwrap();
        let mut buf = [0; 8];
        assert_eq!(sim.recv(&near, &mut buf), Ok(2));
        assert_eq!(sim.recv(&near, &mut buf), Ok(1));
        sim.close(near).unwrap();
        sim.close(far).unwrap();
    }

    #[test]
    fn a_peer_behind_a_dropped_link_stays_silent() {
        let mut sim = Sim::default();
        let (near, far) = tcp_pair(&mut sim);
        sim.drop_link(&far);
        sim.close(far).unwrap();
        assert_eq!(sim.recv(&near, &mut [0; 8]), Err(Errno::EAGAIN), "no end of file");
        while sim.send(&near, &[0; 4_096]).is_ok() {}
        assert_eq!(sim.send(&near, b"x"), Err(Errno::EAGAIN), "no reset");
        sim.close(near).unwrap();
    }

    #[test]
    fn a_blocked_signal_waits_to_be_read_and_another_ends_a_wait() {
        let mut sim = Sim::default();
        let wanted = SignalSet::from(Signal::TERM) | Signal::INT.into();
        sim.sigprocmask(wanted).unwrap();
        let signalfd = sim.signalfd(wanted).unwrap();
        let epoll = register(&mut sim, &signalfd, EPOLLIN | EPOLLET);
        for signal in [Signal::TERM, Signal::INT, Signal::TERM] {
            sim.raise(signal);
        }
        assert_eq!(wait(&mut sim, &epoll), [EPOLLIN]);
        let mut buf = [0; SIGINFO_BYTES * 3];
        assert_eq!(sim.read(&signalfd, &mut buf), Ok(SIGINFO_BYTES * 2));
        assert_eq!(Signal::from_siginfo(&buf), Some(Signal::INT));
        sim.raise(Signal::USR1);
        let mut events = [EpollEvent::default()];
        assert_eq!(sim.epoll_wait(&epoll, &mut events, Some(5)), Err(Errno::EINTR));
        assert_eq!(sim.epoll_wait(&epoll, &mut events, Some(5)), Ok(0));
        for fd in [signalfd, epoll] {
            sim.close(fd).unwrap();
        }
    }

    #[test]
    fn time_advances_in_waits_and_by_advance() {
        let mut sim = Sim::new(SimConfig { has_pwait2: false, ..SimConfig::default() });
        let epoll = sim.epoll_create1().unwrap();
        let before = sim.now();
        sim.advance(Duration::from_secs(2));
        let mut events = [EpollEvent::default()];
        assert_eq!(sim.epoll_wait(&epoll, &mut events, Some(7)), Ok(0));
        assert_eq!(sim.now() - before, Duration::from_millis(2_007));
        let none = Some(Duration::ZERO);
        assert_eq!(sim.epoll_pwait2(&epoll, &mut events, none), Err(Errno::ENOSYS));
        sim.close(epoll).unwrap();
    }

    #[test]
    fn a_regular_file_cannot_be_waited_for() {
        let mut sim = Sim::default();
        let (epoll, file) = (sim.epoll_create1().unwrap(), sim.open_regular_file().unwrap());
        let op = EpollOp::Add(EpollEvent::new(EPOLLIN, 0));
        assert_eq!(sim.epoll_ctl(&epoll, op, &file), Err(Errno::EPERM));
        assert_eq!(sim.recv(&file, &mut [0; 1]), Err(Errno::ENOTSOCK));
        sim.close(epoll).unwrap();
        sim.close(file).unwrap();
    }

    #[test]
    fn a_unix_path_outlives_its_socket_until_it_is_unlinked() {
        let mut sim = Sim::default();
        let path = Addr::Unix(crate::net::UnixAddr::path(b"/run/echo").unwrap());
        let old = sim.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
        sim.bind(&old, &path).unwrap();
        sim.close(old).unwrap();
        let new = sim.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
        assert_eq!(sim.connect(&new, &path), Err(Errno::ECONNREFUSED));
        assert_eq!(sim.bind(&new, &path), Err(Errno::EADDRINUSE));
        assert!(sim.unlink(b"/run/echo"));
        assert_eq!(sim.connect(&new, &path), Err(Errno::ENOENT));
        assert_eq!(sim.bind(&new, &path), Ok(()));
        sim.close(new).unwrap();
    }

    /// An edge-triggered reader that stops at a short read, and a writer that waits for OUT:
    /// whatever is drawn, all bytes arrive and no wait is endless.
    #[test]
    fn random_noise_loses_no_wakeup_and_is_reproducible() {
        let run = |seed| {
            let (entropy, probabilities) = (Entropy::from_seed(seed), Probabilities::MODERATE);
            let mut sim = Sim::new(SimConfig { entropy, probabilities, ..SimConfig::default() });
            let (near, far) = sim.socketpair(SocketType::Stream).unwrap();
            let readable = register(&mut sim, &near, EPOLLIN | EPOLLET);
            let writable = register(&mut sim, &far, crate::event::EPOLLOUT | EPOLLET);
            let (mut sent, mut read, mut calls) = (0, 0, 0);
            let mut events = [EpollEvent::default()];
            while read < 5_000 {
                let _ = sim.epoll_wait(&writable, &mut events, Some(0));
                while sent < 5_000 {
                    calls += 1;
                    match sim.send(&far, &[7; 700][..(5_000 - sent).min(700)]) {
                        Ok(count) => sent += count,
                        Err(Errno::EINTR) => {}
                        Err(_) => break,
                    }
                }
                match sim.epoll_wait(&readable, &mut events, None) {
                    Ok(_) => {}
                    Err(errno) => assert_eq!(errno, Errno::EINTR),
                }
                let mut buf = [0; 300];
                loop {
                    calls += 1;
                    match sim.recv(&near, &mut buf) {
                        Ok(count) => read += count,
                        Err(Errno::EINTR) => continue,
                        Err(_) => break,
                    }
                }
            }
            for fd in [near, far, readable, writable] {
                sim.close(fd).unwrap();
            }
            calls
        };
        for seed in 0..50 {
            assert_eq!(run(seed), run(seed));
        }
    }
}
