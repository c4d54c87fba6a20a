//! The stream server: leaving, pausing, and what it tells.

use core::num::NonZeroU32;
use core::time::Duration;

use epollite::server::stream::{Config, Note, Server, Turn};
use epollite::server::{Sharing, bind_stream};
use epollite::{Addr, Call, Errno, Fd, Kernel, Kind, Shut, Sim, Trigger};

use crate::refusing::{Orders, Refusing};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

/// More turns than any of these scenes needs.
const TURNS_MAX: u32 = 10_000;

#[test]
fn leaving_answers_all_that_has_arrived_whatever_the_budget() {
    for trigger in TRIGGERS {
        for wanted in ["127.0.0.1:7777", "unix:@leaving"] {
            for is_accepted in [true, false] {
                let config = Config { trigger, buffer_bytes: 16, budget_bytes: 10, ..SMALL };
                let mut scene = Scene::at(wanted, config);
                let client = scene.connect();
                if is_accepted {
                    scene.turn();
                }
                let said = scene.say(&client, 5_000);
                scene.sim.shutdown(&client, Shut::Write).unwrap();
                scene.server.stop();
                let heard = scene.hear_to_the_end(&client);
                assert_eq!(
                    heard, said,
                    "law: what has arrived is answered ({trigger:?}, {wanted})"
                );
                scene.sim.close(client).unwrap();
                scene.leaves();
            }
        }
    }
}

#[test]
fn leaving_answers_and_ends_who_does_not_end_whatever_the_budget() {
    for trigger in TRIGGERS {
        // Once what has arrived is used up amid a turn, once at the very end of one.
        for budget_bytes in [7, 10] {
            let config = Config { trigger, buffer_bytes: 16, budget_bytes, ..SMALL };
            let mut scene = Scene::at("127.0.0.1:7777", config);
            let client = scene.connect();
            let said = scene.say(&client, 5_000);
            scene.server.stop();
            let heard = scene.hear_to_the_end(&client);
            assert_eq!(heard, said, "law: what has arrived is answered, in {trigger:?}");
            scene.sim.close(client).unwrap();
            scene.leaves();
        }
    }
}

#[test]
fn silence_does_not_cut_short_what_is_owed_to_who_leaves() {
    for trigger in TRIGGERS {
        let (idle, drain) = (Some(Duration::from_secs(1)), Duration::from_secs(3_600));
        let mut scene = Scene::at(
            "127.0.0.1:7777",
            Config { trigger, idle, drain, budget_bytes: 5_000, ..SMALL },
        );
        let client = scene.connect();
        let mut said = 0;
        for _ in 0..1_000 {
            said += scene.say(&client, 4_096);
            scene.turn();
        }
        assert!(scene.server.owed_bytes() > 0, "it owes something");
        scene.server.stop();
        // Far longer than silence is suffered, far shorter than leaving may take.
        for _ in 0..10 {
            scene.sim.advance(Duration::from_secs(1));
            assert_ne!(scene.turn(), Turn::Over, "law: who is owed something is waited for");
        }
        let heard = scene.hear_to_the_end(&client);
        assert!(heard > 0 && heard <= said, "law: output is a prefix of input");
        assert_eq!(scene.server.stats().bytes_out, heard as u64, "law: what is owed is paid");
        assert_eq!(scene.server.stats().bytes_in, heard as u64, "law: what is owed is paid");
        scene.sim.close(client).unwrap();
        scene.leaves();
    }
}

#[test]
fn pauses_that_nobody_asks_about_do_not_pile_up() {
    let config = Config { connections_max: 1, tell: false, ..SMALL };
    let mut scene = Scene::at("127.0.0.1:7777", config);
    let mut waiting = scene.connect();
    for _ in 0..100 {
        // The one who is in goes, the next comes in, and one more waits at the door.
        let next = scene.connect();
        scene.turn();
        scene.sim.close(core::mem::replace(&mut waiting, next)).unwrap();
        scene.turn();
    }
    scene.sim.close(waiting).unwrap();
    assert!(scene.server.stats().pauses >= 100, "it paused again and again");
    assert_eq!(scene.server.note(), Some(Note::Paused { errno: None }));
    assert_eq!(scene.server.note(), None, "law: memory is bounded");
    scene.leaves();
}

#[test]
fn notes_that_nobody_takes_do_not_pile_up() {
    const SAID: usize = 70_000;
    let mut scene = Scene::at("127.0.0.1:7777", Config { tell: true, ..SMALL });
    let client = scene.connect();
    scene.turn();
    for _ in 0..SAID {
        scene.say(&client, 1);
        scene.turn();
        assert_eq!(scene.sim.recv(&client, &mut [0; 4]), Ok(1));
    }
    let notes = core::iter::from_fn(|| scene.server.note()).count();
    assert_eq!(notes, 1 << 16, "law: memory is bounded, and what is kept is told");
    scene.sim.close(client).unwrap();
    scene.leaves();
}

