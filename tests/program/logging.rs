//! Output: listen addresses and statistics on stdout, everything else on stderr.

use crate::support::TRIGGERS;
use crate::support::client::{connect, connect_unix, echo, expect_end, is_served};
use crate::support::datagram::Datagrams;
use crate::support::json::Json;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::wait::until;

#[test]
fn verbose_logs_connect_receive_and_close() {
    for trigger in TRIGGERS {
        let server = Program::serving(&["--tcp", "127.0.0.1:0", "-v", "--trigger", trigger]);
        let mut client = connect(&server.tcp());
        let peer = format!("tcp {}", client.local_addr().unwrap());
        echo(&mut client, b"hello");
        client.shutdown(std::net::Shutdown::Write).unwrap();
        expect_end(&mut client);
        server.stderr.line_with(&format!("{peer} connected"));
        server.stderr.line_with(&format!("{peer} received 5 bytes"));
        server.stderr.line_with(&format!("{peer} closed after 5 bytes: peer closed"));
    }
}

#[test]
fn verbose_distinguishes_reset_from_close() {
    let server = Program::serving(&["--tcp", "127.0.0.1:0", "--verbose"]);
    let client = connect(&server.tcp());
    let peer = format!("tcp {}", client.local_addr().unwrap());
    std::io::Write::write_all(&mut &client, b"an unread echo reply").unwrap();
    until("the echo to arrive", || client.peek(&mut [0; 64]).is_ok_and(|count| count == 20));
    // Closing with unread input sends a reset.
    drop(client);
    server.stderr.line_with(&format!("{peer} closed after 20 bytes: reset"));
}

#[test]
fn verbose_logs_unix_and_udp() {
    let scratch = Scratch::new();
    let path = scratch.file("socket");
    let server = Program::serving(&["--unix", &path, "--udp", "127.0.0.1:0", "-v"]);
    echo(&mut connect_unix(&path), b"anonymous");
    let client = Datagrams::to(&server.udp());
    client.echo(b"word");
    server.stderr.line_with("unix ");
    server.stderr.line_with(&client.socket.local_addr().unwrap().to_string());
}

#[test]
fn without_verbose_no_client_is_logged() {
    let server = Program::serving(&["--tcp", "127.0.0.1:0"]);
    let mut client = connect(&server.tcp());
    echo(&mut client, b"hello");
    let peer = client.local_addr().unwrap().to_string();
    drop(client);
    let ending = server.stop();
    assert!(
        !ending.stderr.contains(&peer),
        "invariant: only -v logs connections; got {}",
        ending.stderr
    );
}

#[test]
fn quiet_and_orderly_is_silent_on_stderr() {
    let scratch = Scratch::new();
    for quiet in [&["-q"][..], &["--quiet"], &["--log-format", "off"]] {
        let path = scratch.file("quiet");
        let mut server = Program::start(&[&["echo", "--unix", &path][..], quiet].concat());
        server.until_it_serves(&path);
        echo(&mut connect_unix(&path), b"hello");
        let ending = server.stop();
        ending.expect_code(0);
        assert!(
            ending.stderr.is_empty(),
            "invariant: {quiet:?} prints errors only; got {ending:?}"
        );
    }
}

#[test]
fn statistics_end_with_the_syscalls_per_echo() {
    let server = Program::serving(&["--tcp", "127.0.0.1:0"]);
    let mut client = connect(&server.tcp());
    for _ in 0..100 {
        echo(&mut client, b"count me");
    }
    server.signal("USR1");
    let last = server.stdout.line_with("syscalls per echo");
    let figure = last.split_whitespace().last().unwrap().parse::<f64>();
    let figure =
        figure.unwrap_or_else(|_| panic!("invariant: the figure is the last field; got {last:?}"));
    assert!(
        (2.0..4.0).contains(&figure),
        "invariant: an echo takes about three calls; got {figure}"
    );
    for kind in ["recv", "send", "epoll_wait"] {
        server.stdout.line_with(kind);
    }
}

#[test]
fn statistics_as_json_are_one_line_that_adds_up() {
    for trigger in TRIGGERS {
        let server = Program::on_tcp(trigger);
        let mut client = connect(&server.tcp());
        for _ in 0..10 {
            echo(&mut client, &[7; 64]);
        }
        drop(connect(&server.tcp()));
        until("the second client to be closed", || {
            server.statistics().number("connections.closed") == 1
        });
        let statistics = server.statistics();
        let is = |path: &str, value: u64| {
            assert_eq!(statistics.number(path), value, "invariant: {path} in {trigger} mode");
        };
        is("connections.open", 1);
        is("connections.accepted", 2);
        is("connections.reset", 0);
        is("connections.timed_out", 0);
        is("bytes.in", 640);
        is("bytes.out", 640);
        is("echoes", 10);
        is("events.stale", 0);
        is("datagrams.in", 0);
        is("syscalls.send", 10);
        assert!(
            statistics.number("events.handled") >= 12,
            "invariant: every arrival is a handled event"
        );
        total_is_the_sum(&statistics);
    }
}

