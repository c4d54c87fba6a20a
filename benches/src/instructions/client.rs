//! The client of a stopped server: connects, sends messages and reads responses, one batch at a
//! time. It knows sockets, not the server's process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};

use super::callgrind::TIMEOUT;
use super::cases::CountedCase;
use crate::server::Endpoint;

/// The message.
const MESSAGE: [u8; 64] = *b"sixty-four bytes, neither more nor less; they come back the same";

/// All sockets of the client.
#[derive(Debug)]
pub(super) struct Client {
    case: CountedCase,
    endpoint: Endpoint,
    streams: Vec<TcpStream>,
    unix: Vec<UnixStream>,
    datagrams: Option<UdpSocket>,
}

impl Client {
    /// A client without connections.
    pub(super) fn new(case: &CountedCase, endpoint: &Endpoint) -> Self {
        Self {
            case: case.clone(),
            endpoint: endpoint.clone(),
            streams: Vec::new(),
            unix: Vec::new(),
            datagrams: None,
        }
    }

    /// Connects all sockets, and sends the first messages. The server may be stopped: the kernel
    /// completes the handshake.
    pub(super) fn connect_all(&mut self) -> Result<()> {
        if !self.case.per_connection {
            for _ in 0..self.case.batch {
                self.connect()?;
            }
        }
        self.send_all()
    }

    fn connect(&mut self) -> Result<()> {
        match &self.endpoint {
            Endpoint::Tcp(address) => self.streams.push(stream(*address)?),
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).context("cannot connect")?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                self.unix.push(stream);
            }
            // All datagrams are sent from one socket: a window, not many clients.
            Endpoint::Udp(address) if self.datagrams.is_none() => {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.connect(address)?;
                socket.set_read_timeout(Some(TIMEOUT))?;
                self.datagrams = Some(socket);
            }
            Endpoint::Udp(_) => {}
        }
        Ok(())
    }

    /// Sends one message on each connection.
    pub(super) fn send_all(&mut self) -> Result<()> {
        if self.case.per_connection {
            self.connect()?;
        }
        for stream in &mut self.streams {
            stream.write_all(&MESSAGE).context("cannot send")?;
            if self.case.per_connection {
                stream.shutdown(Shutdown::Write)?;
            }
        }
        for stream in &mut self.unix {
            stream.write_all(&MESSAGE).context("cannot send")?;
        }
        if let Some(socket) = &self.datagrams {
            for _ in 0..self.case.batch {
                socket.send(&MESSAGE).context("cannot send")?;
            }
        }
        Ok(())
    }

    /// Reads and checks all responses.
    pub(super) fn recv_all(&mut self) -> Result<()> {
        for stream in &mut self.streams {
            recv_all(stream)?;
        }
        for stream in &mut self.unix {
            recv_all(stream)?;
        }
        if let Some(socket) = &self.datagrams {
            for _ in 0..self.case.batch {
                let mut response = [0; MESSAGE.len() + 1];
                let count = socket.recv(&mut response).context("no response")?;
                ensure!(response[..count] == MESSAGE, "wrong response");
            }
        }
        if self.case.per_connection {
            for mut stream in self.streams.drain(..) {
                ensure!(stream.read(&mut [0]).context("no EOF")? == 0, "more bytes than were sent");
            }
        }
        Ok(())
    }
}

fn stream(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn recv_all(stream: &mut impl Read) -> Result<()> {
    let mut response = [0; MESSAGE.len()];
    stream.read_exact(&mut response).context("no response")?;
    ensure!(response == MESSAGE, "wrong response");
    Ok(())
}
