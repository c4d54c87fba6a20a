//! Datagrams: every size is echoed, none is invented, none stops the server.

use crate::support::TRIGGERS;
use crate::support::datagram::Datagrams;
use crate::support::pattern::bytes;
use crate::support::procfs::has_ipv6_loopback;
use crate::support::program::Program;
use crate::support::tool::tool;

/// The maximum for an IPv4 packet: 65,535 less 20 for IP and 8 for UDP.
const BIGGEST: usize = 65_507;

#[test]
fn an_empty_datagram_is_echoed_empty() {
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        let client = Datagrams::to(&server.udp());
        for _ in 0..3 {
            client.echo(b"");
            client.echo(b"and after it");
        }
        assert_eq!(server.statistics().number("datagrams.in"), 6);
    }
}

#[test]
fn a_datagram_of_any_size_is_echoed_whole() {
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        let client = Datagrams::to(&server.udp());
        for size in [1, 2, 511, 512, 1472, 1473, 2048, 4096, 9000, 16_384, 32_768, BIGGEST] {
            client.echo(&bytes(size));
        }
        assert_eq!(server.statistics().number("datagrams.truncated"), 0);
    }
}

#[test]
fn a_datagram_of_the_largest_size_is_echoed_over_ipv6() {
    if !has_ipv6_loopback() {
        return;
    }
    for trigger in TRIGGERS {
        let server = on_udp("[::1]:0", trigger);
        let client = Datagrams::to(&server.udp());
        // IPv6 does not count its own header: 65,535 less 8 for UDP.
        for size in [0, 1, 1452, 65_527] {
            client.echo(&bytes(size));
        }
    }
}

#[test]
fn a_thousand_datagrams_in_bursts_are_echoed_in_order() {
    // The kernel keeps about 200 KiB per socket: a burst must fit, or the kernel drops datagrams.
    const FLIGHT: u32 = 50;
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        let client = Datagrams::to(&server.udp());
        for flight in 0..20 {
            for number in 0..FLIGHT {
                client.send(&named(flight * FLIGHT + number));
            }
            for number in 0..FLIGHT {
                client.expect(&named(flight * FLIGHT + number));
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
        let clients: Vec<_> = (0..64).map(|_| Datagrams::to(&server.udp())).collect();
        for (number, client) in (0..).zip(&clients) {
            client.send(&named(number));
        }
        for (number, client) in (0..).zip(&clients) {
            client.expect(&named(number));
            client.expect_nothing();
        }
    }
}

#[test]
fn hundreds_queued_at_once_are_all_echoed() {
    // More than any iteration takes, and less than the kernel keeps for a socket.
    const EACH: u32 = 20;
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        let clients: Vec<_> = (0..20).map(|_| Datagrams::to(&server.udp())).collect();
        server.signal("STOP");
        for client in &clients {
            (0..EACH).for_each(|number| client.send(&number.to_le_bytes()));
        }
        server.signal("CONT");
        for client in &clients {
            (0..EACH).for_each(|number| client.expect(&number.to_le_bytes()));
        }
        assert_eq!(server.statistics().number("datagrams.out"), 400);
    }
}

#[test]
fn vanished_senders_do_not_stop_the_server() {
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        // Opened first: a later one may get the port of one that vanished, and its echo.
        let stays = Datagrams::to(&server.udp());
        for _ in 0..200 {
            // The echo finds no socket: the kernel answers it with ICMP port unreachable.
            Datagrams::to(&server.udp()).send(b"farewell");
        }
        stays.echo(b"still here");
        assert_eq!(server.statistics().number("datagrams.in"), 201);
    }
}

#[test]
fn socat_gets_its_datagram_back() {
    for trigger in TRIGGERS {
        let server = on_udp("127.0.0.1:0", trigger);
        let mut socat = tool("socat");
        // It exits a second after its input; the reply came long before.
        socat.args(["-t", "20", "-T", "20", "STDIO", &format!("UDP:{}", server.udp())]);
        let mut socat = crate::support::process::Process::start(socat);
        socat.write_stdin(b"a datagram by socat\n");
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
        nc.write_stdin(b"a datagram by nc\n");
        nc.stdout.line_with("a datagram by nc");
    }
}

fn on_udp(address: &str, trigger: &str) -> Program {
    Program::serving(&["--udp", address, "--trigger", trigger, "--log-format", "json"])
}

fn named(number: u32) -> Vec<u8> {
    let size = usize::try_from(number % 97).unwrap();
    [&number.to_le_bytes()[..], &bytes(size)].concat()
}
