//! The stream server: who is idle, and what arrives before a deadline.

use core::time::Duration;

use epollite::server::stream::{Config, Left, Note};
use epollite::{Call, Errno, Kernel, SocketOption, Trigger};

use crate::leaving::{SMALL, Scene};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

const IDLE: Duration = Duration::from_secs(1);

/// A wait brings 256 events, and the deadlines of all have passed when the server looks.
#[test]
fn a_crowd_that_speaks_in_time_is_answered_by_a_server_that_looks_too_late() {
    for trigger in TRIGGERS {
        let config = Config { trigger, idle: Some(IDLE), connections_max: 600, ..SMALL };
        let mut scene = Scene::at("127.0.0.1:7777", config);
        let clients: Vec<_> = (0..512).map(|_| scene.connect()).collect();
        (0..200).for_each(|_| _ = scene.turn());
        assert_eq!(scene.server.connections(), 512);
        scene.sim.advance(IDLE / 2);
        for client in &clients {
            assert_eq!(scene.say(client, 5), 5);
        }
        scene.sim.advance(2 * IDLE);
        (0..4).for_each(|_| _ = scene.turn());
        for client in clients {
            assert_eq!(scene.sim.recv(&client, &mut [0; 8]), Ok(5), "{trigger:?}");
            scene.sim.close(client).unwrap();
        }
        assert_eq!(scene.server.stats().timed_out, 0, "{trigger:?}: all were in time");
        (0..9).for_each(|_| _ = scene.turn());
        scene.leaves();
    }
}

/// The drain time too ends nobody before what had arrived has been served.
#[test]
fn what_arrives_within_the_drain_time_is_answered_by_a_server_that_looks_too_late() {
    for trigger in TRIGGERS {
        let drain = Duration::from_millis(500);
        let config = Config { trigger, drain, connections_max: 600, buffer_bytes: 8, ..SMALL };
        let mut scene = Scene::at("127.0.0.1:7777", config);
        let clients: Vec<_> = (0..400).map(|_| scene.connect()).collect();
        (0..200).for_each(|_| _ = scene.turn());
        // It is stopped while answers are owed, and these are read in time.
        for client in &clients {
            scene.sim.setsockopt(client, SocketOption::ReceiveBufferBytes(1)).unwrap();
        }
        scene.server.stop();
        for client in &clients {
            scene.sim.shutdown(client, epollite::Shut::Write).unwrap();
        }
        scene.sim.advance(drain * 2);
        let mut left = Vec::new();
        for _ in 0..9 {
            scene.turn();
            while let Some(note) = scene.server.note() {
                left.push(note);
            }
        }
        let late = left.iter().filter(|note| matches!(note, Note::Left { why: Left::Expired, .. }));
        assert_eq!(late.count(), 0, "{trigger:?}: all had ended in time");
        assert_eq!(scene.server.connections(), 0);
        clients.into_iter().for_each(|client| scene.sim.close(client).unwrap());
    }
}

/// Linux tells of room when a third of the buffer is free, which may take longer than an idle
/// time; the peer reads all the while.
#[test]
fn a_client_that_reads_slowly_and_steadily_is_not_idle() {
    for trigger in TRIGGERS {
        for wanted in ["127.0.0.1:7777", "unix:@slow"] {
            let config = Config { trigger, idle: Some(IDLE), ..SMALL };
            let mut scene = Scene::at(wanted, config);
            let client = scene.connect();
            scene.turn();
            let mut said = 0;
            for _ in 0..2_000 {
                said += scene.say(&client, 4_096);
                scene.turn();
            }
            let mut heard = 0;
            while heard < said {
                scene.sim.advance(IDLE / 5);
                scene.turn();
                match scene.sim.recv(&client, &mut [0; 40_000]) {
                    Ok(count) if count > 0 => heard += count,
                    other => panic!("{trigger:?} {wanted}: {other:?} after {heard} of {said}"),
                }
            }
            assert_eq!(scene.server.stats().timed_out, 0);
            scene.sim.close(client).unwrap();
            (0..4).for_each(|_| _ = scene.turn());
            scene.leaves();
        }
    }
}

