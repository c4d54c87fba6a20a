//! `--user`: what the server may do once its sockets are bound.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::support::client::{connect_unix, echo, is_served};
use crate::support::procfs::we_are_root;
use crate::support::program::{PROGRAM, Program};
use crate::support::scratch::Scratch;
use crate::support::tool::{python, tool};
use crate::support::wait::until;

const OTHER: &str = "65534:65534";

/// Needs root, to become another user.
fn is_possible() -> bool {
    if !we_are_root() {
        eprintln!("not root: no other user can be become");
    }
    we_are_root()
}

/// Every thread of a process has given up everything.
#[track_caller]
fn has_no_privileges(pid: u32) {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    for thread in threads.map(|thread| thread.unwrap().path()) {
        // A thread of a client that has ended has gone.
        let Ok(status) = fs::read_to_string(thread.join("status")) else { continue };
        for (name, expected) in [
            ("Uid:", "65534\t65534\t65534\t65534"),
            ("Gid:", "65534\t65534\t65534\t65534"),
            ("Groups:", ""),
            ("CapInh:", "0000000000000000"),
            ("CapPrm:", "0000000000000000"),
            ("CapEff:", "0000000000000000"),
            ("CapAmb:", "0000000000000000"),
            ("NoNewPrivs:", "1"),
        ] {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            assert_eq!(line.trim(), expected, "{name} of {}", thread.display());
        }
    }
}

#[test]
fn every_model_gives_up_all_privileges() {
    if !is_possible() {
        return;
    }
    for (model, options) in [
        ("epoll-edge", &["--threads", "3"][..]),
        ("blocking", &[]),
        ("thread", &[]),
        ("poll", &[]),
        ("coroutine", &[]),
        ("process", &[]),
        ("prefork", &["--workers", "2"]),
    ] {
        let arguments = ["--tcp", "127.0.0.1:0", "--model", model, "--user", OTHER];
        let server = Program::serving(&[&arguments[..], options].concat());
        is_served(&server.tcp());
        has_no_privileges(server.pid());
        let children = format!("/proc/{0}/task/{0}/children", server.pid());
        let children = fs::read_to_string(children).unwrap();
        children.split_whitespace().for_each(|pid| has_no_privileges(pid.parse().unwrap()));
        server.stop().expect_code(0);
    }
}

#[test]
fn supplementary_groups_are_left() {
    if !is_possible() {
        return;
    }
    drop(tool("setpriv"));
    let wrapper = ["setpriv", "--groups", "7,8,9"];
    let server = Program::serving_under(&wrapper, &["--tcp", "127.0.0.1:0", "--user", OTHER]);
    has_no_privileges(server.pid());
    server.stop().expect_code(0);
}

#[test]
fn a_socket_file_is_the_users_and_removed_where_it_may_be() {
    if !is_possible() {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.file("echo");
    for (mode, is_removed) in [(0o755, false), (0o1777, true)] {
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(mode)).unwrap();
        // The file of an earlier server, which could not remove it, is replaced.
        let server = Program::serving(&["--unix", &path, "--user", OTHER]);
        assert_eq!(fs::metadata(&path).unwrap().uid(), 65534, "{mode:o}");
        echo(&mut connect_unix(&path), b"served");
        server.stop().expect_code(0);
        assert_eq!(fs::exists(&path).unwrap(), !is_removed, "{mode:o}");
    }
}

/// A predecessor is less than root, and a successor is root: it must not be told which file of root
/// becomes the user's.
#[test]
fn a_file_that_is_not_the_sockets_is_not_given_away() {
    if !is_possible() {
        return;
    }
    let scratch = Scratch::new();
    let (control, folder) = (scratch.file("control"), scratch.file("folder"));
    let (moved, target) = (scratch.file("moved"), scratch.file("target"));
    [&folder, &target].iter().for_each(|path| fs::create_dir(path).unwrap());
    let victim = format!("{target}/echo");
    fs::write(&victim, "a file of root").unwrap();
    let echo = format!("{folder}/echo");
    let other = python("false_predecessor.py", &[&control, &echo, &moved, &target]);
    other.stdout.line_with("ready");
    let server = Program::serving(&["--takeover", &control, "--user", OTHER]);
    assert_eq!(fs::metadata(&victim).unwrap().uid(), 0, "invariant: only sockets are given away");
    // They are, wherever they have been moved to.
    assert_eq!(fs::metadata(format!("{moved}/echo")).unwrap().uid(), 65534);
    assert_eq!(fs::metadata(&control).unwrap().uid(), 65534);
    drop(other);
    server.stop().expect_code(0);
}

#[test]
fn a_file_that_cannot_be_given_is_logged_and_the_server_serves() {
    if !is_possible() {
        return;
    }
    drop(tool("setpriv"));
    let scratch = Scratch::new();
    let path = scratch.file("echo");
    let wrapper = ["setpriv", "--bounding-set=-net_admin"];
    let server = Program::serving_under(&wrapper, &["--unix", &path, "--user", OTHER]);
    server.stderr.line_with(&format!("the file {path} is not given to it: EPERM"));
    echo(&mut connect_unix(&path), b"served");
    server.stop().expect_code(0);
}

