//! A listener that somebody shuts from outside is ready for ever and accepts nothing: no model
//! spins on it, and a server that is left without one ends, with the errno. A datagram socket that
//! was shut for reading is ready for ever, too, and gives nothing: it is asked now and then.

use super::suite::Model;
use crate::support::tool::tool;

/// Every model but those of several listeners or several who watch one.
const MODELS: [Model; 10] = [
    &["epoll-edge"],
    &["epoll-level"],
    &["epoll-oneshot"],
    &["nonblocking"],
    &["select"],
    &["poll"],
    &["coroutine"],
    &["process"],
    &["thread"],
    &["blocking"],
];

#[test]
fn a_server_whose_only_listener_was_shut_serves_who_is_there_and_ends() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/shut_listener.py");
    for model in MODELS {
        let mut python = tool("python3");
        python.args([script, env!("CARGO_BIN_EXE_epollite"), "echo", "--tcp", "127.0.0.1:0"]);
        let output = python.arg("--model").args(model).output().unwrap();
        let (said, told) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(said, "before after 1\n", "{model:?}: {told}");
        assert!(told.contains("accept4: EINVAL"), "{model:?} says the errno: {told}");
    }
}

/// Every model of datagrams that waits: `nonblocking` never does.
const DATAGRAM_MODELS: [Model; 7] = [
    &["epoll-edge"],
    &["epoll-level"],
    &["epoll-oneshot"],
    &["select"],
    &["poll"],
    &["coroutine"],
    &["blocking"],
];

#[test]
fn a_datagram_socket_that_was_shut_for_reading_makes_no_work() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/shut_datagrams.py");
    for model in DATAGRAM_MODELS {
        let mut python = tool("python3");
        python.args([script, env!("CARGO_BIN_EXE_epollite"), "echo", "--udp", "127.0.0.1:0"]);
        let output = python.arg("--model").args(model).output().unwrap();
        let (said, told) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(said, "before quiet 0\n", "{model:?}: {told}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
