//! `mio PORT`: one thread on mio, which is edge-triggered: reads until `WouldBlock`.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

struct Client {
    stream: TcpStream,
    /// Unsent data; while there is any, nothing is read.
    pending: Vec<u8>,
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("usage: PORT");
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(256);
    let mut clients: HashMap<Token, Client> = HashMap::new();
    let mut buf = vec![0; 256 * 1024];
    let mut next = 0;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&poll, &listener, &mut clients, &mut next)?;
            } else if let Some(client) = clients.get_mut(&event.token())
                && !matches!(client.serve(&mut buf), Err(error) if would_block(&error))
            {
                // EOF or an error: dropping the stream removes it from the poll.
                clients.remove(&event.token());
            }
        }
    }
}

fn accept(
    poll: &Poll,
    listener: &TcpListener,
    clients: &mut HashMap<Token, Client>,
    next: &mut usize,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if would_block(&error) => return Ok(()),
            Err(_) => continue,
        };
        drop(stream.set_nodelay(true));
        let token = Token(*next);
        *next += 1;
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        clients.insert(token, Client { stream, pending: Vec::new() });
    }
}

impl Client {
    /// Echoes until the socket would block on read or write, or until EOF (`Ok`).
    fn serve(&mut self, buf: &mut [u8]) -> io::Result<()> {
        loop {
            while !self.pending.is_empty() {
                let n = retry(|| self.stream.write(&self.pending))?;
                self.pending.drain(..n);
            }
            let n = retry(|| self.stream.read(buf))?;
            if n == 0 {
                return Ok(());
            }
            let mut sent = 0;
            while sent < n {
                match retry(|| self.stream.write(&buf[sent..n])) {
                    Ok(taken) => sent += taken,
                    Err(error) => {
                        self.pending.extend_from_slice(&buf[sent..n]);
                        return Err(error);
                    }
                }
            }
        }
    }
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn would_block(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}
