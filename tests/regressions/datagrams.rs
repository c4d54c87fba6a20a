//! The datagram server: loops, full batches, lasting errors, signals, and what it tells.

use core::time::Duration;
use std::net::UdpSocket;

use epollite::server::datagram::{Config, Server};
use epollite::server::{Sharing, bind_datagram};
use epollite::{Addr, Call, Errno, Family, Fd, Kernel, Kind, Linux, Shut, Sim, Trigger};

use crate::refusing::{Orders, Refusing};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

/// More turns than any of these scenes needs.
const TURNS_MAX: u32 = 10_000;

#[test]
fn two_sockets_of_one_server_do_not_answer_each_other() {
    for trigger in TRIGGERS {
        let (sim, orders) = (Sim::default(), Orders::default());
        let mut kernel = orders.over(sim.process());
        let (near, _) = bind(&mut kernel, "127.0.0.1:5001");
        let (far, far_addr) = bind(&mut kernel, "127.0.0.1:5002");
        // As if somebody had forged it: from one of the two to the other.
        assert_eq!(kernel.sendto(&near, b"to and fro", &far_addr), Ok(10));
        let mut server = Server::new(kernel, Config { trigger, ..Config::default() }).unwrap();
        server.open(near).unwrap();
        server.open(far).unwrap();
        let mut turns = 0;
        while turns < 100 && server.turn(Some(epollite::Instant::ZERO)).unwrap() {
            turns += 1;
        }
        let stats = server.stats();
        assert_eq!((stats.received, stats.refused, stats.echoed), (1, 1, 0), "law: no loop");
    }
}

#[test]
fn a_burst_larger_than_any_call_is_echoed_whole() {
    const BURST: usize = 200;
    for trigger in TRIGGERS {
        let addr = "127.0.0.1:0".parse().unwrap();
        let (socket, addr) = bind_datagram(&mut Linux, &addr, Sharing::Alone).unwrap();
        let config = Config { trigger, datagrams_max: 128, ..Config::default() };
        let mut server = Server::new(Linux, config).unwrap();
        server.open(socket).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(addr.to_string()).unwrap();
        client.set_nonblocking(true).unwrap();
        for number in 0..BURST {
            client.send(&number.to_ne_bytes()).unwrap();
        }
        // On loopback what is sent is there: the server is asked until it has nothing to do.
        let mut heard = 0;
        while server.turn(Some(epollite::Instant::ZERO)).unwrap() {
            let mut buf = [0; 8];
            while client.recv(&mut buf).is_ok() {
                assert_eq!(usize::from_ne_bytes(buf), heard, "law: in order, and none left out");
                heard += 1;
            }
        }
        assert_eq!(heard, BURST, "law: what arrived is answered, in {trigger:?}");
    }
}

#[test]
fn datagrams_told_of_that_nobody_asks_about_do_not_pile_up() {
    let mut scene = Scene::new(Config { tell: true, datagram_bytes_max: 16, ..Config::default() });
    for _ in 0..7_000 {
        (0..10).for_each(|_| scene.ask());
        scene.turn();
        while scene.sim.recv(&scene.client, &mut [0; 16]).is_ok() {}
    }
    assert_eq!(scene.server.stats().echoed, 70_000);
    let notes = core::iter::from_fn(|| scene.server.note()).count();
    assert_eq!(notes, 1 << 16, "law: memory is bounded, and what is kept is told");
    scene.over();
}