#[test]
fn a_server_with_another_user_is_taken_over_by_root() {
    if !is_possible() {
        return;
    }
    let name = format!("@epollite-become-{}", std::process::id());
    let arguments = ["--tcp", "127.0.0.1:0", "--takeover", &name, "--user", OTHER];
    let mut server = Program::serving(&arguments);
    for _ in 0..3 {
        let next = Program::serving(&arguments);
        assert_eq!(next.tcp(), server.tcp());
        server.end().expect_code(0);
        is_served(&next.tcp());
        has_no_privileges(next.pid());
        server = next;
    }
    server.stop().expect_code(0);
}

#[test]
fn a_user_that_cannot_be_become_is_one_clear_line() {
    for (user, code, expected) in [
        ("root", 1, "--user root: this is root: nothing would be given up"),
        ("0:5", 1, "--user 0:5: this is root"),
        ("no-such-user", 1, "--user no-such-user: there is no such user"),
        ("4000000000", 1, "--user 4000000000: it has no known group: use 4000000000:GID"),
        ("4294967295", 2, "'4294967295' is not NAME, UID or UID:GID"),
        ("1:", 2, "'1:' is not NAME"),
        ("1:+5", 2, "'1:+5' is not NAME"),
        ("", 2, "'' is not NAME"),
        ("a b", 2, "'a b' is not NAME"),
    ] {
        let ending = Program::run(&["echo", "--tcp", "127.0.0.1:0", "--user", user]);
        let line = ending.expect_code(code).single_error_line();
        assert!(line.contains(expected), "{line}");
    }
    if !is_possible() {
        return;
    }
    // What is refused ends the server before it serves.
    let copy = std::env::temp_dir().join(format!("epollite-become-{}", std::process::id()));
    fs::copy(PROGRAM, &copy).unwrap();
    for options in [&["--reuid", "65534", "--clear-groups"][..], &["--bounding-set=-setgid"]] {
        let mut other = tool("setpriv");
        other.args(options).arg(&copy).args(["echo", "--tcp", "127.0.0.1:0", "--user", "1:1"]);
        let ending = Program::start_piped(other).end();
        let line = ending.expect_code(1).single_error_line();
        let expected = "--user 1:1: setgroups: EPERM";
        assert!(line.contains(expected), "{options:?}: {line}");
    }
    // No file is left, and there is no second line.
    let scratch = Scratch::new();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let path = scratch.file("echo");
    for model in ["epoll-edge", "poll", "prefork", "thread", "process", "coroutine"] {
        let mut other = tool("setpriv");
        other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        other.arg(&copy).args(["echo", "--unix", &path, "--user", "1:1", "--model", model]);
        let ending = Program::start_piped(other).end();
        let line = ending.expect_code(1).single_error_line();
        assert!(line.contains("--user 1:1: setgroups: EPERM"), "{model}: {line}");
        assert!(!fs::exists(&path).unwrap(), "{model}: the file stays");
    }
    fs::remove_file(&copy).unwrap();
}

/// The files of root may be open to its group. So that group is kept where it is asked for, and not
/// because a database has it.
#[test]
fn the_group_of_root_is_kept_only_if_it_is_given() {
    if !is_possible() {
        return;
    }
    let server = Program::serving(&["--tcp", "127.0.0.1:0", "--user", "65534:0"]);
    is_served(&server.tcp());
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    for line in ["Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t0\t0\t0\t0\n", "Groups:\t \n"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    server.stop().expect_code(0);
    // A user with that group, in a database that no other process sees.
    let scratch = Scratch::new();
    let database = scratch.file("passwd");
    fs::write(&database, "operator:x:4711:0::/:/bin/false\n").unwrap();
    let script = "mount --bind \"$1\" /etc/passwd && shift && exec \"$@\"";
    for user in ["operator", "4711"] {
        let mut other = tool("unshare");
        other.args(["--mount", "sh", "-c", script, "sh", &database, PROGRAM]);
        other.args(["echo", "--tcp", "127.0.0.1:0", "--user", user]);
        let ending = Program::start_piped(other).end();
        if ending.stderr.contains("unshare failed") || ending.stderr.contains("mount:") {
            eprintln!("no mounts here");
            return;
        }
        let line = ending.expect_code(1).single_error_line();
        let expected =
            format!("--user {user}: its group is that of root: use 4711:0 to keep it, or another");
        assert!(line.contains(&expected), "{line}");
    }
}

/// A process that may change its user without being root keeps its capabilities then, unless they
/// are given up as well.
#[test]
fn ambient_capabilities_are_given_up() {
    if !is_possible() {
        return;
    }
    let copy = std::env::temp_dir().join(format!("epollite-ambient-{}", std::process::id()));
    fs::copy(PROGRAM, &copy).unwrap();
    let mut other = tool("setpriv");
    other.args(["--reuid", "1", "--regid", "1", "--clear-groups"]);
    other.args(["--inh-caps=+setuid,+setgid,+net_admin"]);
    other.args(["--ambient-caps=+setuid,+setgid,+net_admin"]);
    other.arg(&copy).args(["echo", "--tcp", "127.0.0.1:0", "--user", OTHER]);
    let server = Program::start_piped(other);
    until("it to serve", || server.stdout.count_with("listening on tcp") == 1);
    has_no_privileges(server.pid());
    server.stop().expect_code(0);
    fs::remove_file(&copy).unwrap();
}
