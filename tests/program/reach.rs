//! What `--check` and the listeners reach: every address of a name, interfaces by name, paths that
//! are not text, a full backlog; and never the program itself.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::thread;

use epollite::kernel::SocketType;
use epollite::net::{AddressFamily, UnixAddr};
use epollite::{Addr, Kernel, Linux};

use crate::support::client::uninterrupted;
use crate::support::json::Json;
use crate::support::process::{Output, Process, with_default_signals};
use crate::support::program::{PROGRAM, Program};
use crate::support::scratch::Scratch;
use crate::support::tool::tool;

/// Runs a shell line in a network namespace of its own, with the program as `$0`; returns none,
/// with a message, where no namespace can be created.
fn in_a_network(line: &str) -> Option<Output> {
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
fn a_client_connected_to_itself_reports_no_server() {
    // One or two ports are assigned; the requested one is among them.
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
        assert_eq!(ending.stdout.matches("code 1").count(), 6, "invariant: {command}: {ending:?}");
        assert_eq!(
            ending.stderr.matches("ECONNREFUSED").count(),
            6,
            "invariant: {command}: {ending:?}"
        );
    }
}

#[test]
fn a_client_without_a_free_port_fails_in_one_line() {
    // Two ports, and both are in use: by clients that say nothing and wait.
    let line = "\
        echo 40000 40001 >/proc/sys/net/ipv4/ip_local_port_range; \
        \"$0\" echo -q --tcp 127.0.0.1:7777 --udp 127.0.0.1:7777 & \
        count() { grep -c \" 0100007F:9C4[01] 0100007F:1E61 01 \" /proc/net/$1; }; \
        until grep -q \":1E61 00000000:0000 0A\" /proc/net/tcp; do :; done; \
        sleep 60 | \"$0\" nc 127.0.0.1 7777 & sleep 60 | \"$0\" nc 127.0.0.1 7777 & \
        sleep 60 | \"$0\" nc -u 127.0.0.1 7777 & sleep 60 | \"$0\" nc -u 127.0.0.1 7777 & \
        until [ \"$(count tcp)$(count udp)\" = 22 ]; do :; done; \
        for command in 'nc -N 127.0.0.1 7777' 'nc -z 127.0.0.1 7777' \
        'nc -u -w 1 127.0.0.1 7777' 'nc -zu -w 1 127.0.0.1 7777' \
        'echo --check 127.0.0.1:7777' 'echo --check udp:127.0.0.1:7777'; do \
        \"$0\" $command </dev/null; echo \"code $?\"; done";
    let Some(ending) = in_a_network(line) else { return };
    assert_eq!(ending.stdout, "code 1\n".repeat(6), "invariant: all fail: {ending:?}");
    let lines: Vec<&str> = ending.stderr.lines().collect();
    assert!(
        lines.len() == 6 && lines.iter().all(|line| line.starts_with("epollite: ")),
        "invariant: each in one line: {lines:?}"
    );
    let tcp = lines.iter().filter(|line| line.contains("EADDRNOTAVAIL")).count();
    assert_eq!(tcp, 3, "the reason is that of connect(2): {lines:?}");
}

#[test]
fn every_address_of_a_name_is_tried() {
    for check in ["two:7852", "udp:two:7852"] {
        let line = format!(
            "printf '127.0.0.1 two\\n127.0.0.2 two\\n' >\"$HOME/hosts\"; \
             mount --bind \"$HOME/hosts\" /etc/hosts; \
             \"$0\" echo --tcp 127.0.0.2:7852 --udp 127.0.0.2:7852 >\"$HOME/output\" & \
             until [ \"$(grep -c listening \"$HOME/output\" 2>/dev/null)\" = 2 ]; do :; done; \
             \"$0\" echo --check {check}; echo \"code $?\"; kill $!; wait $!"
        );
        let scratch = Scratch::new();
        let line = format!("HOME={}; {line}", scratch.path().display());
        let Some(ending) = in_a_network(&line) else { return };
        assert!(ending.stdout.contains("code 0"), "invariant: {check}: {ending:?}");
    }
}

#[test]
fn an_address_may_contain_an_interface_name() {
    let line = "\
        ip addr add fe80::77/64 dev lo nodad; \
        until ip -6 route get fe80::77 oif lo 2>/dev/null | grep -q ^local; do :; done; \
        for model in epoll-edge blocking; do \
        \"$0\" echo --tcp '[fe80::77%lo]:7853' --model $model >output & \
        until grep -q listening output; do :; done; \
        \"$0\" echo --check '[fe80::77%lo]:7853'; echo hi | \"$0\" nc -N fe80::77%lo 7853; \
        kill $!; wait $!; rm output; done; \
        \"$0\" echo --udp '[fe80::77%lo]:7853' >output & \
        until grep -q listening output; do :; done; \
        \"$0\" echo --check 'udp:[fe80::77%lo]:7853'; kill $!; wait $!";
    let scratch = Scratch::new();
    let line = format!("cd {}; {line}", scratch.path().display());
    let Some(ending) = in_a_network(&line) else { return };
    assert_eq!(
        ending.stdout.matches("echoes").count(),
        3,
        "invariant: by the interface name; {ending:?}"
    );
    assert_eq!(
        ending.stdout.matches("hi\n").count(),
        2,
        "invariant: by the interface name; {ending:?}"
    );
}

