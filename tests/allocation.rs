//! No allocation in a steady turn, and bytes of a coroutine, counted by an allocator that counts.
//!
//! Alone in its process, since there is one global allocator. It counts by thread, so that the
//! test harness may do as it likes.

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

use epollite::server::stream::{Config, Server};
use epollite::server::{Sharing, bind_stream};
use epollite::task::Tasks;
use epollite::{Errno, Trigger};
use epollite::{Event, Interest, Kernel, Kind, Linux, Reactor, Ready, Received, Sent, Token};

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

// SAFETY: every call is passed on to `System` as it came, and the counter neither allocates (it
// is made while compiling) nor has a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        hold(layout, 1);
        // SAFETY: `layout` is the caller's, who keeps to the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        hold(layout, -1);
        // SAFETY: `place` came from `System.alloc` with this `layout`, as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

#[test]
fn a_steady_turn_allocates_nothing() {
    let before = allocations();
    drop(black_box(Box::new(1)));
    assert_eq!(allocations(), before + 1, "the counter counts");

    let mut world = World::new();
    for _ in 0..3 {
        world.turn();
    }
    let warm = allocations();
    for _ in 0..1_000 {
        world.turn();
    }
    assert_eq!(allocations() - warm, 0, "law: no allocation in a steady turn");
}

#[test]
fn an_echo_of_the_server_allocates_nothing() {
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        let config = Config { trigger, ..Config::default() };
        let mut server = Server::<Linux>::new(Linux, config).expect("one descriptor is to be had");
        let any = "127.0.0.1:0".parse().expect("it is an address");
        let bound = bind_stream(server.kernel(), &any, Sharing::Alone);
        let (listener, addr) = bound.expect("a port is to be had");
        server.open(listener).expect("there is room");
        let addr = std::net::SocketAddr::try_from(addr).expect("it is of the internet");
        let mut clients: Vec<TcpStream> =
            (0..8).map(|_| TcpStream::connect(addr).expect("the queue has room")).collect();
        let mut echo = |rounds: u32| {
            for _ in 0..rounds {
                for client in &mut clients {
                    client.write_all(&[7; 512]).expect("it fits");
                    let mut back = [0; 512];
                    let mut got = 0;
                    client.set_nonblocking(true).expect("it lives");
                    while got < back.len() {
                        server.turn(Some(Linux.now())).expect("nothing is wrong");
                        got += client.read(&mut back[got..]).unwrap_or(0);
                    }
                    client.set_nonblocking(false).expect("it lives");
                }
            }
        };
        echo(3);
        let warm = allocations();
        echo(200);
        assert_eq!(allocations() - warm, 0, "law: no allocation per echo, {trigger:?}");
    }
}

#[test]
fn a_coroutine_that_echoes_costs_at_most_512_bytes_when_it_is_idle_and_allocates_nothing() {
    /// More than a page of slots, and few enough descriptors for any machine.
    const CLIENTS: usize = 400;

    let mut tasks = Tasks::new().expect("one descriptor is to be had");
    let handle = tasks.handle();
    let any = "127.0.0.1:0".parse().expect("it is an address");
    let bound = handle.kernel(|kernel| bind_stream(kernel, &any, Sharing::Alone));
    let (listener, addr) = bound.expect("a port is to be had");
    let mut door = handle.listener(listener).expect("there is room");
    drop(handle.clone().spawn(async move {
        while let Ok((mut client, _)) = door.accept().await {
            drop(handle.spawn(async move {
                while let Some(bytes) = client.bytes().await? {
                    client.send_all(&bytes).await?;
                }
                Ok::<_, Errno>(())
            }));
        }
    }));
    let addr = std::net::SocketAddr::try_from(addr).expect("it is of the internet");
    let come = |tasks: &mut Tasks| {
        let mut client = TcpStream::connect(addr).expect("the queue has room");
        echo(tasks, &mut client);
        client
    };
    // The first pays for what all share: the buffer, the loop's own lists.
    let first = come(&mut tasks);
    let before = HELD_BYTES.get();
    let mut clients = Vec::with_capacity(CLIENTS);
    let list = HELD_BYTES.get() - before;
    clients.extend((0..CLIENTS).map(|_| come(&mut tasks)));
    let held = HELD_BYTES.get() - before - list;
    let each = held / i64::try_from(CLIENTS).expect("it is small");
    println!("{each} bytes a client");
    assert!((100..=512).contains(&each), "law: {each} bytes for an idle client");

    let warm = allocations();
    for _ in 0..20 {
        for client in &mut clients {
            echo(&mut tasks, client);
        }
    }
    assert_eq!(allocations() - warm, 0, "law: no allocation per echo");
    drop((first, clients));
    while tasks.handle().tasks() > 1 {
        tasks.turn(None).expect("nothing is wrong");
    }
    let left = HELD_BYTES.get() - before + list;
    println!("{left} bytes are kept for those who come");
}

