//! Bulk data in both directions at once, through pipes and files: every byte, in bounded memory.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::harness::{HOST, our_command, our_listener, ours, printed_port};
use crate::support::client::{fill_buffers, uninterrupted};
use crate::support::pattern::{Pattern, bytes};
use crate::support::process::Process;
use crate::support::procfs::resident_kib;
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::{until, until_still};

const MUCH: usize = 64 << 20;

/// So much that one direction ends long before the other.
const LESS: usize = 24 << 20;

#[test]
fn our_client_and_listener_exchange_files_byte_for_byte() {
    for (theirs_bytes, ours_bytes) in [(MUCH, LESS), (LESS, MUCH)] {
        let scratch = Scratch::new();
        let [a, b] = [("a", ours_bytes), ("b", theirs_bytes)].map(|(name, len)| {
            fs::write(scratch.file(name), bytes(len)).unwrap();
            scratch.file(name)
        });
        let [a_out, b_out] = ["a.out", "b.out"].map(|name| scratch.file(name));
        let mut listener = our_command(&["-lvN", HOST, "0"]);
        listener.stdin(open(&a)).stdout(create(&b_out)).stderr(Stdio::piped());
        let mut listener = Process::start_as_is(listener);
        let port = printed_port(&listener);
        let mut client = our_command(&["-N", HOST, &port]);
        client.stdin(open(&b)).stdout(create(&a_out));
        Process::start_as_is(client).end().expect_code(0);
        listener.end().expect_code(0);
        is_the_pattern(&a_out, ours_bytes);
        is_the_pattern(&b_out, theirs_bytes);
    }
}

#[test]
fn pipes_are_exchanged_byte_for_byte_with_each_tool() {
    // Not its PIPE address: socat writes to it as if it always had room, and may block forever.
    let echo = ["-d", "-d", "-t", "60", "TCP-LISTEN:0,bind=127.0.0.1", "EXEC:cat"];
    let mut listener = tool("socat");
    listener.args(echo);
    let listener = Process::start(listener);
    let line = listener.stderr.line_with("listening on");
    let port = line.rsplit(':').next().unwrap().to_owned();
    is_echoed_whole(our_command(&["-N", HOST, &port]));

    for (name, flags) in [("nc", &["-N"][..]), ("ncat", &[]), ("socat", &[])] {
        let (listener, port) = our_listener(&["--echo"]);
        let mut client = tool(name);
        match name {
            "socat" => client.args(["-t", "60", "STDIO", &format!("TCP:{HOST}:{port}")]),
            _ => client.args(flags).args([HOST, &port]),
        };
        is_echoed_whole(client);
        drop(listener);
    }
}

#[test]
fn a_file_is_sent_to_a_client_that_sends_nothing() {
    let scratch = Scratch::new();
    let path = scratch.file("much");
    fs::write(&path, bytes(MUCH)).unwrap();
    // Without -N, and the client shuts down at once: the file is sent completely all the same.
    let mut listener = our_command(&["-lv", HOST, "0"]);
    listener.stdin(open(&path)).stdout(Stdio::null()).stderr(Stdio::piped());
    let listener = Process::start_as_is(listener);
    let port = printed_port(&listener);
    let out = scratch.file("out");
    let mut client = tool("nc");
    client.args(["-N", HOST, &port]).stdin(Stdio::null()).stdout(create(&out));
    Process::start_as_is(client).end().expect_code(0);
    is_the_pattern(&out, MUCH);
}

#[test]
fn backpressure_is_bounded_and_stops_only_its_own_direction() {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = our_command(&["-N", HOST, &port]);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = Killed(client.spawn().unwrap());
    let (mut connection, _) = listener.accept().unwrap();
    let pid = client.0.id();
    let before = resident_kib(pid);
    // Its output is not read, so data from the network backs up.
    let taken = fill_buffers(&mut connection, 1 << 30);
    assert!(taken < 64 << 20, "invariant: it reads only what it can pass on; took {taken}");
    let more = until_still("its memory to settle", 20, || resident_kib(pid)).saturating_sub(before);
    assert!(more < 4 << 10, "invariant: bounded memory; grew by {more} KiB");
    // The other direction is unaffected.
    client.0.stdin.as_mut().unwrap().write_all(b"the other way").unwrap();
    crate::support::client::expect(&mut connection, b"the other way");
}

#[test]
fn the_slowest_peer_limits_the_input() {
    let (mut listener, port) = our_listener(&["-k"]);
    let mut reads = ours(&[HOST, &port]);
    let sleeps = std::net::TcpStream::connect(format!("{HOST}:{port}")).unwrap();
    until("both to be connected", || listener.stderr.count_with("Connection received") == 2);
    let mut stdin = listener.take_stdin();
    let writer = thread::spawn(move || {
        let mut sent = Pattern::new();
        // Exits when the listener is killed.
        while stdin.write_all(sent.next(1 << 20)).is_ok() {}
        sent.offset()
    });
    let pid = listener.pid();
    let before = resident_kib(pid);
    until_still("it to be still", 60, || resident_kib(pid));
    let more = resident_kib(pid).saturating_sub(before);
    assert!(more < 4 << 10, "invariant: bounded memory; grew by {more} KiB");
    drop((listener, sleeps));
    writer.join().unwrap();
    reads.signal("TERM");
    reads.end();
}

/// `client` sends the pattern from a pipe, and receives all of it back into one.
fn is_echoed_whole(mut client: Command) {
    let mut client = Killed(client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let mut stdin = client.0.stdin.take().unwrap();
    let mut stdout = client.0.stdout.take().unwrap();
    let writer = thread::spawn(move || {
        let mut sent = Pattern::new();
        while sent.offset() < MUCH {
            if stdin.write_all(sent.next(MUCH - sent.offset())).is_err() {
                return;
            }
        }
    });
    let reader = thread::spawn(move || crate::support::client::read_to_end(&mut stdout));
    until("all data to be echoed", || reader.is_finished());
    assert_eq!(reader.join().unwrap(), MUCH, "invariant: every byte, before the end");
    writer.join().unwrap();
    until("the client to exit", || client.0.try_wait().unwrap().is_some());
    assert!(client.0.wait().unwrap().success(), "invariant: the client exits successfully");
}

#[track_caller]
fn is_the_pattern(path: &str, len: usize) {
    let content = fs::read(path).unwrap();
    assert_eq!(content.len(), len, "invariant: every byte arrives: {path}");
    Pattern::new().verify(&content);
}

fn open(path: &str) -> File {
    File::open(path).unwrap()
}

fn create(path: &str) -> File {
    File::create(path).unwrap()
}

/// Killed by its pid when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `-w` applies to idle connections; a slow reader that keeps reading is not idle.
#[test]
fn a_steady_reader_is_not_idle() {
    const TOTAL: usize = 6_000_000;
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut nc = ours(&["-N", "-w", "2", HOST, &port]);
    let mut stdin = nc.take_stdin();
    let writing = thread::spawn(move || {
        let _ = stdin.write_all(&vec![b's'; TOTAL]);
    });
    let (mut peer, _) = listener.accept().unwrap();
    let (start, mut read) = (Instant::now(), 0);
    loop {
        // Slowly for longer than two timeouts, then as fast as possible.
        if start.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(50));
        }
        match uninterrupted(|| peer.read(&mut [0; 20_000])).unwrap() {
            0 => break,
            count => read += count,
        }
    }
    writing.join().unwrap();
    drop(peer);
    assert_eq!(read, TOTAL);
    nc.end().expect_code(0);
}
