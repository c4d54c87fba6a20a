//! The lints for handlers: each has a bad handler that shows exactly it and a good one that shows
//! nothing, on the simulated kernel and on Linux; and the library's servers show nothing.

use core::time::Duration;

use epollite::event::{EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP};
use epollite::instrument::{Lint, Linted};
use epollite::kernel::{EpollEvent, EpollOp, Shutdown, SocketOption, SocketType};
use epollite::net::AddressFamily;
use epollite::server::stream::{Bulk, Outcome, StreamConfig, StreamServer};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::Sim;
use epollite::{Addr, Fd, Instant, Kernel, Linux, Trigger};

/// What a handler does with `near` when it has been reported; the data is the round, from 0.
type Handler<'a, K> = &'a mut dyn FnMut(&mut Linted<K>, &Fd, usize);

/// Rounds of waits: more than a lint needs.
const ROUNDS: usize = 5;

/// A pair of Unix sockets, one of which is watched; `prepare` acts on the other first. Returns what
/// was found after some rounds, with the number of the watched descriptor.
fn lint<K: Kernel>(
    kernel: K,
    events: u32,
    prepare: impl FnOnce(&mut Linted<K>, &Fd),
    handle: Handler<'_, K>,
) -> (Vec<Lint>, u32) {
    let mut kernel = Linted::with_lints(kernel);
    let (near, far) = kernel.socketpair(SocketType::Stream).unwrap();
    let epoll = kernel.epoll_create1().unwrap();
    let event = EpollEvent::new(events, 7);
    kernel.epoll_ctl(&epoll, EpollOp::Add(event), &near).unwrap();
    prepare(&mut kernel, &far);
    let mut events = [EpollEvent::default(); 4];
    for round in 0..ROUNDS {
        if kernel.epoll_wait(&epoll, &mut events, Some(1)).unwrap() > 0 {
            handle(&mut kernel, &near, round);
        }
    }
    let fd = near.number();
    let found = kernel.sink.found().to_vec();
    kernel.epoll_ctl(&epoll, EpollOp::Delete, &near).unwrap();
    [near, far, epoll].into_iter().for_each(|fd| kernel.close(fd).unwrap());
    assert_eq!(kernel.sink.found(), found, "invariant: an orderly end shows nothing");
    (found, fd)
}

/// Runs a bad and a good handler on both kernels.
macro_rules! check {
    ($lint:ident, $bad_events:expr, $good_events:expr, $prepare:expr, $bad:expr, $good:expr) => {
        let (found, fd) = lint(Sim::default(), $bad_events, $prepare, &mut $bad);
        assert_eq!(found, [Lint::$lint { fd }], "the bad handler on the model");
        let (found, fd) = lint(Linux, $bad_events, $prepare, &mut $bad);
        assert_eq!(found, [Lint::$lint { fd }], "the bad handler on Linux");
        assert_eq!(lint(Sim::default(), $good_events, $prepare, &mut $good).0, []);
        assert_eq!(lint(Linux, $good_events, $prepare, &mut $good).0, []);
    };
}

fn send_hundred<K: Kernel>(kernel: &mut Linted<K>, far: &Fd) {
    assert_eq!(kernel.send(far, &[7; 100]), Ok(100));
}

fn shut_down<K: Kernel>(kernel: &mut Linted<K>, far: &Fd) {
    kernel.shutdown(far, Shutdown::Both).unwrap();
}

fn read_once<K: Kernel>(kernel: &mut Linted<K>, near: &Fd, room: usize) -> usize {
    kernel.recv(near, &mut vec![0; room]).unwrap_or(0)
}

fn read_all<K: Kernel>(kernel: &mut Linted<K>, near: &Fd) {
    while read_once(kernel, near, 10) > 0 {}
}

#[test]
fn an_edge_must_be_drained() {
    let edge = EPOLLIN | EPOLLRDHUP | EPOLLET;
    check!(
        EdgeNotDrained,
        edge,
        edge,
        send_hundred,
        |kernel, near, _| _ = read_once(kernel, near, 10),
        |kernel, near, _| read_all(kernel, near)
    );
}

#[test]
fn an_edge_that_is_not_read_at_all_is_not_drained() {
    let edge = EPOLLIN | EPOLLRDHUP | EPOLLET;
    check!(EdgeNotDrained, edge, edge, send_hundred, |_, _, _| {}, |kernel, near, _| read_all(
        kernel, near
    ));
}