/// Sends something and has it sent back.
fn echo(tasks: &mut Tasks, client: &mut TcpStream) {
    client.write_all(&[7; 512]).expect("it fits");
    client.set_nonblocking(true).expect("it lives");
    let (mut back, mut got) = ([0; 512], 0);
    while got < back.len() {
        tasks.turn(Some(Linux.now())).expect("nothing is wrong");
        got += client.read(&mut back[got..]).unwrap_or(0);
    }
    client.set_nonblocking(false).expect("it lives");
}

/// Four streams of which every end echoes, in level and in edge mode.
struct World {
    reactor: Reactor<u64>,
    ends: Vec<(Token, Token)>,
}

impl World {
    fn new() -> Self {
        let mut reactor = Reactor::new().expect("one descriptor is to be had");
        let mut ends = Vec::new();
        for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::Level] {
            let (near, far) = Linux.socketpair(Kind::Stream).expect("two more are");
            let [near, far] = [near, far].map(|fd| {
                reactor
                    .register_or_close(fd, Interest::READABLE, trigger, 0)
                    .expect("there is room")
            });
            ends.push((near, far));
        }
        Self { reactor, ends }
    }

    /// One round trip on every stream, with all that a server does on its way: deadlines set and
    /// moved and taken back, masks changed, reminders asked for, a wake.
    fn turn(&mut self) {
        let waker = self.reactor.waker().expect("there is one");
        waker.wake(&mut Linux).expect("the reactor lives");
        for at in 0..self.ends.len() {
            let (near, far) = self.ends[at];
            self.send(near);
            self.arm(far);
        }
        let mut open = self.ends.len();
        while open > 0 {
            let later = Linux.now() + Duration::from_secs(60);
            match self.reactor.next(Some(later)).expect("nothing is wrong") {
                Some(Event::Io { token, .. }) => {
                    if self.hear(token) {
                        open -= 1;
                    }
                }
                Some(Event::Woken) => {}
                other => panic!("neither time nor a deadline has passed: {other:?}"),
            }
        }
    }

    fn send(&mut self, token: Token) {
        let source = &mut self.reactor.source(token).expect("it lives");
        assert_eq!(source.io.send(&[7; 512]), Ok(Sent::Bytes(512)));
    }

    fn arm(&mut self, token: Token) {
        let mut source = self.reactor.source(token).expect("it lives");
        for trigger in [Trigger::OneShot, Trigger::Edge, Trigger::Level] {
            let armed = source.io.rearm(Interest::READABLE, trigger);
            armed.expect("it is registered");
        }
        let later = Linux.now() + Duration::from_secs(600);
        source.io.set_deadline(later);
    }

    /// Reads what came; the far end is reminded of it once and then sends it back. Returns
    /// whether it is back where it began.
    fn hear(&mut self, token: Token) -> bool {
        let pair = |&(near, far): &(Token, Token)| near == token || far == token;
        let &(near, far) = self.ends.iter().find(|ends| pair(ends)).expect("it is one of them");
        let mut source = self.reactor.source(token).expect("it lives");
        let mut buf = [0; 1_024];
        match source.io.recv(&mut buf).expect("it is whole") {
            Received::Bytes(512) => {
                *source.state += 512;
                if token == near {
                    return true;
                }
                source.io.again(Ready::READABLE);
                false
            }
            Received::Nothing if token == far => {
                assert!(source.io.cancel_deadline());
                self.send(far);
                self.arm_once(near);
                false
            }
            other => panic!("512 bytes were sent: {other:?}"),
        }
    }

    fn arm_once(&mut self, token: Token) {
        let mut source = self.reactor.source(token).expect("it lives");
        let armed = source.io.rearm(Interest::READABLE, Trigger::OneShot);
        armed.expect("it is registered");
    }
}
