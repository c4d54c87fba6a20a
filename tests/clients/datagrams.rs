//! Datagrams: every size comes back, none is made up, none ends the server.

use std::io::ErrorKind;
use std::net::UdpSocket;

use crate::support::TRIGGERS;
use crate::support::client::datagrams_to;
use crate::support::pattern::bytes;
use crate::support::procfs::has_ipv6_loopback;
use crate::support::program::Program;
use crate::support::tool::tool;

/// The most that fits an IPv4 packet: 65,535 less 20 for IP and 8 for UDP.
const BIGGEST: usize = 65_507;

#[test]
fn an_empty_datagram_comes_back_empty() {
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        let socket = datagrams_to(&server.udp());
        for _ in 0..3 {
            comes_back(&socket, b"");
            comes_back(&socket, b"and after it");
        }
        assert_eq!(server.statistics().number("datagrams.in"), 6);
    }
}

#[test]
fn a_datagram_of_any_size_comes_back_whole() {
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        let socket = datagrams_to(&server.udp());
        for size in [1, 2, 511, 512, 1472, 1473, 2048, 4096, 9000, 16_384, 32_768, BIGGEST] {
            comes_back(&socket, &bytes(size));
        }
        assert_eq!(server.statistics().number("datagrams.truncated"), 0);
    }
}

#[test]
fn a_datagram_of_the_biggest_size_comes_back_over_ipv6() {
    if !has_ipv6_loopback() {
        return;
    }
    for trigger in TRIGGERS {
        let server = on_udp("[::1]:0", trigger);
        let socket = datagrams_to(&server.udp());
        // IPv6 does not count its own header: 65,535 less 8 for UDP.
        for size in [0, 1, 1452, 65_527] {
            comes_back(&socket, &bytes(size));
        }
    }
}

#[test]
fn a_thousand_datagrams_in_flights_come_back_in_order() {
    // The kernel keeps some 200 KiB for each socket: a flight must fit, or it drops, not we.
    const FLIGHT: u32 = 50;
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        let socket = datagrams_to(&server.udp());
        for flight in 0..20 {
            for number in 0..FLIGHT {
                socket.send(&named(flight * FLIGHT + number)).unwrap();
            }
            for number in 0..FLIGHT {
                let mut back = [0; 256];
                let count = socket.recv(&mut back).unwrap();
                assert_eq!(back[..count], named(flight * FLIGHT + number));
            }
        }
        let statistics = server.statistics();
        assert_eq!(statistics.number("datagrams.in"), 1000);
        assert_eq!(statistics.number("datagrams.out"), 1000);
        assert_eq!(statistics.number("datagrams.dropped"), 0);
    }
}

#[test]
fn each_of_many_senders_gets_its_own_back() {
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        let sockets: Vec<_> = (0..64).map(|_| datagrams_to(&server.udp())).collect();
        for (number, socket) in (0..).zip(&sockets) {
            socket.send(&named(number)).unwrap();
        }
        for (number, socket) in (0..).zip(&sockets) {
            let mut back = [0; 256];
            let count = socket.recv(&mut back).unwrap();
            assert_eq!(back[..count], named(number), "law: an echo goes to its sender");
            socket.set_nonblocking(true).unwrap();
            let more = socket.recv(&mut back).unwrap_err();
            assert_eq!(more.kind(), ErrorKind::WouldBlock, "law: one echo a datagram");
        }
    }
}

#[test]
fn senders_that_are_gone_do_not_end_it() {
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        for _ in 0..200 {
            // The echo finds nobody: the kernel answers it with ICMP, port unreachable.
            let socket = datagrams_to(&server.udp());
            socket.send(b"farewell").unwrap();
            drop(socket);
        }
        comes_back(&datagrams_to(&server.udp()), b"still here");
        assert_eq!(server.statistics().number("datagrams.in"), 201);
    }
}

#[test]
fn socat_gets_its_datagram_back() {
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        let mut socat = tool("socat");
        // It ends a second after its input; the answer came long before.
        socat.args(["-t", "20", "-T", "20", "STDIO", &format!("UDP:{}", server.udp())]);
        let mut socat = crate::support::process::Process::start(socat);
        socat.tell(b"a datagram by socat\n");
        socat.stdout.line_with("a datagram by socat");
    }
}

#[test]
fn openbsd_nc_gets_its_datagram_back() {
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        let address = server.udp();
        let (host, port) = address.rsplit_once(':').unwrap();
        let mut nc = tool("nc");
        nc.args(["-u", host, port]);
        let mut nc = crate::support::process::Process::start(nc);
        nc.tell(b"a datagram by nc\n");
        nc.stdout.line_with("a datagram by nc");
    }
}

fn on_udp(address: &str, trigger: &str) -> Program {
    Program::serving(&["--udp", address, "--trigger", trigger, "--log", "json"])
}

#[track_caller]
fn comes_back(socket: &UdpSocket, datagram: &[u8]) {
    socket.send(datagram).unwrap();
    let mut back = vec![0; 66_000];
    let count = socket.recv(&mut back).unwrap();
    assert!(back[..count] == *datagram, "law: {} bytes come back whole", datagram.len());
}

fn named(number: u32) -> Vec<u8> {
    let size = usize::try_from(number % 97).unwrap();
    [&number.to_le_bytes()[..], &bytes(size)].concat()
}