#[test]
fn a_socket_that_gives_nothing_but_errors_is_asked_now_and_then_and_recovers() {
    const SECONDS: usize = 60;
    for trigger in TRIGGERS {
        let mut scene = Scene::new(Config { trigger, ..Config::default() });
        scene.ask();
        scene.orders.refuse(Call::Recvmmsg, Errno::ENOMEM, u64::MAX);
        let end = scene.sim.now() + Duration::from_secs(SECONDS as u64);
        let mut turns = 0;
        while scene.sim.now() < end && turns < TURNS_MAX {
            scene.server.turn(Some(end)).unwrap();
            turns += 1;
        }
        // Four times a second, some errors each time; and as many turns.
        let (calls, waits) = (scene.orders.count(Call::Recvmmsg), turns as usize);
        assert!(calls <= SECONDS * 4 * 20, "law: nobody spins, but {trigger:?} made {calls} calls");
        assert!(waits <= SECONDS * 10, "law: nobody spins, but {trigger:?} turned {waits} times");
        assert!(calls > SECONDS, "law: service resumes, so it looks");

        scene.orders.refuse(Call::Recvmmsg, Errno::ENOMEM, 0);
        scene.sim.advance(Duration::from_secs(1));
        (0..4).for_each(|_| scene.turn());
        assert_eq!(scene.answers(), 1, "law: service resumes, in {trigger:?}");
        scene.ask();
        (0..4).for_each(|_| scene.turn());
        assert_eq!(scene.answers(), 1, "law: service resumes for good, in {trigger:?}");
        scene.over();
    }
}

/// A sandbox that has never heard of recvmmsg or sendmmsg says ENOSYS or EPERM.
#[test]
fn where_a_batch_is_refused_datagrams_go_one_by_one() {
    for call in [Call::Recvmmsg, Call::Sendmmsg] {
        for errno in [Errno::ENOSYS, Errno::EPERM] {
            for trigger in TRIGGERS {
                let mut scene = Scene::new(Config { trigger, ..Config::default() });
                scene.orders.refuse(call, errno, u64::MAX);
                for _ in 0..3 {
                    (0..40).for_each(|_| scene.ask());
                    (0..4).for_each(|_| scene.turn());
                    assert_eq!(scene.answers(), 40, "{call:?} {errno:?} {trigger:?}");
                }
                assert_eq!(scene.orders.count(call), 1, "refused once is refused for good");
                let stats = scene.server.stats();
                assert_eq!((stats.dropped, stats.errors), (0, 0), "{call:?} {errno:?}");
                scene.over();
            }
        }
    }
}

/// A firewall says EPERM of one datagram: whatever call sends it.
#[test]
fn a_firewall_that_refuses_a_datagram_costs_that_one_only() {
    let mut scene = Scene::new(Config::default());
    scene.orders.refuse_both([Call::Sendmmsg, Call::Sendto], Errno::EPERM, 2);
    (0..3).for_each(|_| scene.ask());
    (0..3).for_each(|_| scene.turn());
    let stats = scene.server.stats();
    assert_eq!((stats.dropped, stats.echoed), (2, 1));
    assert_eq!(scene.answers(), 1);
    let batches = scene.orders.count(Call::Sendmmsg);
    scene.ask();
    scene.turn();
    assert_eq!(scene.orders.count(Call::Sendmmsg), batches + 1, "batches go on being sent");
    scene.over();
}

/// A firewall that forbids answers from one address forbids them; they do not leave from another.
#[test]
fn an_answer_that_a_firewall_refuses_is_not_sent_from_another_address() {
    for (errno, echoed, calls) in [(Errno::EPERM, 0, 0), (Errno::ENOSYS, 1, 1)] {
        let (mut sim, orders) = (Sim::default(), Orders::default());
        let mut kernel = orders.over(sim.process());
        let (socket, _) = bind(&mut kernel, "0.0.0.0:5001");
        let mut server = Server::new(kernel, Config::default()).unwrap();
        server.open(socket).unwrap();
        let client = sim.socket(Family::Inet, Kind::Datagram).unwrap();
        sim.sendto(&client, b"ask", &"127.0.0.2:5001".parse().unwrap()).unwrap();
        orders.refuse_both([Call::Sendmmsg, Call::Sendmsg], errno, 1);
        server.turn(Some(sim.now())).unwrap();
        assert!(orders.are_carried_out());
        assert_eq!(orders.count(Call::Sendto), calls, "law: not by another way, after {errno}");
        let stats = server.stats();
        assert_eq!((stats.echoed, stats.dropped), (echoed, 1 - echoed), "{errno}");
        sim.close(client).unwrap();
    }
}

