//! `Sim`: one process, looking at the world; and what a test can do to that world.
//!
//! Knows no rule of any kernel; the verbs are in `calls.rs`.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::fmt;
use core::time::Duration;

use super::config::Config;
use super::socket::{Protocol, Socket};
use super::world::{FileId, Node, World};
use crate::errno::Errno;
use crate::kernel::{Fd, Signal};

/// A process in a simulated world: a small, faithful, deterministic kernel in memory.
///
/// The world has one thread. What is sent has arrived when the call returns; time passes
/// only in waits that nothing ends ([`epoll_wait`](crate::Kernel::epoll_wait) with a timeout)
/// and by [`advance`](Self::advance). Descriptors are given out lowest first, so that a
/// closed one's number is in use again at once.
///
/// It is strict where Linux is patient: using a descriptor that is closed, or of another
/// process, panics; so does waiting for ever when nothing can come any more; and so does
/// dropping a process that has left descriptors open.
///
/// ```
/// use epollite::{Kernel, Kind, Sim};
/// let mut sim = Sim::default();
/// let (near, far) = sim.socketpair(Kind::Stream)?;
/// assert_eq!(sim.send(&far, b"hello")?, 5);
/// let mut buf = [0; 16];
/// assert_eq!(sim.recv(&near, &mut buf)?, 5);
/// sim.close(near)?;
/// sim.close(far)?;
/// # Ok::<(), epollite::Errno>(())
/// ```
///
/// Clients and a server under test are two processes of one world:
///
/// ```
/// use epollite::{Kernel, Sim};
/// let mut clients = Sim::default();
/// let mut server = clients.process();
/// let eventfd = server.eventfd(0)?;
/// assert_eq!(clients.open_descriptors(), 0);
/// server.close(eventfd)?;
/// # Ok::<(), epollite::Errno>(())
/// ```
#[must_use = "the world ends with its last process"]
pub struct Sim {
    pub(super) world: Rc<RefCell<World>>,
    pub(super) process: usize,
}

impl Sim {
    /// A new world, and a process in it. Work: O(1).
    ///
    /// # Panics
    /// `config.descriptors_max` is over 100,000.
    pub fn new(config: Config) -> Self {
        assert!(config.descriptors_max <= 100_000, "a process has at most 100,000 descriptors");
        let mut world = World::new(config);
        let process = world.start();
        Self { world: Rc::new(RefCell::new(world)), process }
    }

    /// Another process in the same world, with nothing open and limits of its own. Work: O(1).
    pub fn process(&self) -> Self {
        let process = self.world.borrow_mut().start();
        Self { world: Rc::clone(&self.world), process }
    }

    /// Lets time pass, for the whole world. Work: O(1).
    pub fn advance(&mut self, span: Duration) {
        let mut world = self.world.borrow_mut();
        world.now = world.now + span;
    }

    /// Sends this process a signal. A blocked one waits for a signalfd; any other ends the
    /// next wait that would have to wait, as a handler would that does nothing.
    /// Work: O(files).
    pub fn raise(&mut self, signal: Signal) {
        self.world.borrow_mut().raise(self.process, signal);
    }

    /// Cuts the cable of a TCP connection: from now on nothing arrives at either end, no byte,
    /// no end and no reset. Work: O(1).
    ///
    /// # Panics
    /// `socket` is no TCP socket.
    pub fn vanish(&mut self, socket: &Fd) {
        let mut world = self.world.borrow_mut();
        let file = world.file(self.process, socket);
        let peer = tcp(&mut world, file).peer.take();
        if let Some(far) = peer.and_then(|peer| world.find_socket(peer)) {
            far.peer = None;
        }
    }

    /// Sends one urgent byte (`MSG_OOB`) on a TCP or a Unix stream socket: the peer has
    /// `EPOLLPRI`, and its reads stop short at the mark. A Unix socket with nothing but that byte is
    /// readable, and a read throws it away and says `EAGAIN`. Work: O(unread pieces).
    ///
    /// # Errors
    /// As [`send`](crate::Kernel::send).
    ///
    /// # Panics
    /// `socket` is no stream socket.
    ///
    /// Man page: tcp(7), "Sockatmark"; unix(7), `MSG_OOB`
    pub fn send_urgent(&mut self, socket: &Fd, byte: u8) -> Result<(), Errno> {
        let mut world = self.world.borrow_mut();
        let file = world.file(self.process, socket);
        let protocol = world.find_socket(file).map(|socket| socket.protocol());
        if protocol == Some(Protocol::UnixStream) {
            return world.send_urgent_unix(file, byte);
        }
        tcp(&mut world, file);
        world.send_urgent(file, byte)
    }

