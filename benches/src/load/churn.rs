//! Load that is a new connection for every message. It knows one connection's short life, and how
//! to keep a number of such lives going at once.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrStorage, bind, connect, setsockopt,
    socket, sockopt,
};

use super::pattern::Pattern;
use super::{Failure, Ready, index_of};
use crate::case::Case;

/// We close first, so each connection leaves a TIME_WAIT behind on our side and blocks its pair of
/// ports for a while. Spread over this many of loopback's 16 million addresses, even an hour of
/// churn does not run out of ports, nor slow down in the search for a free one.
const SOURCES: u32 = 200;

/// Sixteen or so lives at once.
#[derive(Debug)]
pub(super) struct Churn {
    address: SocketAddr,
    lives: Vec<Option<Life>>,
    born: u32,
    size: u64,
}

/// One connection's life. Each step may have to wait; an event brings us back to the same step.
///
/// ```text
///   Sending --all sent--> Receiving --all back, shutdown(WR)--> Leaving --end of stream--> over
///   (a connection that is not established yet is one that cannot send yet)
/// ```
#[derive(Debug)]
struct Life {
    stream: TcpStream,
    step: Step,
    sent: u64,
    got: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Sending,
    Receiving,
    Leaving,
    Over,
}

impl Churn {
    pub(super) fn new(case: &Case, address: SocketAddr) -> Self {
        let lives = (0..case.connections).map(|_| None).collect();
        Self { address, lives, born: 0, size: case.size_bytes as u64 }
    }

    /// Returns how many connections lived a whole life.
    pub(super) fn slice(
        &mut self,
        deadline: Instant,
        pattern: &Pattern,
        ready: &mut Ready,
    ) -> Result<u64, Failure> {
        let mut messages = 0;
        let mut busy = 0;
        for index in 0..self.lives.len() {
            self.bear(index, ready)?;
            busy += 1;
        }
        while busy > 0 {
            let (events, more) = ready.wait(deadline)?;
            let over: Vec<usize> = self.advance(events.iter().map(index_of), pattern)?;
            for index in over {
                messages += 1;
                self.lives[index] = None;
                if more {
                    self.bear(index, ready)?;
                } else {
                    busy -= 1;
                }
            }
        }
        Ok(messages)
    }

    /// Takes each of these lives as far as it goes; returns those that are over.
    fn advance(
        &mut self,
        indices: impl Iterator<Item = usize>,
        pattern: &Pattern,
    ) -> Result<Vec<usize>, Failure> {
        let mut over = Vec::new();
        for index in indices {
            let life = self.lives[index].as_mut().expect("only the living have events");
            if life.advance(index, self.size, pattern)? == Step::Over {
                over.push(index);
            }
        }
        Ok(over)
    }

    fn bear(&mut self, index: usize, ready: &Ready) -> io::Result<()> {
        self.born = (self.born + 1) % SOURCES;
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 1, 1)) + self.born);
        let stream = connecting(source, self.address)?;
        ready.watch(&stream, index)?;
        self.lives[index] = Some(Life { stream, step: Step::Sending, sent: 0, got: 0 });
        Ok(())
    }
}

impl Life {
    fn advance(&mut self, index: usize, size: u64, pattern: &Pattern) -> Result<Step, Failure> {
        while self.step != Step::Over {
            match self.once(index, size, pattern) {
                Ok(step) => self.step = step,
                Err(Failure::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(Failure::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(self.step)
    }

    /// One system call of this life, and the step after it.
    fn once(&mut self, index: usize, size: u64, pattern: &Pattern) -> Result<Step, Failure> {
        if self.step == Step::Sending {
            let piece = pattern.piece(index, self.sent, size - self.sent);
            self.sent += (&self.stream).write(piece)? as u64;
            return Ok(if self.sent < size { Step::Sending } else { Step::Receiving });
        }
        // One byte more than is owed would be enough to see a byte too many.
        let mut buf = [0; 4096];
        let n = (&self.stream).read(&mut buf)?;
        if n == 0 && self.step == Step::Leaving {
            return Ok(Step::Over);
        }
        if n == 0 {
            return Err(Failure::Ended { offset: self.got });
        }
        pattern.check(index, self.got, self.sent, &buf[..n])?;
        self.got += n as u64;
        if self.got < size {
            return Ok(Step::Receiving);
        }
        self.stream.shutdown(Shutdown::Write)?;
        Ok(Step::Leaving)
    }
}

/// A socket on its way: connect(2) has begun and is not waited for.
fn connecting(source: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    // The port is chosen at connect(2), where only the whole pair of addresses must be unique.
    setsockopt(&fd, sockopt::IpBindAddressNoPort, &true)?;
    setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(std::net::SocketAddrV4::new(source, 0)))?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(fd)),
        Err(errno) => Err(errno.into()),
    }
}
