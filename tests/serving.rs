//! What the stream server counts, tells and waits for, turn by turn on the model, whose clock
//! stands still unless it is told.

use core::time::Duration;

use epollite::server::stream::{Config, Left, Note, Server, Stats, Turn};
use epollite::server::{Sharing, bind_stream, datagram};
use epollite::sim::Config as World;
use epollite::{
    Addr, Call, Errno, Event, Faults, Faulty, Fd, Instant, Interest, Kernel, Kind, Shut, Sim,
    SocketOption, Trigger,
};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

#[test]
fn a_conversation_is_counted_and_told_to_the_byte() {
    for trigger in TRIGGERS {
        let mut scene = Scene::begin(Config { trigger, tell: true, ..Config::default() });
        let client = scene.connect();
        scene.say(&client, b"hello");
        scene.settle();
        scene.say(&client, b"again and again");
        scene.settle();
        scene.sim.shutdown(&client, Shut::Write).unwrap();
        scene.settle();
        let stats = scene.server.stats();
        let wanted = Stats {
            accepted: 1,
            closed: 1,
            bytes_in: 20,
            bytes_out: 20,
            echoes: 2,
            useful: stats.useful,
            spurious: stats.spurious,
            ..Stats::default()
        };
        assert_eq!(stats, wanted, "{trigger:?}");
        assert!(stats.useful >= 4, "the door, two messages, the end: {stats:?}");
        let notes: Vec<Note> = core::iter::from_fn(|| scene.server.note()).collect();
        let [Note::Connected { token, peer }, said @ .., Note::Left { why: Left::Closed, .. }] =
            &notes[..]
        else {
            panic!("{notes:?}")
        };
        let bytes = said.iter().map(|note| match note {
            Note::Said { token: who, bytes } if who == token => *bytes,
            other => panic!("{other:?} among {notes:?}"),
        });
        assert_eq!(bytes.collect::<Vec<_>>(), [5, 15], "law: a message is told once");
        assert_eq!(*peer, scene.sim.getsockname(&client).unwrap());
        scene.sim.close(client).unwrap();
    }
}

#[test]
fn who_is_not_asked_to_tell_tells_nothing() {
    let mut scene = Scene::begin(Config::default());
    let client = scene.connect();
    scene.say(&client, b"hello");
    scene.settle();
    scene.sim.close(client).unwrap();
    scene.settle();
    assert_eq!(scene.server.note(), None);
}

#[test]
fn only_a_broken_connection_is_counted_as_broken() {
    let mut scene = Scene::begin(Config::default());
    let orderly = scene.connect();
    let rude = scene.connect();
    scene.settle();
    scene.sim.setsockopt(&rude, SocketOption::LingerSeconds(Some(0))).unwrap();
    scene.sim.close(orderly).unwrap();
    scene.settle();
    assert_eq!((scene.server.stats().closed, scene.server.stats().reset), (1, 0));
    scene.sim.close(rude).unwrap();
    scene.settle();
    assert_eq!((scene.server.stats().closed, scene.server.stats().reset), (2, 1));
    assert_eq!(scene.server.connections(), 0);
}

#[test]
fn an_event_is_useful_or_spurious_and_never_both() {
    let mut scene = Scene::begin(Config { trigger: Trigger::Edge, ..Config::default() });
    let client = scene.connect();
    scene.turn();
    assert_eq!(counts(&scene), (1, 0), "somebody came in");
    scene.turn();
    assert_eq!(counts(&scene), (1, 1), "there is room to write, and nothing to be written");
    scene.say(&client, b"hello");
    scene.turn();
    assert_eq!(counts(&scene), (2, 1), "a message is something to do");
    scene.sim.close(client).unwrap();
}

#[test]
fn an_event_for_who_was_dismissed_meanwhile_is_stale() {
    let sim = Sim::default();
    let mut server = Server::<_, u8>::new(sim.process(), Config::default()).unwrap();
    let bells = [1, 2].map(|name| {
        let fd = server.kernel().eventfd(1).unwrap();
        server.admit(fd, Interest::READABLE, Trigger::Level, name).unwrap()
    });
    let Ok(Turn::Foreign(Event::Io { token, .. })) = server.turn(None) else { panic!() };
    let other = if token == bells[0] { bells[1] } else { bells[0] };
    let (fd, _) = server.dismiss(other).unwrap();
    server.kernel().close(fd).unwrap();
    assert_eq!(server.stats().stale, 0, "it has not been looked at");
    let _ = server.turn(Some(Instant::ZERO));
    assert_eq!(server.stats().stale, 1, "law: a stale event is counted, and goes nowhere");
    let (useful, spurious) = (server.stats().useful, server.stats().spurious);
    assert_eq!((useful, spurious), (0, 0), "what is the caller's is not the server's doing");
}