#[test]
fn thread_statistics_are_aggregated() {
    let arguments = ["--tcp", "127.0.0.1:0", "--threads", "3", "--log-format", "json"];
    let server = Program::serving(&arguments);
    let mut clients: Vec<_> = (0..30).map(|_| connect(&server.tcp())).collect();
    for client in &mut clients {
        echo(client, b"12345");
    }
    let statistics = server.statistics();
    assert_eq!(statistics.number("connections.open"), 30);
    assert_eq!(statistics.number("bytes.out"), 150);
    total_is_the_sum(&statistics);
}

#[test]
fn datagrams_are_counted() {
    let server = Program::serving(&["--udp", "127.0.0.1:0", "--log-format", "json"]);
    let client = Datagrams::to(&server.udp());
    for _ in 0..5 {
        client.echo(b"12345678");
    }
    let statistics = server.statistics();
    assert_eq!(statistics.number("datagrams.in"), 5);
    assert_eq!(statistics.number("datagrams.out"), 5);
    assert_eq!(statistics.number("datagrams.refused"), 0);
    assert_eq!(statistics.number("datagrams.truncated"), 0);
}

#[test]
fn json_is_json_on_every_line_of_stdout() {
    let scratch = Scratch::new();
    let path = scratch.file("quo\"te\\d");
    let arguments = ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--unix", &path];
    let server = Program::serving(&[&arguments[..], &["--log-format", "json", "-v"]].concat());
    assert_eq!(server.addresses("unix"), [path]);
    echo(&mut connect(&server.tcp()), b"one");
    server.statistics();
    let ending = server.stop();
    ending.expect_code(0);
    for line in ending.stdout.lines() {
        assert!(!Json::parse(line).text("event").is_empty(), "invariant: every line is an event");
    }
}

#[test]
fn a_truncated_trace_warns_once() {
    let server = Program::serving(&["--trace=/dev/full", "--tcp", "127.0.0.1:0"]);
    is_served(&server.tcp());
    is_served(&server.tcp());
    let ending = server.stop();
    ending.expect_code(0);
    assert_eq!(ending.stderr.matches("trace truncated").count(), 1, "{}", ending.stderr);
}

#[test]
fn exit_code_is_1_when_stdout_is_closed() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = crate::support::program::command(
        &[] as &[&str],
        &["sim", "--seed", "1", "--steps", "100", "-q"],
    );
    command.stdout(full).stderr(std::process::Stdio::piped());
    let ending = Program::start_as_is(command).end();
    ending.expect_code(1);
    assert!(ending.stderr.contains("stdout: No space left"), "{}", ending.stderr);
}

#[test]
fn statistics_and_the_table_use_the_same_syscall_names() {
    for model in ["epoll-edge", "blocking", "process", "poll"] {
        let server =
            Program::serving(&["--tcp", "127.0.0.1:0", "--syscall-summary", "--model", model]);
        is_served(&server.tcp());
        // The echo may arrive here before the call that sent it has been counted.
        let mut requests = 0;
        until("the echo to be counted", || {
            server.signal("USR1");
            requests += 1;
            server.stdout.wait_for("the table", |lines| {
                let tables = lines.iter().filter(|line| line.contains("calls each")).count();
                (tables == requests)
                    .then(|| lines.iter().any(|line| line.starts_with("  recvfrom")))
            })
        });
        let stdout = server.stop().stdout;
        let stdout = stdout.rsplit("statistics\n").next().unwrap();
        let listed = stdout.lines().filter_map(|line| line.strip_prefix("  "));
        let listed = listed.filter(|line| line.starts_with(char::is_lowercase));
        let listed = listed.filter_map(|line| line.split_whitespace().next());
        let mut listed: Vec<&str> = listed.collect();
        let table = stdout.split("syscall\n").nth(1).unwrap().split("total").next().unwrap();
        let rows = table.lines().filter(|line| !line.starts_with('-') && line.contains('.'));
        let mut rows: Vec<&str> = rows.filter_map(|row| row.rsplit(' ').next()).collect();
        rows.retain(|name| !name.is_empty());
        listed.sort_unstable();
        rows.sort_unstable();
        assert_eq!(listed, rows, "invariant: one name per call; {stdout}");
        assert!(rows.contains(&"recvfrom"), "invariant: as strace has it; got {rows:?}");
    }
}

#[track_caller]
fn total_is_the_sum(statistics: &Json) {
    let kinds = statistics.names("syscalls").into_iter().filter(|name| name != "total");
    let sum: u64 = kinds.map(|name| statistics.number(&format!("syscalls.{name}"))).sum();
    assert_eq!(
        statistics.number("syscalls.total"),
        sum,
        "invariant: the total is the sum of its kinds"
    );
}
