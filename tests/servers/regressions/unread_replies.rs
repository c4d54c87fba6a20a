//! The datagram server over Unix sockets: a client that reads none of its replies.
//!
//! Data unread at a peer is charged to the sender's own buffer (unix(7)), and the server has one
//! socket for all clients.

use epollite::kernel::SocketType;
use epollite::net::AddressFamily;
use epollite::server::datagram::{DatagramConfig, DatagramServer};
use epollite::server::{PortSharing, bind_datagram};
use epollite::sim::Sim;
use epollite::{Addr, Errno, Fd, Instant, Kernel, Linux};

/// Four such replies exceed the default `SO_SNDBUF`, 212,992 bytes; a queue holds eleven.
const LARGE_BYTES: usize = 60_000;

#[test]
fn large_unread_replies_block_other_clients_until_they_are_read() {
    let sim = Sim::default();
    let taken = harness(sim.new_process(), sim);
    assert!((3..=4).contains(&taken), "in the model the buffer holds {taken}");
    if net_core("wmem_default") == Some(212_992) && net_core("wmem_max") >= Some(212_992) {
        let taken = harness(Linux, Linux);
        assert!((2..=4).contains(&taken), "on Linux the buffer holds {taken}");
    }
}

/// Returns how many large replies fit.
fn harness<S: Kernel, C: Kernel>(kernel: S, mut clients: C) -> u64 {
    let mut server = DatagramServer::new(kernel, DatagramConfig::default()).unwrap();
    let (socket, addr) =
        bind_datagram(server.kernel(), &name("server"), PortSharing::Exclusive).unwrap();
    server.add_socket(socket).unwrap();
    let [silent, other] = ["silent", "other"].map(|name| client(&mut clients, name));
    let large = vec![7; LARGE_BYTES];
    for _ in 0..9 {
        clients.sendto(&silent, &large, &addr).unwrap();
        server.run_once(Some(Instant::ZERO)).unwrap();
    }
    let full = server.stats();
    assert_eq!(full.received, 9, "invariant: requests are still received");
    assert_eq!(
        full.echoed + full.dropped,
        9,
        "invariant: each reply is sent or counted as dropped"
    );

    clients.sendto(&other, b"hello", &addr).unwrap();
    server.run_once(Some(Instant::ZERO)).unwrap();
    let received = clients.recv(&other, &mut [0; 8]);
    assert_eq!(received, Err(Errno::EAGAIN), "there is no room for a reply");
    assert_eq!(server.stats().dropped, full.dropped + 1, "invariant: a dropped reply is counted");

    assert_eq!(clients.recv(&silent, &mut vec![0; LARGE_BYTES]), Ok(LARGE_BYTES));
    clients.sendto(&other, b"again", &addr).unwrap();
    server.run_once(Some(Instant::ZERO)).unwrap();
    assert_eq!(
        clients.recv(&other, &mut [0; 8]),
        Ok(5),
        "invariant: replies resume when there is room"
    );
    for socket in [silent, other] {
        clients.close(socket).unwrap();
    }
    full.echoed
}

fn client(kernel: &mut impl Kernel, of: &str) -> Fd {
    let socket = kernel.socket(AddressFamily::Unix, SocketType::Datagram).unwrap();
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
