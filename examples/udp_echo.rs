//! A UDP echo server: one socket, many peers, and no connection anywhere.
//!
//! ```text
//! cargo run --example udp_echo -- 127.0.0.1:7000
//! nc -u 127.0.0.1 7000
//! ```

use core::error::Error;
use std::env;
use std::net::UdpSocket;

use epollite::{Event, Interest, Kernel, Reactor, Trigger};

/// The largest datagram that UDP over IPv4 carries is 65507 bytes.
const DATAGRAM_BYTES_MAX: usize = 65_536;

fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let socket = UdpSocket::bind(addr)?;
    socket.set_nonblocking(true)?;
    println!("listening on {}", socket.local_addr()?);

    let mut reactor = Reactor::new()?;
    reactor.register_or_close(socket.into(), Interest::READABLE, Trigger::Level, ())?;
    let mut buf = vec![0; DATAGRAM_BYTES_MAX];

    while let Some(event) = reactor.next(None)? {
        let Event::Io { token, .. } = event else {
            continue;
        };
        let Some(source) = reactor.source(token) else { continue };
        // `recv` would not say who sent it, so this asks the kernel below.
        let io = source.io;
        let Ok((count, peer)) = io.kernel.recvfrom(io.fd, &mut buf) else {
            continue; // Gone again, or an answer of ours met a closed port.
        };
        // Answering another server would make the two of them talk for ever, and a sender can be
        // forged. This keeps off echo, chargen and their like, below port 1024, and no more; see
        // `epollite::server::datagram` for our own ports and others.
        if peer.port().is_some_and(|port| port >= 1024) {
            // A datagram may be lost, and this is one way: there was no room to send it.
            let _ = io.kernel.sendto(io.fd, &buf[..count], &peer);
        }
    }
    Ok(())
}
