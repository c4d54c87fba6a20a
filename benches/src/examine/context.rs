//! What a case works with: clients of the server, its process, and one deadline.

use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket};

use super::client::Client;
use super::failure::{Checked, Local, skipped, wrong};
use super::subject::{Process, Subject};
use super::wait;
use crate::case::Transport;

/// How long a server that was started again may take until clients are served reliably.
const SETTLE_MAX: Duration = Duration::from_secs(3);

/// A running case.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) subject: &'a mut Subject,
    pub(super) deadline: Instant,
}

impl Context<'_> {
    /// A connected client.
    pub(super) fn client(&self) -> Checked<Client> {
        self.client_with(|_| Ok(()))
    }

    /// A client whose socket is prepared before it connects.
    pub(super) fn client_with(
        &self,
        prepare: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> Checked<Client> {
        Client::connect(&self.subject.addr, self.deadline, prepare)
    }

    /// Many connected clients.
    pub(super) fn clients(&self, count: usize) -> Checked<Vec<Client>> {
        (0..count).map(|_| self.client()).collect()
    }

    /// Many clients that connect all at once.
    pub(super) fn burst(&self, count: usize) -> Checked<Vec<Client>> {
        let begin = |_| Client::begin(&self.subject.addr, self.deadline, |_| Ok(()));
        (0..count).map(begin).collect()
    }

    /// A socket connected to a datagram server.
    pub(super) fn datagrams(&self) -> Checked<UdpSocket> {
        let Some(addr) = self.subject.ip() else { return skipped("not UDP") };
        let any = if addr.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).local("bind")?;
        socket.connect(addr).local("connect")?;
        socket.set_nonblocking(true).local("fcntl")?;
        Ok(socket)
    }

    /// A client that has not taken part is served: the server lives, and no connection stops it.
    pub(super) fn others_are_served(&self) -> Checked {
        if self.subject.transport == Transport::Udp {
            return super::datagram::echo_with_retries(
                &self.datagrams()?,
                b"still served?",
                self.deadline,
            );
        }
        self.client()?.echo(b"is another client served?\n")
    }

    /// The process of the server.
    pub(super) fn process(&self) -> Checked<&Process> {
        match &self.subject.process {
            Some(process) => Ok(process),
            None => skipped("needs --start"),
        }
    }

    /// The process of the server.
    pub(super) fn process_mut(&mut self) -> Checked<&mut Process> {
        match &mut self.subject.process {
            Some(process) => Ok(process),
            None => skipped("needs --start"),
        }
    }

    /// Starts the server again, at the same endpoint: the case has ended it.
    pub(super) fn restart(&mut self) -> Checked {
        let started = self.subject.restart();
        started.or_else(|error| wrong(format!("it does not start again: {error:#}")))?;
        // With SO_REUSEPORT the kernel may still give a client to the listener of a process that is
        // being torn down.
        let deadline = self.deadline.min(Instant::now() + SETTLE_MAX);
        wait::until(deadline, || (0..3).all(|_| self.others_are_served().is_ok()))?;
        self.subject.take_baseline()
    }

    /// Fails unless the server comes to rest with its clients as they are.
    pub(super) fn check_idle(&self) -> Checked {
        let process = self.process()?;
        if process.is_busy() {
            return skipped("the server is never idle");
        }
        process.check_rest(self.deadline)
    }

    /// Lets time pass.
    pub(super) fn pause(&self, time: Duration) -> Checked {
        wait::pause(time)
    }

    /// Another address of the server, with the same port.
    pub(super) fn at(&self, ip: std::net::IpAddr) -> Checked<SockAddr> {
        match self.subject.ip() {
            Some(addr) => Ok(std::net::SocketAddr::new(ip, addr.port()).into()),
            None => skipped("no port"),
        }
    }
}
