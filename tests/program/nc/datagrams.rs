//! Datagrams: UDP unicast, multicast and broadcast; Unix datagrams.

use std::net::UdpSocket;

use super::harness::{HOST, closed_udp_port, our_listener, ours, printed_port, theirs};
use crate::support::client::uninterrupted;
use crate::support::datagram::Datagrams;
use crate::support::process::Process;
use crate::support::procfs::we_are_root;
use crate::support::program::PROGRAM;
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::until;

/// Waits for the second argument on stdout, then sends the first.
type Listener = Box<dyn FnMut(&[u8], &str)>;

#[test]
fn datagrams_are_exchanged_with_external_tools() {
    for (listener, client) in [("ours", "nc"), ("ours", "socat"), ("nc", "ours")] {
        let (mut listener, port): (Listener, String) = match listener {
            "ours" => {
                let (mut listener, port) = our_listener(&["-u"]);
                (Box::new(move |sent, received| exchange(&mut listener, sent, received)), port)
            }
            _ => {
                let mut listener = theirs("nc", &["-luvn", HOST, "0"]);
                let port = printed_port(&listener);
                (Box::new(move |sent, received| exchange(&mut listener, sent, received)), port)
            }
        };
        let mut program;
        let mut process;
        let client: &mut Process = match client {
            "ours" => {
                program = ours(&["-u", HOST, &port]);
                &mut program
            }
            "nc" => {
                process = theirs("nc", &["-u", HOST, &port]);
                &mut process
            }
            _ => {
                process = theirs("socat", &["STDIO", &format!("UDP:{HOST}:{port}")]);
                &mut process
            }
        };
        client.write_stdin(b"there\n");
        listener(b"back\n", "there");
        client.stdout.line_with("back");
    }
}

/// Waits for `received` on stdout, then sends `sent`.
fn exchange(process: &mut Process, sent: &[u8], received: &str) {
    process.stdout.line_with(received);
    process.write_stdin(sent);
}

#[test]
fn a_listener_sends_to_every_known_sender() {
    let (mut listener, port) = our_listener(&["-u"]);
    let server = format!("{HOST}:{port}");
    let (one, two) = (Datagrams::to(&server), Datagrams::to(&server));
    one.send(b"one\n");
    listener.stdout.line_with("one");
    two.send(b"two\n");
    listener.stdout.line_with("two");
    listener.write_stdin(b"to both\n");
    one.expect(b"to both\n");
    two.expect(b"to both\n");
}

#[test]
fn echo_replies_to_each_sender_but_reflectors() {
    let (listener, port) = our_listener(&["-u", "--echo"]);
    let clients: Vec<_> = (0..20).map(|_| Datagrams::to(&format!("{HOST}:{port}"))).collect();
    for (number, client) in clients.iter().enumerate() {
        client.echo(format!("number {number}").as_bytes());
    }
    // An empty datagram is a datagram too.
    clients[0].echo(b"");
    if let Ok(reflector) = UdpSocket::bind((HOST, 19)) {
        reflector.send_to(b"chargen", format!("{HOST}:{port}")).unwrap();
        clients[0].echo(b"a later one");
        reflector.set_nonblocking(true).unwrap();
        assert!(reflector.recv(&mut [0; 9]).is_err(), "invariant: no reply to a reflector");
    }
    drop(listener);
}

#[test]
fn a_chat_forwards_datagrams_to_the_other_senders() {
    let (listener, port) = our_listener(&["-u", "--chat"]);
    let server = format!("{HOST}:{port}");
    let (one, two) = (Datagrams::to(&server), Datagrams::to(&server));
    one.send(b"first\n");
    listener.stdout.line_with("first");
    two.send(b"second\n");
    one.expect(b"second\n");
    two.expect_nothing();
}

#[test]
fn a_closed_port_is_reported_with_exit_1() {
    let port = closed_udp_port();
    let mut client = ours(&["-u", HOST, &port]);
    client.write_stdin(b"ping?");
    until("the client to exit", || client.ended().is_some());
    let ending = client.end();
    ending.expect_code(1);
    assert!(ending.single_error_line().contains("Connection refused (ECONNREFUSED)"));
}

