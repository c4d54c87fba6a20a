//! What the servers ask the kernel, call by call on the model: no more than is needed, and no
//! less; and what they make of each answer.

use epollite::kernel::{Tap, Tapped};
use epollite::server::stream::{Config, Herd, Note, Server, Turn};
use epollite::server::{Sharing, bind_datagram, bind_stream, datagram};
use epollite::{Addr, Call, Errno, Family, Fd, Instant, Kernel, Kind, Sim, Trigger};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

#[test]
fn an_echo_is_three_calls_and_what_its_trigger_costs() {
    // Bytes of a message, beside a buffer of eight; recv calls, by trigger, for TCP and Unix.
    for (bytes, tcp, unix) in [(5, [1, 1, 1, 1], [1, 2, 1, 1]), (8, [1, 2, 1, 1], [1, 2, 1, 1])] {
        for (wanted, recvs) in [("127.0.0.1:7777", tcp), ("unix:@asking", unix)] {
            for (trigger, recvs) in TRIGGERS.into_iter().zip(recvs) {
                let config = Config { trigger, buffer_bytes: 8, ..Config::default() };
                let mut scene = Scene::begin(wanted, config);
                let client = scene.connect();
                scene.settle();
                scene.forget();
                assert_eq!(scene.sim.send(&client, &b"messages"[..bytes]), Ok(bytes));
                assert_eq!(scene.turn(), Turn::Served);
                let is_rearmed = matches!(trigger, Trigger::OneShot | Trigger::EdgeOneShot);
                let calls = [Call::EpollWait, Call::Recv, Call::Send, Call::EpollCtl];
                let made = calls.map(|call| scene.made(call));
                let wanted = [1, recvs, 1, usize::from(is_rearmed)];
                assert_eq!(made, wanted, "{calls:?} for {bytes} bytes, {trigger:?}");
                scene.settle();
                scene.sim.close(client).unwrap();
            }
        }
    }
}

#[test]
fn nothing_comes_of_a_silent_client_over_unix() {
    // Over TCP there is one event of room to write; over Unix there would be many.
    for (wanted, spurious) in [("127.0.0.1:7777", 1), ("unix:@silent", 0)] {
        let mut scene = Scene::begin(wanted, Config::default());
        let client = scene.connect();
        scene.settle();
        assert_eq!(scene.server.stats().spurious, spurious, "{wanted}");
        scene.sim.close(client).unwrap();
    }
}

#[test]
fn failures_alone_are_no_reason_to_go_on_asking() {
    for trigger in [Trigger::Level, Trigger::Edge] {
        for accepts_max in [1, 3, 100] {
            let config = Config { trigger, accepts_max, ..Config::default() };
            let mut scene = Scene::begin("127.0.0.1:7777", config);
            let client = scene.connect();
            scene.refuse(Call::Accept4, Errno::ECONNABORTED, 64);
            scene.settle();
            let stats = scene.server.stats();
            assert_eq!((stats.aborted, stats.pauses, stats.accepted), (64, 1, 0), "{trigger:?}");
            scene.sim.advance(core::time::Duration::from_secs(1));
            scene.settle();
            assert_eq!(scene.server.stats().accepted, 1, "law: hope comes back ({trigger:?})");
            scene.sim.close(client).unwrap();
        }
    }
}

#[test]
fn a_connection_that_is_gone_does_not_keep_the_next_one_waiting() {
    for herd in [None, Some(Herd::Exclusive), Some(Herd::Rotating)] {
        for trigger in [Trigger::Level, Trigger::Edge] {
            for gone in [1, 63] {
                let config = Config { trigger, accepts_max: 1, ..Config::default() };
                let mut scene = Scene::shared("127.0.0.1:7777", config, herd);
                let client = scene.connect();
                scene.refuse(Call::Accept4, Errno::ECONNABORTED, gone);
                scene.settle();
                let stats = scene.server.stats();
                let counted = (stats.aborted, stats.pauses, stats.accepted);
                assert_eq!(counted, (gone.into(), 0, 1), "{trigger:?} {herd:?}");
                scene.sim.close(client).unwrap();
            }
        }
    }
}

/// What the reactor says when it finds no descriptor to sleep with.
#[test]
fn a_wait_that_found_no_descriptor_does_not_end_a_server() {
    let mut scene = Scene::begin("127.0.0.1:7777", Config::default());
    scene.refuse(Call::EpollWait, Errno::EMFILE, 1);
    assert_eq!(scene.turn(), Turn::Served, "law: not the end");
    let client = scene.connect();
    scene.settle();
    assert_eq!(scene.server.stats().accepted, 1);
    scene.sim.close(client).unwrap();
    let mut post = Post::begin(Trigger::Edge);
    post.refuse(Call::EpollWait, Errno::EMFILE, 1);
    assert_eq!(post.server.turn(Some(Instant::ZERO)), Ok(true), "law: not the end");
    post.go();
}

