//! Bytes that come with something else: an urgent mark, a descriptor.

use crate::support::TRIGGERS;
use crate::support::client::{connect_unix, echo};
use crate::support::procfs::descriptors;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::tool::python_succeeds;

#[test]
fn urgent_data_neither_stalls_nor_drops_normal_bytes() {
    for trigger in TRIGGERS {
        // A small budget ends reads before, at and after the mark.
        for budget in ["1MiB", "100"] {
            let arguments = ["--tcp", "127.0.0.1:0", "--trigger", trigger, "--read-budget", budget];
            let server = Program::serving(&[&arguments[..], &["--log-format", "json"]].concat());
            let address = server.tcp();
            let (host, port) = address.rsplit_once(':').unwrap();
            python_succeeds("ancillary.py", &["urgent", host, port]);
            super::slow_readers::does_not_spin(&server);
        }
    }
}

#[test]
fn received_descriptors_are_closed_and_stall_nothing() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let server =
            Program::serving(&["--unix", &path, "--trigger", trigger, "--log-format", "json"]);
        let mut here = connect_unix(&path);
        echo(&mut here, b"warm");
        let before = descriptors(server.pid());
        python_succeeds("ancillary.py", &["passing", &path]);
        echo(&mut here, b"still here");
        crate::support::wait::until("the client to be closed", || {
            server.statistics().number("connections.open") == 1
        });
        assert_eq!(descriptors(server.pid()), before, "invariant: no received descriptor is kept");
    }
}
