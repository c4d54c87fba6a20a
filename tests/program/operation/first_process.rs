//! The server as the first process of a container: signals without a handler are not delivered to
//! it, and it becomes the parent of orphans.

use std::fs;

use crate::support::MODELS;
use crate::support::client::is_served;
use crate::support::procfs::we_are_root;
use crate::support::program::{PROGRAM, Program};
use crate::support::tool::tool;
use crate::support::wait::{eventually, until};

/// The children of a process, and their names; zombies are among them.
fn children(pid: u32) -> Vec<(u32, String)> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids = list.split_whitespace().map(|pid| pid.parse().expect("a list of numbers"));
    pids.map(|pid| (pid, fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()))
        .collect()
}

/// Starts the server as the first process of a namespace, in which a process has been orphaned.
/// Returns it, and its process ID here.
fn first_process(model: &str) -> (Program, u32) {
    let line = format!("(sleep 0.3 &) ; exec {PROGRAM} echo --tcp 127.0.0.1:0 --model {model}");
    let mut command = tool("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", &line]);
    let server = Program::start_piped(command);
    server.stdout.line_with("listening on tcp");
    let inner =
        eventually("the first process", || children(server.pid()).first().map(|(pid, _)| *pid));
    let status = fs::read_to_string(format!("/proc/{inner}/status")).unwrap();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    assert_eq!(numbers.split_whitespace().nth(1), Some("1"), "it is the first: {numbers}");
    (server, inner)
}

/// Namespaces need root.
#[test]
fn every_model_stops_by_signals_and_reaps_orphans_as_the_first_process() {
    if !we_are_root() {
        eprintln!("not root: no process namespace can be made");
        return;
    }
    for model in MODELS {
        for signal in ["TERM", "INT"] {
            let (mut server, inner) = first_process(model);
            is_served(&server.tcp());
            let orphan = children(inner).into_iter().find(|(_, name)| name == "sleep\n");
            if let Some((orphan, _)) = orphan {
                until(&format!("{model}: the orphan to be reaped"), || {
                    children(inner).iter().all(|(pid, _)| *pid != orphan)
                });
            }
            server.signals(&format!("kill -s {signal} {inner}"));
            server.end().expect_code(0);
        }
    }
}
