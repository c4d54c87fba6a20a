//! Who speaks with a server that is stopped: connections made, messages sent, answers read, one lot
//! at a time. It knows sockets, and nothing of the process behind them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};

use super::callgrind::TIMEOUT;
use super::cases::CountedCase;
use crate::server::Endpoint;

/// What is said, each time.
const MESSAGE: [u8; 64] = *b"sixty-four bytes, neither more nor less; they come back the same";

/// Everybody who has something to say at once.
#[derive(Debug)]
pub(super) struct Client {
    case: CountedCase,
    endpoint: Endpoint,
    streams: Vec<TcpStream>,
    unix: Vec<UnixStream>,
    datagrams: Option<UdpSocket>,
}

impl Client {
    /// Nobody is connected yet.
    pub(super) fn new(case: &CountedCase, endpoint: &Endpoint) -> Self {
        Self {
            case: case.clone(),
            endpoint: endpoint.clone(),
            streams: Vec::new(),
            unix: Vec::new(),
            datagrams: None,
        }
    }

    /// Connects, and speaks for the first time. The server need not be awake: the kernel connects
    /// for it.
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
            // All datagrams come from one socket: a window, and not a crowd.
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

    /// Everybody says one message.
    pub(super) fn send_all(&mut self) -> Result<()> {
        if self.case.per_connection {
            self.connect()?;
        }
        for stream in &mut self.streams {
            stream.write_all(&MESSAGE).context("it took no message")?;
            if self.case.per_connection {
                stream.shutdown(Shutdown::Write)?;
            }
        }
        for stream in &mut self.unix {
            stream.write_all(&MESSAGE).context("it took no message")?;
        }
        if let Some(socket) = &self.datagrams {
            for _ in 0..self.case.batch {
                socket.send(&MESSAGE).context("it took no message")?;
            }
        }
        Ok(())
    }

    /// Everybody reads the answer.
    pub(super) fn recv_all(&mut self) -> Result<()> {
        for stream in &mut self.streams {
            recv_all(stream)?;
        }
        for stream in &mut self.unix {
            recv_all(stream)?;
        }
        if let Some(socket) = &self.datagrams {
            for _ in 0..self.case.batch {
                let mut answer = [0; MESSAGE.len() + 1];
                let count = socket.recv(&mut answer).context("no answer")?;
                ensure!(answer[..count] == MESSAGE, "a wrong answer");
            }
        }
        if self.case.per_connection {
            for mut stream in self.streams.drain(..) {
                ensure!(stream.read(&mut [0]).context("no end")? == 0, "more than was said");
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
    let mut answer = [0; MESSAGE.len()];
    stream.read_exact(&mut answer).context("no answer")?;
    ensure!(answer == MESSAGE, "a wrong answer");
    Ok(())
}