/// Each way to ask a server on a wildcard address at another address of the machine.
#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    for trigger in TRIGGERS {
        for refused in [None, Some(Call::Recvmmsg), Some(Call::Sendmmsg)] {
            for (bound, asked) in [
                ("0.0.0.0:5001", "127.0.0.1:5001"),
                ("0.0.0.0:5001", "127.0.0.2:5001"),
                ("0.0.0.0:5001", "127.200.3.4:5001"),
                ("127.0.0.9:5001", "127.0.0.9:5001"),
                ("[::]:5001", "[::1]:5001"),
            ] {
                let (mut sim, orders) = (Sim::default(), Orders::default());
                let mut kernel = orders.over(sim.process());
                let (socket, _) = bind(&mut kernel, bound);
                let config = Config { trigger, ..Config::default() };
                let mut server = Server::new(kernel, config).unwrap();
                server.open(socket).unwrap();
                if let Some(call) = refused {
                    orders.refuse(call, Errno::ENOSYS, u64::MAX);
                }
                let asked: Addr = asked.parse().unwrap();
                let client = sim.socket(asked.family().unwrap(), Kind::Datagram).unwrap();
                for _ in 0..2 {
                    sim.sendto(&client, b"ask", &asked).unwrap();
                    server.turn(Some(sim.now())).unwrap();
                    let answer = sim.recvfrom(&client, &mut [0; 8]);
                    assert_eq!(answer, Ok((3, asked)), "{bound} {refused:?} {trigger:?}");
                }
                sim.close(client).unwrap();
            }
        }
    }
}

/// The same on the real kernel, over every address of the loopback network.
#[test]
fn linux_takes_the_answer_from_the_address_that_was_asked() {
    let (socket, addr) = bind(&mut Linux, "0.0.0.0:0");
    let mut server = Server::new(Linux, Config::default()).unwrap();
    server.open(socket).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    for ip in ["127.0.0.1", "127.0.0.2", "127.1.2.3"] {
        let asked = std::net::SocketAddr::new(ip.parse().unwrap(), addr.port().unwrap());
        client.send_to(b"ask", asked).unwrap();
        server.turn(Some(Linux.now() + Duration::from_secs(10))).unwrap();
        assert_eq!(client.recv_from(&mut [0; 8]).unwrap(), (3, asked));
    }
}

/// Its queue is full and stays so: it loses its answers, and nobody else notices.
#[test]
fn a_unix_client_that_reads_nothing_costs_itself_only() {
    for trigger in TRIGGERS {
        let (mut sim, orders) = (Sim::default(), Orders::default());
        let mut kernel = orders.over(sim.process());
        let (socket, addr) = bind(&mut kernel, "unix:@server");
        let mut server = Server::new(kernel, Config { trigger, ..Config::default() }).unwrap();
        server.open(socket).unwrap();
        let clients = ["unix:@mute", "unix:@good"].map(|name| {
            let client = sim.socket(Family::Unix, Kind::Datagram).unwrap();
            sim.bind(&client, &name.parse().unwrap()).unwrap();
            client
        });
        let [mute, good] = clients;
        for _ in 0..40 {
            let _ = sim.sendto(&mute, b"m", &addr);
            server.turn(Some(sim.now())).unwrap();
        }
        assert!(server.stats().dropped > 0, "its queue is full");
        for _ in 0..3 {
            sim.sendto(&good, b"hello", &addr).unwrap();
            server.turn(Some(sim.now())).unwrap();
            assert_eq!(sim.recv(&good, &mut [0; 8]), Ok(5), "{trigger:?}: others are answered");
        }
        let calls = orders.count(Call::Sendmmsg);
        let end = sim.now() + Duration::from_secs(5);
        assert_eq!(server.turn(Some(end)), Ok(false), "{trigger:?}: nothing is left to do");
        assert_eq!(orders.count(Call::Sendmmsg), calls);
        sim.close(mute).unwrap();
        sim.close(good).unwrap();
    }
}