#[test]
fn a_door_whose_arming_fails_once_is_not_deaf() {
    // A door that is watched for edges is never armed anew.
    for trigger in [Trigger::Level, Trigger::OneShot] {
        let config = Config { trigger, connections_max: 1, ..SMALL };
        let mut scene = Scene::at("127.0.0.1:7777", config);
        let first = scene.connect();
        let second = scene.connect();
        scene.turn();
        scene.say(&second, 5);
        // The next that is changed is the door, when the first has left.
        scene.orders.refuse(Call::EpollCtl, Errno::ENOMEM, 1);
        scene.sim.close(first).unwrap();
        for _ in 0..20 {
            scene.turn();
            scene.sim.advance(Duration::from_millis(100));
        }
        assert_eq!(
            scene.sim.recv(&second, &mut [0; 16]),
            Ok(5),
            "law: a door is not deaf for ever"
        );
        scene.sim.close(second).unwrap();
        scene.leaves();
    }
}

#[test]
fn a_signal_at_the_door_turns_nobody_away() {
    let mut scene = Scene::at("127.0.0.1:7777", SMALL);
    let client = scene.connect();
    scene.orders.refuse(Call::EpollCtl, Errno::EINTR, 3);
    scene.turn();
    assert!(scene.orders.are_carried_out());
    scene.say(&client, 5);
    scene.turn();
    assert_eq!(scene.sim.recv(&client, &mut [0; 16]), Ok(5), "law: a signal costs nobody anything");
    scene.sim.close(client).unwrap();
    scene.leaves();
}

/// A server of bounds that are never in the way.
pub(crate) const SMALL: Config = Config {
    trigger: Trigger::Level,
    connections_max: 10,
    buffer_bytes: 4_096,
    budget_bytes: 4_096,
    events_max: NonZeroU32::new(256).unwrap(),
    accepts_max: 4,
    idle: None,
    drain: Duration::from_secs(5),
    linger: Duration::from_secs(1),
    tell: false,
};

/// A server, its clients, and what the kernel refuses.
pub(crate) struct Scene {
    pub(crate) sim: Sim,
    pub(crate) orders: Orders,
    pub(crate) server: Server<Refusing>,
    pub(crate) addr: Addr,
    /// It is said once only.
    is_over: bool,
}

impl Scene {
    pub(crate) fn at(wanted: &str, config: Config) -> Self {
        Self::on(Sim::default(), wanted, config)
    }

    pub(crate) fn on(sim: Sim, wanted: &str, config: Config) -> Self {
        let orders = Orders::default();
        let mut server = Server::new(orders.over(sim.process()), config).unwrap();
        let wanted = wanted.parse().unwrap();
        let (door, addr) = bind_stream(server.kernel(), &wanted, Sharing::Alone).unwrap();
        server.open(door).unwrap();
        Self { sim, orders, server, addr, is_over: false }
    }

    pub(crate) fn connect(&mut self) -> Fd {
        let socket = self.sim.socket(self.addr.family().unwrap(), Kind::Stream).unwrap();
        let connected = self.sim.connect(&socket, &self.addr);
        assert!(matches!(connected, Ok(()) | Err(Errno::EINPROGRESS)));
        socket
    }

    /// Says as many of `bytes` as there is room for; returns how many.
    pub(crate) fn say(&mut self, client: &Fd, bytes: usize) -> usize {
        self.sim.send(client, &vec![7; bytes]).unwrap_or(0)
    }

    /// One turn that does not wait.
    pub(crate) fn turn(&mut self) -> Turn {
        let now = self.server.kernel().now();
        let turn = self.server.turn(Some(now)).unwrap();
        self.is_over |= turn == Turn::Over;
        turn
    }

    /// All that comes until the orderly end.
    fn hear_to_the_end(&mut self, client: &Fd) -> usize {
        let mut heard = 0;
        for _ in 0..TURNS_MAX {
            self.turn();
            match self.sim.recv(client, &mut [0; 4_096]) {
                Ok(0) => return heard,
                Ok(count) => heard += count,
                Err(errno) => assert_eq!(errno, Errno::EAGAIN, "law: nobody is thrown out"),
            }
        }
        let config = &self.server;
        panic!(
            "law: nobody waits for ever, but a client that heard {heard} bytes does: {config:?}"
        );
    }

    /// The server goes, in time.
    pub(crate) fn leaves(mut self) {
        self.server.stop();
        for _ in 0..TURNS_MAX {
            if self.is_over {
                return;
            }
            self.turn();
            self.sim.advance(Duration::from_millis(100));
        }
        panic!("law: the server leaves within its drain time");
    }
}
