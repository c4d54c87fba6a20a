//! A UDP echo server: one socket, many peers, and no connection anywhere.
//!
//! ```text
//! cargo run --example udp_echo -- 127.0.0.1:7000
//! nc -u 127.0.0.1 7000
//! ```

use core::error::Error;
use epollite::kernel::{recv_datagram, reply_datagram};
use epollite::server::{Sharing, bind_datagram};
use epollite::{Event, Interest, Reactor, Trigger};
use std::env;

/// The largest datagram that UDP over IPv4 carries is 65507 bytes.
const DATAGRAM_BYTES_MAX: usize = 65_536;

fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let mut reactor = Reactor::new()?;
    // On a wildcard address it has the socket tell which address each datagram came to.
    let (socket, addr) = bind_datagram(reactor.kernel(), &addr.parse()?, Sharing::Alone)?;
    println!("listening on {addr}");
    reactor.register_or_close(socket, Interest::READABLE, Trigger::Level, ())?;
    let mut buf = vec![0; DATAGRAM_BYTES_MAX];

    while let Some(event) = reactor.next(None)? {
        let Event::Io { token, .. } = event else {
            continue;
        };
        let Some(source) = reactor.source(token) else { continue };
        // `recv` would not say who sent it, so this asks the kernel below.
        let io = source.io;
        let Ok(asked) = recv_datagram(io.kernel, io.fd, &mut buf) else {
            continue; // Gone again, or an answer of ours met a closed port.
        };
        // Answering another server would make the two of them talk for ever, and a sender can be
        // forged. This keeps off echo, chargen and their like, below port 1024, and no more; see
        // `epollite::server::datagram` for our own ports and others.
        if asked.from.port().is_some_and(|port| port >= 1024) {
            // From the address that was asked: the client takes an answer from no other. It may be
            // lost, and this is one way: there was no room to send it.
            let bytes = &buf[..asked.len_bytes];
            let _ = reply_datagram(io.kernel, io.fd, bytes, &asked.from, asked.packet_info);
        }
    }
    Ok(())
}
