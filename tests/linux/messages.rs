//! What comes beside the bytes of a message and is not modelled: credentials, timestamps, the error
//! queue; and that no descriptor leaks.

#![expect(unsafe_code, reason = "an option that the library does not have")]

use core::time::Duration;
use std::os::fd::AsRawFd;

use epollite::event::{EPOLLERR, EPOLLOUT};
use epollite::kernel::{
    Credentials, ErrorOrigin, OutgoingMessage, RECEIVED_DESCRIPTORS_MAX, ReceiveMode,
    ReceivedMessage, SENT_DESCRIPTORS_MAX, SocketOption, SocketOptionName, SocketType, TcpState,
};
use epollite::net::AddressFamily;
use epollite::{Errno, Fd, Kernel, Linux};

use super::support::{bound, close, connected, readable, ready};

fn receive(socket: &Fd, mode: ReceiveMode) -> Result<(ReceivedMessage, String), Errno> {
    let mut buf = [0; 64];
    let received = Linux.recv_message(socket, &mut [&mut buf], mode)?;
    let text = String::from_utf8_lossy(&buf[..received.len_bytes]).into_owned();
    Ok((received, text))
}

/// Those of this process.
fn own_credentials() -> Credentials {
    let (near, far) = Linux.socketpair(SocketType::Stream).unwrap();
    let of = Linux.getsockopt(&near, SocketOptionName::PeerCredentials).unwrap();
    close([near, far]);
    let SocketOption::PeerCredentials(own) = of else { panic!("it is that option: {of:?}") };
    own
}

