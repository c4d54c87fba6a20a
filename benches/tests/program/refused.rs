//! Local failures are not attributed to the server: refused datagrams are counted separately, and
//! failed local calls are reported as such.

use std::process::Command;

use crate::support::{Run, bench, echo, finish, has_ipv6, in_network, tcp, udp};

/// Runs a load with a fault injected by strace(1): `sendto:error=EPERM:when=20`.
fn injected(what: &str, arguments: &str) -> Run {
    let program = bench(&format!("load {arguments} --warmup 0"));
    let (call, how) = what.split_once(':').unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:{how}"), "--"]);
    command.arg(program.get_program()).args(program.get_args());
    finish(command)
}

#[test]
fn a_refused_datagram_is_lost_and_counted_separately() {
    let address = udp(|_, message| vec![message.to_vec()]);
    let load = format!("{address} --udp -n 100 --loss-timeout 500ms --json");
    for errno in ["EPERM", "ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "ENOMEM", "ENOBUFS"] {
        let run = injected(&format!("sendto:error={errno}:when=20"), &load);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{errno}: {run:?}");
        let json = run.json();
        let counts = ["messages", "lost", "refused"].map(|name| json[name].as_u64());
        assert_eq!(counts, [Some(99), Some(1), Some(1)], "{errno}");
    }
    let run = injected("sendto:error=EPERM:when=20", &load.replace("--json", ""));
    assert!(run.out.contains("1 refused by this machine"), "{run:?}");
}

#[test]
fn permanent_refusal_is_reported_as_local() {
    let address = udp(|_, message| vec![message.to_vec()]);
    let load = format!("{address} --udp -d 4 --loss-timeout 50ms");
    let run = injected("sendto:error=EPERM", &format!("{load} -n 4"));
    run.ended(
        69,
        "this machine refused to send 4 datagrams, and no response was received: operation not",
    );
    let run = injected("sendto:error=ENETDOWN", &format!("{load} -t 60s --stall-timeout 300ms"));
    assert_eq!(run.code, Some(69), "{run:?}");
    assert!(run.err.contains("this machine refused to send"), "{run:?}");
}

#[test]
fn a_failed_call_on_a_stream_is_local() {
    let address = tcp(echo);
    let run = injected("sendto:error=ENOMEM:when=20", &format!("{address} -n 100"));
    run.ended(69, "epollite-bench: sendto: ");
    let run = injected("recvfrom:error=ENOMEM:when=20", &format!("{address} -n 100"));
    run.ended(69, "epollite-bench: recvfrom: ");
    // An error caused by the peer is reported as such.
    let run = injected("sendto:error=EPIPE:when=20", &format!("{address} -n 100"));
    run.ended(69, "connection 0 failed");
}

#[test]
fn a_failed_call_before_sending_is_local_and_no_missing_server() {
    let address = tcp(echo);
    for (what, call) in
        [("connect:error=EPERM", "connect"), ("setsockopt:error=ENOMEM", "setsockopt")]
    {
        injected(what, &format!("{address} -n 1")).ended(69, &format!("epollite-bench: {call}: "));
    }
    injected("connect:error=ECONNREFUSED", &format!("{address} -n 1")).ended(69, "no server at");
}

#[test]
fn unsegmentable_datagrams_are_a_local_error() {
    let small = "ip link set lo mtu 1500";
    let families = [("127.0.0.1", 1472), ("::1", 1452)];
    for (address, longest) in families.into_iter().take(if has_ipv6() { 2 } else { 1 }) {
        let at = if longest == 1472 { "127.0.0.1:7004" } else { "[::1]:7004" };
        let load = |size: u32| {
            let how = format!("{at} --udp --gso -d 16 -n 100 -s {size} --json");
            in_network(small, ("udp", address, 7004), &how)
        };
        let run = load(longest + 1);
        run.ended(69, "with --gso a datagram must fit into one packet, and 14");
        assert_eq!(run.out, "", "nothing was sent, and there is no result");
        let run = load(longest);
        assert_eq!((run.code, &run.json()["messages"]), (Some(0), &100.into()), "{run:?}");
    }
    let run = in_network(small, ("udp", "127.0.0.1", 7004), "127.0.0.1:7004 --udp -s 2000 -n 9");
    assert_eq!(run.code, Some(0), "without --gso the kernel fragments it: {run:?}");
}

#[test]
fn an_invalid_server_pid_is_an_error() {
    let address = tcp(echo);
    for pid in ["0", "-1", "-2147483648"] {
        crate::support::run(&format!("load {address} -n 1 --server-pid={pid}"))
            .ended(2, &format!("there is no process {pid}"));
    }
}

#[test]
fn the_cpu_of_an_ended_process_is_unknown() {
    let sleeper = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = sleeper.id();
    // The server ends the process during the run, and continues.
    let sleeper = std::sync::Mutex::new(Some(sleeper));
    let address = tcp(move |number, message| {
        if number == 5
            && let Some(mut sleeper) = sleeper.lock().unwrap().take()
        {
            sleeper.kill().unwrap();
            sleeper.wait().unwrap();
        }
        Some(message.to_vec())
    });
    let load = format!("load {address} -n 10 --warmup 0 --server-pid={pid}");
    let run = crate::support::run(&load);
    assert!(run.out.contains(&format!("server CPU  unknown: process {pid} has ended")), "{run:?}");
    assert_eq!(run.code, Some(0), "{run:?}");
}