#[test]
fn silence_is_counted_from_the_last_word() {
    for trigger in TRIGGERS {
        let idle = Some(Duration::from_millis(1_000));
        let mut scene = Scene::begin(Config { trigger, idle, tell: true, ..Config::default() });
        let client = scene.connect();
        scene.settle();
        scene.after(900);
        scene.say(&client, b"still here");
        scene.settle();
        // A second after it came, and a second after it spoke but for a millisecond.
        scene.after(999);
        assert_eq!(scene.server.stats().timed_out, 0, "law: he has spoken since ({trigger:?})");
        let useful = scene.server.stats().useful;
        scene.after(1);
        let stats = scene.server.stats();
        assert_eq!(stats.timed_out, 1, "law: silence has an end ({trigger:?})");
        assert!(stats.useful > useful, "to show somebody out is something to do");
        assert_eq!(scene.hear(&client), b"still here");
        assert_eq!(scene.sim.recv(&client, &mut [0; 8]), Ok(0), "asked to leave, in order");
        // Asked once, whatever else comes.
        scene.after(500);
        assert_eq!(scene.server.stats().timed_out, 1);
        scene.sim.close(client).unwrap();
        scene.settle();
        assert!(scene.has_left(Left::Idle), "law: why is told");
    }
}

#[test]
fn who_is_asked_to_leave_and_stays_is_left() {
    for trigger in TRIGGERS {
        let idle = Some(Duration::from_millis(1_000));
        let linger = Duration::from_millis(300);
        let mut scene =
            Scene::begin(Config { trigger, idle, linger, tell: true, ..Config::default() });
        let client = scene.connect();
        scene.settle();
        scene.after(1_000);
        scene.after(299);
        assert_eq!(scene.server.connections(), 1, "law: he has time to end ({trigger:?})");
        scene.after(1);
        assert_eq!(scene.server.connections(), 0, "law: and no more than that ({trigger:?})");
        assert!(scene.has_left(Left::Idle));
        scene.sim.close(client).unwrap();
    }
}

#[test]
fn to_look_in_vain_is_no_sign_of_life() {
    let idle = Some(Duration::from_millis(1_000));
    let config = Config { trigger: Trigger::Edge, idle, budget_bytes: 4, ..Config::default() };
    let mut scene = Scene::begin(config);
    let client = scene.connect();
    scene.turn();
    scene.turn();
    scene.say(&client, b"word");
    scene.turn();
    // The budget went out with the last byte: whether there is more is seen later.
    scene.sim.advance(Duration::from_millis(800));
    let spurious = scene.server.stats().spurious;
    scene.settle();
    assert_eq!(scene.server.stats().spurious, spurious + 1, "there was no more");
    scene.after(200);
    assert_eq!(scene.server.stats().timed_out, 1, "law: silence is silence");
    scene.sim.close(client).unwrap();
}

#[test]
fn a_stuck_client_holds_the_end_up_for_the_drain_time_and_no_longer() {
    for trigger in TRIGGERS {
        let drain = Duration::from_millis(700);
        let small = World { receive_buffer_bytes: 512, send_buffer_bytes: 512, ..World::default() };
        let config = Config { trigger, drain, tell: true, ..Config::default() };
        let mut scene = Scene::at("127.0.0.1:7777", config, small);
        let client = scene.connect();
        for _ in 0..20 {
            let _ = scene.sim.send(&client, &[b'x'; 512]);
            scene.turn();
        }
        scene.server.stop();
        scene.after(699);
        assert_eq!(scene.server.connections(), 1, "law: there is time to pay ({trigger:?})");
        // Without a deadline of ours the server's own ends the wait.
        let mut turn = scene.server.turn(None);
        while turn == Ok(Turn::Served) {
            turn = scene.server.turn(None);
        }
        assert!(matches!(turn, Ok(Turn::Over | Turn::Idle)), "{turn:?} ({trigger:?})");
        assert_eq!(scene.server.connections(), 0, "law: and no more than that ({trigger:?})");
        assert!(scene.has_left(Left::Expired));
        scene.sim.close(client).unwrap();
    }
}

