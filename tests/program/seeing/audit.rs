//! `epollite audit`: what the epolls of a process watch.

use std::os::unix::fs::PermissionsExt;

use crate::support::TRIGGERS;
use crate::support::client::{connect, connect_unix, echo};
use crate::support::process::Process;
use crate::support::procfs::state;
use crate::support::program::{PROGRAM, Program};
use crate::support::scratch::Scratch;
use crate::support::tool::{python, tool};
use crate::support::wait::{eventually, until};

#[test]
fn a_server_without_faults_is_shown_with_its_sockets() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let path = scratch.file(trigger);
        let server = Program::serving(&[
            "--tcp",
            "127.0.0.1:0",
            "--udp",
            "127.0.0.1:0",
            "--unix",
            &path,
            "--trigger",
            trigger,
        ]);
        let mut client = connect(&server.tcp());
        echo(&mut client, b"hello");
        let mut local = connect_unix(&path);
        echo(&mut local, b"hello");
        // After the echo, one-shot, the registration may not be armed again yet.
        let audit = eventually("the server to be at rest", || {
            let audit = Program::run(&["audit", &server.pid().to_string()]);
            audit.stdout.contains("no faults").then_some(audit)
        });
        audit.expect_code(0);
        let own = client.local_addr().unwrap().to_string();
        let text = joined(&audit.stdout);
        for part in [
            format!("tcp {} listening", server.tcp()),
            format!("udp {}", server.udp()),
            format!("tcp {} to {own}", server.tcp()),
            format!("unix stream {path} listening"),
            "signalfd".into(),
            "eventfd".into(),
            "waker".into(),
            "0#0".into(),
        ] {
            assert!(text.contains(&part), "{trigger}: {part} is shown:\n{}", audit.stdout);
        }
        let is_wide = |line: &&str| line.chars().count() > 80;
        assert_eq!(audit.stdout.lines().find(is_wide), None, "a table of 80 columns");
        server.stop().expect_code(0);
    }
}

/// The text in one line: a long address is broken over several.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn planted_faults_are_found_and_reported_with_exit_code_1() {
    let victim = python("faulty_epoll.py", &[]);
    let numbers = victim.stdout.wait_for("its descriptors", |lines| lines.first().cloned());
    let fds: Vec<&str> = numbers.split_whitespace().collect();
    let [epoll, ghost, reused, not_watched, no_interest, nothing_to_send] = fds[..] else {
        panic!("six descriptors: {numbers}")
    };
    let audit = Program::run(&["audit", &victim.pid().to_string()]);
    audit.expect_code(1);
    let line = audit.single_error_line();
    assert!(line.contains("has 5 faults"), "{line}\n{}", audit.stdout);
    let text = joined(&audit.stdout);
    for part in [
        format!("epoll {epoll}, fd {ghost} (0x1) is a ghost: the descriptor is closed"),
        format!("epoll {epoll}, fd {reused} (0x2) is a ghost: the descriptor was closed and its"),
        format!("fd {not_watched} (udp "),
        format!("epoll {epoll}, fd {no_interest} (0x3) has no interest"),
        format!("epoll {epoll}, fd {nothing_to_send} (0x4) waits for EPOLLOUT"),
    ] {
        assert!(text.contains(&part), "{part}:\n{}", audit.stdout);
    }
}

#[test]
fn the_audit_of_itself_finds_what_it_has_planted() {
    let audit = Program::run(&["audit", "self"]);
    audit.expect_code(0);
    let text = joined(&audit.stdout);
    assert!(text.contains("own table and the kernel's agree"), "{}", audit.stdout);
    assert!(text.contains("is in the kernel only"), "{}", audit.stdout);
    assert_eq!(audit.stdout.matches("fault: ").count(), 4, "{}", audit.stdout);
    assert!(audit.stdout.lines().all(|line| line.chars().count() <= 80), "{}", audit.stdout);
}

#[test]
fn a_process_is_audited_whatever_its_name_and_whether_its_first_thread_has_ended() {
    let odd = python("odd_names.py", &[]);
    odd.stdout.line_with("ready");
    let pid = odd.pid();
    let audit = eventually("its first thread to have ended", || {
        (state(pid) == 'Z').then(|| Program::run(&["audit", &pid.to_string()]))
    });
    audit.expect_code(0);
    let name = format!("process {pid} (odd?\u{fffd}): 1 epoll, 2 registrations");
    assert!(audit.stdout.contains(&name), "{}", audit.stdout);
    let is_joined = |line: &str| line.contains("unix") && !line.contains(" unix");
    assert!(!audit.stdout.lines().any(is_joined), "columns are apart:\n{}", audit.stdout);
}

#[test]
fn a_process_that_has_ended_is_one_line_and_exit_code_1() {
    // Not waited for by its parent, which is this test.
    let zombie = Process::start(std::process::Command::new("true"));
    let pid = zombie.pid();
    until("it to end", || state(pid) == 'Z');
    let audit = Program::run(&["audit", &pid.to_string()]);
    audit.expect_code(1);
    let line = audit.single_error_line();
    assert!(line.contains(&format!("process {pid} has ended")), "{line}");
}

#[test]
fn a_process_without_an_epoll_has_no_faults() {
    let mut sleep = std::process::Command::new("sleep");
    sleep.arg("60");
    let sleep = Process::start(sleep);
    let audit = Program::run(&["audit", &sleep.pid().to_string()]);
    audit.expect_code(0);
    assert!(audit.stdout.contains("no epoll"), "{}", audit.stdout);
}

#[test]
fn no_such_process_is_one_line_and_exit_code_1() {
    let mut gone = Process::start(std::process::Command::new("true"));
    let pid = gone.pid().to_string();
    gone.end();
    let audit = Program::run(&["audit", &pid]);
    audit.expect_code(1);
    assert!(audit.single_error_line().contains(&format!("no such process: {pid}")));
    assert!(audit.stdout.is_empty());
}

#[test]
fn no_permission_is_one_line_and_exit_code_1() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    if !status.contains("\nUid:\t0\t") {
        // Another user's process that always exists: the first one, which is root's.
        let audit = Program::run(&["audit", "1"]);
        audit.expect_code(1);
        assert!(audit.single_error_line().contains("no permission to inspect process 1"));
        return;
    }
    // A copy that another user may execute, wherever the build is.
    let scratch = Scratch::new();
    let copy = scratch.file("epollite");
    std::fs::copy(PROGRAM, &copy).unwrap();
    let folder = std::path::Path::new(&copy).parent().unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = Program::serving(&["--tcp", "127.0.0.1:0"]);
    let mut command = tool("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", &copy, "audit"]);
    command.arg(server.pid().to_string());
    let audit = Process::start(command).end();
    audit.expect_code(1);
    let line = audit.single_error_line();
    assert!(line.contains(&format!("no permission to inspect process {}", server.pid())), "{line}");
}
