//! The load generator: one thread, a closed loop, every byte checked. It knows nothing of processes
//! or statistics: it is given an address and a time, and says how many echoes came back.
//!
//! A slice is *closed*: at the deadline no new message leaves, but every answer still owed is
//! waited for and counted, and the clock stops at the last one. So messages, time and the server's
//! CPU belong to each other, and the next slice starts with nothing under way.

mod churn;
mod pattern;
mod steady;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::case::Case;
use churn::Churn;
use pattern::Pattern;
use steady::Steady;

/// How long a server may leave us without a single event before we call it stuck. Far above any
/// hiccup of a shared machine: the longest lawful wait is one lost SYN, sent again after 1 s.
const STALL_MS: u16 = 5_000;

/// How long past its deadline a slice may take to collect the answers it is owed. Catches a server
/// that trickles, which `STALL_MS` never would.
const TAIL_MAX: Duration = Duration::from_secs(10);

/// How long one `connect` may take while a case is set up.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Events taken at a time. More than any case has connections, so that a turn sees all of them.
const EVENTS_MAX: usize = 1024;

/// What a slice of load brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Messages echoed in full, byte for byte.
    pub messages: u64,
    /// From the first byte sent to the last one answered.
    pub elapsed: Duration,
}

/// Why a slice came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// A byte came back that was not sent, or out of place.
    Mismatch {
        /// Where in the connection's stream.
        offset: u64,
        /// The byte that should have come; `None` when nothing more was owed.
        expected: Option<u8>,
        /// The byte that came.
        got: u8,
    },
    /// The server closed a connection that was still owed an answer.
    Ended {
        /// How many bytes of that connection had come back.
        offset: u64,
    },
    /// Answers are owed and none comes.
    Stalled,
    /// A call of ours failed.
    Io(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch { offset, expected: Some(expected), got } => {
                write!(f, "byte {offset} came back as {got:#04x} instead of {expected:#04x}")
            }
            Self::Mismatch { offset, expected: None, got } => {
                write!(f, "byte {offset} ({got:#04x}) came back although nothing was sent there")
            }
            Self::Ended { offset } => {
                write!(f, "closed a connection after {offset} bytes, with answers still owed")
            }
            Self::Stalled => write!(f, "answers are owed and none comes"),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The load of one case on one server: opened once, then run slice by slice.
#[derive(Debug)]
pub struct Load {
    ready: Ready,
    pattern: Pattern,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Steady(Steady),
    Churn(Churn),
}

impl Load {
    /// Opens the case's connections to `address` and leaves them idle.
    ///
    /// # Errors
    /// [`Failure::Io`] when a connection is refused or takes too long.
    pub fn open(case: &Case, address: SocketAddr) -> Result<Self, Failure> {
        let ready = Ready::new()?;
        let kind = if case.churn {
            Kind::Churn(Churn::new(case, address))
        } else {
            Kind::Steady(Steady::open(case, address, &ready)?)
        };
        Ok(Self { ready, pattern: Pattern::new(), kind })
    }

    /// Keeps the server busy for `length`, then waits for the answers still owed.
    ///
    /// # Errors
    /// The first [`Failure`]; the load is of no use after it.
    pub fn slice(&mut self, length: Duration) -> Result<Slice, Failure> {
        let start = Instant::now();
        let deadline = start + length;
        let messages = match &mut self.kind {
            Kind::Steady(steady) => steady.slice(deadline, &self.pattern, &mut self.ready)?,
            Kind::Churn(churn) => churn.slice(deadline, &self.pattern, &mut self.ready)?,
        };
        Ok(Slice { messages, elapsed: start.elapsed() })
    }
}

/// The load's own epoll: edge-triggered, registered once, bounded waits.
struct Ready {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

impl Ready {
    fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: vec![EpollEvent::empty(); EVENTS_MAX],
        })
    }

    /// Watches for everything, once and for all. Closing the socket is what ends it.
    fn watch(&self, socket: impl std::os::fd::AsFd, index: usize) -> io::Result<()> {
        let all = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        Ok(self.epoll.add(socket, EpollEvent::new(all, index as u64))?)
    }

    /// Waits for the next batch; says whether new messages may still leave.
    fn wait(&mut self, deadline: Instant) -> Result<(&[EpollEvent], bool), Failure> {
        let count = loop {
            match self.epoll.wait(&mut self.events, EpollTimeout::from(STALL_MS)) {
                Ok(0) => return Err(Failure::Stalled),
                Ok(count) => break count,
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(Failure::Io(errno.into())),
            }
        };
        let now = Instant::now();
        if now > deadline + TAIL_MAX {
            return Err(Failure::Stalled);
        }
        Ok((&self.events[..count], now < deadline))
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

/// The connection an event speaks of.
fn index_of(event: &EpollEvent) -> usize {
    usize::try_from(event.data()).expect("we registered it as a usize")
}

/// True when the peer has closed or the connection is dead: then a short read proves nothing.
fn has_ended(event: &EpollEvent) -> bool {
    event.events().intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::thread;

    const LENGTH: Duration = Duration::from_millis(20);

    #[test]
    fn every_case_is_answered_by_an_honest_server() {
        for case in crate::case::CASES {
            // The naive server has a thread a connection: enough of them to mix, not a thousand.
            let case = Case { connections: case.connections.min(8), ..case };
            let address = serve(usize::MAX, |bytes| bytes.to_vec());
            let mut load = Load::open(&case, address).expect("the server listens");
            for _ in 0..2 {
                let slice = load.slice(LENGTH).expect(case.name);
                assert!(slice.messages > 0, "{}: a slice brings messages", case.name);
                assert!(slice.elapsed >= LENGTH, "{}: a slice lasts", case.name);
            }
        }
    }

    #[test]
    fn one_wrong_byte_is_found() {
        for name in ["ping", "stream", "churn"] {
            let failure = fails(name, usize::MAX, |bytes| {
                let mut bytes = bytes.to_vec();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                bytes
            });
            assert!(matches!(failure, Failure::Mismatch { expected: Some(_), .. }), "{failure}");
        }
    }

    #[test]
    fn a_byte_too_many_is_found() {
        for name in ["ping", "churn"] {
            let failure = fails(name, usize::MAX, |bytes| [bytes, b"!"].concat());
            assert!(matches!(failure, Failure::Mismatch { expected: None, .. }), "{failure}");
        }
    }

    #[test]
    fn an_early_end_is_found() {
        for name in ["c64", "churn"] {
            let failure = fails(name, 1, |_| Vec::new());
            assert!(matches!(failure, Failure::Ended { .. } | Failure::Io(_)), "{failure}");
        }
    }

    fn fails(name: &str, answers: usize, answer: fn(&[u8]) -> Vec<u8>) -> Failure {
        let case = Case::named(name).expect("a case of ours");
        let mut load = Load::open(&case, serve(answers, answer)).expect("the server listens");
        load.slice(LENGTH).expect_err("a dishonest server must be found out")
    }

    /// A server of threads; each connection gives `answers` answers, then it is closed.
    fn serve(answers: usize, answer: fn(&[u8]) -> Vec<u8>) -> SocketAddr {
        let door = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = door.local_addr().expect("bound");
        thread::spawn(move || {
            for stream in door.incoming() {
                let stream = stream.expect("accepted");
                thread::spawn(move || converse(&stream, answers, answer));
            }
        });
        address
    }

    fn converse(mut stream: &TcpStream, answers: usize, answer: fn(&[u8]) -> Vec<u8>) {
        let mut buf = [0; 64 * 1024];
        for _ in 0..answers {
            match stream.read(&mut buf) {
                Ok(0) | Err(_) => return,
                // The client may hang up on a liar before it has heard everything.
                Ok(n) => drop(stream.write_all(&answer(&buf[..n]))),
            }
        }
        drop(stream.shutdown(Shutdown::Write));
    }
}