#[test]
fn a_wait_that_is_interrupted_for_ever_is_a_turn_and_no_error() {
    let faults = Faults::for_ever(0, Errno::EINTR).only(Call::EpollWait);
    let kernel = Faulty::over(Sim::default(), faults);
    let mut server = Server::<_>::new(kernel, Config::default()).unwrap();
    assert_eq!(server.turn(Some(Instant::ZERO)), Ok(Turn::Served));
    let kernel = Faulty::over(Sim::default(), faults);
    let mut server = datagram::Server::new(kernel, datagram::Config::default()).unwrap();
    assert_eq!(server.turn(Some(Instant::ZERO)), Ok(true));
}

#[test]
fn what_two_servers_counted_adds_up() {
    let stats = Stats {
        accepted: 1,
        closed: 2,
        reset: 3,
        timed_out: 4,
        aborted: 5,
        pauses: 6,
        bytes_in: 7,
        bytes_out: 8,
        echoes: 9,
        useful: 10,
        spurious: 11,
        stale: 12,
    };
    let mut sum = stats;
    sum.add(&stats);
    sum.add(&stats);
    assert_eq!(thrice(&format!("{stats:?}")), format!("{sum:?}"));
    let stats = datagram::Stats {
        received: 1,
        echoed: 2,
        truncated: 3,
        refused: 4,
        dropped: 5,
        errors: 6,
        bytes_in: 7,
        bytes_out: 8,
        useful: 9,
        spurious: 10,
    };
    let mut sum = stats;
    sum.add(&stats);
    sum.add(&stats);
    assert_eq!(thrice(&format!("{stats:?}")), format!("{sum:?}"));
}

/// The same text with every number three times as large.
fn thrice(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !c.is_ascii_digit());
    let word = |word: &str| {
        let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
        match digits.parse::<u64>() {
            Ok(number) => format!("{}{}", 3 * number, &word[digits.len()..]),
            Err(_) => word.to_owned(),
        }
    };
    words.map(word).collect()
}

struct Scene {
    sim: Sim,
    server: Server<Sim>,
    addr: Addr,
}

impl Scene {
    fn begin(config: Config) -> Self {
        Self::at("127.0.0.1:7777", config, World::default())
    }

    fn at(wanted: &str, config: Config, world: World) -> Self {
        let sim = Sim::new(world);
        let mut server = Server::new(sim.process(), config).unwrap();
        let wanted: Addr = wanted.parse().unwrap();
        let (door, addr) = bind_stream(server.kernel(), &wanted, Sharing::Alone).unwrap();
        server.open(door).unwrap();
        Self { sim, server, addr }
    }

    fn connect(&mut self) -> Fd {
        let socket = self.sim.socket(self.addr.family().unwrap(), Kind::Stream).unwrap();
        let connected = self.sim.connect(&socket, &self.addr);
        assert!(matches!(connected, Ok(()) | Err(Errno::EINPROGRESS)), "{connected:?}");
        socket
    }

    fn say(&mut self, client: &Fd, words: &[u8]) {
        assert_eq!(self.sim.send(client, words), Ok(words.len()));
    }

    fn hear(&mut self, client: &Fd) -> Vec<u8> {
        let mut buf = [0; 64];
        let count = self.sim.recv(client, &mut buf).unwrap();
        buf[..count].to_vec()
    }

    fn turn(&mut self) -> Turn {
        self.server.turn(Some(Instant::ZERO)).expect("law: no errno ends the server")
    }

    fn settle(&mut self) {
        while self.turn() == Turn::Served {}
    }

    /// Lets time pass, and the server see that it has.
    fn after(&mut self, millis: u64) {
        self.sim.advance(Duration::from_millis(millis));
        self.settle();
    }

    fn has_left(&mut self, why: Left) -> bool {
        core::iter::from_fn(|| self.server.note())
            .any(|note| matches!(note, Note::Left { why: left, .. } if left == why))
    }
}

fn counts(scene: &Scene) -> (u64, u64) {
    (scene.server.stats().useful, scene.server.stats().spurious)
}
