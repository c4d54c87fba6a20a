//! The page of `--metrics`: its format, HTTP, and what it may cost.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::client::{connect, echo, expect_end, is_served};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::wait::eventually;

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn serving(options: &[&str]) -> Program {
    let arguments = ["--tcp", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--log-format", "json"];
    let server = Program::serving(&[&arguments[..], options].concat());
    server.stdout.line_with("\"transport\":\"tcp\"");
    server
}

/// The first address of the page.
fn address(server: &Program) -> String {
    server.addresses("metrics").remove(0)
}

/// An answer: status line, headers by name, body.
struct Answer {
    status: String,
    headers: HashMap<String, String>,
    body: String,
}

/// The answer to a request; the server closes the connection after it.
fn ask(address: &str, request: &[u8]) -> Answer {
    let mut stream = connect(address);
    stream.write_all(request).expect("the request is read");
    answer(&mut stream)
}

fn answer(stream: &mut TcpStream) -> Answer {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("invariant: an orderly end follows the answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("an empty line ends the headers");
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().to_owned();
    let headers = lines.map(|line| line.split_once(": ").expect("a name and a value"));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: body.to_owned() }
}

/// Reads the text format as a scraper does, and checks it: each family has HELP and TYPE, once and
/// before its samples, counters end with `_total`, no sample is there twice.
fn samples(page: &str) -> HashMap<String, f64> {
    let (mut samples, mut families) = (HashMap::new(), HashSet::new());
    let (mut help, mut family) = (String::new(), (String::new(), String::new()));
    assert!(page.ends_with('\n'), "the last line ends");
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, text) = rest.split_once(' ').expect("a name and a text");
            assert!(!text.is_empty() && families.insert(name.to_owned()), "{line}: once");
            help = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(name == help && ["counter", "gauge"].contains(&kind), "{line}: after HELP");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = (name.to_owned(), kind.to_owned());
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            assert_eq!(name, family.0, "{line}: a sample follows its family");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            );
            if let Some(labels) = labels.strip_suffix('}') {
                let (label, value) = labels.split_once("=\"").expect("a label and a value");
                assert!(label.bytes().all(|byte| byte.is_ascii_lowercase()), "{line}");
                let value = value.strip_suffix('"').expect("a quote at the end");
                assert!(!value.contains(['"', '\\', '\n']), "{line}");
            } else {
                assert!(labels.is_empty(), "{line}");
            }
            let value = value.parse().unwrap_or_else(|_| panic!("{line}: a number"));
            assert!(samples.insert(series.to_owned(), value).is_none(), "{line}: once");
        }
    }
    samples
}

#[test]
fn the_page_has_the_figures_of_all_threads_in_the_format_of_prometheus() {
    for threads in ["1", "3"] {
        let options = ["--threads", threads, "--udp", "127.0.0.1:0", "--idle-timeout", "1m"];
        let server = serving(&options);
        let mut clients: Vec<TcpStream> = (0..9).map(|_| connect(&server.tcp())).collect();
        clients.iter_mut().for_each(|client| echo(client, b"ten bytes."));
        drop(clients.split_off(6));
        let page = eventually("three connections to be closed", || {
            let answer = ask(&address(&server), GET);
            assert_eq!(answer.status, "HTTP/1.1 200 OK");
            assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
            assert_eq!(answer.headers["content-length"], answer.body.len().to_string());
            assert_eq!(answer.headers["connection"], "close");
            let page = samples(&answer.body);
            (page["epollite_connections_closed_total"] == 3.0).then_some(page)
        });
        assert_eq!(page["epollite_connections_open"], 6.0, "{threads} threads");
        assert!(page["epollite_slab_slots"] > 9.0, "a listener and once nine clients: {page:?}");
        assert!(page["epollite_deadlines"] >= 6.0, "one for each client: {page:?}");
        assert_eq!(page["epollite_connections_accepted_total"], 9.0);
        assert_eq!(page["epollite_received_bytes_total{transport=\"stream\"}"], 90.0);
        assert_eq!(page["epollite_sent_bytes_total{transport=\"stream\"}"], 90.0);
        assert_eq!(page["epollite_datagrams_received_total"], 0.0);
        assert_eq!(page["epollite_build_info{version=\"0.1.0\"}"], 1.0);
        assert!(page["epollite_syscalls_total{syscall=\"accept4\"}"] >= 9.0, "{page:?}");
        let statistics = server.statistics();
        assert_eq!(statistics.number("connections.accepted"), 9);
        assert_eq!(statistics.number("bytes.in"), 90);
        assert!(
            statistics.number("echoes") as f64
                >= page["epollite_echoes_total{transport=\"stream\"}"]
        );
        server.stop().expect_code(0);
    }
}