#[test]
fn a_crowd_at_the_door_is_no_failure() {
    for trigger in [Trigger::Level, Trigger::Edge] {
        let config = Config { trigger, accepts_max: 3, ..Config::default() };
        let mut scene = Scene::begin("127.0.0.1:7777", config);
        let clients: Vec<Fd> = (0..10).map(|_| scene.connect()).collect();
        scene.settle();
        let stats = scene.server.stats();
        assert_eq!((stats.accepted, stats.pauses, stats.aborted), (10, 0, 0), "{trigger:?}");
        for client in clients {
            scene.sim.close(client).unwrap();
        }
    }
}

#[test]
fn out_of_descriptors_the_door_is_left_alone_and_the_reason_told() {
    for trigger in [Trigger::Level, Trigger::Edge] {
        let mut scene = Scene::begin("127.0.0.1:7777", Config { trigger, ..Config::default() });
        let client = scene.connect();
        scene.refuse(Call::Accept4, Errno::EMFILE, 1);
        assert_eq!(scene.turn(), Turn::Served);
        let stats = scene.server.stats();
        assert_eq!((stats.aborted, stats.pauses, stats.accepted), (0, 1, 0), "{trigger:?}");
        assert_eq!(scene.server.note(), Some(Note::Paused { errno: Some(Errno::EMFILE) }));
        scene.forget();
        assert_eq!(scene.turn(), Turn::Idle, "law: a door that cannot be served is not asked");
        assert_eq!(scene.made(Call::Accept4), 0);
        scene.sim.close(client).unwrap();
    }
}

#[test]
fn who_cannot_be_waited_for_is_counted_as_gone() {
    let mut scene = Scene::begin("127.0.0.1:7777", Config::default());
    let client = scene.connect();
    scene.refuse(Call::EpollCtl, Errno::ENOSPC, 1);
    scene.turn();
    let stats = scene.server.stats();
    assert_eq!((stats.aborted, stats.pauses, stats.accepted), (1, 1, 0));
    scene.sim.close(client).unwrap();
}

#[test]
fn a_batch_that_is_not_full_was_the_last() {
    for trigger in TRIGGERS {
        // Three fit into a batch: after three it is not known whether there are more.
        for (letters, recvs) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
            let mut post = Post::begin(trigger);
            for number in 0..letters {
                post.send(&[number]);
            }
            post.forget();
            post.turn();
            assert_eq!(post.made(Call::Recvmmsg), recvs, "{letters} letters, {trigger:?}");
            let stats = post.server.stats();
            let letters = u64::from(letters);
            assert_eq!((stats.received, stats.echoed), (letters, letters));
            assert_eq!((stats.bytes_in, stats.bytes_out), (letters, letters));
            assert_eq!((stats.useful, stats.spurious), (1, 0));
            for number in 0..letters {
                assert_eq!(post.hear(), Some(vec![u8::try_from(number).unwrap()]));
            }
            post.go();
        }
    }
}

#[test]
fn an_error_that_waits_is_taken_and_what_is_behind_it_is_served() {
    for (errno, errors) in [(Errno::ECONNREFUSED, 1), (Errno::EINTR, 0)] {
        let mut post = Post::begin(Trigger::Edge);
        post.send(b"behind it");
        post.refuse(Call::Recvmmsg, errno, 1);
        post.turn();
        let stats = post.server.stats();
        assert_eq!((stats.errors, stats.echoed, stats.useful), (errors, 1, 1), "{errno:?}");
        post.go();
    }
}

#[test]
fn to_look_for_letters_in_vain_is_spurious() {
    let mut post = Post::begin(Trigger::Level);
    post.send(b"there");
    post.refuse(Call::Recvmmsg, Errno::EAGAIN, 1);
    post.turn();
    let stats = post.server.stats();
    assert_eq!((stats.useful, stats.spurious), (0, 1));
    // Level-triggered, it is reported again.
    post.turn();
    assert_eq!(post.server.stats().useful, 1);
    post.go();
}

#[test]
fn what_the_system_will_not_take_is_dropped_and_counted_one_by_one() {
    let mut post = Post::begin(Trigger::Edge);
    for word in [&b"a"[..], b"b", b"c"] {
        post.send(word);
    }
    post.refuse(Call::Sendmmsg, Errno::EHOSTUNREACH, 2);
    post.turn();
    let stats = post.server.stats();
    assert_eq!((stats.dropped, stats.echoed, stats.bytes_out), (2, 1, 1));
    assert_eq!(
        post.hear(),
        Some(b"c".to_vec()),
        "law: one that is refused does not hold up others"
    );
    post.go();
}

