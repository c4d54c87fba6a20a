//! Exit: with which exit code, and when.

use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use epollite::kernel::SocketType;
use epollite::net::AddressFamily;
use epollite::{Addr, Errno, Fd, Kernel, Linux};

use super::harness::{HOST, closed_port, our_command, our_listener, ours, theirs};
use crate::support::client::{connect, expect, expect_end, expect_silence};
use crate::support::procfs::{binds_nonlocal, state};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::wait::{TIMEOUT, until};

#[test]
fn n_half_closes_the_connection_at_the_end_of_input() {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = ours(&["-N", HOST, &port]);
    let (mut connection, _) = listener.accept().unwrap();
    client.write_stdin(b"all there is");
    drop(client.take_stdin());
    expect(&mut connection, b"all there is");
    expect_end(&mut connection);
    // The other direction is still open.
    connection.write_all(b"and back\n").unwrap();
    client.stdout.line_with("and back");
    drop(connection);
    client.end().expect_code(0);
}

#[test]
fn without_n_the_connection_stays_open_until_the_peer_closes() {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = ours(&[HOST, &port]);
    let (mut connection, _) = listener.accept().unwrap();
    client.write_stdin(b"all there is");
    drop(client.take_stdin());
    expect(&mut connection, b"all there is");
    expect_silence(&mut connection);
    drop(connection);
    client.end().expect_code(0);
}