/// Readable and hung up for ever, with nothing to be read: by a duplicate that somebody shut.
#[test]
fn a_datagram_socket_that_was_shut_is_asked_now_and_then() {
    let cases = TRIGGERS.into_iter().flat_map(|it| [(it, Shut::Both), (it, Shut::Read)]);
    for (trigger, how) in cases {
        let (mut sim, orders) = (Sim::default(), Orders::default());
        let mut kernel = orders.over(sim.process());
        let (socket, _) = bind(&mut kernel, "127.0.0.1:5001");
        let _ = kernel.shutdown(&socket, how);
        let mut server = Server::new(kernel, Config { trigger, ..Config::default() }).unwrap();
        server.open(socket).unwrap();
        let end = sim.now() + Duration::from_secs(10);
        let mut turns = 0;
        while sim.now() < end && turns < TURNS_MAX {
            server.turn(Some(end)).unwrap();
            turns += 1;
        }
        assert!(turns <= 10 * 20, "invariant: no spin, but {trigger:?} {how:?} took {turns} turns");
        sim.advance(Duration::ZERO);
    }
}

#[test]
fn a_signal_while_sending_loses_no_datagram() {
    for trigger in TRIGGERS {
        let mut scene = Scene::new(Config { trigger, ..Config::default() });
        scene.orders.refuse(Call::Sendmmsg, Errno::EINTR, 3);
        (0..5).for_each(|_| scene.ask());
        (0..4).for_each(|_| scene.turn());
        assert!(scene.orders.are_carried_out());
        assert_eq!(scene.answers(), 5, "law: a signal costs nobody anything");
        assert_eq!(scene.server.stats().dropped, 0);
        scene.over();
    }
}

#[test]
fn a_signal_while_a_socket_is_opened_is_no_refusal() {
    let (sim, orders) = (Sim::default(), Orders::default());
    let mut kernel = orders.over(sim.process());
    let (socket, _) = bind(&mut kernel, "127.0.0.1:5001");
    let mut server = Server::new(kernel, Config::default()).unwrap();
    orders.refuse(Call::EpollCtl, Errno::EINTR, 3);
    assert!(server.open(socket).is_ok(), "law: a signal costs nobody anything");
    assert!(orders.are_carried_out());
}

fn bind(kernel: &mut impl Kernel, addr: &str) -> (Fd, Addr) {
    crate::deadline::arm();
    bind_datagram(kernel, &addr.parse().unwrap(), Sharing::Alone).unwrap()
}

/// A server with one socket, and a client of it.
struct Scene {
    sim: Sim,
    orders: Orders,
    server: Server<Refusing>,
    client: Fd,
}

impl Scene {
    fn new(config: Config) -> Self {
        let (mut sim, orders) = (Sim::default(), Orders::default());
        let mut kernel = orders.over(sim.process());
        let (socket, addr) = bind(&mut kernel, "127.0.0.1:5001");
        let mut server = Server::new(kernel, config).unwrap();
        server.open(socket).unwrap();
        let client = sim.socket(Family::Inet, Kind::Datagram).unwrap();
        sim.connect(&client, &addr).unwrap();
        Self { sim, orders, server, client }
    }

    fn ask(&mut self) {
        assert_eq!(self.sim.send(&self.client, b"question"), Ok(8));
    }

    /// One turn that does not wait.
    fn turn(&mut self) {
        let now = self.sim.now();
        self.server.turn(Some(now)).unwrap();
    }

    fn answers(&mut self) -> usize {
        let Self { sim, client, .. } = self;
        core::iter::from_fn(|| sim.recv(client, &mut [0; 16]).ok()).count()
    }

    fn over(mut self) {
        self.sim.close(self.client).unwrap();
    }
}
