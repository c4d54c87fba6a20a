//! A client of datagrams, strict about every byte, never waiting for ever.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;

use super::client::uninterrupted;
use super::wait::PATIENCE;

/// Room for the biggest datagram there is, and one byte that nobody may fill.
const ROOM: usize = 65_536;

/// A UDP socket and the server it speaks to.
pub(crate) struct Datagrams {
    pub(crate) socket: UdpSocket,
    server: String,
}

impl Datagrams {
    /// From a port of the kernel's choice.
    #[track_caller]
    pub(crate) fn to(server: &str) -> Self {
        let any = if server.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" };
        Self::from(any, server).expect("there are ports left")
    }

    /// From an address of ours.
    pub(crate) fn from(address: &str, server: &str) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, server: server.to_owned() })
    }

    #[track_caller]
    pub(crate) fn send(&self, datagram: &[u8]) {
        let sent = self.socket.send_to(datagram, &self.server);
        assert_eq!(sent.ok(), Some(datagram.len()), "the network takes what we send");
    }

    /// Receives the datagram that is due.
    #[track_caller]
    pub(crate) fn expect(&self, datagram: &[u8]) {
        let mut back = vec![0; ROOM];
        let count = uninterrupted(|| self.socket.recv(&mut back));
        let count = count.expect("law: a datagram comes back");
        assert!(
            back[..count] == *datagram,
            "law: {} bytes come back as they were; {count} bytes came",
            datagram.len()
        );
    }

    /// Sends one and receives it.
    #[track_caller]
    pub(crate) fn echo(&self, datagram: &[u8]) {
        self.send(datagram);
        self.expect(datagram);
    }

    /// Nothing more has come by now.
    #[track_caller]
    pub(crate) fn expect_nothing(&self) {
        self.socket.set_nonblocking(true).expect("the socket is open");
        let more = self.socket.recv(&mut [0; 16]);
        self.socket.set_nonblocking(false).expect("the socket is open");
        let more = more.expect_err("law: nothing comes that is not due");
        assert_eq!(more.kind(), ErrorKind::WouldBlock, "law: nothing comes that is not due");
    }
}