#[test]
fn nc_exits_when_stdout_closes_with_pending_output() {
    // More than a pipe holds is pending when the reader goes away.
    for listens in [false, true] {
        let listener = TcpListener::bind((HOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let (reader, writer) = std::io::pipe().unwrap();
        let words: &[&str] = if listens { &["-lv", HOST, "0"] } else { &[HOST, &port] };
        let mut command = our_command(words);
        command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
        let mut nc = crate::support::process::Process::start_as_is(command);
        let mut connection = if listens {
            let line = nc.stderr.line_with("Listening on");
            connect(&format!("{HOST}:{}", line.rsplit(' ').next().unwrap()))
        } else {
            listener.accept().unwrap().0
        };
        connection.set_nonblocking(true).unwrap();
        let mut sent = 0;
        until("all buffers to be full", || {
            let before = sent;
            while let Ok(count) = connection.write(&[b'x'; 65_536]) {
                sent += count;
            }
            sent > 0 && sent == before
        });
        drop(reader);
        until("it to exit", || nc.ended().is_some());
        nc.end();
    }
}

#[test]
fn a_client_continues_sending_after_the_peer_half_closed() {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = ours(&["-N", HOST, &port]);
    let (mut connection, _) = listener.accept().unwrap();
    connection.write_all(b"last words\n").unwrap();
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    client.stdout.line_with("last words");
    client.write_stdin(b"an answer");
    drop(client.take_stdin());
    expect(&mut connection, b"an answer");
    expect_end(&mut connection);
    client.end().expect_code(0);
}

#[test]
fn q_exits_after_the_delay_from_the_end_of_input() {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = ours(&["-q", "300ms", HOST, &port]);
    let (mut connection, _) = listener.accept().unwrap();
    client.write_stdin(b"all there is");
    let start = Instant::now();
    client.end().expect_code(0);
    assert!(start.elapsed() >= Duration::from_millis(300), "invariant: -q waits as long");
    expect(&mut connection, b"all there is");
    expect_end(&mut connection);
}

#[test]
fn q_0_half_closes_and_prints_the_reply_as_nc_does() {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    for is_ours in [true, false] {
        // One after the other: connections are accepted in connect order.
        let arguments = ["-q", "0", HOST, &port];
        let mut client = if is_ours { ours(&arguments).into() } else { theirs("nc", &arguments) };
        let (mut connection, _) = listener.accept().unwrap();
        connection.set_read_timeout(Some(TIMEOUT)).unwrap();
        client.write_stdin(b"all there is");
        drop(client.take_stdin());
        expect(&mut connection, b"all there is");
        expect_end(&mut connection);
        connection.write_all(b"and the answer").unwrap();
        drop(connection);
        let ending = client.end();
        ending.expect_code(0);
        assert_eq!(ending.stdout.trim_end(), "and the answer");
    }
}

#[test]
fn q_0_of_a_listener_and_of_a_unix_client_waits_for_the_reply() {
    let (mut nc, port) = our_listener(&["-q", "0"]);
    drop(nc.take_stdin());
    let mut connection = connect(&format!("{HOST}:{port}"));
    expect_end(&mut connection);
    connection.write_all(b"and the answer").unwrap();
    drop(connection);
    assert_eq!(nc.end().stdout.trim_end(), "and the answer");

    let scratch = Scratch::new();
    let path = scratch.file("echo");
    let server = Program::serving(&["--unix", &path]);
    let mut nc = ours(&["-q", "0", "-U", &path]);
    nc.write_stdin(b"comes back\n");
    assert_eq!(nc.end().stdout, "comes back\n");
    server.stop().expect_code(0);
}

#[test]
fn w_limits_idle_time_and_connect_time() {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    // Its input stays open: it exits by itself with code 0, as nc does.
    let mut client = ours(&["-w", "200ms", HOST, &port]);
    let _connection = listener.accept().unwrap();
    until("the idle client to exit", || client.ended().is_some());
    client.end().expect_code(0);

    // A listener with a full backlog does not answer: the connection is never established.
    let (full, addr) = full_listener();
    let port = addr.port().unwrap().to_string();
    let client = ours(&["-w200ms", HOST, &port]).end();
    client.expect_code(1);
    let expected = format!("connect to {HOST} port {port} (tcp) failed: ");
    assert!(client.single_error_line().contains(&expected), "{client:?}");
    assert!(client.single_error_line().ends_with("(ETIMEDOUT)"), "{client:?}");
    for fd in full {
        Linux.close(fd).unwrap();
    }
}

/// A listener, and as many connections as its backlog takes.
fn full_listener() -> (Vec<Fd>, Addr) {
    let any: Addr = "127.0.0.1:0".parse().unwrap();
    let listener = Linux.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
    Linux.bind(&listener, &any).unwrap();
    Linux.listen(&listener, 0).unwrap();
    let addr = Linux.getsockname(&listener).unwrap();
    let mut full = vec![listener];
    for _ in 0..4 {
        let client = Linux.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
        assert_eq!(Linux.connect(&client, &addr), Err(Errno::EINPROGRESS));
        full.push(client);
    }
    (full, addr)
}

#[test]
fn big_w_exits_after_the_given_number_of_reads() {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = ours(&["-W", "2", HOST, &port]);
    let (mut connection, _) = listener.accept().unwrap();
    connection.write_all(b"one\n").unwrap();
    client.stdout.line_with("one");
    connection.write_all(b"two\n").unwrap();
    until("the client to exit", || client.ended().is_some());
    let ending = client.end();
    ending.expect_code(0);
    assert_eq!(ending.stdout, "one\ntwo\n");
}

#[test]
fn a_failed_connect_is_one_line_and_exit_1() {
    let port = closed_port();
    let ending = ours(&[HOST, &port]).end();
    ending.expect_code(1);
    let expected = format!(
        "epollite: connect to {HOST} port {port} (tcp) failed: Connection refused (ECONNREFUSED)"
    );
    assert_eq!(ending.single_error_line(), expected);

    let ending = ours(&["no-such-host.invalid", "80"]).end();
    ending.expect_code(1);
    assert_eq!(
        ending.single_error_line(),
        "epollite: getaddrinfo for host \"no-such-host.invalid\" port 80: Name or service not known"
    );
    for (arguments, named) in [
        (["-n", "localhost", "80"], "getaddrinfo for host \"localhost\""),
        (["-4", "::1", "80"], "Address family for hostname not supported"),
        (["-N", "-U", "/nowhere/at/all"], "No such file or directory (ENOENT)"),
        (["-l", "192.0.2.1", "80"], "bind 192.0.2.1 80: "),
    ] {
        if arguments.contains(&"192.0.2.1") && binds_nonlocal() {
            continue;
        }
        let ending = ours(&arguments).end();
        ending.expect_code(1);
        let complaint = ending.single_error_line();
        assert!(
            complaint.contains(named),
            "invariant: {arguments:?} is explained; got {complaint}"
        );
    }
}

#[test]
fn a_port_in_use_is_refused() {
    let (_listener, port) = our_listener(&[]);
    let second = ours(&["-l", HOST, &port]).end();
    second.expect_code(1);
    assert!(second.single_error_line().contains("Address already in use (EADDRINUSE)"));
}

#[test]
fn a_reset_ends_it_as_it_does_nc() {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = ours(&[HOST, &port]);
    let (mut connection, _) = listener.accept().unwrap();
    connection.write_all(b"abc\n").unwrap();
    client.stdout.line_with("abc");
    // Closing with unread input sends a reset.
    client.write_stdin(b"never read");
    until("the bytes to arrive", || connection.peek(&mut [0; 10]).is_ok_and(|len| len == 10));
    drop(connection);
    until("the client to exit", || client.ended().is_some());
    client.end().expect_code(0);
}

#[test]
fn a_closed_stdout_exits_without_a_message() {
    let (mut listener, port) = our_listener(&["-N"]);
    let mut client = our_command(&[HOST, &port]);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = client.spawn().unwrap();
    drop(child.stdout.take());
    listener.write_stdin(b"never read\n");
    until("the client to exit", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "invariant: no death by SIGPIPE: {output:?}");
    assert!(output.stderr.is_empty(), "invariant: no error output: {output:?}");
}

#[test]
fn closed_streams_are_like_dev_null() {
    let (mut listener, port) = our_listener(&["-N"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec \"$0\" nc -N \"$1\" \"$2\" <&- >&-"]);
    shell.args([crate::support::program::PROGRAM, HOST, &port]);
    let mut client = crate::support::process::Process::start(shell);
    listener.write_stdin(b"into nothing\n");
    drop(listener.take_stdin());
    client.end().expect_code(0);
    listener.end().expect_code(0);
}

#[test]
fn ctrl_c_kills_it_at_once_as_it_does_nc() {
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        // A background job of a shell ignores SIGINT, and the program inherits that; not here.
        let wrapper = ["env", "--default-signal=INT,TERM"];
        let listener = Program::start_under(&wrapper, &["nc", "-lkv", HOST, "0"]);
        listener.stderr.line_with("Listening on");
        died_of(name, number, listener);
    }
}

fn died_of(name: &str, number: i32, mut listener: Program) {
    use std::os::unix::process::ExitStatusExt;
    listener.signal(name);
    let ending = listener.end();
    assert_eq!(ending.status.signal(), Some(number), "invariant: killed by the signal itself");
}

#[test]
fn ctrl_c_removes_the_file_of_a_unix_socket_first() {
    let scratch = Scratch::new();
    let path = scratch.file("socket");
    let mut listener = ours(&["-lkvU", &path]);
    listener.stderr.line_with("Listening on");
    // It prints that before it reads signals; once asleep, it does read them.
    until("it to sleep", || state(listener.pid()) == 'S');
    listener.signal("INT");
    listener.end().expect_code(130);
    assert!(std::fs::metadata(&path).is_err(), "invariant: the socket file is removed on exit");
}

#[test]
fn stdio_flags_are_restored() {
    // Other users of our standard streams must not find them non-blocking.
    let (mut listener, port) = our_listener(&["-N"]);
    let mut shell = std::process::Command::new("sh");
    let line = "\"$0\" nc -N \"$1\" \"$2\"; grep flags /proc/self/fdinfo/0 /proc/self/fdinfo/1";
    shell.args(["-c", line, crate::support::program::PROGRAM, HOST, &port]);
    let mut client = crate::support::process::Process::start(shell);
    drop(listener.take_stdin());
    drop(client.take_stdin());
    let ending = client.end();
    let flags: Vec<u32> = ending.stdout.lines().map(open_flags).collect();
    assert_eq!(flags.len(), 2, "{ending:?}");
    const O_NONBLOCK: u32 = 0o4000;
    assert!(
        flags.iter().all(|flags| flags & O_NONBLOCK == 0),
        "invariant: O_NONBLOCK is cleared: {flags:?}"
    );
}

fn open_flags(line: &str) -> u32 {
    u32::from_str_radix(line.rsplit(char::is_whitespace).next().unwrap(), 8).unwrap()
}

#[test]
fn one_reset_does_not_end_other_clients() {
    let (listener, port) = our_listener(&["-k", "--echo"]);
    let mut stays = connect(&format!("{HOST}:{port}"));
    let mut peer = theirs("nc", &[HOST, &port]);
    peer.write_stdin(b"hello\n");
    peer.stdout.line_with("hello");
    peer.signal("KILL");
    stays.write_all(b"still here").unwrap();
    expect(&mut stays, b"still here");
    drop(listener);
}
