//! Every error is one line and an exit code, and measurements up to then are kept.

use std::process::Command;

use serde_json::Value;

use crate::support::{
    Run, bench, echo, finish, has_ipv6, refusing_tcp, refusing_udp, run, tcp, udp,
};

#[test]
fn no_server_is_an_error() {
    let (_reserved, address) = refusing_tcp();
    for how in ["", "--churn", "--rate 100"] {
        let run = run(&format!("load {address} {how} -t 1s"));
        run.ended(69, &format!("no server at tcp {address}: connection refused"));
        assert_eq!(run.out, "", "there is no result");
    }
    let (_reserved, address) = refusing_udp();
    run(&format!("load {address} --udp -t 1s")).ended(69, &format!("no server at udp {address}"));
    run("load unix:@no-server-here -t 1s").ended(69, "no server at unix:@no-server-here");
    run("load /nowhere/at/all --unix -t 1s").ended(69, "no such file");
}

#[test]
fn invalid_arguments_are_rejected() {
    for arguments in [
        "load",
        "load 127.0.0.1",
        "load 127.0.0.1:0",
        "load 127.0.0.1:7 -c 0",
        "load 127.0.0.1:7 -d 0",
        "load 127.0.0.1:7 -s 0",
        "load 127.0.0.1:7 -s uniform:9-3",
        "load 127.0.0.1:7 --rate 0",
        "load 127.0.0.1:7 --rate x",
        "load 127.0.0.1:7 --poisson",
        "load 127.0.0.1:7 -t 0s",
        "load 127.0.0.1:7 -t 1s -n 5",
        "load 127.0.0.1:7 -n 0",
        "load 127.0.0.1:7 --udp -s 15",
        "load 127.0.0.1:7 --udp -s 64k",
        "load 127.0.0.1:7 --udp --churn",
        "load 127.0.0.1:7 --udp --unix",
        "load 127.0.0.1:7 --gso",
        "load 127.0.0.1:7 --churn -d 2",
        "load 127.0.0.1:7 --pin 99999",
        "load 127.0.0.1:7 --server-pid 999999999",
        "load 127.0.0.1:7 --fail-if p99=2ms",
        "load 127.0.0.1:7 --fail-if p101>2ms",
        "load 127.0.0.1:7 --start-at @1",
        "load 127.0.0.1:7 --start-at tomorrow",
        "load 127.0.0.1:7 --hlog /nowhere/at/all",
        "load 127.0.0.1:7 --json --hgrm",
        "merge /nowhere/at/all",
        "completions no-shell",
        "nothing",
    ] {
        let run = run(arguments);
        assert_eq!(run.code, Some(2), "{arguments}: {run:?}");
        assert!(!run.err.is_empty() && run.out.is_empty(), "{arguments}: {run:?}");
    }
    let mut half = bench("load 127.0.0.1:7");
    half.env("EPL_RANK", "1");
    let run = finish(half);
    run.ended(2, "EPL_RANK is set and EPL_SIZE is not");
}

#[test]
fn a_server_that_closes_early_is_an_error() {
    let address = tcp(|number, message| (number < 50).then(|| message.to_vec()));
    let run = run(&format!("load {address} -c 2 -t 5s --warmup 0 --json"));
    run.ended(69, "after 3200 bytes, with 1 messages outstanding");
    assert_eq!(run.json()["ending"], "failed");
    assert!(run.json()["messages"].as_u64() >= Some(50), "the measurements are kept: {run:?}");
}

#[test]
fn a_server_that_stops_echoing_is_an_error() {
    let address =
        tcp(|number, message| Some(if number < 50 { message.to_vec() } else { Vec::new() }));
    let run = run(&format!("load {address} -c 2 -t 5s --warmup 0 --stall-timeout 300ms"));
    run.ended(69, "the server stopped echoing: 2 messages are outstanding");
    assert!(run.out.contains("100 messages in"), "the measurements are printed: {run:?}");
}

#[test]
fn one_stalled_connection_among_others_is_an_error() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let address = tcp(move |number, message| {
        let is_mine = number == 50 && first.swap(false, std::sync::atomic::Ordering::Relaxed);
        Some(if is_mine { Vec::new() } else { message.to_vec() })
    });
    let run = run(&format!("load {address} -c 2 -t 5s --warmup 0 --stall-timeout 500ms"));
    run.ended(1, "byte 3200: lost: message 50");
}

#[test]
fn unanswered_datagrams_fail() {
    let address = udp(|_, _| Vec::new());
    let run = run(&format!(
        "load {address} --udp -d 4 -t 5s --warmup 0 --loss-timeout 100ms --stall-timeout 400ms \
         --json"
    ));
    run.ended(69, "the server stopped echoing");
    assert!(run.json()["lost"].as_u64() >= Some(4), "{run:?}");
}

