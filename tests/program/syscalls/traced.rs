//! `--trace` shows what strace(1) shows of the same run, call by call and character by character,
//! except memory addresses and times.

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use crate::support::TRIGGERS;
use crate::support::client::{connect, connect_unix, echo, expect_end};
use crate::support::datagram::Datagrams;
use crate::support::program::Program;
use crate::support::scratch::Scratch;

#[test]
fn a_trace_equals_the_output_of_strace_for_the_same_run() {
    let scratch = Scratch::new();
    for trigger in TRIGGERS {
        let (ours, theirs) = (scratch.file(trigger), scratch.file(&format!("{trigger}.strace")));
        let path = scratch.file(&format!("{trigger}.sock"));
        // As a grandchild, so that the process we started is the server itself.
        let strace = ["strace", "-D", "-qq", "-e", "signal=none", "-o", &theirs];
        let trace = format!("--trace={ours}");
        let arguments = [
            "--tcp",
            "127.0.0.1:0",
            "--udp",
            "127.0.0.1:0",
            "--unix",
            &path,
            "--trigger",
            trigger,
            "--idle-timeout",
            "100ms",
            &trace,
        ];
        let server = Program::serving_under(&strace, &arguments);
        visit(&server, &path);
        server.stop().expect_code(0);
        let count = agrees(&ours, &theirs, trigger);
        assert!(count > 40, "invariant: every call is traced; got only {count}");
    }
}

/// Every line of our trace is one of strace, in the same order. (strace shows more: the calls of
/// the loader and of the standard library, and those of the log.) Returns how many there are.
fn agrees(ours: &str, theirs: &str, run: &str) -> usize {
    let (ours, theirs) = (lines(ours), lines(theirs));
    let mut rest = theirs.iter();
    for line in &ours {
        let name = line.split('(').next().unwrap();
        let near: Vec<_> = rest.clone().filter(|s| s.starts_with(name)).take(2).collect();
        assert!(
            rest.any(|seen| seen == line),
            "invariant: strace shows this too ({run})\n ours {line}\ntheirs {near:#?}"
        );
    }
    // And none of the calls that only the reactor and its sockets make is missing.
    for name in ["epoll_ctl", "epoll_wait", "epoll_pwait2", "recvfrom", "sendto", "accept4"] {
        let count = |lines: &[String]| {
            lines.iter().filter(|line| line.starts_with(&format!("{name}("))).count()
        };
        assert_eq!(count(&ours), count(&theirs), "invariant: every {name} is traced ({run})");
    }
    ours.len()
}

#[test]
fn a_trace_of_nc_equals_the_output_of_strace_for_the_same_run() {
    let scratch = Scratch::new();
    let server = Program::serving(&["--tcp", "127.0.0.1:0"]);
    let address = server.tcp();
    let (host, port) = address.rsplit_once(':').unwrap();
    let path = scratch.file("nc.sock");
    let clients: [(&str, &[&str]); 3] = [
        ("connects", &["-N", "-w", "30", host, port]),
        ("scans", &["-z", host, port]),
        ("listens", &["-l", "-U", "--echo", &path]),
    ];
    for (name, arguments) in clients {
        let (ours, theirs) = (scratch.file(name), scratch.file(&format!("{name}.strace")));
        let strace = ["strace", "-D", "-qq", "-e", "signal=none", "-o", &theirs];
        let trace = format!("--trace={ours}");
        let arguments = [&["nc", &trace][..], arguments].concat();
        let mut nc = Program::start_under(&strace, &arguments);
        if name == "connects" {
            nc.write_stdin(b"hello\n");
        }
        if name == "listens" {
            // The path is there before nc listens, and it serves one client.
            let mut client = None;
            crate::support::wait::until("nc to listen", || {
                client = UnixStream::connect(&path).ok();
                client.is_some()
            });
            let mut client = client.unwrap();
            echo(&mut client, b"to nc");
            client.shutdown(Shutdown::Write).unwrap();
            expect_end(&mut client);
        }
        drop(nc.take_stdin());
        nc.end().expect_code(0);
        // Detached, it writes its last lines after the end of the program.
        crate::support::wait::until("strace to end", || {
            fs::read_to_string(&theirs).unwrap().contains("exit_group(0)")
        });
        let count = agrees(&ours, &theirs, name);
        assert!(count > 5, "invariant: every call is traced; got only {count}");
    }
}

/// A bit of everything: all kinds of bytes, EOF, idle time, datagrams.
fn visit(server: &Program, path: &str) {
    let mut client = connect(&server.tcp());
    echo(&mut client, b"hello\n\t\x01\x002\xff\"\\");
    echo(&mut client, b"\x007\x008\x009");
    echo(&mut client, &[b'x'; 100]);
    client.shutdown(Shutdown::Write).unwrap();
    expect_end(&mut client);
    let mut local = connect_unix(path);
    local.write_all(b"by path").unwrap();
    Datagrams::to(&server.udp()).echo(b"a datagram");
    // The idle timeout closes this one.
    expect_end(&mut connect(&server.tcp()));
}

/// The lines of a trace, without what differs: durations, memory addresses, and the spaces before
/// the result that strace uses for alignment.
fn lines(path: &str) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let plain = |line: &str| {
        let line = match line.rsplit_once(" <") {
            Some((line, time)) if time.ends_with('>') => line,
            _ => line,
        };
        let mut words: Vec<String> = Vec::new();
        for word in line.split_whitespace() {
            let is_address = word.trim_start_matches("0x") != word;
            words.push(if is_address { "...,".into() } else { word.to_owned() });
        }
        words.join(" ")
    };
    text.lines().map(plain).collect()
}
