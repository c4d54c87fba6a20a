//! What the tests of coroutines have in common: a world with a server's process and a clients',
//! and tasks in it. It knows no test.

use std::cell::RefCell;
use std::rc::Rc;

use epollite::server::{Sharing, bind_stream};
use epollite::sim::Config;
use epollite::task::{Handle, Listener, Stream, Tasks};
use epollite::{Addr, Counted, Errno, Fd, Instant, Kernel, Kind, Sim};

/// A simulated kernel whose calls are counted.
pub(crate) type Simulated = Counted<Sim>;

/// Tasks in a world in which nothing happens that need not, and the clients' side of it.
pub(crate) fn tasks() -> (Tasks<Simulated>, Sim) {
    tasks_in(Config::default())
}

pub(crate) fn tasks_in(config: Config) -> (Tasks<Simulated>, Sim) {
    let clients = Sim::new(config);
    let kernel = Counted::over(clients.process());
    (Tasks::on(kernel).expect("a fresh world has room"), clients)
}

/// A listener of the tasks', and where it listens.
pub(crate) fn door<K: Kernel>(handle: &Handle<K>, addr: &str) -> (Listener<K>, Addr) {
    let addr: Addr = addr.parse().expect("it is an address");
    let bound = handle.kernel(|kernel| bind_stream(kernel, &addr, Sharing::Alone));
    let (fd, addr) = bound.expect("it is free");
    (handle.listener(fd).expect("there is room"), addr)
}

/// Two connected streams of the tasks', over a Unix socket.
pub(crate) fn pair<K: Kernel>(handle: &Handle<K>) -> (Stream<K>, Stream<K>) {
    let (near, far) = handle.kernel(|kernel| kernel.socketpair(Kind::Stream)).expect("room");
    (handle.stream(near).expect("room"), handle.stream(far).expect("room"))
}

/// A client of another process.
pub(crate) fn client(sim: &mut Sim, addr: &Addr) -> Fd {
    let family = addr.family().expect("it was bound to it");
    let socket = sim.socket(family, Kind::Stream).expect("room");
    let begun = sim.connect(&socket, addr);
    assert!(matches!(begun, Ok(()) | Err(Errno::EINPROGRESS)), "{begun:?}");
    socket
}

/// Turns that do not wait, until nobody is polled any more.
pub(crate) fn settle<K: Kernel>(tasks: &mut Tasks<K>) {
    for _ in 0..1_000 {
        let polled = tasks.turn(Some(Instant::ZERO)).expect("nothing is wrong");
        if polled == 0 {
            return;
        }
    }
    panic!("law: whoever has nothing to do is not polled");
}

/// What tasks tell the test.
#[derive(Clone, Default)]
pub(crate) struct Diary(Rc<RefCell<Vec<String>>>);

impl Diary {
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    /// What has been noted since the last look.
    pub(crate) fn read(&self) -> Vec<String> {
        self.0.take()
    }
}
