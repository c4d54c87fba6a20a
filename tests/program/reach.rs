//! What `--check` and the listeners reach: every address of a name, interfaces by their names,
//! paths that are no text, a queue that is full; and never themselves.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::thread;

use epollite::{Addr, Family, Kernel, Kind, Linux, UnixAddr};

use crate::support::client::uninterrupted;
use crate::support::json::Json;
use crate::support::process::{Ending, Process, hearing};
use crate::support::program::{PROGRAM, Program};
use crate::support::scratch::Scratch;
use crate::support::tool::tool;

/// Runs a line of shell in a network of its own, with the program as `$0`; none, and it says so,
/// where no network can be made.
fn in_a_network(line: &str) -> Option<Ending> {
    let flags =
        ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"];
    let mut probe = tool("unshare");
    if !probe.args(flags).arg("true").status().is_ok_and(|status| status.success()) {
        println!("skipped: namespaces cannot be made here");
        return None;
    }
    let mut shell = tool("unshare");
    shell.args(flags).args(["sh", "-c", &format!("ip link set lo up; {line}"), PROGRAM]);
    Some(Process::start(shell).end())
}

#[test]
fn a_dead_server_is_not_called_alive_by_a_client_that_met_itself() {
    // One port is given out, or two: that which is asked for is among them.
    for command in [
        "echo --check 127.0.0.1:40004",
        "echo --check udp:127.0.0.1:40004",
        "nc -z 127.0.0.1 40004",
        "nc -zu -w 1 127.0.0.1 40004",
        "nc -N 127.0.0.1 40004",
    ] {
        let line = format!(
            "echo 40004 40005 >/proc/sys/net/ipv4/ip_local_port_range; \
             for i in 1 2 3 4 5 6; do \"$0\" {command} </dev/null; echo \"code $?\"; done"
        );
        let Some(ending) = in_a_network(&line) else { return };
        assert_eq!(ending.stdout.matches("code 1").count(), 6, "law: {command}: {ending:?}");
        assert_eq!(ending.stderr.matches("ECONNREFUSED").count(), 6, "law: {command}: {ending:?}");
    }
}

#[test]
fn every_address_of_a_name_is_tried() {
    for check in ["two:7852", "udp:two:7852"] {
        let line = format!(
            "printf '127.0.0.1 two\\n127.0.0.2 two\\n' >\"$HOME/hosts\"; \
             mount --bind \"$HOME/hosts\" /etc/hosts; \
             \"$0\" echo --tcp 127.0.0.2:7852 --udp 127.0.0.2:7852 >\"$HOME/said\" & \
             until [ \"$(grep -c listening \"$HOME/said\" 2>/dev/null)\" = 2 ]; do :; done; \
             \"$0\" echo --check {check}; echo \"code $?\"; kill $!; wait $!"
        );
        let scratch = Scratch::new();
        let line = format!("HOME={}; {line}", scratch.path().display());
        let Some(ending) = in_a_network(&line) else { return };
        assert!(ending.stdout.contains("code 0"), "law: {check}: {ending:?}");
    }
}

#[test]
fn an_interface_has_a_name_in_an_address() {
    let line = "\
        ip addr add fe80::77/64 dev lo nodad; \
        until ip -6 route get fe80::77 oif lo >/dev/null 2>&1; do :; done; \
        for model in epoll-edge blocking; do \
        \"$0\" echo --tcp '[fe80::77%lo]:7853' --model $model >said & \
        until grep -q listening said; do :; done; \
        \"$0\" echo --check '[fe80::77%lo]:7853'; echo hi | \"$0\" nc -N fe80::77%lo 7853; \
        kill $!; wait $!; rm said; done; \
        \"$0\" echo --udp '[fe80::77%lo]:7853' >said & \
        until grep -q listening said; do :; done; \
        \"$0\" echo --check 'udp:[fe80::77%lo]:7853'; kill $!; wait $!";
    let scratch = Scratch::new();
    let line = format!("cd {}; {line}", scratch.path().display());
    let Some(ending) = in_a_network(&line) else { return };
    assert_eq!(ending.stdout.matches("echoes").count(), 3, "law: by its name; {ending:?}");
    assert_eq!(ending.stdout.matches("hi\n").count(), 2, "law: by its name; {ending:?}");
}

