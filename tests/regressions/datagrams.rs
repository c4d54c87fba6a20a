//! The datagram server: loops, full batches, lasting errors, signals, and what it tells.

use core::time::Duration;
use std::net::UdpSocket;

use epollite::server::datagram::{Config, Server};
use epollite::server::{Sharing, bind_datagram};
use epollite::{Addr, Call, Errno, Family, Fd, Kernel, Kind, Linux, Sim, Trigger};

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

fn bind(kernel: &mut Refusing, addr: &str) -> (Fd, Addr) {
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
