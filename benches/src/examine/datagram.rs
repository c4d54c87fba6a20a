//! Datagrams of a client: each is sent once, and its answer is waited for.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::failure::{Checked, Local, wrong};
use super::payload::difference;
use super::wait;

/// More than the longest datagram.
const BUFFER_BYTES: usize = 1 << 17;

/// How long an answer may take until the datagram is sent again.
const RETRY: Duration = Duration::from_millis(200);

/// Answers that are not one's own, at most, until they are the server's fault.
const OTHERS_MAX: u32 = 3;

/// Sends one datagram.
pub(crate) fn send(socket: &UdpSocket, data: &[u8], deadline: Instant) -> Checked {
    loop {
        match socket.send(data) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !wait::ready(socket, PollFlags::POLLOUT, deadline)? {
                    return wrong("a datagram cannot be sent in time");
                }
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                return wrong("refused: no socket is bound there");
            }
            Err(error) => return Err(error).local("send"),
        }
    }
}

/// Receives one datagram.
pub(crate) fn receive(socket: &UdpSocket, deadline: Instant) -> Checked<Vec<u8>> {
    let mut buf = vec![0; BUFFER_BYTES];
    loop {
        match socket.recv(&mut buf) {
            Ok(count) => {
                buf.truncate(count);
                return Ok(buf);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !wait::ready(socket, PollFlags::POLLIN, deadline)? {
                    return wrong("no answer in time");
                }
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                return wrong("refused: no socket is bound there");
            }
            Err(error) => return Err(error).local("recv"),
        }
    }
}

/// Sends one datagram, and expects exactly it.
pub(crate) fn echo(socket: &UdpSocket, data: &[u8], deadline: Instant) -> Checked {
    send(socket, data, deadline)?;
    let got = receive(socket, deadline)?;
    match difference(data, &got) {
        None => Ok(()),
        Some(why) => wrong(format!("a datagram of {} bytes: {why}", data.len())),
    }
}

/// Sends a datagram again and again until its answer comes: earlier ones may fill the server's
/// receive buffer, and then the kernel drops what comes (udp(7)). Another answer may be one to an
/// earlier client, which had this port.
pub(crate) fn echo_with_retries(socket: &UdpSocket, data: &[u8], deadline: Instant) -> Checked {
    let mut others = 0;
    loop {
        send(socket, data, deadline)?;
        let patience = deadline.min(Instant::now() + RETRY);
        if wait::ready(socket, PollFlags::POLLIN, patience)? {
            let Some(why) = difference(data, &receive(socket, deadline)?) else { return Ok(()) };
            others += 1;
            if others > OTHERS_MAX {
                return wrong(why);
            }
        }
        if Instant::now() >= deadline {
            return wrong("no answer to any of many datagrams in time");
        }
    }
}

/// Expects that nothing has come.
pub(crate) fn expect_silence(socket: &UdpSocket) -> Checked {
    match socket.recv(&mut [0; 64]) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error).local("recv"),
        Ok(_) => wrong("a datagram came that was never sent"),
    }
}
