//! `polling PORT`: one thread on polling, with its one-shot events: after each event the interest
//! is set again.
#![expect(unsafe_code, reason = "polling requires that a source outlives its registration")]

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use polling::{Event, Events, Poller};

const LISTENER: usize = 0;

struct Client {
    stream: TcpStream,
    /// Unsent data; while there is any, nothing is read.
    pending: Vec<u8>,
}

fn main() -> io::Result<()> {
    let port: u16 =
        std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("usage: PORT");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let poller = Poller::new()?;
    // SAFETY: the listener lives as long as the poller.
    unsafe { poller.add(&listener, Event::readable(LISTENER))? };
    let mut events = Events::new();
    let mut clients: HashMap<usize, Client> = HashMap::new();
    let mut buf = vec![0; 256 * 1024];
    let mut next = LISTENER + 1;
    loop {
        events.clear();
        match poller.wait(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        };
        for event in events.iter() {
            if event.key == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    drop(stream.set_nodelay(true));
                    // SAFETY: a client is deleted from the poller before its stream is dropped.
                    unsafe { poller.add(&stream, Event::readable(next))? };
                    clients.insert(next, Client { stream, pending: Vec::new() });
                    next += 1;
                }
                poller.modify(&listener, Event::readable(LISTENER))?;
                continue;
            }
            let Some(client) = clients.get_mut(&event.key) else { continue };
            match client.serve(&mut buf) {
                Ok(true) if client.pending.is_empty() => {
                    poller.modify(&client.stream, Event::readable(event.key))?;
                }
                Ok(true) => poller.modify(&client.stream, Event::writable(event.key))?,
                Ok(false) | Err(_) => {
                    poller.delete(&client.stream)?;
                    clients.remove(&event.key);
                }
            }
        }
    }
}

impl Client {
    /// Handles one event: sends pending data, or reads once and echoes. False at EOF.
    fn serve(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        if !self.pending.is_empty() {
            let n = attempt(self.stream.write(&self.pending))?.unwrap_or(0);
            self.pending.drain(..n);
            return Ok(true);
        }
        let Some(n) = attempt(self.stream.read(buf))? else { return Ok(true) };
        if n == 0 {
            return Ok(false);
        }
        let sent = attempt(self.stream.write(&buf[..n]))?.unwrap_or(0);
        self.pending.extend_from_slice(&buf[sent..n]);
        Ok(true)
    }
}

/// `None` if the call would block or was interrupted.
fn attempt(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
