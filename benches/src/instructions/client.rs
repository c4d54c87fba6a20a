//! The client of a stopped server: connects, sends messages and reads responses, one batch at a
//! time. It knows sockets, not the server's process.

use std::io::{Read, Write};
use std::net::Shutdown;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, SockAddr, Socket, Type};

use super::callgrind::TIMEOUT;
use crate::case::{Case, Transport};
use crate::server::Endpoint;

/// The message.
const MESSAGE: [u8; 64] = *b"sixty-four bytes, neither more nor less; they come back the same";

/// All sockets of the client.
#[derive(Debug)]
pub(super) struct Client {
    case: Case,
    address: SockAddr,
    sockets: Vec<Socket>,
}

impl Client {
    /// A client without connections.
    pub(super) fn new(case: &Case, endpoint: &Endpoint) -> Result<Self> {
        let address = match endpoint {
            Endpoint::Tcp(address) | Endpoint::Udp(address) => SockAddr::from(*address),
            Endpoint::Unix(path) => SockAddr::unix(path)?,
        };
        Ok(Self { case: case.clone(), address, sockets: Vec::new() })
    }

    /// Connects all sockets, and sends the first messages. The server may be stopped: the kernel
    /// completes the handshake.
    pub(super) fn connect_all(&mut self) -> Result<()> {
        if !self.case.churn {
            for _ in 0..self.case.connections {
                self.connect()?;
            }
        }
        self.send_all()
    }

    fn connect(&mut self) -> Result<()> {
        let (domain, kind) = match self.case.transport {
            Transport::Tcp => (Domain::IPV4, Type::STREAM),
            Transport::Udp => (Domain::IPV4, Type::DGRAM),
            Transport::Unix => (Domain::UNIX, Type::STREAM),
        };
        let socket = Socket::new(domain, kind, None)?;
        socket.connect(&self.address).context("cannot connect")?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        if self.case.transport == Transport::Tcp {
            socket.set_tcp_nodelay(true)?;
        }
        self.sockets.push(socket);
        Ok(())
    }

    /// Sends the window of each connection.
    pub(super) fn send_all(&mut self) -> Result<()> {
        if self.case.churn {
            self.connect()?;
        }
        for socket in &mut self.sockets {
            for _ in 0..self.case.depth {
                socket.write_all(&MESSAGE).context("cannot send")?;
            }
            if self.case.churn {
                socket.shutdown(Shutdown::Write)?;
            }
        }
        Ok(())
    }

    /// Reads and checks all responses.
    pub(super) fn recv_all(&mut self) -> Result<()> {
        for socket in &mut self.sockets {
            for _ in 0..self.case.depth {
                // A datagram may be too long.
                let mut response = [0; MESSAGE.len() + 1];
                let received = match self.case.transport {
                    Transport::Udp => socket.read(&mut response),
                    _ => socket.read_exact(&mut response[..MESSAGE.len()]).map(|()| MESSAGE.len()),
                };
                let count = received.context("no response")?;
                ensure!(response[..count] == MESSAGE, "wrong response");
            }
        }
        if self.case.churn {
            for mut socket in self.sockets.drain(..) {
                ensure!(socket.read(&mut [0]).context("no EOF")? == 0, "more bytes than were sent");
            }
        }
        Ok(())
    }
}
