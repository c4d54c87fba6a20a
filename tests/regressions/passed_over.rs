//! The stream server over a kernel that passes over a ready connection: nothing promises the order
//! of a ready list, and with batches that are full nothing says that there is more. What is there
//! when a deadline comes is served all the same, since a receive and a send are tried first.

use core::num::NonZeroU32;
use core::time::Duration;

use epollite::server::stream::{Config, Turn};
use epollite::sim::{Chance, Config as SimConfig, Odds};
use epollite::{Errno, Fd, Kernel, Shut, Sim, Trigger};

use crate::leaving::{SMALL, Scene};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

const ADDRS: [&str; 2] = ["127.0.0.1:7777", "unix:@passed-over"];

const IDLE: Duration = Duration::from_secs(1);

/// More turns than a sweep of so few registrations takes, so that the reactor counts it as whole.
const TURNS: u32 = 20;

/// What a Unix socket and a TCP socket hold: less than the server reads at a time.
const SOCKET_BYTES: usize = 2_000;

#[test]
fn bytes_that_no_event_told_of_are_answered_before_silence_ends_a_connection() {
    for (trigger, wanted) in each_case() {
        let (mut scene, [client, busy]) =
            scene(wanted, Config { trigger, idle: Some(IDLE), ..SMALL });
        assert_eq!(scene.say(&client, 5), 5);
        turns(&mut scene, &busy);
        let heard = scene.sim.recv(&client, &mut [0; 8]);
        assert_eq!(heard, Err(Errno::EAGAIN), "it is passed over ({trigger:?}, {wanted})");
        scene.sim.advance(IDLE * 2);
        turns(&mut scene, &busy);
        let heard = scene.sim.recv(&client, &mut [0; 8]);
        assert_eq!(
            heard,
            Ok(5),
            "invariant: who spoke in time is not idle ({trigger:?}, {wanted})"
        );
        assert_eq!(scene.server.stats().timed_out, 0, "{trigger:?}, {wanted}");
        end(scene, [busy, client]);
    }
}

#[test]
fn room_that_no_event_told_of_is_used_before_silence_ends_a_connection() {
    for (trigger, wanted) in each_case() {
        let (mut scene, [client, busy]) =
            scene(wanted, Config { trigger, idle: Some(IDLE), ..SMALL });
        let said = fill(&mut scene, &client);
        let heard = hear(&mut scene, &client);
        turns(&mut scene, &busy);
        assert_eq!(hear(&mut scene, &client), 0, "it is passed over ({trigger:?}, {wanted})");
        // The server looks four times more at what is unsent before it calls the client silent.
        let mut rest = 0;
        for _ in 0..12 {
            scene.sim.advance(IDLE / 4);
            turns(&mut scene, &busy);
            rest = hear(&mut scene, &client);
            if rest > 0 {
                break;
            }
        }
        assert_eq!(
            heard + rest,
            said,
            "invariant: room is used before a deadline ({trigger:?}, {wanted})"
        );
        assert_eq!(scene.server.stats().timed_out, 0, "{trigger:?}, {wanted}");
        end(scene, [busy, client]);
    }
}

#[test]
fn room_that_no_event_told_of_is_used_before_the_drain_ends_a_connection() {
    for (trigger, wanted) in each_case() {
        let drain = Duration::from_millis(500);
        let (mut scene, [client, busy]) = scene(wanted, Config { trigger, drain, ..SMALL });
        let said = fill(&mut scene, &client);
        scene.sim.shutdown(&client, Shut::Write).unwrap();
        scene.server.stop();
        let mut heard = hear(&mut scene, &client);
        assert!(heard < said, "it is owed something ({trigger:?}, {wanted})");
        scene.sim.advance(drain * 2);
        assert_eq!(scene.turn(), Turn::Over);
        heard += hear(&mut scene, &client);
        assert_eq!(heard, said, "invariant: room is used before the end ({trigger:?}, {wanted})");
        end(scene, [busy, client]);
    }
}

fn each_case() -> impl Iterator<Item = (Trigger, &'static str)> {
    TRIGGERS.into_iter().flat_map(|trigger| ADDRS.map(|wanted| (trigger, wanted)))
}

/// A server that takes one event at a time, from a kernel that reports the last of two ready
/// registrations first; and two clients that are connected.
fn scene(wanted: &str, config: Config) -> (Scene, [Fd; 2]) {
    /// Each wait draws that the ready list is turned, and by 257 places: of two that is one.
    const DRAWN: [u8; 1] = [1];
    let sim = Sim::new(SimConfig {
        chance: Chance::from_bytes(DRAWN.repeat(30_000)),
        odds: Odds { shuffled: u8::MAX, ..Odds::default() },
        receive_buffer_bytes: SOCKET_BYTES,
        send_buffer_bytes: SOCKET_BYTES,
        ..SimConfig::default()
    });
    let mut scene = Scene::on(sim, wanted, Config { events_max: NonZeroU32::MIN, ..config });
    let clients = [(); 2].map(|()| connect(&mut scene));
    (scene, clients)
}

/// A client that is accepted; nothing is ready afterwards.
fn connect(scene: &mut Scene) -> Fd {
    let client = scene.connect();
    for _ in 0..4 {
        scene.turn();
    }
    client
}

/// Turns in each of which `busy` was the last to become ready, and so is reported first.
fn turns(scene: &mut Scene, busy: &Fd) {
    for _ in 0..TURNS {
        scene.say(busy, 1);
        scene.turn();
        let _ = scene.sim.recv(busy, &mut [0; 8]);
    }
}

/// Says as much as it takes for the server to owe something, all of which is read. Returns how
/// much that was.
fn fill(scene: &mut Scene, client: &Fd) -> usize {
    let mut said = 0;
    for _ in 0..200 {
        said += scene.say(client, 100);
        scene.turn();
        if scene.server.owed_bytes() > 0 {
            scene.turn();
            return said;
        }
    }
    panic!("who reads nothing is owed in the end");
}

/// All that is there.
fn hear(scene: &mut Scene, client: &Fd) -> usize {
    let mut heard = 0;
    while let Ok(count @ 1..) = scene.sim.recv(client, &mut [0; 4_096]) {
        heard += count;
    }
    heard
}

fn end(mut scene: Scene, clients: [Fd; 2]) {
    for client in clients {
        scene.sim.close(client).unwrap();
    }
    scene.leaves();
}