    /// Sends bytes with descriptors (`SCM_RIGHTS`) on a Unix stream socket: a read goes no
    /// further than to the end of them. The descriptors themselves are not passed on.
    /// Work: O(bytes).
    ///
    /// # Errors
    /// As [`send`](crate::Kernel::send).
    ///
    /// # Panics
    /// `socket` is no Unix stream socket.
    ///
    /// Man page: unix(7), `SCM_RIGHTS`
    pub fn send_with_rights(&mut self, socket: &Fd, buf: &[u8]) -> Result<usize, Errno> {
        let mut world = self.world.borrow_mut();
        let file = world.file(self.process, socket);
        let protocol = world.find_socket(file).map(|socket| socket.protocol());
        assert!(protocol == Some(Protocol::UnixStream), "only Unix sockets pass descriptors");
        world.send_unix(file, buf, true)
    }

    /// Opens a regular file, for what refuses them: epoll, and all that wants a socket.
    /// Work: O(descriptors).
    ///
    /// # Errors
    /// * [`Errno::EMFILE`], [`Errno::ENFILE`]: out of descriptors.
    pub fn regular_file(&mut self) -> Result<Fd, Errno> {
        self.world.borrow_mut().open(self.process, Node::Regular)
    }

    /// Removes a Unix socket's path; returns whether there was one. Work: O(log paths).
    ///
    /// Man page: unlink(2)
    pub fn unlink(&mut self, path: &[u8]) -> bool {
        self.world.borrow_mut().paths.remove(path).is_some()
    }

    /// How many descriptors this process has open. Work: O(descriptors).
    #[must_use]
    pub fn open_descriptors(&self) -> usize {
        self.world.borrow().open_descriptors(self.process).len()
    }

    /// Ends this process as a crash would: the kernel closes what is open, and nobody
    /// complains. Work: O(descriptors).
    pub fn exit(self) {
        self.world.borrow_mut().exit(self.process);
    }
}

/// The socket, which is to be TCP's.
fn tcp(world: &mut World, file: FileId) -> &mut Socket {
    let tcp = world.find_socket(file).filter(|socket| socket.protocol() == Protocol::Tcp);
    tcp.expect("only TCP sockets have urgent bytes and cables")
}

impl Default for Sim {
    /// A world with Linux' own sizes, and no chance.
    fn default() -> Self {
        Self::new(Config::default())
    }
}

