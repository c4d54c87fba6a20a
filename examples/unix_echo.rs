//! An echo server on a Unix socket, edge-triggered: readiness that the kernel reports only once.
//!
//! ```text
//! cargo run --example unix_echo -- unix:/tmp/echo.sock     nc -U /tmp/echo.sock
//! cargo run --example unix_echo -- unix:@echo              socat - ABSTRACT-CONNECT:echo
//! ```

use core::error::Error;
use std::env;

use epollite::echo::{Echo, Want};
use epollite::event::Ready;
use epollite::kernel::SocketType;
use epollite::net::AddressFamily;
use epollite::{Addr, Event, Interest, Io, Kernel, Linux, Reactor};
use epollite::{Received, Sent, Trigger};

/// How many calls are made for one client before others are served.
const SYSCALL_BUDGET: u32 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let addr = env::args().nth(1).unwrap_or_else(|| "unix:@epollite-echo".into());
    let mut reactor = Reactor::new()?;

    // The same by system calls: the descriptors that they create are non-blocking.
    let addr: Addr = addr.parse()?;
    let listener = reactor.kernel().socket(AddressFamily::Unix, SocketType::Stream)?;
    reactor.kernel().bind(&listener, &addr)?;
    reactor.kernel().listen(&listener, 128)?;
    println!("listening on {addr}");

    let readable = Interest::READABLE;
    let listener_token =
        reactor.register_or_close(listener, readable, Trigger::Level, Echo::new())?;
    let mut buf = [0; 4096];
    while let Some(event) = reactor.next(None)? {
        let Event::Io { token, ready } = event else {
            continue;
        };
        let Some((echo, mut io)) = reactor.get_mut(token) else { continue };
        if token == listener_token {
            if let Some((client, _)) = io.accept()? {
                // Both directions, once: an edge is reported only when something changes.
                let both = Interest::READABLE | Interest::WRITABLE;
                reactor.register_or_close(client, both, Trigger::Edge, Echo::new())?;
            }
        } else if pump(echo, &mut io, ready, &mut buf).unwrap_or(true) {
            reactor.close(token);
        }
    }
    Ok(())
}

/// Continues until `EAGAIN`, since only then does the kernel report more. Returns whether the
/// connection is finished.
fn pump(
    echo: &mut Echo,
    io: &mut Io<'_, Linux>,
    ready: Ready,
    buf: &mut [u8],
) -> Result<bool, Box<dyn Error>> {
    for _ in 0..SYSCALL_BUDGET {
        match echo.want() {
            Want::Write => match io.send(echo.pending())? {
                Sent::Bytes(count) => echo.sent(count),
                Sent::WouldBlock => return Ok(false),
            },
            Want::Close => return Ok(true),
            _ => match io.recv(buf)? {
                Received::Bytes(count) => echo.received(&buf[..count], 0, buf.len())?,
                Received::WouldBlock => return Ok(false),
                Received::Eof => echo.received_eof(),
            },
        }
    }
    // The budget is spent before `EAGAIN`, and no edge will report what is ready already: so the
    // reactor reports it again, after the others.
    io.requeue(ready);
    Ok(false)
}
