//! An echo server without `std` and without an allocator, for programs with and without them.

#![no_std]

use core::net::{Ipv4Addr, SocketAddrV4};

use epollite::kernel::SocketType;
use epollite::net::AddressFamily;
use epollite::reactor::{Lent, Room};
use epollite::{
    Addr, Errno, Event, Fd, Interest, Io, Kernel, Linux, Reactor, Received, Sent, Token, Trigger,
};

/// Connections at once, and the listener; further ones are closed.
const REGISTRATIONS: usize = 65;

type Loop<'m> = Reactor<(), Linux, Lent<'m>>;

/// A listener for TCP on a free port of 127.0.0.1, and the port.
pub fn listen() -> Result<(Fd, u16), Errno> {
    let socket = Linux.socket(AddressFamily::Inet, SocketType::Stream)?;
    Linux.bind(&socket, &Addr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)))?;
    Linux.listen(&socket, 128)?;
    let port = Linux.getsockname(&socket)?.port().unwrap_or(0);
    Ok((socket, port))
}

/// Serves `clients_max` connections, one after the other or at once.
pub fn serve(listener: Fd, clients_max: u32) -> Result<(), Errno> {
    let mut room = Room::<(), REGISTRATIONS, 16>::new();
    let mut reactor = Reactor::in_room(Linux, &mut room)?;
    let listener = reactor.register_or_close(listener, Interest::READABLE, Trigger::Level, ())?;
    let (mut buf, mut ended) = ([0; 4096], 0);
    while ended < clients_max {
        let Some(Event::Io { token, .. }) = reactor.next(None)? else { continue };
        if token == listener {
            accept(&mut reactor, listener);
        } else if let Some((_, io)) = reactor.get_mut(token)
            && !echo(io, &mut buf)
        {
            reactor.close(token);
            ended += 1;
        }
    }
    Ok(())
}

/// One that finds no room is closed.
fn accept(reactor: &mut Loop<'_>, listener: Token) {
    if let Some((_, mut io)) = reactor.get_mut(listener)
        && let Ok(Some((client, _))) = io.accept()
    {
        let _ = reactor.register_or_close(client, Interest::READABLE, Trigger::Level, ());
    }
}

/// Whether the connection goes on.
fn echo(mut io: Io<'_, Linux, Lent<'_>>, buf: &mut [u8]) -> bool {
    match io.recv(buf) {
        Ok(Received::WouldBlock) => true,
        Ok(Received::Bytes(n)) => {
            buf.get(..n).is_some_and(|bytes| io.send(bytes) == Ok(Sent::Bytes(n)))
        }
        _ => false,
    }
}