#[test]
fn peer_credentials_are_those_of_the_process_that_connected() {
    assert_eq!(own_credentials().pid, std::process::id());
    let (tcp, other) = connected();
    let none = Credentials { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let of = Linux.getsockopt(&tcp, SocketOptionName::PeerCredentials);
    assert_eq!(of, Ok(SocketOption::PeerCredentials(none)));
    close([tcp, other]);
}

#[test]
fn each_message_may_carry_the_senders_credentials() {
    for kind in [SocketType::Stream, SocketType::Datagram] {
        let (near, far) = Linux.socketpair(kind).unwrap();
        Linux.setsockopt(&far, SocketOption::PassCredentials(true)).unwrap();
        let passes = Linux.getsockopt(&far, SocketOptionName::PassCredentials);
        assert_eq!(passes, Ok(SocketOption::PassCredentials(true)));
        Linux.send(&near, b"by the kernel").unwrap();
        let (received, _) = receive(&far, ReceiveMode::Consume).unwrap();
        assert_eq!(received.credentials, Some(own_credentials()));

        let (bufs, descriptors) = ([&b"stated"[..]], [&near]);
        let message = OutgoingMessage {
            bufs: &bufs,
            credentials: Some(own_credentials()),
            descriptors: &descriptors,
            ..OutgoingMessage::default()
        };
        assert_eq!(Linux.send_message(&near, &message), Ok(6));
        let (received, text) = receive(&far, ReceiveMode::Consume).unwrap();
        assert_eq!((received.credentials, &text[..]), (Some(own_credentials()), "stated"));
        assert_eq!(received.descriptors.len(), 1, "invariant: one does not displace the other");
        received.descriptors.close_all(&mut Linux);
        close([near, far]);
    }
}

#[test]
fn credentials_tell_an_empty_message_from_the_end() {
    let (near, far) = Linux.socketpair(SocketType::SeqPacket).unwrap();
    Linux.setsockopt(&far, SocketOption::PassCredentials(true)).unwrap();
    Linux.send(&near, b"").unwrap();
    Linux.close(near).unwrap();
    for expected in [Some(own_credentials()), None, None] {
        let (received, _) = receive(&far, ReceiveMode::Consume).unwrap();
        assert_eq!((received.len_bytes, received.credentials), (0, expected));
    }
    close([far]);
}

#[test]
fn a_datagram_may_carry_the_time_of_its_arrival() {
    let (socket, addr) = bound(AddressFamily::Inet, SocketType::Datagram);
    let timestamp = SocketOption::Timestamp(true);
    Linux.setsockopt(&socket, timestamp).unwrap();
    assert_eq!(Linux.getsockopt(&socket, timestamp.name()), Ok(timestamp));
    let before = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    Linux.sendto(&socket, b"now", &addr).unwrap();
    readable(&socket);
    let (received, text) = receive(&socket, ReceiveMode::Consume).unwrap();
    let at = received.timestamp.expect("it was asked for");
    // The clock may be set in between, and its granularity is not that of the other call.
    assert!(at + Duration::from_secs(3600) > before, "{at:?} {before:?}");
    assert!(at < before + Duration::from_secs(3600), "{at:?} {before:?}");
    assert_eq!((received.from, &text[..]), (addr, "now"));
    close([socket]);
}

#[test]
fn the_error_queue_says_which_datagram_found_no_port() {
    for (family, option) in [
        (AddressFamily::Inet, SocketOption::ReceiveErrorsV4(true)),
        (AddressFamily::Inet6, SocketOption::ReceiveErrorsV6(true)),
    ] {
        if family == AddressFamily::Inet6 && std::net::UdpSocket::bind("[::1]:0").is_err() {
            continue; // This machine has no IPv6.
        }
        let (gone, target) = bound(family, SocketType::Datagram);
        close([gone]);
        let (socket, _) = bound(family, SocketType::Datagram);
        Linux.setsockopt(&socket, option).unwrap();
        assert_eq!(Linux.getsockopt(&socket, option.name()), Ok(option));
        assert_eq!(receive(&socket, ReceiveMode::ErrorQueue).err(), Some(Errno::EAGAIN));
        Linux.sendto(&socket, b"is a server there?", &target).unwrap();
        while ready(&socket) & EPOLLERR == 0 {}

        let (received, text) = receive(&socket, ReceiveMode::ErrorQueue).unwrap();
        let error = received.error.expect("it came from the error queue");
        assert_eq!(error.errno, Some(Errno::ECONNREFUSED));
        let origins = [ErrorOrigin::Icmp, ErrorOrigin::Icmp6];
        assert_eq!(error.origin, origins[usize::from(family == AddressFamily::Inet6)]);
        // "Port unreachable".
        let kinds = [(3, 3), (1, 4)];
        assert_eq!((error.kind, error.code), kinds[usize::from(family == AddressFamily::Inet6)]);
        assert_eq!(error.offender.and_then(|offender| offender.ip()), target.ip());
        assert_eq!((received.from, &text[..]), (target, "is a server there?"));
        assert_eq!(ready(&socket), EPOLLOUT, "invariant: an empty queue is no error");
        close([socket]);
    }
}

/// Since Linux 6.5, and not in the `libc` crate.
const SO_PASSPIDFD: i32 = 76;

#[test]
fn a_pidfd_of_the_sender_is_a_descriptor_too() {
    let (near, far) = Linux.socketpair(SocketType::Stream).unwrap();
    let on: i32 = 1;
    let (from, len) =
        ((&raw const on).cast(), libc::socklen_t::try_from(size_of::<i32>()).unwrap());
    // SAFETY: setsockopt(2) reads `len` bytes at `from`, which live until it returns.
    let set =
        unsafe { libc::setsockopt(far.as_raw_fd(), libc::SOL_SOCKET, SO_PASSPIDFD, from, len) };
    if set == 0 {
        Linux.send(&near, b"hello").unwrap();
        let (mut received, text) = receive(&far, ReceiveMode::Consume).unwrap();
        assert_eq!((text.as_str(), received.descriptors.len()), ("hello", 1));
        let pidfd = received.descriptors.take().expect("there is one").into_fd_as_is();
        let info = format!("/proc/self/fdinfo/{}", pidfd.number());
        let info = std::fs::read_to_string(info).unwrap();
        let sender = format!("Pid:\t{}\n", std::process::id());
        assert!(info.contains(&sender), "{info}");
        // Close-on-exec, as every other.
        assert!(info.contains("flags:\t02"), "{info}");
        close([pidfd]);
    } else {
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ENOPROTOOPT));
    }
    close([near, far]);
}

