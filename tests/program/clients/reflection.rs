//! Datagrams that must not be answered: each reply would cause another reply, and so on forever.

use std::io::ErrorKind;

use crate::support::TRIGGERS;
use crate::support::datagram::Datagrams;
use crate::support::procfs::we_are_root;
use crate::support::program::Program;

#[test]
fn a_datagram_from_its_own_port_is_not_answered() {
    for trigger in TRIGGERS {
        let server = on_udp(trigger);
        let port = server.udp().rsplit_once(':').unwrap().1.to_owned();
        // An echo server at another address would send from the same port, and answer ours.
        let same_port = Datagrams::from(&format!("127.0.0.2:{port}"), &server.udp()).unwrap();
        is_not_answered(&server, &same_port);
    }
}

#[test]
fn two_echo_servers_do_not_answer_each_other() {
    for trigger in TRIGGERS {
        let first = on_udp(trigger);
        let port = first.udp().rsplit_once(':').unwrap().1.to_owned();
        let address = format!("127.0.0.3:{port}");
        let second = Program::serving(&["--udp", &address, "--log-format", "json"]);
        // A sender with a forged source address can start a loop between them.
        let mut spoof = crate::support::tool::python("spoof.py", &[&first.udp(), &address]);
        let ending = spoof.end();
        if ending.code() == Some(77) {
            assert!(
                !we_are_root(),
                "invariant: root may forge source addresses; {}",
                ending.stderr
            );
            return;
        }
        ending.expect_code(0);
        is_served(&first);
        is_served(&second);
        assert_eq!(first.statistics().number("datagrams.refused"), 1);
        assert_eq!(second.statistics().number("datagrams.in"), 1, "invariant: no reply, no loop");
    }
}

#[test]
fn a_datagram_that_claims_to_be_its_own_is_not_answered() {
    for trigger in TRIGGERS {
        let server = on_udp(trigger);
        let mut spoof = crate::support::tool::python("spoof.py", &[&server.udp(), &server.udp()]);
        let ending = spoof.end();
        if ending.code() == Some(77) {
            assert!(
                !we_are_root(),
                "invariant: root may forge source addresses; {}",
                ending.stderr
            );
            return;
        }
        ending.expect_code(0);
        is_served(&server);
        let statistics = server.statistics();
        assert_eq!(statistics.number("datagrams.refused"), 1, "invariant: refused and counted");
        assert_eq!(statistics.number("datagrams.out"), 1, "invariant: no reply to itself");
    }
}

#[test]
fn a_datagram_from_a_port_that_answers_everything_is_not_answered() {
    for trigger in TRIGGERS {
        let server = on_udp(trigger);
        for port in [7, 19, 53] {
            // An address that nothing else binds, on a port that may be in use.
            match Datagrams::from(&format!("127.41.7.19:{port}"), &server.udp()) {
                Ok(client) => is_not_answered(&server, &client),
                // These ports need root; the property is covered by the unprivileged port above.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && !we_are_root() => {
                    return;
                }
                Err(error) => panic!("cannot send from port {port}: {error}"),
            }
        }
        assert_eq!(server.statistics().number("datagrams.refused"), 3);
    }
}

fn on_udp(trigger: &str) -> Program {
    Program::serving(&["--udp", "127.0.0.1:0", "--trigger", trigger, "--log-format", "json"])
}

/// What `client` sends is counted as refused; a datagram sent after it is answered first.
#[track_caller]
fn is_not_answered(server: &Program, client: &Datagrams) {
    let before = server.statistics().number("datagrams.refused");
    client.send(b"ping?");
    is_served(server);
    client.expect_nothing();
    let after = server.statistics().number("datagrams.refused");
    assert_eq!(after, before + 1, "invariant: refused datagrams are counted");
}

#[track_caller]
fn is_served(server: &Program) {
    Datagrams::to(&server.udp()).echo(b"ping");
}