#[test]
fn a_short_read_ends_an_edge_only_with_rdhup() {
    let handle = |kernel: &mut Linted<_>, near: &Fd| _ = read_once(kernel, near, 1000);
    check!(
        ShortReadWithoutRdhup,
        EPOLLIN | EPOLLET,
        EPOLLIN | EPOLLRDHUP | EPOLLET,
        send_hundred,
        |kernel, near, _| _ = read_once(kernel, near, 1000),
        |kernel, near, _| _ = read_once(kernel, near, 1000)
    );
    // A short read with an end behind it.
    let with_end = |kernel: &mut Linted<Sim>, far: &Fd| {
        send_hundred(kernel, far);
        kernel.shutdown(far, Shutdown::Write).unwrap();
    };
    let edge = EPOLLIN | EPOLLRDHUP | EPOLLET;
    let (found, fd) = lint(Sim::default(), edge, with_end, &mut |kernel, near, _| {
        handle(kernel, near);
    });
    assert_eq!(found, [Lint::EdgeNotDrained { fd }]);
}

#[test]
fn room_to_write_is_not_waited_for_without_data() {
    check!(
        WritableWithoutData,
        EPOLLIN | EPOLLOUT,
        EPOLLIN,
        send_hundred,
        |kernel, near, _| _ = read_once(kernel, near, 10),
        |kernel, near, _| _ = read_once(kernel, near, 10)
    );
    // It has something to send each time.
    let (found, _) = lint(Sim::default(), EPOLLOUT, |_, _| {}, &mut |kernel, near, _| {
        kernel.send(near, b"x").unwrap();
    });
    assert_eq!(found, []);
}

#[test]
fn a_hangup_must_be_handled() {
    check!(HangupIgnored, 0, EPOLLIN, shut_down, |_, _, _| {}, |kernel, near, _| _ =
        read_once(kernel, near, 10));
}

#[test]
fn a_loop_must_not_spin() {
    check!(Spin, EPOLLIN, EPOLLIN, send_hundred, |_, _, _| {}, |kernel, near, _| _ =
        read_once(kernel, near, 10));
}

/// The close of a watched descriptor that has a duplicate; `deletes` says whether in order.
fn close_with_duplicate<K: Kernel>(kernel: K, events: u32, deletes: bool) -> (Vec<Lint>, u32) {
    let mut kernel = Linted::with_lints(kernel);
    let (near, far) = kernel.socketpair(SocketType::Stream).unwrap();
    let epoll = kernel.epoll_create1().unwrap();
    kernel.epoll_ctl(&epoll, EpollOp::Add(EpollEvent::new(events, 7)), &near).unwrap();
    let duplicate = kernel.dup(&near).unwrap();
    if deletes {
        kernel.epoll_ctl(&epoll, EpollOp::Delete, &near).unwrap();
    }
    let fd = near.number();
    kernel.close(near).unwrap();
    [duplicate, far, epoll].into_iter().for_each(|fd| kernel.close(fd).unwrap());
    (kernel.sink.found().to_vec(), fd)
}

#[test]
fn a_registration_is_deleted_before_a_close_that_a_duplicate_survives() {
    for events in [EPOLLIN, EPOLLIN | EPOLLET] {
        let (found, fd) = close_with_duplicate(Sim::default(), events, false);
        assert_eq!(found, [Lint::ClosedWithoutDelete { fd }]);
        let (found, fd) = close_with_duplicate(Linux, events, false);
        assert_eq!(found, [Lint::ClosedWithoutDelete { fd }]);
        assert_eq!(close_with_duplicate(Sim::default(), events, true).0, []);
        assert_eq!(close_with_duplicate(Linux, events, true).0, []);
    }
}

#[test]
fn a_poll_without_blocking_may_leave_an_edge_for_later() {
    let mut kernel = Linted::with_lints(Sim::default());
    let (near, far) = kernel.socketpair(SocketType::Stream).unwrap();
    let epoll = kernel.epoll_create1().unwrap();
    let event = EpollEvent::new(EPOLLIN | EPOLLRDHUP | EPOLLET, 7);
    kernel.epoll_ctl(&epoll, EpollOp::Add(event), &near).unwrap();
    send_hundred(&mut kernel, &far);
    let mut events = [EpollEvent::default(); 4];
    kernel.epoll_wait(&epoll, &mut events, None).unwrap();
    for _ in 0..4 {
        read_once(&mut kernel, &near, 10);
        kernel.epoll_wait(&epoll, &mut events, Some(0)).unwrap();
    }
    assert_eq!(kernel.sink.found(), [], "it requeues");
    kernel.epoll_wait(&epoll, &mut events, Some(1)).unwrap();
    assert_eq!(kernel.sink.found(), [Lint::EdgeNotDrained { fd: near.number() }]);
    [near, far, epoll].into_iter().for_each(|fd| kernel.close(fd).unwrap());
}

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

