//! A TCP echo server in twenty lines. A client that does not read is disconnected;
//! `echo_backpressure.rs` waits for it.

use epollite::{Event, Interest, Reactor, Received, Sent, Trigger};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = std::net::TcpListener::bind(addr)?;
    println!("listening on {}", listener.local_addr()?);
    let mut reactor = Reactor::new()?;
    let listener_token =
        reactor.register_or_close(listener.into(), Interest::READABLE, Trigger::Level, ())?;
    let mut buf = [0; 4096];
    while let Some(event) = reactor.next(None)? {
        let Event::Io { token, .. } = event else { continue };
        let Some((_, mut io)) = reactor.get_mut(token) else { continue };
        if token == listener_token {
            if let Some((client, _)) = io.accept()? {
                reactor.register_or_close(client, Interest::READABLE, Trigger::Level, ())?;
            }
        } else {
            match io.recv(&mut buf) {
                Ok(Received::WouldBlock) => {}
                Ok(Received::Bytes(n)) if io.send(&buf[..n]) == Ok(Sent::Bytes(n)) => {}
                _ => drop(reactor.close(token)),
            }
        }
    }
    Ok(())
}
