//! System calls counted by the program itself: tracing slows it down, and a slow server makes fewer
//! calls.

use std::io::Write;
use std::net::TcpStream;

use crate::support::client::{connect, connect_unix, echo, expect, expect_end};
use crate::support::datagram::Datagrams;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::syscall_counts::{Calls, during};

const ECHOES: u64 = 2000;

/// A statistics query costs a wait, a read of the signal, and a wait: not part of an echo.
const LOOKING: u64 = 5;

#[test]
fn an_echo_is_three_syscalls_in_level_mode() {
    let server = Program::on_tcp("level");
    takes_three_calls(&server, &mut connect(&server.tcp()));
}

#[test]
fn an_echo_is_three_syscalls_in_edge_mode() {
    let server = Program::on_tcp("edge");
    takes_three_calls(&server, &mut connect(&server.tcp()));
}

#[test]
fn a_unix_echo_is_three_syscalls_in_level_mode() {
    let scratch = Scratch::new();
    let path = scratch.file("level");
    let server = Program::serving(&["--unix", &path, "--trigger", "level", "--log-format", "json"]);
    takes_three_calls(&server, &mut connect_unix(&path));
}

#[test]
fn an_echo_of_any_single_read_is_three_syscalls() {
    let sizes = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_rmem").unwrap();
    let room: usize = sizes.split_whitespace().nth(1).unwrap().parse().unwrap();
    for trigger in ["level", "edge"] {
        let server = Program::on_tcp(trigger);
        let mut client = connect(&server.tcp());
        // More than half a buffer may take two reads.
        for size in [1, 64, 1000, 16_000].into_iter().filter(|size| size * 2 <= room) {
            let counted = during(&server, || echo_times(&mut client, size, 200));
            at_most_three(&counted, 200, trigger);
        }
    }
}

#[test]
fn oneshot_adds_one_epoll_ctl_per_echo() {
    // One-shot has to be re-armed each time: one epoll_ctl, not two.
    let server = Program::on_tcp("oneshot");
    let mut client = connect(&server.tcp());
    let counted = during(&server, || echo_times(&mut client, 64, ECHOES));
    assert!(counted.of("epoll_ctl") <= ECHOES + LOOKING, "invariant: re-armed once per echo");
    assert!(counted.total() <= 5 * ECHOES + LOOKING, "invariant: at most five; got {counted:?}");
}

#[test]
fn sixty_four_ready_connections_take_two_calls_each_and_little_more() {
    for trigger in ["level", "edge"] {
        let server = Program::on_tcp(trigger);
        let mut clients: Vec<TcpStream> = (0..64).map(|_| connect(&server.tcp())).collect();
        for client in &mut clients {
            echo(client, b"warm");
        }
        let rounds = 50;
        let counted = during(&server, || {
            for _ in 0..rounds {
                // While stopped, it cannot answer the first before the last has sent: certainly
                // busy.
                server.signal("STOP");
                for client in &mut clients {
                    client.write_all(&[7; 64]).unwrap();
                }
                server.signal("CONT");
                for client in &mut clients {
                    expect(client, &[7; 64]);
                }
            }
        });
        let echoes = rounds * 64;
        let total = counted.total();
        assert!(
            total * 10 <= echoes * 21,
            "invariant: at most 2.1 calls per echo with 64 busy; {total} for {echoes} echoes in \
             {trigger} mode: {counted:?}"
        );
        assert_eq!(counted.of("epoll_ctl"), 0, "invariant: no epoll_ctl in steady {trigger} mode");
    }
}

#[test]
fn idle_connections_take_no_calls() {
    for trigger in ["level", "edge", "oneshot"] {
        let server = Program::on_tcp(trigger);
        let mut clients: Vec<TcpStream> = (0..100).map(|_| connect(&server.tcp())).collect();
        for client in &mut clients {
            echo(client, b"then idle");
        }
        let counted = during(&server, || {});
        assert!(
            counted.total() <= LOOKING,
            "invariant: no call for an idle connection; got {counted:?}"
        );
    }
}

#[test]
fn a_connection_takes_few_syscalls_in_total() {
    for trigger in ["level", "edge"] {
        let server = Program::on_tcp(trigger);
        echo(&mut connect(&server.tcp()), b"warm");
        all_closed(&server);
        let counted = during(&server, || {
            for _ in 0..100 {
                let mut client = connect(&server.tcp());
                echo(&mut client, &[7; 64]);
                client.shutdown(std::net::Shutdown::Write).unwrap();
                expect_end(&mut client);
            }
            all_closed(&server);
        });
        let of = |kind: &str| counted.of(kind);
        assert_eq!(
            (of("send"), of("close")),
            (100, 100),
            "invariant: one of each; got {counted:?}"
        );
        assert!(of("accept4") <= 200, "invariant: one accept, and one EAGAIN; got {counted:?}");
        assert!(of("epoll_ctl") <= 200, "invariant: one ADD and one DEL, no more; got {counted:?}");
    }
}

#[test]
fn datagrams_that_wait_together_are_read_together() {
    let server = Program::serving(&["--udp", "127.0.0.1:0", "--log-format", "json"]);
    let client = Datagrams::to(&server.udp());
    let counted = during(&server, || {
        for _ in 0..20 {
            server.signal("STOP");
            for _ in 0..32 {
                client.send(&[7; 64]);
            }
            server.signal("CONT");
            for _ in 0..32 {
                client.expect(&[7; 64]);
            }
        }
    });
    let total = counted.total();
    assert!(
        total <= 20 * 32,
        "invariant: less than one call per datagram; {total} calls: {counted:?}"
    );
}

#[track_caller]
fn takes_three_calls(server: &Program, client: &mut (impl std::io::Read + Write)) {
    let counted = during(server, || echo_times(client, 64, ECHOES));
    assert_eq!(counted.of("send"), ECHOES, "invariant: one send per echo");
    assert_eq!(counted.of("recv"), ECHOES, "invariant: one recv per echo");
    assert_eq!(counted.of("epoll_ctl"), 0, "invariant: no epoll_ctl in a steady state");
    at_most_three(&counted, ECHOES, "any");
    assert!(counted.waits() >= ECHOES, "invariant: it waits between two echoes");
}

#[track_caller]
fn at_most_three(counted: &Calls, echoes: u64, trigger: &str) {
    assert!(
        counted.total() <= 3 * echoes + LOOKING,
        "invariant: at most three calls per echo in {trigger} mode; for {echoes} echoes {counted:?}"
    );
}

fn echo_times(client: &mut (impl std::io::Read + Write), size: usize, times: u64) {
    let bytes = vec![7; size];
    for _ in 0..times {
        echo(client, &bytes);
    }
}

fn all_closed(server: &Program) {
    crate::support::wait::until("every connection to be closed", || {
        server.statistics().number("connections.open") == 0
    });
}
