//! The datagram server over Unix sockets: a client that reads none of its answers.
//!
//! What lies unread at a peer counts in the sender's own buffer (unix(7)), and the server has one
//! socket for all.

use epollite::server::datagram::{Config, Server};
use epollite::server::{Sharing, bind_datagram};
use epollite::{Addr, Errno, Family, Fd, Instant, Kernel, Kind, Linux, Sim};

/// Four such answers are more than the usual `SO_SNDBUF`, 212,992 bytes; a queue holds eleven.
const LARGE_BYTES: usize = 60_000;

#[test]
fn large_answers_that_nobody_reads_cost_others_theirs_until_they_are_read() {
    let sim = Sim::default();
    let taken = scene(sim.process(), sim);
    assert!((3..=4).contains(&taken), "in the model the buffer holds {taken}");
    if net_core("wmem_default") == Some(212_992) && net_core("wmem_max") >= Some(212_992) {
        let taken = scene(Linux, Linux);
        assert!((2..=4).contains(&taken), "on Linux the buffer holds {taken}");
    }
}

/// Returns how many large answers there was room for.
fn scene<S: Kernel, C: Kernel>(kernel: S, mut clients: C) -> u64 {
    let mut server = Server::new(kernel, Config::default()).unwrap();
    let (socket, addr) = bind_datagram(server.kernel(), &name("server"), Sharing::Alone).unwrap();
    server.open(socket).unwrap();
    let [mute, other] = ["mute", "other"].map(|name| client(&mut clients, name));
    let large = vec![7; LARGE_BYTES];
    for _ in 0..9 {
        clients.sendto(&mute, &large, &addr).unwrap();
        server.turn(Some(Instant::ZERO)).unwrap();
    }
    let full = server.stats();
    assert_eq!(full.received, 9, "law: questions are taken all the same");
    assert_eq!(full.echoed + full.dropped, 9, "law: each answer is sent or counted");

    clients.sendto(&other, b"hello", &addr).unwrap();
    server.turn(Some(Instant::ZERO)).unwrap();
    let heard = clients.recv(&other, &mut [0; 8]);
    assert_eq!(heard, Err(Errno::EAGAIN), "there is no room for an answer");
    assert_eq!(server.stats().dropped, full.dropped + 1, "law: a lost answer is counted");

    assert_eq!(clients.recv(&mute, &mut vec![0; LARGE_BYTES]), Ok(LARGE_BYTES));
    clients.sendto(&other, b"again", &addr).unwrap();
    server.turn(Some(Instant::ZERO)).unwrap();
    assert_eq!(clients.recv(&other, &mut [0; 8]), Ok(5), "law: room brings answers");
    for socket in [mute, other] {
        clients.close(socket).unwrap();
    }
    full.echoed
}

fn client(kernel: &mut impl Kernel, of: &str) -> Fd {
    let socket = kernel.socket(Family::Unix, Kind::Datagram).unwrap();
    kernel.bind(&socket, &name(of)).unwrap();
    socket
}

fn name(of: &str) -> Addr {
    format!("unix:@epollite {of} {}", std::process::id()).parse().unwrap()
}

fn net_core(name: &str) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?;
    text.trim().parse().ok()
}