#[test]
fn a_broadcast_needs_b_and_reaches_a_listener() {
    let any = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = any.local_addr().unwrap().port().to_string();
    let mut refused = ours(&["-u", "127.255.255.255", &port]);
    until("it to exit", || refused.ended().is_some());
    let ending = refused.end();
    ending.expect_code(1);
    let complaint = ending.single_error_line();
    assert!(complaint.contains("Permission denied (EACCES)"), "{complaint}");
    assert!(complaint.ends_with("to a broadcast address only with -b"), "{complaint}");

    let mut sends = ours(&["-u", "-b", "127.255.255.255", &port]);
    sends.write_stdin(b"to all");
    let mut received = [0; 32];
    any.set_read_timeout(Some(crate::support::wait::TIMEOUT)).unwrap();
    let (len, from) = uninterrupted(|| any.recv_from(&mut received)).unwrap();
    assert_eq!(&received[..len], b"to all");
    // A reply comes from the responder's own address, and is received.
    any.send_to(b"I am here\n", from).unwrap();
    sends.stdout.line_with("I am here");
}

#[test]
fn multicast_reaches_members_only() {
    let port = closed_udp_port();
    let group = "239.1.2.3";
    let new_member = || ours(&["-lukv", "-s", HOST, group, &port]);
    let members = [new_member(), new_member()];
    for member in &members {
        member.stderr.line_with("Bound on 239.1.2.3");
    }
    let other = ours(&["-lukv", "-s", HOST, "239.1.2.4", &port]);
    other.stderr.line_with("Bound on 239.1.2.4");
    let mut sender = ours(&["-u", "-s", HOST, group, &port]);
    sender.write_stdin(b"to the group\n");
    for member in &members {
        member.stdout.line_with("to the group");
    }
    let mut apart = ours(&["-u", "-s", HOST, "239.1.2.4", &port]);
    apart.write_stdin(b"apart\n");
    other.stdout.line_with("apart");
    assert_eq!(
        other.stdout.count_with("to the group"),
        0,
        "invariant: a member does not receive another group"
    );
}

