//! What it says: on stdout where it listens and its statistics, on stderr the rest.

use crate::support::TRIGGERS;
use crate::support::client::{connect, connect_unix, echo, expect_end, is_served};
use crate::support::datagram::Datagrams;
use crate::support::json::Json;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::wait::until;

#[test]
fn verbose_tells_who_connected_what_was_sent_and_who_left() {
    for trigger in TRIGGERS {
        let server = Program::serving(&["--tcp", "127.0.0.1:0", "-v", "--trigger", trigger]);
        let mut client = connect(&server.tcp());
        let who = format!("tcp {}", client.local_addr().unwrap());
        echo(&mut client, b"hello");
        client.shutdown(std::net::Shutdown::Write).unwrap();
        expect_end(&mut client);
        server.stderr.line_with(&format!("{who} connected"));
        server.stderr.line_with(&format!("{who} sent 5 bytes"));
        server.stderr.line_with(&format!("{who} left after 5 bytes: closed"));
    }
}

#[test]
fn verbose_tells_a_reset_from_an_end() {
    let server = Program::serving(&["--tcp", "127.0.0.1:0", "--verbose"]);
    let client = connect(&server.tcp());
    let who = format!("tcp {}", client.local_addr().unwrap());
    std::io::Write::write_all(&mut &client, b"an echo nobody reads").unwrap();
    until("the echo to come", || client.peek(&mut [0; 64]).is_ok_and(|count| count == 20));
    // To close with unread input is to reset.
    drop(client);
    server.stderr.line_with(&format!("{who} left after 20 bytes: reset"));
}

#[test]
fn verbose_tells_of_paths_and_datagrams_too() {
    let scratch = Scratch::new();
    let path = scratch.file("told");
    let server = Program::serving(&["--unix", &path, "--udp", "127.0.0.1:0", "-v"]);
    echo(&mut connect_unix(&path), b"anonymous");
    let client = Datagrams::to(&server.udp());
    client.echo(b"word");
    server.stderr.line_with("unix ");
    server.stderr.line_with(&client.socket.local_addr().unwrap().to_string());
}

#[test]
fn without_verbose_nobody_is_named() {
    let server = Program::serving(&["--tcp", "127.0.0.1:0"]);
    let mut client = connect(&server.tcp());
    echo(&mut client, b"hello");
    let who = client.local_addr().unwrap().to_string();
    drop(client);
    let ending = server.stop();
    assert!(!ending.stderr.contains(&who), "law: only -v tells who came; got {}", ending.stderr);
}

#[test]
fn quiet_and_orderly_is_silent_on_stderr() {
    let scratch = Scratch::new();
    for quiet in [&["-q"][..], &["--quiet"], &["--log", "off"]] {
        let path = scratch.file("quiet");
        let mut server = Program::start(&[&["echo", "--unix", &path][..], quiet].concat());
        server.until_it_serves(&path);
        echo(&mut connect_unix(&path), b"hello");
        let ending = server.stop();
        ending.expect_code(0);
        assert!(ending.stderr.is_empty(), "law: {quiet:?} leaves errors only; got {ending:?}");
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
    let figure = figure.unwrap_or_else(|_| panic!("law: the figure stands last; got {last:?}"));
    assert!((2.0..4.0).contains(&figure), "law: an echo takes about three calls; got {figure}");
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
            assert_eq!(statistics.number(path), value, "law: {path} in {trigger} mode");
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
        assert!(statistics.number("events.useful") >= 12, "law: every arrival is useful");
        total_is_the_sum(&statistics);
    }
}

#[test]
fn statistics_of_threads_are_told_as_one() {
    let arguments = ["--tcp", "127.0.0.1:0", "--threads", "3", "--log", "json"];
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
    let server = Program::serving(&["--udp", "127.0.0.1:0", "--log", "json"]);
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
    let server = Program::serving(&[&arguments[..], &["--log", "json", "-v"]].concat());
    assert_eq!(server.addresses("unix"), [path]);
    echo(&mut connect(&server.tcp()), b"one");
    server.statistics();
    let ending = server.stop();
    ending.expect_code(0);
    for line in ending.stdout.lines() {
        assert!(!Json::parse(line).text("event").is_empty(), "law: every line is an event");
    }
}

#[test]
fn a_trace_that_is_not_whole_says_so_once() {
    let server = Program::serving(&["--trace=/dev/full", "--tcp", "127.0.0.1:0"]);
    is_served(&server.tcp());
    is_served(&server.tcp());
    let ending = server.stop();
    ending.expect_code(0);
    assert_eq!(ending.stderr.matches("the trace is not whole").count(), 1, "{}", ending.stderr);
}

#[test]
fn a_result_that_nobody_gets_is_no_success() {
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
fn statistics_and_the_table_name_the_same_calls_alike() {
    for model in ["epoll-edge", "blocking", "process", "poll"] {
        let server = Program::serving(&["--tcp", "127.0.0.1:0", "--count", "--model", model]);
        is_served(&server.tcp());
        // The answer may be here before the call that sent it has been counted.
        let mut asked = 0;
        until("the echo to be counted", || {
            server.signal("USR1");
            asked += 1;
            server.stdout.wait_for("the table", |lines| {
                let told = lines.iter().filter(|line| line.contains("calls each")).count();
                (told == asked).then(|| lines.iter().any(|line| line.starts_with("  recvfrom")))
            })
        });
        let said = server.stop().stdout;
        let said = said.rsplit("statistics\n").next().unwrap();
        let listed = said.lines().filter_map(|line| line.strip_prefix("  "));
        let listed = listed.filter(|line| line.starts_with(char::is_lowercase));
        let listed = listed.filter_map(|line| line.split_whitespace().next());
        let mut listed: Vec<&str> = listed.collect();
        let table = said.split("syscall\n").nth(1).unwrap().split("total").next().unwrap();
        let rows = table.lines().filter(|line| !line.starts_with('-') && line.contains('.'));
        let mut rows: Vec<&str> = rows.filter_map(|row| row.rsplit(' ').next()).collect();
        rows.retain(|name| !name.is_empty());
        listed.sort_unstable();
        rows.sort_unstable();
        assert_eq!(listed, rows, "law: one name a call; {said}");
        assert!(rows.contains(&"recvfrom"), "law: as strace has it; got {rows:?}");
    }
}

#[track_caller]
fn total_is_the_sum(statistics: &Json) {
    let kinds = statistics.names("syscalls").into_iter().filter(|name| name != "total");
    let sum: u64 = kinds.map(|name| statistics.number(&format!("syscalls.{name}"))).sum();
    assert_eq!(statistics.number("syscalls.total"), sum, "law: the total is the sum of its kinds");
}