/// A server on a linted kernel, and clients on another process of the same model.
struct Served {
    server: StreamServer<Linted<Sim>>,
    clients: Sim,
    addr: Addr,
}

impl Served {
    fn new(config: StreamConfig) -> Self {
        let clients = Sim::default();
        let kernel = Linted::with_lints(clients.new_process());
        let mut server = StreamServer::new(kernel, config).unwrap();
        let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into();
        let (listener, addr) = bind_stream(server.kernel(), &addr, PortSharing::Exclusive).unwrap();
        server.add_listener(listener).unwrap();
        Self { server, clients, addr }
    }

    fn connect(&mut self) -> Fd {
        let client = self.clients.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
        let _ = self.clients.connect(&client, &self.addr);
        client
    }

    /// Serves until there is nothing to do: every wait may block for a moment.
    fn settle(&mut self) {
        for _ in 0..1000 {
            let until = self.server.kernel().now() + Duration::from_millis(1);
            if self.server.run_once(Some(until)) == Ok(Outcome::TimedOut) {
                return;
            }
        }
        panic!("invariant: the server comes to rest");
    }

    /// Receives everything that has come, while the server goes on.
    fn drain(&mut self, client: &Fd) -> usize {
        let (mut buf, mut sum) = (vec![0; 1 << 16], 0);
        loop {
            match self.clients.recv(client, &mut buf) {
                Ok(0) => return sum,
                Ok(count) => sum += count,
                Err(errno) if errno.is_would_block() => {
                    let before = self.server.stats().bytes_out;
                    self.settle();
                    if self.server.stats().bytes_out == before {
                        return sum;
                    }
                }
                Err(_) => return sum,
            }
        }
    }
}

/// Messages, a stream that is not read for a while, ends of every kind, and the shutdown.
fn visit(served: &mut Served) {
    let quiet = served.connect();
    let streaming = served.connect();
    let resetting = served.connect();
    served.settle();
    for message in [&b"x"[..], &[7; 1000]] {
        served.clients.send(&quiet, message).unwrap();
        served.settle();
        assert_eq!(served.drain(&quiet), message.len());
    }
    let (mut sent, mut received) = (0, 0);
    for _ in 0..20 {
        while let Ok(count) = served.clients.send(&streaming, &[9; 50_000]) {
            sent += count;
            served.settle();
        }
        received += served.drain(&streaming);
    }
    assert!(sent > 500_000 && received > 0, "it streams: {sent} sent, {received} received");
    served.clients.setsockopt(&resetting, SocketOption::LingerSeconds(Some(0))).unwrap();
    served.clients.send(&resetting, b"and gone").unwrap();
    served.clients.close(resetting).unwrap();
    served.settle();
    served.clients.shutdown(&streaming, Shutdown::Write).unwrap();
    received += served.drain(&streaming);
    assert_eq!(received, sent);
    served.clients.close(streaming).unwrap();
    served.settle();
    served.server.begin_shutdown();
    served.settle();
    assert_eq!(served.drain(&quiet), 0);
    served.clients.close(quiet).unwrap();
    let far = Instant::ZERO + Duration::from_secs(3600);
    for _ in 0..100 {
        if served.server.run_once(Some(far)) == Ok(Outcome::Drained) {
            return;
        }
    }
    panic!("invariant: the server drains");
}

#[test]
fn the_stream_server_shows_no_lint_in_any_mode() {
    for trigger in TRIGGERS {
        for idle_timeout in [None, Some(Duration::from_secs(600))] {
            for bulk in [Bulk::Copy, Bulk::Splice, Bulk::Auto] {
                let budget_bytes = 20_000;
                let config = StreamConfig {
                    trigger,
                    idle_timeout,
                    bulk,
                    budget_bytes,
                    ..Default::default()
                };
                let mut served = Served::new(config);
                visit(&mut served);
                let found = served.server.kernel().sink.found().to_vec();
                assert_eq!(found, [], "{trigger:?}, {bulk:?}, idle timeout {idle_timeout:?}");
            }
        }
    }
}
