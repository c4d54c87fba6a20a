//! Interoperability in both directions with OpenBSD's nc, ncat and socat.

use super::harness::{HOST, closed_port, our_listener, ours, printed_port, their_listener, theirs};
use crate::support::client::until_refused;
use crate::support::procfs::listens_at;
use crate::support::scratch::Scratch;
use crate::support::wait::until;

#[test]
fn our_client_works_with_openbsd_nc() {
    let (mut listener, port) = their_listener(&[]);
    let mut client = ours(&["-N", HOST, &port]);
    client.write_stdin(b"from us\n");
    listener.stdout.line_with("from us");
    listener.write_stdin(b"from them\n");
    client.stdout.line_with("from them");
    // Our side shuts down, theirs then exits, and so does ours.
    drop(client.take_stdin());
    listener.end().expect_code(0);
    client.end().expect_code(0);
}

#[test]
fn openbsd_nc_works_with_our_listener() {
    let (mut listener, port) = our_listener(&[]);
    let mut client = theirs("nc", &["-N", HOST, &port]);
    client.write_stdin(b"from them\n");
    listener.stdout.line_with("from them");
    listener.write_stdin(b"from us\n");
    client.stdout.line_with("from us");
    drop(client.take_stdin());
    listener.end().expect_code(0);
    client.end().expect_code(0);
}

#[test]
fn ncat_works_with_our_listener_and_our_client_with_ncat() {
    let (mut listener, port) = our_listener(&[]);
    let mut client = theirs("ncat", &[HOST, &port]);
    client.write_stdin(b"from ncat\n");
    listener.stdout.line_with("from ncat");
    listener.write_stdin(b"from us\n");
    client.stdout.line_with("from us");
    drop(client.take_stdin());
    listener.end().expect_code(0);

    let port = closed_port();
    let mut listener = theirs("ncat", &["-lvn", HOST, &port]);
    listener.stderr.line_with("Listening on 127.0.0.1");
    let mut client = ours(&["-N", HOST, &port]);
    client.write_stdin(b"from us\n");
    listener.stdout.line_with("from us");
    listener.write_stdin(b"from ncat\n");
    client.stdout.line_with("from ncat");
    drop(client.take_stdin());
    drop(listener.take_stdin());
    client.end().expect_code(0);
}

#[test]
fn socat_works_with_our_listener_and_our_client_with_socat() {
    let (mut listener, port) = our_listener(&[]);
    let mut client = theirs("socat", &["STDIO", &format!("TCP:{HOST}:{port}")]);
    client.write_stdin(b"from socat\n");
    listener.stdout.line_with("from socat");
    listener.write_stdin(b"from us\n");
    client.stdout.line_with("from us");
    drop(client.take_stdin());
    listener.end().expect_code(0);

    let echo = theirs("socat", &["-d", "-d", "TCP-LISTEN:0,bind=127.0.0.1", "EXEC:cat"]);
    let line = echo.stderr.line_with("listening on");
    let port = line.rsplit(':').next().unwrap().to_owned();
    let mut client = ours(&["-N", HOST, &port]);
    client.write_stdin(b"there and back\n");
    client.stdout.line_with("there and back");
    client.end().expect_code(0);
}

#[test]
fn unix_streams_work_both_ways_and_unlink() {
    let scratch = Scratch::new();
    let path = scratch.file("socket");
    let mut listener = ours(&["-lvU", &path]);
    listener.stderr.line_with(&format!("Listening on {path}"));
    let mut client = theirs("nc", &["-NU", &path]);
    client.write_stdin(b"from them\n");
    listener.stdout.line_with("from them");
    drop(client.take_stdin());
    listener.end().expect_code(0);
    assert!(std::fs::metadata(&path).is_err(), "invariant: the socket file is removed on exit");

    let mut listener = theirs("nc", &["-lU", &path]);
    until("the peer to listen", || listens_at(&path));
    let mut client = ours(&["-NU", &path]);
    client.write_stdin(b"from us\n");
    listener.stdout.line_with("from us");
    drop(client.take_stdin());
    listener.end().expect_code(0);
    client.end().expect_code(0);
}

#[test]
fn without_k_one_client_is_served_and_the_next_one_refused() {
    let (mut listener, port) = our_listener(&[]);
    let mut first = theirs("nc", &[HOST, &port]);
    first.write_stdin(b"first\n");
    listener.stdout.line_with("first");
    until_refused(&format!("{HOST}:{port}"));
    listener.write_stdin(b"still here\n");
    first.stdout.line_with("still here");
}

#[test]
fn s_and_p_set_the_listen_address() {
    let port = closed_port();
    let listener = ours(&["-lv", "-s", HOST, "-p", &port]);
    assert_eq!(printed_port(&listener), port);
}

#[test]
fn s_and_p_set_the_source_address_and_port() {
    let (listener, port) = our_listener(&[]);
    let source = closed_port();
    let _client = ours(&["-s", "127.0.0.2", "-p", &source, HOST, &port]);
    listener.stderr.line_with(&format!("Connection received on 127.0.0.2 {source}"));
}