/// # Panics
/// Descriptors are open: a leak. (Not when a panic is under way already.)
impl Drop for Sim {
    fn drop(&mut self) {
        #[cfg(any(feature = "std", test))]
        if std::thread::panicking() {
            return;
        }
        let left = self.world.borrow().open_descriptors(self.process);
        assert!(left.is_empty(), "leak: {}", left.join(", "));
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("process", &self.process)
            .field("open", &self.world.borrow().open_descriptors(self.process))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::panic::AssertUnwindSafe;
    use std::panic::catch_unwind;

    use super::super::chance::{Chance, Odds};
    use super::*;
    use crate::addr::{Addr, Family};
    use crate::event::{EPOLLET, EPOLLIN, EPOLLPRI};
    use crate::kernel::{
        Control, EpollEvent, Kernel, Kind, Limit, Resource, SIGINFO_BYTES, SignalSet,
    };

    fn complaint(misuse: impl FnOnce()) -> String {
        let panic = catch_unwind(AssertUnwindSafe(misuse)).expect_err("it was let pass");
        panic.downcast_ref::<String>().expect("a sentence").clone()
    }

    fn tcp_pair(sim: &mut Sim) -> (Fd, Fd) {
        let listener = sim.socket(Family::Inet, Kind::Stream).unwrap();
        sim.listen(&listener, 1).unwrap();
        let addr = sim.getsockname(&listener).unwrap();
        let near = sim.socket(Family::Inet, Kind::Stream).unwrap();
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

    fn watch(sim: &mut Sim, fd: &Fd, events: u32) -> Fd {
        let epoll = sim.epoll_create1().unwrap();
        let control = Control::Add(EpollEvent::new(events, 0));
        sim.epoll_ctl(&epoll, control, fd).unwrap();
        epoll
    }

    #[test]
    fn a_leak_is_named_when_its_process_ends() {
        let told = complaint(|| {
            let mut sim = Sim::default();
            let _ = sim.eventfd(0);
            let _ = sim.socket(Family::Inet, Kind::Stream);
        });
        assert_eq!(told, "leak: Fd 3 (eventfd), Fd 4 (tcp socket)");
    }

    #[test]
    fn a_process_that_exits_leaks_nothing() {
        let mut sim = Sim::default();
        let (near, _far) = sim.socketpair(Kind::Stream).unwrap();
        let _ = near;
        sim.exit();
    }

    #[test]
    fn a_descriptor_in_the_wrong_hands_is_noticed() {
        let mut sim = Sim::default();
        let mut other = sim.process();
        let told = complaint(|| _ = other.close(Fd::simulated(3)));
        assert_eq!(told, "Fd 3 is process 0's, and process 1 uses it");
        let told = complaint(|| _ = sim.close(Fd::simulated(3)));
        assert_eq!(told, "Fd 3 is used after it was closed, or closed twice");
        let told = complaint(|| _ = sim.close(Fd::from_raw(3)));
        assert_eq!(told, "a descriptor of the real kernel, Fd 3, in a simulated one");
    }

    #[test]
    fn a_wait_that_nobody_ends_is_a_lost_wake_up() {
        let mut sim = Sim::default();
        let epoll = sim.epoll_create1().unwrap();
        let waits = AssertUnwindSafe(|| sim.epoll_wait(&epoll, &mut [EpollEvent::default()], None));
        catch_unwind(waits).expect_err("it would wait for ever");
        sim.close(epoll).unwrap();
    }

    #[test]
    fn the_lowest_number_is_given_first_and_the_limit_holds() {
        let mut sim = Sim::default();
        let old = sim.prlimit(Resource::OpenFiles, None).unwrap();
        let limit = Limit { soft: 6, ..old };
        sim.prlimit(Resource::OpenFiles, Some(limit)).unwrap();
        let fds = [(), (), ()].map(|()| sim.eventfd(0).unwrap());
        assert_eq!(sim.eventfd(0), Err(Errno::EMFILE));
        let [first, second, third] = fds;
        sim.close(second).unwrap();
        assert_eq!(sim.socketpair(Kind::Stream), Err(Errno::EMFILE));
        let again = sim.dup(&third).unwrap();
        assert_eq!(again.number(), 4, "the hole is filled");
        for fd in [first, again, third] {
            sim.close(fd).unwrap();
        }
        let raised = Limit { hard: old.hard + 1, ..old };
        assert_eq!(sim.prlimit(Resource::OpenFiles, Some(raised)), Err(Errno::EPERM));
    }

    #[test]
    fn accept_without_a_descriptor_leaves_the_connection_in_the_queue() {
        let mut sim = Sim::default();
        let mut server = sim.process();
        let listener = server.socket(Family::Inet, Kind::Stream).unwrap();
        server.listen(&listener, 1).unwrap();
        let addr = server.getsockname(&listener).unwrap();
        let old = server.prlimit(Resource::OpenFiles, Some(Limit { soft: 4, hard: 9 })).unwrap();
        assert_eq!(server.accept4(&listener).unwrap_err(), Errno::EMFILE);
        let client = sim.socket(Family::Inet, Kind::Stream).unwrap();
        assert_eq!(sim.connect(&client, &addr), Err(Errno::EINPROGRESS));
        assert_eq!(server.accept4(&listener).unwrap_err(), Errno::EMFILE);
        assert!(server.prlimit(Resource::OpenFiles, Some(old)).is_err());
        server.prlimit(Resource::OpenFiles, Some(Limit { soft: 9, hard: 9 })).unwrap();
        let (accepted, from) = server.accept4(&listener).unwrap();
        assert_eq!(from, sim.getsockname(&client).unwrap());
        sim.close(client).unwrap();
        server.close(accepted).unwrap();
        server.close(listener).unwrap();
    }

    #[test]
    fn the_system_runs_out_of_files_too() {
        let mut sim = Sim::new(Config { files_max: 2, ..Config::default() });
        let (one, other) = sim.pipe2().unwrap();
        assert_eq!(sim.eventfd(0), Err(Errno::ENFILE));
        let twin = sim.dup(&one).unwrap();
        for fd in [one, other, twin] {
            sim.close(fd).unwrap();
        }
    }

    #[test]
    fn a_read_stops_short_at_the_urgent_mark() {
        let mut sim = Sim::default();
        let (near, far) = tcp_pair(&mut sim);
        let epoll = watch(&mut sim, &near, EPOLLIN | EPOLLPRI | EPOLLET);
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
        assert_eq!(wait(&mut sim, &epoll), [EPOLLPRI], "alone it is nothing to be read");
        assert_eq!(sim.recv(&near, &mut buf), Err(Errno::EAGAIN));
        for fd in [near, far, epoll] {
            sim.close(fd).unwrap();
        }
    }

    #[test]
    fn a_read_stops_short_behind_descriptors_that_were_passed() {
        let mut sim = Sim::default();
        let (near, far) = sim.socketpair(Kind::Stream).unwrap();
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
    fn a_peer_that_vanishes_is_silent_for_ever() {
        let mut sim = Sim::default();
        let (near, far) = tcp_pair(&mut sim);
        sim.vanish(&far);
        sim.close(far).unwrap();
        assert_eq!(sim.recv(&near, &mut [0; 8]), Err(Errno::EAGAIN), "no end");
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
        let epoll = watch(&mut sim, &signalfd, EPOLLIN | EPOLLET);
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
    fn time_passes_in_waits_and_when_told_to() {
        let mut sim = Sim::new(Config { has_pwait2: false, ..Config::default() });
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
        let (epoll, file) = (sim.epoll_create1().unwrap(), sim.regular_file().unwrap());
        let control = Control::Add(EpollEvent::new(EPOLLIN, 0));
        assert_eq!(sim.epoll_ctl(&epoll, control, &file), Err(Errno::EPERM));
        assert_eq!(sim.recv(&file, &mut [0; 1]), Err(Errno::ENOTSOCK));
        sim.close(epoll).unwrap();
        sim.close(file).unwrap();
    }

    #[test]
    fn a_unix_path_outlives_its_socket_until_it_is_unlinked() {
        let mut sim = Sim::default();
        let path = Addr::Unix(crate::UnixAddr::path(b"/run/echo").unwrap());
        let old = sim.socket(Family::Unix, Kind::Stream).unwrap();
        sim.bind(&old, &path).unwrap();
        sim.close(old).unwrap();
        let new = sim.socket(Family::Unix, Kind::Stream).unwrap();
        assert_eq!(sim.connect(&new, &path), Err(Errno::ECONNREFUSED));
        assert_eq!(sim.bind(&new, &path), Err(Errno::EADDRINUSE));
        assert!(sim.unlink(b"/run/echo"));
        assert_eq!(sim.connect(&new, &path), Err(Errno::ENOENT));
        assert_eq!(sim.bind(&new, &path), Ok(()));
        sim.close(new).unwrap();
    }

    /// An edge-triggered reader that stops at a short read, and a writer that waits for OUT:
    /// whatever chance does, all bytes arrive and no wait is for ever.
    #[test]
    fn whatever_chance_does_no_wake_up_is_lost_and_a_seed_is_a_day() {
        let day = |seed| {
            let (chance, odds) = (Chance::from_seed(seed), Odds::SOME);
            let mut sim = Sim::new(Config { chance, odds, ..Config::default() });
            let (near, far) = sim.socketpair(Kind::Stream).unwrap();
            let readable = watch(&mut sim, &near, EPOLLIN | EPOLLET);
            let writable = watch(&mut sim, &far, crate::event::EPOLLOUT | EPOLLET);
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
            assert_eq!(day(seed), day(seed));
        }
    }
}
