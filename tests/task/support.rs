//! Shared by the executor tests: a simulation with a server process and a client process, and tasks
//! in it. Independent of the tests.

use std::cell::RefCell;
use std::rc::Rc;

use epollite::executor::{Executor, Handle, Listener, Stream};
use epollite::instrument::CallCounter;
use epollite::kernel::SocketType;
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::Sim;
use epollite::sim::SimConfig;
use epollite::{Addr, Errno, Fd, Instant, Kernel};

/// A simulated kernel whose calls are counted.
pub(crate) type Simulated = CallCounter<Sim>;

/// An executor on a simulation without random behaviour, and the client process.
pub(crate) fn executor() -> (Executor<Simulated>, Sim) {
    executor_in(SimConfig::default())
}

pub(crate) fn executor_in(config: SimConfig) -> (Executor<Simulated>, Sim) {
    let clients = Sim::new(config);
    let kernel = CallCounter::new(clients.new_process());
    (Executor::with_kernel(kernel).expect("a new simulation has free resources"), clients)
}

/// A listener of the executor, and its address.
pub(crate) fn listener<K: Kernel>(handle: &Handle<K>, addr: &str) -> (Listener<K>, Addr) {
    let addr: Addr = addr.parse().expect("the address is valid");
    let bound = handle.with_kernel(|kernel| bind_stream(kernel, &addr, PortSharing::Exclusive));
    let (fd, addr) = bound.expect("it is free");
    (handle.listener(fd).expect("there is room"), addr)
}

/// Two connected streams of the executor, over a Unix socket.
pub(crate) fn pair<K: Kernel>(handle: &Handle<K>) -> (Stream<K>, Stream<K>) {
    let (near, far) =
        handle.with_kernel(|kernel| kernel.socketpair(SocketType::Stream)).expect("room");
    (handle.stream(near).expect("room"), handle.stream(far).expect("room"))
}

/// A client of another process.
pub(crate) fn client(sim: &mut Sim, addr: &Addr) -> Fd {
    let family = addr.family().expect("the address has a family");
    let socket = sim.socket(family, SocketType::Stream).expect("room");
    let begun = sim.connect(&socket, addr);
    assert!(matches!(begun, Ok(()) | Err(Errno::EINPROGRESS)), "{begun:?}");
    socket
}

/// Non-blocking iterations, until no task is polled any more.
pub(crate) fn settle<K: Kernel>(executor: &mut Executor<K>) {
    for _ in 0..1_000 {
        let polled = executor.run_once(Some(Instant::ZERO)).expect("the call succeeds");
        if polled == 0 {
            return;
        }
    }
    panic!("invariant: an idle task is not polled");
}

/// A log written by tasks and read by the test.
#[derive(Clone, Default)]
pub(crate) struct EventLog(Rc<RefCell<Vec<String>>>);

impl EventLog {
    pub(crate) fn push(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    /// The lines recorded since the last call.
    pub(crate) fn read(&self) -> Vec<String> {
        self.0.take()
    }
}