#[test]
fn unanswered_datagrams_fail_in_a_short_run() {
    let address = udp(|_, _| Vec::new());
    let load = format!("load {address} --udp -d 4 -n 4 --warmup 0 --loss-timeout 100ms");
    let run = run(&format!("{load} --json"));
    run.ended(69, "no response in time: 4 of 4 messages are lost");
    let json = run.json();
    assert_eq!((&json["lost"], &json["own_cpu"]["nanos_per_message"]), (&4.into(), &Value::Null));
    let run = self::run(&load);
    assert!(!run.out.contains("per message"), "no CPU per message without responses: {run:?}");
}

/// Runs with these limits of open files, soft and hard.
fn limited(limits: &str, arguments: &str) -> Run {
    let bench = bench(arguments);
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={limits}")).arg(bench.get_program()).args(bench.get_args());
    finish(command)
}

#[test]
fn the_nofile_limit_is_raised_to_the_hard_limit() {
    let address = tcp(echo);
    let arguments = format!("load {address} -c 200 -n 1000 --warmup 0");
    assert_eq!(limited("64:1024", &arguments).code, Some(0));
    let run = limited("64:128", &arguments);
    run.ended(69, "232 descriptors are needed and the limit is 128");
}

/// In its own network namespace, with 32 ephemeral ports, and a server that never accepts. All
/// ports of some source addresses are in use.
///
/// The number of ports is even, and so is the first: with an odd number connect(2) tries all but
/// one, depending on its start, so the last port of an address is found only by chance.
const FEW_PORTS: &str = r#"
    ip link set lo up
    echo 40000 40031 > /proc/sys/net/ipv4/ip_local_port_range
    exec python3 -c "
import socket, subprocess, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], 7001), family=family, backlog=512)
held = []
for number in range(int(sys.argv[2]) * 32):
    one = socket.socket()
    one.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    one.bind((f'127.0.1.{1 + number // 32}', 0))
    one.connect((sys.argv[1], 7001))
    held.append(one)
sys.exit(subprocess.run(sys.argv[3:]).returncode)
" "$@"
"#;

/// Loads that server, while all ports of `full_sources` loopback source addresses are in use.
fn with_few_ports(address: &str, full_sources: u32, arguments: &str) -> Run {
    let bench = bench(&format!("load {arguments} --warmup 0 --stall-timeout 200ms"));
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", FEW_PORTS, "sh", address, &full_sources.to_string()]);
    command.arg(bench.get_program()).args(bench.get_args());
    finish(command)
}

#[test]
fn ports_run_out_with_a_single_source_address() {
    if has_ipv6() {
        with_few_ports("::1", 0, "[::1]:7001 -c 100 -n 100")
            .ended(69, "no free source port after 32 sockets");
    }
    // IPv4 loopback has many addresses, so the load starts; the server does not respond.
    with_few_ports("127.0.0.1", 0, "127.0.0.1:7001 -c 100 -n 100")
        .ended(69, "the server stopped echoing: 100 messages");
}

#[test]
fn the_next_source_address_is_used_when_ports_run_out() {
    with_few_ports("127.0.0.1", 5, "127.0.0.1:7001 --churn -c 1 -n 1")
        .ended(69, "the server stopped echoing: 1 messages");
}

#[test]
fn an_interrupted_run_still_reports() {
    let run = interrupted("", "60s");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.json()["ending"], "interrupted");
    assert!(run.json()["messages"].as_u64() > Some(0));
}

/// A background job of a script has SIGINT ignored: Ctrl-C is meant for the foreground.
#[test]
fn an_ignored_sigint_does_not_end_the_run() {
    let run = interrupted("trap '' INT; ", "3s");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_ne!(run.json()["ending"], "interrupted");
}

/// Sends SIGINT to a running load, started by a shell after the command `first`.
fn interrupted(first: &str, time: &str) -> Run {
    use std::io::Read;
    let address = tcp(echo);
    let arguments = format!("load {address} -t {time} --warmup 0 --hlog /dev/stderr --json");
    // Tests started in the background of a script, or by nohup(1), inherit SIGINT as ignored.
    let mut child = std::process::Command::new("env")
        .args(["--default-signal=INT", "bash", "-c"])
        .arg(format!("{first}exec {} {arguments}", env!("CARGO_BIN_EXE_epollite-bench")))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Its log shows that it is running: signal handling is installed by then.
    let mut log = child.stderr.take().unwrap();
    let mut seen = String::new();
    while !seen.contains("\n0.") && !seen.contains("\n1.") {
        let mut byte = [0; 256];
        let count = log.read(&mut byte).unwrap();
        assert!(count > 0, "it ended by itself: {seen}");
        seen += std::str::from_utf8(&byte[..count]).unwrap();
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    Run::from(child.wait_with_output().unwrap())
}
