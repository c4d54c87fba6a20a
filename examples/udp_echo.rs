//! A UDP echo server: one socket, many peers, no connections.
//!
//! ```text
//! cargo run --example udp_echo -- 127.0.0.1:7000
//! nc -u 127.0.0.1 7000
//! ```

use core::error::Error;
use epollite::kernel::{recv_datagram, reply_datagram};
use epollite::server::{PortSharing, bind_datagram};
use epollite::{Event, Interest, Reactor, Trigger};
use std::env;

/// The largest datagram that UDP over IPv4 carries is 65507 bytes.
const DATAGRAM_BYTES_MAX: usize = 65_536;

fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let mut reactor = Reactor::new()?;
    // On a wildcard address it enables `PacketInfo`: the local destination of each datagram.
    let (socket, addr) = bind_datagram(reactor.kernel(), &addr.parse()?, PortSharing::Exclusive)?;
    println!("listening on {addr}");
    reactor.register_or_close(socket, Interest::READABLE, Trigger::Level, ())?;
    let mut buf = vec![0; DATAGRAM_BYTES_MAX];

    while let Some(event) = reactor.next(None)? {
        let Event::Io { token, .. } = event else {
            continue;
        };
        let Some((_, mut io)) = reactor.get_mut(token) else { continue };
        // `recv` does not return the sender.
        let Ok(request) = io.syscall(|kernel, fd| recv_datagram(kernel, fd, &mut buf)) else {
            continue; // Nothing left, or an earlier reply reached a closed port.
        };
        // A reply to another server would be answered in turn, endlessly, and a sender can be
        // forged. This excludes echo, chargen and the like, below port 1024, and no more; see
        // `epollite::server::datagram` for the server's own ports and others.
        if request.from.port().is_some_and(|port| port >= 1024) {
            // From the request's destination: the client accepts a reply from no other address.
            // It may be lost, as here when the send buffer is full.
            let bytes = &buf[..request.len_bytes];
            let (to, info) = (&request.from, request.packet_info);
            let _ = io.syscall(|kernel, fd| reply_datagram(kernel, fd, bytes, to, info));
        }
    }
    Ok(())
}