/// The program with words that need not be text.
fn with(words: &[&OsStr]) -> Command {
    let mut command = hearing(PROGRAM);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn under(scratch: &Scratch, name: &[u8], prefix: &str) -> OsString {
    let mut word = OsString::from(prefix);
    word.push(scratch.path().join(OsStr::from_bytes(name)));
    word
}

#[test]
fn a_path_is_bytes_and_no_text() {
    let scratch = Scratch::new();
    let path = under(&scratch, b"s\xff", "");
    for log in ["text", "json"] {
        let words = ["echo", "--log", log, "--unix"].map(OsStr::new);
        let mut server = with(&[&words[..], &[&path]].concat());
        let (mut stdout, writer) = std::io::pipe().unwrap();
        server.stdout(writer);
        let server = Program::start_as_is(server);
        let mut said = vec![0; 4096];
        let count = uninterrupted(|| stdout.read(&mut said)).unwrap();
        if log == "text" {
            let line = [b"listening on unix ", path.as_bytes(), b"\n"].concat();
            assert_eq!(&said[..count], &line[..], "law: its bytes as they are");
        } else {
            let line = Json::parse(str::from_utf8(&said[..count]).unwrap().trim_end());
            let hex: String = path.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(line.text("address_hex"), hex);
            assert!(line.text("address").ends_with("s\\xff"), "{}", line.text("address"));
        }
        let check = under(&scratch, b"s\xff", "unix:");
        let words = [OsStr::new("echo"), OsStr::new("--check"), &check];
        Process::start_as_is(with(&words)).end().expect_code(0);
        server.stop().expect_code(0);
        assert!(std::fs::symlink_metadata(&path).is_err(), "law: the path goes with the server");
    }
}

#[test]
fn the_name_that_is_announced_can_be_given_back() {
    // NUL is the one byte that no argument holds.
    let name = format!("@epollite-{}\\x00b\\x5cx41", std::process::id());
    let server = Program::serving(&["--unix", &name]);
    let announced = server.addresses("unix").remove(0);
    assert_eq!(announced, name);
    Program::run(&["echo", "--check", &format!("unix:{announced}")]).expect_code(0);
    let mut nc = Program::start(&["nc", "-NU", &announced]);
    nc.tell(b"here\n");
    assert_eq!(nc.end().stdout, "here\n");
    server.stop().expect_code(0);
}

/// A listener whose queue is full, and the one that stands in it.
fn full(path: &str) -> (UnixListener, UnixStream) {
    let name = Addr::Unix(UnixAddr::path(path.as_bytes()).unwrap());
    let listener = Linux.socket(Family::Unix, Kind::Stream).unwrap();
    Linux.bind(&listener, &name).unwrap();
    Linux.listen(&listener, 0).unwrap();
    let listener = UnixListener::from(std::os::fd::OwnedFd::from(listener));
    listener.set_nonblocking(false).unwrap();
    (listener, UnixStream::connect(path).unwrap())
}

#[test]
fn a_full_queue_is_waited_for() {
    let scratch = Scratch::new();
    for words in [&["nc", "-NU", "-w", "1h"][..], &["nc", "-NU"], &["echo", "--check"]] {
        let path = scratch.file("full");
        let (listener, first) = full(&path);
        let target = if words[0] == "echo" { format!("unix:{path}") } else { path.clone() };
        let mut client = Program::start(&[words, &[&target]].concat());
        client.tell(b"hi\n");
        drop(client.take_stdin());
        // It has tried, and does not end: a moment is looked at.
        crate::support::wait::a_while();
        assert!(client.ended().is_none(), "law: {words:?} waits; got {:?}", client.end());
        let server = thread::spawn(move || {
            drop(listener.accept().unwrap());
            let (mut stream, _) = uninterrupted(|| listener.accept()).unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        });
        let ending = client.end();
        server.join().unwrap();
        ending.expect_code(0);
        assert!(ending.stdout.contains("hi") || words[0] == "echo", "{ending:?}");
        drop(first);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_queue_that_stays_full_is_given_up_when_the_time_is_over() {
    let scratch = Scratch::new();
    let path = scratch.file("full");
    let _full = full(&path);
    let ending = Program::run(&["nc", "-NU", "-w", "100ms", &path]);
    assert!(ending.expect_code(1).one_complaint().contains("ETIMEDOUT"), "{ending:?}");
    let ending = Program::run(&["echo", "--check", &format!("unix:{path}")]);
    assert!(ending.expect_code(1).one_complaint().contains("its queue is full"), "{ending:?}");
}
