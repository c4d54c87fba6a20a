//! Uses what the feature `std` adds: a socket of `std`, and errors as `std::io::Error`; and the
//! library that does without.

use std::io::{Error, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;

use epollite::{Event, Interest, Reactor, Received, Trigger};

fn main() -> Result<(), Error> {
    let (near, mut far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    let mut reactor = Reactor::new()?;
    let (interest, trigger) = (Interest::READABLE, Trigger::Level);
    let token = reactor.register_or_close(near.into(), interest, trigger, "near").unwrap();
    far.write_all(b"hello")?;
    assert_eq!(reactor.next(None)?.map(|event| matches!(event, Event::Io { .. })), Some(true));
    let (state, mut io) = reactor.get_mut(token).unwrap();
    let mut buf = [0; 16];
    let Received::Bytes(n) = io.recv(&mut buf)? else { panic!("nothing was received") };
    println!("{state}: {}", String::from_utf8_lossy(&buf[..n]));
    io.send(&buf[..n])?;
    let mut back = [0; 5];
    far.read_exact(&mut back)?;

    let (listener, port) = echo_loop::listen()?;
    let server = std::thread::spawn(move || echo_loop::serve(listener, 1));
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    client.write_all(b"echo!")?;
    client.read_exact(&mut back)?;
    drop(client);
    server.join().unwrap()?;
    println!("from the loop: {}", String::from_utf8_lossy(&back));
    Ok(())
}