#[test]
fn other_requests_have_the_answers_of_http() {
    let server = serving(&[]);
    let address = address(&server);
    let long = [b"GET /metrics HTTP/1.1\r\nA: ", &b"a".repeat(9000)[..], b"\r\n\r\n"].concat();
    for (request, status) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "HTTP/1.1 404 Not Found"),
        (
            b"POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\nxx",
            "HTTP/1.1 405 Method Not Allowed",
        ),
        (b"\x16\x03\x01\x02\0\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (&long, "HTTP/1.1 431 Request Header Fields Too Large"),
    ] {
        let answer = ask(&address, request);
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers["content-length"], answer.body.len().to_string());
        let allow = answer.headers.get("allow").map(String::as_str);
        assert_eq!(allow, status.contains("405").then_some("GET, HEAD"));
    }
    let head = ask(&address, b"HEAD /metrics HTTP/1.1\r\n\r\n");
    assert_eq!((head.status.as_str(), head.body.as_str()), ("HTTP/1.1 200 OK", ""));
    assert!(head.headers["content-length"].parse::<usize>().unwrap() > 1000);
    let mut slow = connect(&address);
    for byte in GET {
        slow.write_all(&[*byte]).unwrap();
    }
    samples(&answer(&mut slow).body);
    server.stop().expect_code(0);
}

#[test]
fn requests_that_do_not_end_are_closed_and_cost_no_client() {
    let server = serving(&["--threads", "2"]);
    let address = address(&server);
    // More than are served at a time: the last ones are closed at once.
    let mut silent: Vec<TcpStream> = (0..40).map(|_| connect(&address)).collect();
    expect_end(&mut silent.pop().expect("forty were opened"));
    is_served(&server.tcp());
    silent[0].write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    silent.iter_mut().for_each(|stream| expect_end(stream));
    samples(&ask(&address, GET).body);
    is_served(&server.tcp());
    server.stop().expect_code(0);
}

#[test]
fn a_successor_answers_at_the_same_address() {
    let scratch = Scratch::new();
    let control = scratch.file("control");
    let mut first = serving(&["--takeover", &control]);
    let address = address(&first);
    is_served(&first.tcp());
    let second = serving(&["--takeover", &control]);
    first.end().expect_code(0);
    let page = samples(&ask(&address, GET).body);
    assert_eq!(page["epollite_connections_accepted_total"], 0.0, "it counts its own");
    second.stop().expect_code(0);
}

#[test]
fn an_address_that_cannot_be_used_is_one_clear_line() {
    let server = serving(&[]);
    let taken = address(&server);
    let echo = ["echo", "--tcp", "127.0.0.1:0", "--metrics"];
    for (arguments, code, expected) in [
        (&[taken.as_str()][..], 69, "EADDRINUSE"),
        (&["127.0.0.1:0", "--model", "poll"], 2, "does not support --metrics: only the reactor's"),
        (&["localhost"], 2, "--metrics: 'localhost' is not an address"),
    ] {
        let ending = Program::run(&[&echo[..], arguments].concat());
        let line = ending.expect_code(code).single_error_line();
        assert!(line.contains(expected), "{line}");
    }
    server.stop().expect_code(0);
}
