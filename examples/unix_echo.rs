//! An echo server on a Unix socket, edge-triggered: what the kernel does not say twice.
//!
//! ```text
//! cargo run --example unix_echo -- unix:/tmp/echo.sock     nc -U /tmp/echo.sock
//! cargo run --example unix_echo -- unix:@echo              socat - ABSTRACT-CONNECT:echo
//! ```

use core::error::Error;
use std::env;

use epollite::echo::{Echo, Want};
use epollite::reactor::Source;
use epollite::{Addr, Event, Family, Interest, Kernel, Kind, Linux, Reactor, Ready};
use epollite::{Received, Sent, Trigger};

/// How much one client may have done for it before it is the others' turn.
const CALLS_A_TURN: u32 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "unix:@epollite-echo".into());
    let mut reactor = Reactor::new()?;

    // The same by system calls: what they make is non-blocking from birth.
    let addr: Addr = addr.parse()?;
    let listener = reactor.kernel().socket(Family::Unix, Kind::Stream)?;
    reactor.kernel().bind(&listener, &addr)?;
    reactor.kernel().listen(&listener, 128)?;
    println!("listening on {addr}");

    let readable = Interest::READABLE;
    let door = reactor.register_or_close(listener, readable, Trigger::Level, Echo::new())?;
    let mut buf = [0; 4096];
    while let Some(event) = reactor.next(None)? {
        let Event::Io { token, ready } = event else {
            continue;
        };
        let Some(mut source) = reactor.source(token) else { continue };
        if token == door {
            if let Some((client, _)) = source.io.accept()? {
                // Both directions, once and for all: an edge comes only when something changes.
                let both = Interest::READABLE | Interest::WRITABLE;
                reactor.register_or_close(client, both, Trigger::Edge, Echo::new())?;
            }
        } else if converse(&mut source, ready, &mut buf).unwrap_or(true) {
            reactor.close(token);
        }
    }
    Ok(())
}

/// Goes on until the kernel says "nothing now", since only then will it tell us of more. Returns
/// whether the conversation is over.
fn converse(
    source: &mut Source<'_, Echo, Linux>,
    ready: Ready,
    buf: &mut [u8],
) -> Result<bool, Box<dyn Error>> {
    let Source { state: echo, io } = source;
    for _ in 0..CALLS_A_TURN {
        match echo.want() {
            Want::Write => match io.send(echo.owed())? {
                Sent::Bytes(count) => echo.paid(count),
                Sent::Nothing => return Ok(false),
            },
            Want::Close => return Ok(true),
            _ => match io.recv(buf)? {
                Received::Bytes(count) => echo.received(&buf[..count], 0, buf.len())?,
                Received::Nothing => return Ok(false),
                Received::End => echo.ended(),
            },
        }
    }
    // We stopped of our own accord, and no edge will come for what is there already: so the
    // reactor itself reminds us, after the others have had their turn.
    io.again(ready);
    Ok(false)
}
