//! Flags: help, mistakes in one line, and `-z`.

use std::net::TcpListener;

use super::harness::{HOST, closed_port, closed_udp_port, our_listener, ours};

/// The mistake, and a word that the error message must contain.
const MISTAKES: [(&[&str], &str); 31] = [
    (&[], "missing port number"),
    (&["host"], "missing port number"),
    (&["host", "70000"], "port number too large: 70000"),
    (&["host", "8+0"], "port number invalid: '8+0'"),
    (&["host", "ht tp"], "port number invalid: 'ht tp'"),
    (&["-z", "host", "1-http"], "port number invalid: 'http'"),
    (&["host", "1-3"], "range of ports is for -z"),
    (&["host", "0"], "port number too small: 0"),
    (&["--", "-host", "0"], "port number too small: 0"),
    (&["host", "1", "2"], "unexpected argument '2'"),
    (&["-l"], "missing port number"),
    (&["-lp"], "-p needs a value"),
    (&["-k", "host", "1"], "must use -l with -k"),
    (&["-lz", "1"], "cannot use -z and -l"),
    (&["-lzv", "1"], "cannot use -z and -l"),
    (&["-z", "-U", "path"], "cannot use -z and -U"),
    (&["-U"], "missing path"),
    (&["-U", "one", "two"], "unexpected argument 'two'"),
    (&["-U", "-p", "1", "path"], "cannot use -p and -U"),
    (&["-4U", "path"], "cannot use -4 or -6 and -U"),
    (&["-U", "-s", "from", "path"], "it needs -u, without -l"),
    (&["-b", "host", "1"], "-b is for UDP"),
    (&["--echo", "host", "1"], "must use -l with --echo"),
    (&["-l", "--echo", "--chat", "1"], "one of --echo, --discard and --chat"),
    (&["-w", "soon", "host", "1"], "-w: 'soon' is not a duration"),
    (&["-q", "-x", "host", "1"], "-q: 'x' is not a duration"),
    (&["-W", "0", "host", "1"], "-W: '0' is not a number from 1 on"),
    (&["-l", "-e", "sh", "1"], "-e would run a program for any client"),
    (&["-lc", "sh", "1"], "-c would run a program for any client"),
    (&["-x", "proxy", "host", "1"], "unknown option '-x'"),
    (&["-lp", "1", "-p", "2", "3", "4"], "given twice"),
];

#[test]
fn a_usage_error_is_one_line_that_quotes_it_and_exit_2() {
    for (arguments, named) in MISTAKES {
        let ending = ours(arguments).end();
        ending.expect_code(2);
        let complaint = ending.single_error_line();
        assert!(complaint.contains(named), "invariant: {arguments:?} is named; got {complaint:?}");
        assert!(complaint.ends_with("; try 'epollite nc --help'"), "got {complaint:?}");
    }
}

#[test]
fn help_names_every_flag() {
    for asked in ["-h", "--help"] {
        let help = ours(&[asked]).end();
        help.expect_code(0);
        for letter in "lkuU46npsbzvwWNqiCh".chars() {
            let is_named = help.stdout.contains(&format!("-{letter}"));
            assert!(is_named, "invariant: help names -{letter}");
        }
        for flag in ["--echo", "--discard", "--chat"] {
            assert!(help.stdout.contains(flag), "invariant: help names {flag}");
        }
    }
}

#[test]
fn a_port_may_have_the_name_of_a_service() {
    // A minimal system has no services file, and then no such name.
    let services = std::fs::read_to_string("/etc/services").unwrap_or_default();
    let is_http = |line: &str| line.split_ascii_whitespace().take(2).eq(["http", "80/tcp"]);
    let named = if services.lines().any(is_http) { " 80 " } else { "port number invalid: http" };
    for arguments in [&["-zv", HOST, "http"][..], &["-nzv", HOST, "http"]] {
        // Whether anything listens there does not matter.
        let reported = ours(arguments).end().stderr;
        assert!(reported.contains(named), "invariant: {arguments:?} is port 80; got {reported:?}");
    }
    for arguments in [&[HOST, "no-such-1"][..], &["-lu", "no-such-1"], &["-lp", "no-such-1"]] {
        let ending = ours(arguments).end();
        ending.expect_code(1);
        let complaint = ending.single_error_line();
        assert!(complaint.ends_with("port number invalid: no-such-1"), "got {complaint:?}");
    }
    let ending = ours(&["-p", "no-such-1", HOST, "1"]).end();
    ending.expect_code(1);
    assert!(ending.single_error_line().ends_with("port number invalid: no-such-1"));
}

#[test]
fn z_lists_open_ports() {
    let open = TcpListener::bind((HOST, 0)).unwrap();
    let port = open.local_addr().unwrap().port();
    let range = format!("{}-{}", port.saturating_sub(1), port);
    let ending = ours(&["-zv", HOST, &range]).end();
    ending.expect_code(0);
    let succeeded = format!("Connection to {HOST} {port} port [tcp/*] succeeded!\n");
    assert!(ending.stderr.contains(&succeeded), "{ending:?}");
    assert!(ours(&["-z", HOST, &range]).end().stderr.is_empty(), "invariant: no output without -v");

    let closed = closed_port();
    let ending = ours(&["-z", HOST, &closed]).end();
    ending.expect_code(1);
    assert!(ending.single_error_line().contains(&format!("port {closed} (tcp) failed: ")));
}

#[test]
fn z_of_a_range_of_closed_ports_is_exit_1_and_one_line() {
    let closed = closed_port();
    let range = format!("{closed}-{closed}");
    ours(&["-z", HOST, &range]).end().expect_code(1);
    // These need no listener, and none has these ports.
    let ending = ours(&["-z", HOST, "1-3"]).end();
    ending.expect_code(1);
    assert_eq!(
        ending.single_error_line(),
        format!("epollite: none of the ports 1-3 of {HOST} (tcp) is open")
    );
}

#[test]
fn z_udp_distinguishes_closed_from_silent() {
    let (_listener, port) = our_listener(&["-u"]);
    let ending = ours(&["-uzv", "-w100ms", HOST, &port]).end();
    ending.expect_code(0);
    let expected = format!("Connection to {HOST} {port} port [udp/*] succeeded!\n");
    assert_eq!(ending.stderr, expected);
    ours(&["-uz", HOST, &closed_udp_port()]).end().expect_code(1);
}

#[test]
fn numbers_and_dots_are_addresses_with_n_and_without() {
    let server = crate::support::program::Program::serving(&["--tcp", "127.0.0.1:0"]);
    let port = server.tcp().rsplit(':').next().unwrap().to_owned();
    for host in ["127.1", "0x7f.1", "2130706433", "0"] {
        for flags in ["-nz", "-z"] {
            ours(&[flags, host, &port]).end().expect_code(0);
        }
    }
    let (listener, port) = {
        let listener = ours(&["-lvn", "127.1", "0"]);
        let port = super::harness::printed_port(&listener);
        (listener, port)
    };
    ours(&["-nz", "-s", "127.2", "127.1", &port]).end().expect_code(0);
    drop(listener);
    for host in ["127.0.0.256", "127.", "08"] {
        ours(&["-nz", host, &port]).end().expect_code(1);
    }
}

#[test]
fn a_source_address_of_another_family_is_reported_as_such() {
    let port = closed_port();
    let ending = ours(&["-s", "::1", HOST, &port]).end();
    ending.expect_code(1);
    let complaint = ending.single_error_line();
    assert!(complaint.contains("-s ::1"), "invariant: no made-up errno; {complaint}");
}
