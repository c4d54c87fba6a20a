//! The stream server: listeners that are ready and useless, and listeners that come late.

use core::time::Duration;

use epollite::server::stream::{Config, Herd, Note, Server};
use epollite::server::{Sharing, bind_stream};
use epollite::{Call, Counted, Errno, Fd, Kernel, Linux, Shut, Trigger};

use crate::leaving::{SMALL, Scene};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

fn listener(kernel: &mut impl Kernel, wanted: &str) -> (Fd, epollite::Addr) {
    bind_stream(kernel, &wanted.parse().unwrap(), Sharing::Alone).expect("the address is free")
}

/// Somebody who has a duplicate shuts it: it hangs up for ever, and accepts nothing.
#[test]
fn a_listener_that_was_shut_is_closed_and_told_of() {
    for trigger in TRIGGERS {
        for herd in [None, Some(Herd::Exclusive), Some(Herd::Rotating)] {
            let config = Config { trigger, ..Config::default() };
            let mut server = Server::<_>::new(Counted::over(Linux), config).unwrap();
            let (dead, _) = listener(server.kernel(), "127.0.0.1:0");
            let twin = Linux.dup(&dead).unwrap();
            let dead = match herd {
                None => server.open(dead),
                Some(herd) => server.open_shared(dead, herd),
            };
            let (living, addr) = listener(server.kernel(), "127.0.0.1:0");
            server.open(living).unwrap();
            Linux.shutdown(&twin, Shut::Read).unwrap();
            let end = Linux.now() + Duration::from_millis(60);
            while Linux.now() < end {
                server.turn(Some(end)).unwrap();
            }
            let waits = [Call::EpollWait, Call::EpollPwait2];
            let waits: u64 = waits.map(|call| server.kernel().tap.calls(call)).iter().sum();
            assert!(
                waits < 20,
                "invariant: no spin, but {trigger:?} {herd:?} waited {waits} times"
            );
            let told = Note::ListenerFailed { token: dead.unwrap(), errno: Errno::EINVAL };
            assert_eq!(server.note(), Some(told), "{trigger:?} {herd:?}");
            // The other one goes on.
            let addr = std::net::SocketAddr::try_from(addr).unwrap();
            let client = std::net::TcpStream::connect(addr).unwrap();
            let end = Linux.now() + Duration::from_secs(10);
            while server.connections() == 0 && Linux.now() < end {
                server.turn(Some(end)).unwrap();
            }
            assert_eq!(server.connections(), 1, "{trigger:?} {herd:?}");
            drop(client);
            Linux.close(twin).unwrap();
        }
    }
}

/// A full server: whoever waits makes the new listener ready, and nobody may be let in.
#[test]
fn a_listener_that_is_opened_while_accepting_is_paused_waits_too() {
    for trigger in TRIGGERS {
        for herd in [None, Some(Herd::Exclusive), Some(Herd::Rotating)] {
            let config = Config { trigger, connections_max: 1, ..SMALL };
            let mut scene = Scene::at("127.0.0.1:7777", config);
            let first = scene.connect();
            let waiting = scene.connect();
            (0..3).for_each(|_| _ = scene.turn());
            assert_eq!(scene.server.connections(), 1, "it is full");
            let (second, addr) = listener(scene.server.kernel(), "127.0.0.1:8888");
            match herd {
                None => scene.server.open(second).unwrap(),
                Some(herd) => scene.server.open_shared(second, herd).unwrap(),
            };
            scene.addr = addr;
            let late = scene.connect();
            let waits = |scene: &Scene| {
                scene.orders.count(Call::EpollWait) + scene.orders.count(Call::EpollPwait2)
            };
            let before = waits(&scene);
            let end = scene.sim.now() + Duration::from_secs(10);
            while scene.sim.now() < end && waits(&scene) < before + 1_000 {
                scene.server.turn(Some(end)).unwrap();
            }
            let made = waits(&scene) - before;
            assert!(made <= 10 * 10, "invariant: no spin, but {trigger:?} {herd:?}: {made} waits");
            // A place comes free, and then another: both who wait are let in.
            for client in [first, waiting, late] {
                scene.sim.close(client).unwrap();
                (0..4).for_each(|_| _ = scene.turn());
                scene.sim.advance(Duration::from_millis(300));
                (0..4).for_each(|_| _ = scene.turn());
            }
            assert_eq!(scene.server.stats().accepted, 3, "{trigger:?} {herd:?}");
            scene.leaves();
        }
    }
}

#[test]
fn a_listener_that_is_opened_while_the_server_drains_is_closed() {
    let mut scene = Scene::at("127.0.0.1:7777", SMALL);
    let client = scene.connect();
    scene.turn();
    scene.server.stop();
    let (late, _) = listener(scene.server.kernel(), "127.0.0.1:8888");
    assert_eq!(scene.server.open(late), Err(Errno::ESHUTDOWN));
    // The address is free again: it was closed.
    let (again, _) = listener(scene.server.kernel(), "127.0.0.1:8888");
    scene.server.kernel().close(again).unwrap();
    scene.sim.close(client).unwrap();
    scene.leaves();
}

/// The errno that pauses accepting is the kernel's own.
#[test]
fn a_pause_tells_the_errno_that_accept_said() {
    for errno in [Errno::EPERM, Errno::ECONNABORTED, Errno::ENETDOWN, Errno::EMFILE] {
        let mut scene = Scene::at("127.0.0.1:7777", SMALL);
        let client = scene.connect();
        scene.orders.refuse(Call::Accept4, errno, 1_000);
        (0..3).for_each(|_| _ = scene.turn());
        assert_eq!(scene.server.note(), Some(Note::Paused { errno: Some(errno) }));
        scene.orders.refuse(Call::Accept4, errno, 0);
        scene.sim.close(client).unwrap();
        scene.leaves();
    }
}