#[test]
fn all_descriptors_that_were_installed_are_returned() {
    let (near, far) = Linux.socketpair(SocketType::Datagram).unwrap();
    let passed = [&near; SENT_DESCRIPTORS_MAX];
    let mut message = OutgoingMessage { bufs: &[b"x"], ..OutgoingMessage::default() };
    message.descriptors = &passed;
    Linux.send_message(&near, &message).unwrap();
    let (mut received, _) = receive(&far, ReceiveMode::Consume).unwrap();
    assert_eq!(received.descriptors.len(), SENT_DESCRIPTORS_MAX);
    assert!(!received.is_control_truncated);
    let first = received.descriptors.take().expect("there are more").into_fd_as_is();
    assert!(is_close_on_exec(&first), "invariant: what is received is close-on-exec");
    let peer = Linux.send(&first, b"through a duplicate");
    assert_eq!(peer, Ok(19));
    close([first]);
    received.descriptors.close_all(&mut Linux);

    let too_many = [&near; SENT_DESCRIPTORS_MAX + 1];
    message.descriptors = &too_many;
    assert_eq!(Linux.send_message(&near, &message), Err(Errno::EINVAL));
    close([near, far]);
}

/// More than fit: by std's own call, as another program would send them.
#[test]
fn descriptors_that_do_not_fit_are_closed_by_the_kernel() {
    let (near, far) = Linux.socketpair(SocketType::Datagram).unwrap();
    let script = "import socket, sys
s = socket.socket(fileno=0)
socket.send_fds(s, [b'x'], [0] * 200)";
    let sender = std::process::Command::new("python3")
        .args(["-c", script])
        .stdin(std::os::fd::OwnedFd::from(near))
        .status();
    let Ok(status) = sender else { return close([far]) };
    assert!(status.success());
    let (received, _) = receive(&far, ReceiveMode::Consume).unwrap();
    assert!(received.is_control_truncated, "invariant: what is missing is reported");
    let count = received.descriptors.len();
    assert!(count + 2 >= RECEIVED_DESCRIPTORS_MAX, "{count} descriptors");
    let numbers = format!("{:?}", received.descriptors);
    assert_eq!(numbers.matches(',').count() + 1, count);
    received.descriptors.close_all(&mut Linux);
    close([far]);
}

fn is_close_on_exec(fd: &Fd) -> bool {
    let path = format!("/proc/self/fdinfo/{}", fd.number());
    let text = std::fs::read_to_string(path).unwrap();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 != 0
}

#[test]
fn a_blocking_descriptor_can_be_made_non_blocking() {
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let (near, far) = (Linux::from_owned_fd(near.into()), Fd::from(far));
    let near = near.into_fd_as_is();
    assert_eq!(Linux.ioctl_fionbio(&near), Ok(()));
    assert_eq!(Linux.recv(&near, &mut [0; 8]), Err(Errno::EAGAIN));
    close([near, far]);
    assert_eq!(Linux.ioctl_fionbio(&Fd::simulated(3)), Err(Errno::EBADF));
}

#[test]
fn tcp_info_has_the_state_and_what_was_transferred() {
    let (client, server) = connected();
    Linux.send(&client, b"hello").unwrap();
    readable(&server);
    let info = Linux.getsockopt_tcp_info(&server).unwrap();
    assert_eq!((info.state, info.received_bytes), (TcpState::Established, Some(5)));
    assert!(info.congestion_window > 0 && info.send_window_bytes.is_some(), "{info:?}");
    Linux.close(client).unwrap();
    while Linux.recv(&server, &mut [0; 8]) != Ok(0) {
        readable(&server);
    }
    assert_eq!(Linux.getsockopt_tcp_info(&server).unwrap().state, TcpState::CloseWait);
    close([server]);
    let (unix, other) = Linux.socketpair(SocketType::Stream).unwrap();
    assert_eq!(Linux.getsockopt_tcp_info(&unix), Err(Errno::EOPNOTSUPP));
    close([unix, other]);
}
