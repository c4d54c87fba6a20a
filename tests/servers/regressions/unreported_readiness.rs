//! The stream server over a kernel that does not report a ready connection: the order of a ready
//! list is unspecified, and with full batches nothing indicates that there is more. Data available
//! at a deadline is served all the same, since a receive and a send are tried first.

use core::num::NonZeroU32;
use core::time::Duration;

use epollite::kernel::Shutdown;
use epollite::server::stream::{Outcome, StreamConfig};
use epollite::sim::Sim;
use epollite::sim::{Entropy, Probabilities, SimConfig};
use epollite::{Errno, Fd, Kernel, Trigger};

use crate::regressions::shutdown::{Harness, SMALL};

const TRIGGERS: [Trigger; 4] =
    [Trigger::Level, Trigger::Edge, Trigger::OneShot, Trigger::EdgeOneShot];

const ADDRS: [&str; 2] = ["127.0.0.1:7777", "unix:@passed-over"];

const IDLE: Duration = Duration::from_secs(1);

/// More iterations than a sweep over so few registrations takes, so that the reactor considers it
/// complete.
const ROUNDS: u32 = 20;

/// The capacity of a Unix and of a TCP socket: less than the server reads at a time.
const SOCKET_BYTES: usize = 2_000;

#[test]
fn unreported_data_is_answered_before_the_idle_timeout() {
    for (trigger, wanted) in each_case() {
        let (mut harness, [client, busy]) =
            harness(wanted, StreamConfig { trigger, idle_timeout: Some(IDLE), ..SMALL });
        assert_eq!(harness.send(&client, 5), 5);
        run_rounds(&mut harness, &busy);
        let received = harness.sim.recv(&client, &mut [0; 8]);
        assert_eq!(received, Err(Errno::EAGAIN), "it is not reported ({trigger:?}, {wanted})");
        harness.sim.advance(IDLE * 2);
        run_rounds(&mut harness, &busy);
        let received = harness.sim.recv(&client, &mut [0; 8]);
        assert_eq!(
            received,
            Ok(5),
            "invariant: a client that sent in time is not idle ({trigger:?}, {wanted})"
        );
        assert_eq!(harness.server.stats().timed_out, 0, "{trigger:?}, {wanted}");
        end(harness, [busy, client]);
    }
}

#[test]
fn unreported_send_space_is_used_before_the_idle_timeout() {
    for (trigger, wanted) in each_case() {
        let (mut harness, [client, busy]) =
            harness(wanted, StreamConfig { trigger, idle_timeout: Some(IDLE), ..SMALL });
        let sent = fill(&mut harness, &client);
        let received = recv(&mut harness, &client);
        run_rounds(&mut harness, &busy);
        assert_eq!(recv(&mut harness, &client), 0, "it is not reported ({trigger:?}, {wanted})");
        // The server checks unsent data four more times before it considers the client idle.
        let mut rest = 0;
        for _ in 0..12 {
            harness.sim.advance(IDLE / 4);
            run_rounds(&mut harness, &busy);
            rest = recv(&mut harness, &client);
            if rest > 0 {
                break;
            }
        }
        assert_eq!(
            received + rest,
            sent,
            "invariant: free space is used before a deadline ({trigger:?}, {wanted})"
        );
        assert_eq!(harness.server.stats().timed_out, 0, "{trigger:?}, {wanted}");
        end(harness, [busy, client]);
    }
}

#[test]
fn unreported_send_space_is_used_before_the_drain_timeout() {
    for (trigger, wanted) in each_case() {
        let drain = Duration::from_millis(500);
        let (mut harness, [client, busy]) =
            harness(wanted, StreamConfig { trigger, drain_timeout: drain, ..SMALL });
        let sent = fill(&mut harness, &client);
        harness.sim.shutdown(&client, Shutdown::Write).unwrap();
        harness.server.begin_shutdown();
        let mut received = recv(&mut harness, &client);
        assert!(received < sent, "it has unsent data ({trigger:?}, {wanted})");
        harness.sim.advance(drain * 2);
        assert_eq!(harness.run_once(), Outcome::Drained);
        received += recv(&mut harness, &client);
        assert_eq!(
            received, sent,
            "invariant: free space is used before the drain timeout ({trigger:?}, {wanted})"
        );
        end(harness, [busy, client]);
    }
}

fn each_case() -> impl Iterator<Item = (Trigger, &'static str)> {
    TRIGGERS.into_iter().flat_map(|trigger| ADDRS.map(|wanted| (trigger, wanted)))
}

/// A server that takes one event at a time, from a kernel that reports the last of two ready
/// registrations first; and two connected clients.
fn harness(wanted: &str, config: StreamConfig) -> (Harness, [Fd; 2]) {
    /// Each wait draws that the ready list is rotated, and by 257 places: of two that is one.
    const DRAWN: [u8; 1] = [1];
    let sim = Sim::new(SimConfig {
        entropy: Entropy::from_bytes(DRAWN.repeat(30_000)),
        probabilities: Probabilities { shuffled: u8::MAX, ..Probabilities::default() },
        receive_buffer_bytes: SOCKET_BYTES,
        send_buffer_bytes: SOCKET_BYTES,
        ..SimConfig::default()
    });
    let mut harness =
        Harness::on(sim, wanted, StreamConfig { events_max: NonZeroU32::MIN, ..config });
    let clients = [(); 2].map(|()| connect(&mut harness));
    (harness, clients)
}

/// An accepted client; nothing is ready afterwards.
fn connect(harness: &mut Harness) -> Fd {
    let client = harness.connect();
    for _ in 0..4 {
        harness.run_once();
    }
    client
}

/// Iterations in each of which `busy` was the last to become ready, and so is reported first.
fn run_rounds(harness: &mut Harness, busy: &Fd) {
    for _ in 0..ROUNDS {
        harness.send(busy, 1);
        harness.run_once();
        let _ = harness.sim.recv(busy, &mut [0; 8]);
    }
}

/// Sends until the server has unsent data, and reads none of it. Returns the number of bytes sent.
fn fill(harness: &mut Harness, client: &Fd) -> usize {
    let mut sent = 0;
    for _ in 0..200 {
        sent += harness.send(client, 100);
        harness.run_once();
        if harness.server.buffered_bytes() > 0 {
            harness.run_once();
            return sent;
        }
    }
    panic!("a client that does not read causes unsent data");
}

/// Reads everything available.
fn recv(harness: &mut Harness, client: &Fd) -> usize {
    let mut received = 0;
    while let Ok(count @ 1..) = harness.sim.recv(client, &mut [0; 4_096]) {
        received += count;
    }
    received
}

fn end(mut harness: Harness, clients: [Fd; 2]) {
    for client in clients {
        harness.sim.close(client).unwrap();
    }
    harness.shut_down();
}