#[test]
fn broadcast_crosses_network_namespaces() {
    if !we_are_root() || tool("unshare").arg("-n").arg("true").status().is_ok_and(|s| !s.success())
    {
        println!("skipped: network namespaces are made by root");
        return;
    }
    // The other end of the interface pair is in a namespace that a sleeping process keeps open. All
    // of them exit with the shell, which is the first process of its own pid namespace.
    let script = "\
        ip link add left type veth peer name right; \
        unshare -n sleep 60 & there=$!; \
        here=$(readlink /proc/$$/ns/net); \
        until [ \"$(readlink /proc/$there/ns/net)\" != \"$here\" ]; do :; done; \
        ip link set right netns $there; \
        ip addr add 10.9.8.1/24 brd + dev left; ip link set left up; \
        nsenter -t $there -n ip addr add 10.9.8.2/24 brd + dev right; \
        nsenter -t $there -n ip link set right up; \
        until ip link show left | grep -q LOWER_UP; do :; done; \
        nsenter -t $there -n \"$0\" nc -lu -W 1 0.0.0.0 4242 & receiver=$!; \
        until grep -q :1092 /proc/$receiver/net/udp; do :; done; \
        echo across | \"$0\" nc -ub -q 0 10.9.8.255 4242; \
        wait $receiver";
    let mut shell = tool("unshare");
    shell.args(["-n", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", script, PROGRAM]);
    let ending = Process::start(shell).end();
    assert_eq!(ending.stdout, "across\n", "{ending:?}");
    ending.expect_code(0);
}

#[test]
fn a_group_is_received_only_on_the_named_interface() {
    let flags = ["--user", "--map-root-user", "-n", "-p", "-f", "--kill-child", "--mount-proc"];
    if tool("unshare").args(flags).arg("true").status().is_ok_and(|status| !status.success()) {
        println!("skipped: namespaces cannot be made here");
        return;
    }
    // Two interfaces, each with a listener that names it. What is sent is looped back to the local
    // members on the sending interface.
    let script = "\
        ip link set lo up; \
        for at in 1 2; do ip link add v$at type veth peer name w$at; \
        ip addr add 10.$at.0.1/24 dev v$at; ip link set v$at up; ip link set w$at up; \
        until ip link show v$at | grep -q LOWER_UP; do :; done; done; \
        for at in 1 2; do \"$0\" nc -lu -s 10.$at.0.1 239.1.2.3 7820 >$at & done; \
        until [ $(grep -c :1E8C /proc/net/udp) = 2 ]; do :; done; \
        for at in 2 1; do echo via $at | \"$0\" nc -u -q 0 -s 10.$at.0.1 239.1.2.3 7820; done; \
        until grep -q 'via 1' 1 && grep -q 'via 2' 2; do :; done; \
        cat 1 2";
    let scratch = Scratch::new();
    let script = format!("cd {}; {script}", scratch.path().display());
    let mut shell = tool("unshare");
    shell.args(flags).args(["sh", "-c", &script, PROGRAM]);
    let ending = Process::start(shell).end();
    assert_eq!(
        ending.stdout, "via 1\nvia 2\n",
        "invariant: each member receives its own group's datagrams; {ending:?}"
    );
}

#[test]
fn an_ipv6_group_is_received_on_its_scope_interface() {
    let flags = ["--user", "--map-root-user", "-n", "-p", "-f", "--kill-child", "--mount-proc"];
    let can = tool("unshare").args(flags).arg("true").status().is_ok_and(|it| it.success());
    if !can || !std::fs::exists("/proc/sys/net/ipv6").is_ok_and(|exists| exists) {
        println!("skipped: namespaces cannot be made here, or there is no IPv6");
        return;
    }
    let script = "\
        ip link set lo up; \
        for at in 1 2; do ip link add v$at type veth peer name w$at; \
        echo 0 >/proc/sys/net/ipv6/conf/v$at/disable_ipv6; \
        ip addr add fe80::$at/64 dev v$at nodad; ip link set v$at up; ip link set w$at up; \
        until ip link show v$at | grep -q LOWER_UP; do :; done; done; \
        for at in 1 2; do \"$0\" nc -lu ff12::1234%v$at 7821 >$at & done; \
        until [ $(grep -c :1E8D /proc/net/udp6) = 2 ]; do :; done; \
        for at in 2 1; do echo via $at | \"$0\" nc -u -q 0 ff12::1234%v$at 7821; done; \
        until grep -q 'via 1' 1 && grep -q 'via 2' 2; do :; done; \
        cat 1 2";
    let scratch = Scratch::new();
    let script = format!("cd {}; {script}", scratch.path().display());
    let mut shell = tool("unshare");
    shell.args(flags).args(["sh", "-c", &script, PROGRAM]);
    let ending = Process::start(shell).end();
    assert_eq!(
        ending.stdout, "via 1\nvia 2\n",
        "invariant: each member receives its own group's datagrams; {ending:?}"
    );
}

#[test]
fn unix_datagrams_work_both_ways_and_unlink() {
    let scratch = Scratch::new();
    let path = scratch.file("datagrams");
    let mut listener = ours(&["-luvU", &path]);
    listener.stderr.line_with("Bound on");
    let mut client = ours(&["-uU", &path]);
    client.write_stdin(b"there\n");
    listener.stdout.line_with("there");
    listener.write_stdin(b"back\n");
    client.stdout.line_with("back");
    let mut other = theirs("nc", &["-uU", &path]);
    other.write_stdin(b"from nc\n");
    listener.stdout.line_with("from nc");
    listener.signal("TERM");
    listener.end().expect_code(143);
    assert!(std::fs::metadata(&path).is_err(), "invariant: the socket file is removed on exit");
}

#[test]
fn w_applies_to_a_listener_from_the_first_datagram() {
    let (mut listener, port) = our_listener(&["-u", "-w", "100ms"]);
    crate::support::wait::settle_time();
    assert!(
        listener.ended().is_none(),
        "invariant: a listener waits for the first datagram, as nc does"
    );
    let sender = UdpSocket::bind((HOST, 0)).unwrap();
    sender.send_to(b"the first", format!("{HOST}:{port}")).unwrap();
    until("it to exit", || listener.ended().is_some());
    let ending = listener.end();
    ending.expect_code(0);
    assert_eq!(ending.stdout.trim_end(), "the first");
}
