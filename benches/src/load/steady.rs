//! Load on connections that stay: each sends its next message when an answer is complete.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::pattern::{PIECE_BYTES, Pattern};
use super::{CONNECT_MAX, Failure, Ready, has_ended, index_of};
use crate::case::Case;

/// All connections of one case to one server.
#[derive(Debug)]
pub(super) struct Steady {
    connections: Vec<Connection>,
    size: u64,
    depth: u64,
    /// Shared by all: what arrives is checked at once and never kept.
    buf: Vec<u8>,
}

/// One connection; all three counts are in bytes since it was opened.
///
/// ```text
///   got <= sent <= goal      goal: what may leave, always whole messages
/// ```
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    index: usize,
    goal: u64,
    sent: u64,
    got: u64,
}

impl Steady {
    pub(super) fn open(case: &Case, address: SocketAddr, ready: &Ready) -> Result<Self, Failure> {
        let mut connections = Vec::with_capacity(case.connections);
        for index in 0..case.connections {
            let stream = TcpStream::connect_timeout(&address, CONNECT_MAX)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            ready.watch(&stream, index)?;
            connections.push(Connection { stream, index, goal: 0, sent: 0, got: 0 });
        }
        let (size, depth) = (case.size_bytes as u64, case.depth as u64);
        Ok(Self { connections, size, depth, buf: vec![0; PIECE_BYTES] })
    }

    /// Returns how many messages were echoed. Bytes are counted, so a message is whole or an error.
    pub(super) fn slice(
        &mut self,
        deadline: Instant,
        pattern: &Pattern,
        ready: &mut Ready,
    ) -> Result<u64, Failure> {
        let (size, depth) = (self.size, self.depth);
        let before: u64 = self.connections.iter().map(|connection| connection.got).sum();
        let mut busy = self.connections.len();
        for connection in &mut self.connections {
            connection.aim(size, depth);
            connection.send(pattern)?;
        }
        while busy > 0 {
            let (events, more) = ready.wait(deadline)?;
            for event in events {
                let connection = &mut self.connections[index_of(event)];
                let was_busy = connection.is_busy();
                connection.receive(pattern, &mut self.buf, has_ended(event))?;
                if more {
                    connection.aim(size, depth);
                }
                connection.send(pattern)?;
                busy = busy + usize::from(connection.is_busy()) - usize::from(was_busy);
            }
        }
        let after: u64 = self.connections.iter().map(|connection| connection.got).sum();
        Ok((after - before) / size)
    }
}

impl Connection {
    /// Allows `depth` messages beyond the last answer that is complete.
    fn aim(&mut self, size: u64, depth: u64) {
        self.goal = (self.got / size + depth) * size;
    }

    /// Sends until the goal is reached or the socket is full; its next OUT brings us back.
    fn send(&mut self, pattern: &Pattern) -> Result<(), Failure> {
        while self.sent < self.goal {
            let piece = pattern.piece(self.index, self.sent, self.goal - self.sent);
            match (&self.stream).write(piece) {
                Ok(n) => self.sent += n as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes and checks what has come. A short read from TCP means that the socket is empty, and
    /// is the end of it; unless the event says that the peer has `ended`, for that hides behind.
    fn receive(&mut self, pattern: &Pattern, buf: &mut [u8], ended: bool) -> Result<(), Failure> {
        if !self.is_busy() && !ended {
            return Ok(());
        }
        loop {
            match (&self.stream).read(buf) {
                Ok(0) => return Err(Failure::Ended { offset: self.got }),
                Ok(n) => {
                    pattern.check(self.index, self.got, self.sent, &buf[..n])?;
                    self.got += n as u64;
                    if n < buf.len() && !ended {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_busy(&self) -> bool {
        self.got < self.goal
    }
}
