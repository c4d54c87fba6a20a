//! Datagrams: UDP to one, to many and to everybody; Unix ones.

use std::net::UdpSocket;

use super::scene::{HOST, closed_udp_port, our_listener, ours, theirs, told_port};
use crate::support::datagram::Datagrams;
use crate::support::process::Process;
use crate::support::procfs::we_are_root;
use crate::support::program::PROGRAM;
use crate::support::scratch::Scratch;
use crate::support::tool::tool;
use crate::support::wait::until;

/// Waits until the second was heard, and then says the first.
type Listener = Box<dyn FnMut(&[u8], &str)>;

#[test]
fn datagrams_go_to_and_fro_between_ours_and_theirs() {
    for (listener, client) in [("ours", "nc"), ("ours", "socat"), ("nc", "ours")] {
        let (mut listener, port): (Listener, String) = match listener {
            "ours" => {
                let (mut listener, port) = our_listener(&["-u"]);
                (Box::new(move |said, heard| says(&mut listener, said, heard)), port)
            }
            _ => {
                let mut listener = theirs("nc", &["-luvn", HOST, "0"]);
                let port = told_port(&listener);
                (Box::new(move |said, heard| says(&mut listener, said, heard)), port)
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
        client.tell(b"there\n");
        listener(b"back\n", "there");
        client.stdout.line_with("back");
    }
}

/// Waits until it has heard, and then says.
fn says(process: &mut Process, said: &[u8], heard: &str) {
    process.stdout.line_with(heard);
    process.tell(said);
}

#[test]
fn a_listener_talks_to_every_sender() {
    let (mut listener, port) = our_listener(&["-u"]);
    let server = format!("{HOST}:{port}");
    let (one, two) = (Datagrams::to(&server), Datagrams::to(&server));
    one.send(b"one\n");
    listener.stdout.line_with("one");
    two.send(b"two\n");
    listener.stdout.line_with("two");
    listener.tell(b"to both\n");
    one.expect(b"to both\n");
    two.expect(b"to both\n");
}

#[test]
fn echo_answers_each_his_own_and_nothing_that_reflects() {
    let (listener, port) = our_listener(&["-u", "--echo"]);
    let clients: Vec<_> = (0..20).map(|_| Datagrams::to(&format!("{HOST}:{port}"))).collect();
    for (number, client) in clients.iter().enumerate() {
        client.echo(format!("number {number}").as_bytes());
    }
    // One that has no bytes is a datagram too.
    clients[0].echo(b"");
    if let Ok(reflector) = UdpSocket::bind((HOST, 19)) {
        reflector.send_to(b"chargen", format!("{HOST}:{port}")).unwrap();
        clients[0].echo(b"a later one");
        reflector.set_nonblocking(true).unwrap();
        assert!(reflector.recv(&mut [0; 9]).is_err(), "law: never into a loop");
    }
    drop(listener);
}

#[test]
fn a_chat_passes_datagrams_on_to_the_other_senders() {
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
fn a_closed_port_is_told_and_is_exit_1() {
    let port = closed_udp_port();
    let mut client = ours(&["-u", HOST, &port]);
    client.tell(b"anybody?");
    until("the client to end", || client.ended().is_some());
    let ending = client.end();
    ending.expect_code(1);
    assert!(ending.one_complaint().contains("Connection refused (ECONNREFUSED)"));
}

#[test]
fn a_broadcast_needs_b_and_reaches_a_listener() {
    let any = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = any.local_addr().unwrap().port().to_string();
    let mut refused = ours(&["-u", "127.255.255.255", &port]);
    until("it to end", || refused.ended().is_some());
    let ending = refused.end();
    ending.expect_code(1);
    let complaint = ending.one_complaint();
    assert!(complaint.contains("Permission denied (EACCES)"), "{complaint}");
    assert!(complaint.ends_with("to a broadcast address only with -b"), "{complaint}");

    let mut sends = ours(&["-u", "-b", "127.255.255.255", &port]);
    sends.tell(b"to everybody");
    let mut heard = [0; 32];
    any.set_read_timeout(Some(crate::support::wait::PATIENCE)).unwrap();
    let (len, from) = any.recv_from(&mut heard).unwrap();
    assert_eq!(&heard[..len], b"to everybody");
    // Whoever answers does so from an address of his own, and is heard.
    any.send_to(b"I am here\n", from).unwrap();
    sends.stdout.line_with("I am here");
}

#[test]
fn a_group_is_heard_by_all_who_listen_to_it_and_by_nobody_else() {
    let port = closed_udp_port();
    let group = "239.1.2.3";
    let hears = || ours(&["-lukv", "-s", HOST, group, &port]);
    let members = [hears(), hears()];
    for member in &members {
        member.stderr.line_with("Bound on 239.1.2.3");
    }
    let other = ours(&["-lukv", "-s", HOST, "239.1.2.4", &port]);
    other.stderr.line_with("Bound on 239.1.2.4");
    let mut speaks = ours(&["-u", "-s", HOST, group, &port]);
    speaks.tell(b"to the group\n");
    for member in &members {
        member.stdout.line_with("to the group");
    }
    let mut apart = ours(&["-u", "-s", HOST, "239.1.2.4", &port]);
    apart.tell(b"apart\n");
    other.stdout.line_with("apart");
    assert_eq!(other.stdout.count_with("to the group"), 0, "law: another group is another");
}

#[test]
fn a_broadcast_goes_from_one_network_namespace_to_another() {
    if !we_are_root() || tool("unshare").arg("-n").arg("true").status().is_ok_and(|s| !s.success())
    {
        println!("skipped: network namespaces are made by root");
        return;
    }
    // The other end of the pair of interfaces is in a namespace that a sleeper holds open. All
    // of them end with the shell, which is the first process of its own namespace of processes.
    let script = "\
        ip link add left type veth peer name right; \
        unshare -n sleep 60 & there=$!; \
        until [ \"$(readlink /proc/$there/ns/net)\" != \"$(readlink /proc/$$/ns/net)\" ]; do :; done; \
        ip link set right netns $there; \
        ip addr add 10.9.8.1/24 brd + dev left; ip link set left up; \
        nsenter -t $there -n ip addr add 10.9.8.2/24 brd + dev right; \
        nsenter -t $there -n ip link set right up; \
        until ip link show left | grep -q LOWER_UP; do :; done; \
        nsenter -t $there -n \"$0\" nc -lu -W 1 0.0.0.0 4242 & hears=$!; \
        until grep -q :1092 /proc/$hears/net/udp; do :; done; \
        echo across | \"$0\" nc -ub -q 0 10.9.8.255 4242; \
        wait $hears";
    let mut shell = tool("unshare");
    shell.args(["-n", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", script, PROGRAM]);
    let ending = Process::start(shell).end();
    assert_eq!(ending.stdout, "across\n", "{ending:?}");
    ending.expect_code(0);
}

#[test]
fn a_group_is_heard_on_the_interface_that_was_named_whoever_else_has_joined() {
    let flags = ["--user", "--map-root-user", "-n", "-p", "-f", "--kill-child", "--mount-proc"];
    if tool("unshare").args(flags).arg("true").status().is_ok_and(|status| !status.success()) {
        println!("skipped: namespaces cannot be made here");
        return;
    }
    // Two interfaces; each has a listener that names it. What is sent comes back to the machine's
    // own members, on the interface that it is sent from.
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
    assert_eq!(ending.stdout, "via 1\nvia 2\n", "law: each hears its own; {ending:?}");
}

#[test]
fn a_group_of_ipv6_is_heard_on_the_interface_behind_its_name() {
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
    assert_eq!(ending.stdout, "via 1\nvia 2\n", "law: each hears its own; {ending:?}");
}

#[test]
fn unix_datagrams_go_to_and_fro_and_leave_no_file() {
    let scratch = Scratch::new();
    let path = scratch.file("letters");
    let mut listener = ours(&["-luvU", &path]);
    listener.stderr.line_with("Bound on");
    let mut client = ours(&["-uU", &path]);
    client.tell(b"there\n");
    listener.stdout.line_with("there");
    listener.tell(b"back\n");
    client.stdout.line_with("back");
    let mut other = theirs("nc", &["-uU", &path]);
    other.tell(b"from nc\n");
    listener.stdout.line_with("from nc");
    listener.signal("TERM");
    listener.end().expect_code(143);
    assert!(std::fs::metadata(&path).is_err(), "law: the socket's file goes with the socket");
}

#[test]
fn w_counts_for_a_listener_from_the_first_datagram_on() {
    let (mut listener, port) = our_listener(&["-u", "-w", "100ms"]);
    crate::support::wait::a_while();
    assert!(listener.ended().is_none(), "law: a listener waits for the first, as nc's does");
    let sender = UdpSocket::bind((HOST, 0)).unwrap();
    sender.send_to(b"the first", format!("{HOST}:{port}")).unwrap();
    until("it to end", || listener.ended().is_some());
    let ending = listener.end();
    ending.expect_code(0);
    assert_eq!(ending.stdout.trim_end(), "the first");
}
