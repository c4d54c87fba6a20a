//! `Sim`: one process, looking at the world; and what a test can do to that world.
//!
//! Knows no rule of any kernel; the verbs are in `calls.rs`.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::fmt;
use core::time::Duration;

use super::config::Config;
use super::stream::Far;
use super::world::{Node, World};
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
        let far = core::mem::replace(&mut tcp(&mut world, file).far, Far::Void);
        if let Far::Peer(peer) = far
            && let Some(peer) = world.find_stream(peer)
        {
            peer.far = Far::Void;
        }
    }

    /// Sends one urgent byte (`MSG_OOB`) on a TCP socket: the peer has `EPOLLPRI`, and its
    /// reads stop short at the mark. Work: O(1).
    ///
    /// # Errors
    /// As [`send`](crate::Kernel::send).
    ///
    /// # Panics
    /// `socket` is no TCP socket.
    ///
    /// Man page: tcp(7), "Sockatmark"
    pub fn send_urgent(&mut self, socket: &Fd, byte: u8) -> Result<(), Errno> {
        let mut world = self.world.borrow_mut();
        let file = world.file(self.process, socket);
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
        let is_unix = world.find_stream(file).is_some_and(|stream| stream.is_unix());
        assert!(is_unix, "only Unix sockets pass descriptors");
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

/// The stream, which is to be TCP's.
fn tcp(world: &mut World, file: super::world::FileId) -> &mut super::stream::Stream {
    world
        .find_stream(file)
        .filter(|stream| !stream.is_unix())
        .expect("only TCP sockets have urgent bytes and cables")
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
