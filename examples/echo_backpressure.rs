//! A TCP echo server, level-triggered, that waits for slow readers instead of disconnecting them.
//!
//! ```text
//! cargo run --example echo_backpressure -- 127.0.0.1:7000
//! nc 127.0.0.1 7000
//! ```

use core::error::Error;
use std::env;
use std::net::TcpListener;

use epollite::echo::{Echo, Want};
use epollite::{Event, Interest, Io, Linux, Reactor, Received, Sent, Trigger};

fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let listener = TcpListener::bind(addr)?;
    // A reactor never blocks inside a call, so all its descriptors must be non-blocking.
    println!("listening on {}", listener.local_addr()?);

    // The reactor keeps a value with every descriptor: here, an echo state machine.
    let mut reactor = Reactor::new()?;
    let (interest, trigger) = (Interest::READABLE, Trigger::Level);
    let listener_token =
        reactor.register_or_close(listener.into(), interest, trigger, Echo::new())?;
    let mut buf = [0; 4096];

    while let Some(event) = reactor.next(None)? {
        let Event::Io { token, .. } = event else {
            continue;
        };
        let Some((echo, mut io)) = reactor.get_mut(token) else { continue };
        if token == listener_token {
            // One per event is enough: level-triggered, the rest is reported again.
            if let Some((client, _)) = io.accept()? {
                reactor.register_or_close(client, interest, trigger, Echo::new())?;
            }
        } else {
            // A lost connection ends that connection only.
            let want = on_ready(echo, &mut io, &mut buf).unwrap_or(Want::Close);
            if want == Want::Close {
                reactor.close(token);
            }
        }
    }
    Ok(())
}

/// Does the one thing that the state machine wants now, and returns what it wants next.
fn on_ready(
    echo: &mut Echo,
    io: &mut Io<'_, Linux>,
    buf: &mut [u8],
) -> Result<Want, Box<dyn Error>> {
    if echo.want() == Want::Write {
        if let Sent::Bytes(count) = io.send(echo.pending())? {
            echo.sent(count);
        }
    } else {
        match io.recv(buf)? {
            Received::Bytes(count) => {
                let sent = match io.send(&buf[..count])? {
                    Sent::Bytes(sent) => sent,
                    Sent::WouldBlock => 0,
                };
                echo.received(&buf[..count], sent, buf.len())?;
            }
            Received::WouldBlock => {}
            Received::Eof => echo.received_eof(),
        }
    }
    // Register for `WRITABLE` only while the write buffer holds data: there is room nearly always,
    // and it would be reported endlessly. Nothing is read until then: that slows the sender down.
    let interest = match echo.want() {
        Want::Write => Interest::WRITABLE,
        _ => Interest::READABLE,
    };
    if !io.is_registered_for(interest, Trigger::Level) {
        io.modify(interest, Trigger::Level)?;
    }
    Ok(echo.want())
}
