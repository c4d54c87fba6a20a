//! No allocation in a steady-state iteration, and the memory of a coroutine, measured by a counting
//! allocator.
//!
//! Alone in its process, since there is one global allocator. It counts per thread, so that the
//! test framework's allocations do not matter.

#![expect(
    unsafe_code,
    reason = "a global allocator is an unsafe trait; this one only counts and passes on"
)]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::hint::black_box;
use core::time::Duration;
use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;

use epollite::event::Ready;
use epollite::executor::Executor;
use epollite::kernel::SocketType;
use epollite::server::stream::{StreamConfig, StreamServer};
use epollite::server::{PortSharing, bind_stream};
use epollite::{Errno, Trigger};
use epollite::{Event, Interest, Kernel, Linux, Reactor, Received, Sent, Token};

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static HELD_BYTES: Cell<i64> = const { Cell::new(0) };
}

fn allocations() -> u64 {
    ALLOCATIONS.get()
}

fn hold(layout: Layout, sign: i64) {
    let bytes = i64::try_from(layout.size()).expect("no layout is larger than isize::MAX");
    HELD_BYTES.set(HELD_BYTES.get() + sign * bytes);
}

// SAFETY: every call is passed on to `System` unchanged, and the counter neither allocates (it is
// const-initialized) nor has a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        hold(layout, 1);
        // SAFETY: `layout` is the caller's, which fulfils the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        hold(layout, -1);
        // SAFETY: `place` came from `System.alloc` with this `layout`, as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[test]
fn a_steady_state_iteration_allocates_nothing() {
    let before = allocations();
    drop(black_box(Box::new(1)));
    assert_eq!(allocations(), before + 1, "the counter works");

    let mut harness = Harness::new();
    for _ in 0..3 {
        harness.run_once();
    }
    let warm = allocations();
    for _ in 0..1_000 {
        harness.run_once();
    }
    assert_eq!(allocations() - warm, 0, "invariant: no allocation in a steady-state iteration");
}

#[test]
fn an_echo_of_the_server_allocates_nothing() {
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        let config = StreamConfig { trigger, ..StreamConfig::default() };
        let mut server =
            StreamServer::<Linux>::new(Linux, config).expect("a descriptor is available");
        let any = "127.0.0.1:0".parse().expect("the address is valid");
        let bound = bind_stream(server.kernel(), &any, PortSharing::Exclusive);
        let (listener, addr) = bound.expect("a port is free");
        server.add_listener(listener).expect("there is room");
        let addr = std::net::SocketAddr::try_from(addr).expect("it is an IP address");
        let mut clients: Vec<TcpStream> =
            (0..8).map(|_| TcpStream::connect(addr).expect("the queue has room")).collect();
        let mut echo = |rounds: u32| {
            for _ in 0..rounds {
                for client in &mut clients {
                    client.write_all(&[7; 512]).expect("it fits");
                    let mut back = [0; 512];
                    let mut got = 0;
                    client.set_nonblocking(true).expect("the token is live");
                    while got < back.len() {
                        server.run_once(Some(Linux.now())).expect("the call succeeds");
                        got += client.read(&mut back[got..]).unwrap_or(0);
                    }
                    client.set_nonblocking(false).expect("the token is live");
                }
            }
        };
        echo(3);
        let warm = allocations();
        echo(200);
        assert_eq!(allocations() - warm, 0, "invariant: no allocation per echo, {trigger:?}");
    }
}

#[test]
fn an_idle_echo_coroutine_costs_at_most_512_bytes_and_its_echo_allocates_nothing() {
    /// More than a page of slots, and few enough descriptors for any machine.
    const CLIENTS: usize = 400;

    let mut executor = Executor::new().expect("a descriptor is available");
    let handle = executor.handle();
    let any = "127.0.0.1:0".parse().expect("the address is valid");
    let bound = handle.with_kernel(|kernel| bind_stream(kernel, &any, PortSharing::Exclusive));
    let (listener, addr) = bound.expect("a port is free");
    let mut listener = handle.listener(listener).expect("there is room");
    drop(handle.clone().spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            drop(handle.spawn(async move {
                while let Some(bytes) = client.recv_pooled().await? {
                    client.write_all(&bytes).await?;
                }
                Ok::<_, Errno>(())
            }));
        }
    }));
    let addr = std::net::SocketAddr::try_from(addr).expect("it is an IP address");
    let come = |executor: &mut Executor| {
        let mut client = TcpStream::connect(addr).expect("the queue has room");
        echo(executor, &mut client);
        client
    };
    // The first one allocates what all share: the buffer, the loop's own lists.
    let first = come(&mut executor);
    let before = HELD_BYTES.get();
    let mut clients = Vec::with_capacity(CLIENTS);
    let list = HELD_BYTES.get() - before;
    clients.extend((0..CLIENTS).map(|_| come(&mut executor)));
    let held = HELD_BYTES.get() - before - list;
    let each = held / i64::try_from(CLIENTS).expect("it is small");
    println!("{each} bytes a client");
    assert!((100..=512).contains(&each), "invariant: {each} bytes for an idle client");

    let warm = allocations();
    for _ in 0..20 {
        for client in &mut clients {
            echo(&mut executor, client);
        }
    }
    assert_eq!(allocations() - warm, 0, "invariant: no allocation per echo");
    drop((first, clients));
    while executor.handle().task_count() > 1 {
        executor.run_once(None).expect("the call succeeds");
    }
    let retained = HELD_BYTES.get() - before + list;
    println!("{retained} bytes are kept for later connections");
}

