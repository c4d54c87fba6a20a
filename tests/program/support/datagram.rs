//! A datagram client, strict about every byte and never blocking without a timeout.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;

use super::client::uninterrupted;
use super::wait::TIMEOUT;

/// Room for the largest datagram, and one byte that must stay unwritten.
const ROOM: usize = 65_536;

/// A UDP socket and the address of its server.
pub(crate) struct Datagrams {
    pub(crate) socket: UdpSocket,
    server: String,
}

impl Datagrams {
    /// Binds to an ephemeral port.
    #[track_caller]
    pub(crate) fn to(server: &str) -> Self {
        let any = if server.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" };
        Self::from(any, server).expect("there are ports left")
    }

    /// Binds to a given local address.
    pub(crate) fn from(address: &str, server: &str) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { socket, server: server.to_owned() })
    }

    #[track_caller]
    pub(crate) fn send(&self, datagram: &[u8]) {
        let sent = self.socket.send_to(datagram, &self.server);
        assert_eq!(sent.ok(), Some(datagram.len()), "the datagram is sent");
    }

    /// Receives the expected datagram.
    #[track_caller]
    pub(crate) fn expect(&self, datagram: &[u8]) {
        let mut back = vec![0; ROOM];
        let count = uninterrupted(|| self.socket.recv(&mut back));
        let count = count.expect("invariant: a datagram comes back");
        assert!(
            back[..count] == *datagram,
            "invariant: {} bytes come back unchanged; got {count} bytes",
            datagram.len()
        );
    }

    /// Sends one datagram and receives its echo.
    #[track_caller]
    pub(crate) fn echo(&self, datagram: &[u8]) {
        self.send(datagram);
        self.expect(datagram);
    }

    /// Checks that nothing more has arrived.
    #[track_caller]
    pub(crate) fn expect_nothing(&self) {
        self.socket.set_nonblocking(true).expect("the socket is open");
        let more = self.socket.recv(&mut [0; 16]);
        self.socket.set_nonblocking(false).expect("the socket is open");
        let more = more.expect_err("invariant: no unexpected data");
        assert_eq!(more.kind(), ErrorKind::WouldBlock, "invariant: no unexpected data");
    }
}
