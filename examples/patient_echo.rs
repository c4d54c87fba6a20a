//! A TCP echo server, level-triggered, that waits for a slow reader instead of cutting it off.
//!
//! ```text
//! cargo run --example patient_echo -- 127.0.0.1:7000
//! nc 127.0.0.1 7000
//! ```

use core::error::Error;
use std::env;
use std::net::TcpListener;

use epollite::echo::{Echo, Want};
use epollite::reactor::Source;
use epollite::{Event, Interest, Linux, Reactor, Received, Sent, Trigger};

fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let listener = TcpListener::bind(addr)?;
    // A reactor never waits inside a call, so everything it holds is non-blocking.
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);

    // Beside every descriptor the reactor keeps a value of ours: here, a conversation.
    let mut reactor = Reactor::new()?;
    let (interest, trigger) = (Interest::READABLE, Trigger::Level);
    let door = reactor.register_or_close(listener.into(), interest, trigger, Echo::new())?;
    let mut buf = [0; 4096];

    while let Some(event) = reactor.next(None)? {
        let Event::Io { token, .. } = event else {
            continue;
        };
        let Some(mut source) = reactor.source(token) else { continue };
        if token == door {
            // One a turn is enough: level-triggered, we are told again while more wait.
            if let Some((client, _)) = source.io.accept()? {
                reactor.register_or_close(client, interest, trigger, Echo::new())?;
            }
        } else {
            // A broken connection is the end of that one conversation, and of nothing else.
            let wants = converse(&mut source, &mut buf).unwrap_or(Want::Close);
            if wants == Want::Close {
                reactor.close(token);
            }
        }
    }
    Ok(())
}

/// Does the one thing that the conversation wants now, and says what it wants next.
fn converse(source: &mut Source<'_, Echo, Linux>, buf: &mut [u8]) -> Result<Want, Box<dyn Error>> {
    let Source { state: echo, io } = source;
    if echo.want() == Want::Write {
        if let Sent::Bytes(count) = io.send(echo.owed())? {
            echo.paid(count);
        }
    } else {
        match io.recv(buf)? {
            Received::Bytes(count) => {
                let sent = match io.send(&buf[..count])? {
                    Sent::Bytes(sent) => sent,
                    Sent::Nothing => 0,
                };
                echo.received(&buf[..count], sent, buf.len())?;
            }
            Received::Nothing => {}
            Received::End => echo.ended(),
        }
    }
    // Wait for room only while something is owed: there is room nearly always, and we would be
    // told so again and again. And read nothing meanwhile: that slows the sender down.
    let wanted = match echo.want() {
        Want::Write => Interest::WRITABLE,
        _ => Interest::READABLE,
    };
    if !io.watches(wanted, Trigger::Level) {
        io.rearm(wanted, Trigger::Level)?;
    }
    Ok(echo.want())
}
