//! A TCP echo server in twenty lines. A client that does not read is cut off;
//! `patient_echo.rs` waits for it.

use epollite::{Event, Interest, Reactor, Received, Sent, Trigger};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = std::net::TcpListener::bind(addr)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    let mut reactor = Reactor::new()?;
    let door =
        reactor.register_or_close(listener.into(), Interest::READABLE, Trigger::Level, ())?;
    let mut buf = [0; 4096];
    while let Some(event) = reactor.next(None)? {
        let Event::Io { token, .. } = event else { continue };
        let Some(mut source) = reactor.source(token) else { continue };
        if token == door {
            if let Some((client, _)) = source.io.accept()? {
                reactor.register_or_close(client, Interest::READABLE, Trigger::Level, ())?;
            }
        } else {
            match source.io.recv(&mut buf) {
                Ok(Received::Nothing) => {}
                Ok(Received::Bytes(n)) if source.io.send(&buf[..n]) == Ok(Sent::Bytes(n)) => {}
                _ => drop(reactor.close(token)),
            }
        }
    }
    Ok(())
}