/// Sends data and receives its echo.
fn echo(executor: &mut Executor, client: &mut TcpStream) {
    client.write_all(&[7; 512]).expect("it fits");
    client.set_nonblocking(true).expect("the token is live");
    let (mut back, mut got) = ([0; 512], 0);
    while got < back.len() {
        executor.run_once(Some(Linux.now())).expect("the call succeeds");
        got += client.read(&mut back[got..]).unwrap_or(0);
    }
    client.set_nonblocking(false).expect("the token is live");
}

/// Four streams with both ends echoing, in level and in edge mode.
struct Harness {
    reactor: Reactor<u64>,
    ends: Vec<(Token, Token)>,
}

impl Harness {
    fn new() -> Self {
        let mut reactor = Reactor::new().expect("a descriptor is available");
        let mut ends = Vec::new();
        for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::Level] {
            let (near, far) =
                Linux.socketpair(SocketType::Stream).expect("two more descriptors are available");
            let [near, far] = [near, far].map(|fd| {
                reactor
                    .register_or_close(fd, Interest::READABLE, trigger, 0)
                    .expect("there is room")
            });
            ends.push((near, far));
        }
        Self { reactor, ends }
    }

    /// One round trip on every stream, with everything a server does on the way: deadlines set,
    /// moved and cancelled, masks changed, a requeue, a wake.
    fn run_once(&mut self) {
        let waker = self.reactor.waker().expect("a waker can be created");
        waker.wake(&mut Linux).expect("the reactor is alive");
        for at in 0..self.ends.len() {
            let (near, far) = self.ends[at];
            self.send(near);
            self.arm(far);
        }
        let mut open = self.ends.len();
        while open > 0 {
            let later = Linux.now() + Duration::from_secs(60);
            match self.reactor.next(Some(later)).expect("the call succeeds") {
                Some(Event::Io { token, .. }) => {
                    if self.recv(token) {
                        open -= 1;
                    }
                }
                Some(Event::Woken) => {}
                other => panic!("neither time nor a deadline has passed: {other:?}"),
            }
        }
    }

    fn send(&mut self, token: Token) {
        let (_, mut io) = self.reactor.get_mut(token).expect("the token is live");
        assert_eq!(io.send(&[7; 512]), Ok(Sent::Bytes(512)));
    }

    fn arm(&mut self, token: Token) {
        let (_, mut io) = self.reactor.get_mut(token).expect("the token is live");
        for trigger in [Trigger::OneShot, Trigger::Edge, Trigger::Level] {
            let armed = io.modify(Interest::READABLE, trigger);
            armed.expect("it is registered");
        }
        let later = Linux.now() + Duration::from_secs(600);
        io.set_deadline(later);
    }

    /// Reads what arrived; the far end is requeued once and then sends it back. Returns whether it
    /// has completed the round trip.
    fn recv(&mut self, token: Token) -> bool {
        let pair = |&(near, far): &(Token, Token)| near == token || far == token;
        let &(near, far) =
            self.ends.iter().find(|ends| pair(ends)).expect("the token is one of them");
        let (state, mut io) = self.reactor.get_mut(token).expect("the token is live");
        let mut buf = [0; 1_024];
        match io.recv(&mut buf).expect("the connection is intact") {
            Received::Bytes(512) => {
                *state += 512;
                if token == near {
                    return true;
                }
                io.requeue(Ready::READABLE);
                false
            }
            Received::WouldBlock if token == far => {
                assert!(io.cancel_deadline());
                self.send(far);
                self.arm_once(near);
                false
            }
            other => panic!("512 bytes were sent: {other:?}"),
        }
    }

    fn arm_once(&mut self, token: Token) {
        let (_, mut io) = self.reactor.get_mut(token).expect("the token is live");
        let armed = io.modify(Interest::READABLE, Trigger::OneShot);
        armed.expect("it is registered");
    }
}
