//! A listener that is shut down from outside stays ready and accepts nothing: no model spins on it,
//! and a server without any listener left exits with the errno. A datagram socket that is shut down
//! for reading also stays ready and returns nothing: it is polled at intervals.

use super::suite::Model;
use crate::support::tool::tool;

/// Every model except those with several listeners or several waiters on one.
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
fn a_server_whose_only_listener_was_shut_down_drains_and_exits() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/support/shut_listener.py");
    for model in MODELS {
        let mut python = tool("python3");
        python.args([script, env!("CARGO_BIN_EXE_epollite"), "echo", "--tcp", "127.0.0.1:0"]);
        let output = python.arg("--model").args(model).output().unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(stdout, "before after 1\n", "{model:?}: {stderr}");
        assert!(stderr.contains("accept4: EINVAL"), "{model:?} reports the errno: {stderr}");
    }
}

/// Every datagram model that waits; `nonblocking` never does.
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
fn a_datagram_socket_shut_down_for_reading_causes_no_busy_loop() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/support/shut_datagrams.py");
    for model in DATAGRAM_MODELS {
        let mut python = tool("python3");
        python.args([script, env!("CARGO_BIN_EXE_epollite"), "echo", "--udp", "127.0.0.1:0"]);
        let output = python.arg("--model").args(model).output().unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(stdout, "before quiet 0\n", "{model:?}: {stderr}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