/// The program with arguments that need not be text.
fn with(arguments: &[&OsStr]) -> Command {
    let mut command = with_default_signals(PROGRAM);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn under(scratch: &Scratch, name: &[u8], prefix: &str) -> OsString {
    let mut argument = OsString::from(prefix);
    argument.push(scratch.path().join(OsStr::from_bytes(name)));
    argument
}

#[test]
fn a_path_may_contain_any_bytes() {
    let scratch = Scratch::new();
    let path = under(&scratch, b"s\xff", "");
    for log in ["text", "json"] {
        let arguments = ["echo", "--log-format", log, "--unix"].map(OsStr::new);
        let mut server = with(&[&arguments[..], &[&path]].concat());
        let (mut stdout, writer) = std::io::pipe().unwrap();
        server.stdout(writer);
        let server = Program::start_as_is(server);
        let mut sent = vec![0; 4096];
        let count = uninterrupted(|| stdout.read(&mut sent)).unwrap();
        if log == "text" {
            let line = [b"listening on unix ", path.as_bytes(), b"\n"].concat();
            assert_eq!(&sent[..count], &line[..], "invariant: the path's bytes are unchanged");
        } else {
            let line = Json::parse(str::from_utf8(&sent[..count]).unwrap().trim_end());
            let hex: String = path.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(line.text("address_hex"), hex);
            assert!(line.text("address").ends_with("s\\xff"), "{}", line.text("address"));
        }
        let check = under(&scratch, b"s\xff", "unix:");
        let arguments = [OsStr::new("echo"), OsStr::new("--check"), &check];
        Process::start_as_is(with(&arguments)).end().expect_code(0);
        server.stop().expect_code(0);
        assert!(
            std::fs::symlink_metadata(&path).is_err(),
            "invariant: the socket file is removed on exit"
        );
    }
}

#[test]
fn a_printed_abstract_name_can_be_used_as_an_argument() {
    // NUL is the only byte that no argument can contain.
    let name = format!("@epollite-{}\\x00b\\x5cx41", std::process::id());
    let server = Program::serving(&["--unix", &name]);
    let announced = server.addresses("unix").remove(0);
    assert_eq!(announced, name);
    Program::run(&["echo", "--check", &format!("unix:{announced}")]).expect_code(0);
    let mut nc = Program::start(&["nc", "-NU", &announced]);
    nc.write_stdin(b"here\n");
    assert_eq!(nc.end().stdout, "here\n");
    server.stop().expect_code(0);
}

/// A listener with a full backlog, and the connection that fills it.
fn full(path: &str) -> (UnixListener, UnixStream) {
    let name = Addr::Unix(UnixAddr::path(path.as_bytes()).unwrap());
    let listener = Linux.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
    Linux.bind(&listener, &name).unwrap();
    Linux.listen(&listener, 0).unwrap();
    let listener = UnixListener::from(std::os::fd::OwnedFd::from(listener));
    listener.set_nonblocking(false).unwrap();
    (listener, UnixStream::connect(path).unwrap())
}

#[test]
fn a_full_backlog_is_waited_for() {
    let scratch = Scratch::new();
    for arguments in [&["nc", "-NU", "-w", "1h"][..], &["nc", "-NU"], &["echo", "--check"]] {
        let path = scratch.file("full");
        let (listener, first) = full(&path);
        let target = if arguments[0] == "echo" { format!("unix:{path}") } else { path.clone() };
        let mut client = Program::start(&[arguments, &[&target]].concat());
        client.write_stdin(b"hi\n");
        drop(client.take_stdin());
        // It has tried to connect, and does not exit: a short moment is observed.
        crate::support::wait::settle_time();
        assert!(
            client.ended().is_none(),
            "invariant: {arguments:?} keeps waiting; got {:?}",
            client.end()
        );
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
        assert!(ending.stdout.contains("hi") || arguments[0] == "echo", "{ending:?}");
        drop(first);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_backlog_that_stays_full_times_out() {
    let scratch = Scratch::new();
    let path = scratch.file("full");
    let _full = full(&path);
    let ending = Program::run(&["nc", "-NU", "-w", "100ms", &path]);
    assert!(ending.expect_code(1).single_error_line().contains("ETIMEDOUT"), "{ending:?}");
    let ending = Program::run(&["echo", "--check", &format!("unix:{path}")]);
    assert!(ending.expect_code(1).single_error_line().contains("its queue is full"), "{ending:?}");
}