#[test]
fn a_budget_that_is_spent_leaves_a_reminder_where_nobody_else_reminds() {
    for trigger in TRIGGERS {
        let mut post = Post::begin(trigger);
        // Two batches of three a turn.
        for number in 0..20 {
            post.send(&[number]);
        }
        let mut turns = 0;
        while post.server.stats().received < 20 {
            assert!(turns < 10, "law: who is not reminded reminds himself ({trigger:?})");
            post.turn();
            turns += 1;
        }
        assert_eq!(turns, 4, "six a turn ({trigger:?})");
        post.go();
    }
}

/// Calls that were made, and those that are to be refused.
#[derive(Debug, Default)]
struct Ear {
    made: Vec<Call>,
    refused: Option<(Call, Errno, u32)>,
}

impl Tap for Ear {
    fn enter(&mut self, call: Call) -> Result<(), Errno> {
        self.made.push(call);
        match &mut self.refused {
            Some((refused, errno, times)) if *refused == call && *times > 0 => {
                *times -= 1;
                Err(*errno)
            }
            _ => Ok(()),
        }
    }

    fn leave(&mut self, _: Call, _: Option<Errno>) {}
}

struct Scene {
    sim: Sim,
    server: Server<Tapped<Sim, Ear>>,
    addr: Addr,
}

impl Scene {
    fn begin(wanted: &str, config: Config) -> Self {
        Self::shared(wanted, config, None)
    }

    fn shared(wanted: &str, config: Config, herd: Option<Herd>) -> Self {
        let sim = Sim::default();
        let kernel = Tapped { kernel: sim.process(), tap: Ear::default() };
        let mut server = Server::new(kernel, config).unwrap();
        let wanted: Addr = wanted.parse().unwrap();
        let (door, addr) = bind_stream(server.kernel(), &wanted, Sharing::Alone).unwrap();
        match herd {
            None => server.open(door).unwrap(),
            Some(herd) => server.open_shared(door, herd).unwrap(),
        };
        Self { sim, server, addr }
    }

    fn connect(&mut self) -> Fd {
        let socket = self.sim.socket(self.addr.family().unwrap(), Kind::Stream).unwrap();
        let connected = self.sim.connect(&socket, &self.addr);
        assert!(matches!(connected, Ok(()) | Err(Errno::EINPROGRESS)), "{connected:?}");
        socket
    }

    fn turn(&mut self) -> Turn {
        self.server.turn(Some(Instant::ZERO)).expect("law: no errno ends the server")
    }

    fn settle(&mut self) {
        while self.turn() == Turn::Served {}
    }

    fn refuse(&mut self, call: Call, errno: Errno, times: u32) {
        self.server.kernel().tap.refused = Some((call, errno, times));
    }

    fn forget(&mut self) {
        self.server.kernel().tap.made.clear();
    }

    fn made(&mut self, call: Call) -> usize {
        self.server.kernel().tap.made.iter().filter(|made| **made == call).count()
    }
}

/// A datagram server, and one who writes letters to it.
struct Post {
    sim: Sim,
    server: datagram::Server<Tapped<Sim, Ear>>,
    addr: Addr,
    writer: Fd,
}

impl Post {
    fn begin(trigger: Trigger) -> Self {
        let mut sim = Sim::default();
        let kernel = Tapped { kernel: sim.process(), tap: Ear::default() };
        let config = datagram::Config {
            trigger,
            datagrams_max: 3,
            batches_max: 2,
            ..datagram::Config::default()
        };
        let mut server = datagram::Server::new(kernel, config).unwrap();
        let wanted: Addr = "127.0.0.1:7777".parse().unwrap();
        let (socket, addr) = bind_datagram(server.kernel(), &wanted, Sharing::Alone).unwrap();
        server.open(socket).unwrap();
        let writer = sim.socket(Family::Inet, Kind::Datagram).unwrap();
        Self { sim, server, addr, writer }
    }

    fn send(&mut self, letter: &[u8]) {
        assert_eq!(self.sim.sendto(&self.writer, letter, &self.addr), Ok(letter.len()));
    }

    fn hear(&mut self) -> Option<Vec<u8>> {
        let mut buf = [0; 64];
        let (length, _) = self.sim.recvfrom(&self.writer, &mut buf).ok()?;
        Some(buf[..length].to_vec())
    }

    fn turn(&mut self) {
        self.server.turn(Some(Instant::ZERO)).expect("law: no errno ends the server");
    }

    fn refuse(&mut self, call: Call, errno: Errno, times: u32) {
        self.server.kernel().tap.refused = Some((call, errno, times));
    }

    fn forget(&mut self) {
        self.server.kernel().tap.made.clear();
    }

    fn made(&mut self, call: Call) -> usize {
        self.server.kernel().tap.made.iter().filter(|made| **made == call).count()
    }

    fn go(mut self) {
        self.sim.close(self.writer).unwrap();
    }
}