/// Shut by us, with megabytes on their way: they are read at leisure, and no reset destroys them.
#[test]
fn a_client_that_still_reads_holds_up_the_linger() {
    for trigger in TRIGGERS {
        let linger = Duration::from_millis(300);
        let config = Config { trigger, idle: Some(IDLE), linger, ..SMALL };
        let mut scene = Scene::at("127.0.0.1:7777", config);
        let client = scene.connect();
        scene.turn();
        let mut said = 0;
        while said < 400_000 {
            said += scene.say(&client, 4_096);
            scene.turn();
        }
        // All is on its way; then it is asked to leave for its silence, and reads on.
        let mut heard = 0;
        for _ in 0..3_000 {
            scene.sim.advance(linger / 2);
            scene.turn();
            match scene.sim.recv(&client, &mut [0; 4_000]) {
                Ok(0) => break,
                Ok(count) => heard += count,
                Err(Errno::EAGAIN) => {}
                Err(errno) => panic!("{trigger:?}: {errno} after {heard} of {said}"),
            }
        }
        assert_eq!(heard, said, "{trigger:?}: an orderly end, behind all bytes");
        scene.sim.close(client).unwrap();
        (0..4).for_each(|_| _ = scene.turn());
        scene.leaves();
    }
}

/// Edge mode is told of data and of room apart; it tries to send when told of room.
#[test]
fn data_that_arrives_while_bytes_are_unsent_costs_no_send_in_vain() {
    let mut scene = Scene::at("127.0.0.1:7777", Config { trigger: Trigger::Edge, ..SMALL });
    let client = scene.connect();
    scene.turn();
    while scene.say(&client, 4_096) > 0 {
        scene.turn();
    }
    scene.turn();
    let sends = scene.orders.count(Call::Send);
    // Its side is full too: a byte comes as soon as one is read, which no send of ours changes.
    for _ in 0..20 {
        scene.orders.refuse(Call::Accept4, Errno::EAGAIN, 0);
        let _ = scene.say(&client, 1);
        scene.turn();
    }
    assert_eq!(scene.orders.count(Call::Send), sends, "invariant: no room was told of");
    let mut heard = 0;
    for _ in 0..1_000 {
        heard += scene.sim.recv(&client, &mut [0; 65_536]).unwrap_or(0);
        scene.turn();
    }
    assert!(heard > 100_000, "and room brings the rest: {heard}");
    scene.sim.close(client).unwrap();
    (0..4).for_each(|_| _ = scene.turn());
    scene.leaves();
}

/// RFC 862: whatever is received is sent back.
#[test]
fn urgent_bytes_come_back_where_they_stood() {
    for trigger in TRIGGERS {
        let mut scene = Scene::at("127.0.0.1:7777", Config { trigger, ..SMALL });
        let client = scene.connect();
        scene.turn();
        scene.sim.send(&client, b"ab").unwrap();
        scene.sim.send_urgent(&client, b'C').unwrap();
        scene.sim.send(&client, b"d").unwrap();
        (0..6).for_each(|_| _ = scene.turn());
        let mut buf = [0; 8];
        let heard = scene.sim.recv(&client, &mut buf).unwrap();
        assert_eq!(&buf[..heard], b"abCd", "{trigger:?}");
        scene.sim.close(client).unwrap();
        (0..4).for_each(|_| _ = scene.turn());
        scene.leaves();
    }
}

/// A Unix stream whose next byte is out of band is readable, and a read finds nothing: once.
#[test]
fn a_unix_client_that_sends_urgent_bytes_spins_nobody() {
    for trigger in TRIGGERS {
        let mut scene = Scene::at("unix:@urgent", Config { trigger, ..SMALL });
        let client = scene.connect();
        (0..2).for_each(|_| _ = scene.turn());
        for _ in 0..3 {
            scene.sim.send_urgent(&client, b'!').unwrap();
            let calls = scene.orders.count(Call::Recv);
            let end = scene.sim.now() + Duration::from_secs(1);
            for _ in 0..20 {
                scene.server.turn(Some(end)).unwrap();
            }
            assert!(scene.orders.count(Call::Recv) <= calls + 2, "invariant: no spin, {trigger:?}");
        }
        scene.sim.send(&client, b"and on").unwrap();
        (0..4).for_each(|_| _ = scene.turn());
        assert_eq!(scene.sim.recv(&client, &mut [0; 16]), Ok(6), "{trigger:?}");
        scene.sim.close(client).unwrap();
        (0..4).for_each(|_| _ = scene.turn());
        scene.leaves();
    }
}
