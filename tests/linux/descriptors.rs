//! Pipes, eventfds, duplicates: reading, writing, splicing, and the flags of new descriptors.

use std::net::UdpSocket;
use std::os::fd::OwnedFd;

use epollite::kernel::{SignalSet, SocketType};
use epollite::net::AddressFamily;
use epollite::{Errno, Fd, Kernel, Linux};

use super::support::{close, connected, listening, readable, ready};

/// `O_NONBLOCK` and `O_CLOEXEC`, as printed in fdinfo of proc(5), in octal.
const NONBLOCK: u32 = 0o4_000;
const CLOEXEC: u32 = 0o2_000_000;

#[test]
fn every_descriptor_is_nonblocking_and_cloexec() {
    let (listener, addr) = listening();
    let client = Linux.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
    let _ = Linux.connect(&client, &addr);
    ready(&listener);
    let (accepted, _) = Linux.accept4(&listener).unwrap();
    let (left, right) = Linux.socketpair(SocketType::Datagram).unwrap();
    let (reader, writer) = Linux.pipe2().unwrap();
    let eventfd = Linux.eventfd(0).unwrap();
    let signalfd = Linux.signalfd(SignalSet::EMPTY).unwrap();
    let dup = Linux.dup(&eventfd).unwrap();
    let created = [listener, client, accepted, left, right, reader, writer, eventfd, signalfd, dup];
    for fd in &created {
        assert_eq!(flags(fd), NONBLOCK | CLOEXEC, "invariant: {fd:?} has the flags from creation");
    }
    // An epoll is never read: O_NONBLOCK does not apply.
    let epoll = Linux.epoll_create1().unwrap();
    assert_eq!(flags(&epoll), CLOEXEC);
    close(created.into_iter().chain([epoll]));
}

#[test]
fn what_is_converted_becomes_nonblocking_unless_it_is_asked_to_stay() {
    let blocking = || OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap());
    let kept = Linux::from_owned_fd(blocking()).into_fd_as_is();
    let converted = Fd::from(blocking());
    assert_eq!((flags(&converted) & NONBLOCK, flags(&kept) & NONBLOCK), (NONBLOCK, 0));
    let (again, socket) = (Fd::from(OwnedFd::from(converted)), UdpSocket::bind("127.0.0.1:0"));
    let socket = Fd::from(socket.unwrap());
    assert_eq!((flags(&again) & NONBLOCK, flags(&socket) & NONBLOCK), (NONBLOCK, NONBLOCK));
    close([again, kept, socket]);
}

#[test]
fn a_pipe_carries_bytes_one_way() {
    let (reader, writer) = Linux.pipe2().unwrap();
    let mut buf = [0; 8];
    assert_eq!(Linux.read(&reader, &mut buf), Err(Errno::EAGAIN));
    assert_eq!(Linux.write(&writer, b"hello"), Ok(5));
    assert_eq!(Linux.write(&reader, b"hello"), Err(Errno::EBADF));
    assert_eq!(Linux.read(&reader, &mut buf), Ok(5));
    assert_eq!(&buf[..5], b"hello");
    close([writer]);
    assert_eq!(Linux.read(&reader, &mut buf), Ok(0));
    close([reader]);
}

#[test]
fn writing_to_a_pipe_without_a_reader_is_epipe() {
    // Rust's runtime ignores SIGPIPE, and so does this test.
    let (reader, writer) = Linux.pipe2().unwrap();
    close([reader]);
    assert_eq!(Linux.write(&writer, b"x"), Err(Errno::EPIPE));
    close([writer]);
}

#[test]
fn an_eventfd_adds_writes_and_is_reset_by_a_read() {
    let eventfd = Linux.eventfd(3).unwrap();
    assert_eq!(Linux.write(&eventfd, &4u64.to_ne_bytes()), Ok(8));
    let mut sum = [0; 8];
    assert_eq!(Linux.read(&eventfd, &mut sum), Ok(8));
    assert_eq!(u64::from_ne_bytes(sum), 7);
    assert_eq!(Linux.read(&eventfd, &mut sum), Err(Errno::EAGAIN));
    assert_eq!(Linux.read(&eventfd, &mut [0; 7]), Err(Errno::EINVAL));
    close([eventfd]);
}

#[test]
fn a_full_eventfd_is_eagain() {
    let eventfd = Linux.eventfd(0).unwrap();
    let maximum = u64::MAX - 1;
    assert_eq!(Linux.write(&eventfd, &maximum.to_ne_bytes()), Ok(8));
    assert_eq!(Linux.write(&eventfd, &1u64.to_ne_bytes()), Err(Errno::EAGAIN));
    assert_eq!(Linux.write(&eventfd, &u64::MAX.to_ne_bytes()), Err(Errno::EINVAL));
    let mut sum = [0; 8];
    assert_eq!(Linux.read(&eventfd, &mut sum), Ok(8));
    assert_eq!(u64::from_ne_bytes(sum), maximum);
    close([eventfd]);
}

#[test]
fn splice_moves_bytes_from_a_socket_through_a_pipe_to_a_socket() {
    let (from, source) = connected();
    let (into, sink) = connected();
    let (reader, writer) = Linux.pipe2().unwrap();
    assert_eq!(Linux.splice(&source, &writer, 64), Err(Errno::EAGAIN));
    assert_eq!(Linux.send(&from, b"not copied here"), Ok(15));
    readable(&source);
    assert_eq!(Linux.splice(&source, &writer, 64), Ok(15));
    assert_eq!(Linux.splice(&reader, &into, 2), Ok(2));
    assert_eq!(Linux.splice(&reader, &into, 64), Ok(13));
    assert_eq!(Linux.splice(&reader, &into, 64), Err(Errno::EAGAIN));
    let (mut got, mut buf) = (Vec::new(), [0; 64]);
    while got.len() < 15 {
        readable(&sink);
        let count = Linux.recv(&sink, &mut buf).unwrap();
        got.extend_from_slice(&buf[..count]);
    }
    assert_eq!(got, b"not copied here");
    assert_eq!(Linux.splice(&source, &into, 64), Err(Errno::EINVAL), "no pipe");
    close([from, source, into, sink, reader, writer]);
}

#[test]
fn a_duplicate_refers_to_the_same_file_and_outlives_the_original() {
    let eventfd = Linux.eventfd(0).unwrap();
    let dup = Linux.dup(&eventfd).unwrap();
    assert_ne!(dup.number(), eventfd.number());
    assert_eq!(Linux.write(&eventfd, &5u64.to_ne_bytes()), Ok(8));
    close([eventfd]);
    let mut sum = [0; 8];
    assert_eq!(Linux.read(&dup, &mut sum), Ok(8));
    assert_eq!(u64::from_ne_bytes(sum), 5);
    close([dup]);
}

/// The flags of an open descriptor from proc(5), without the access mode and flags that only some
/// kinds have.
fn flags(fd: &Fd) -> u32 {
    let path = format!("/proc/self/fdinfo/{fd}");
    let info = std::fs::read_to_string(path).expect("proc is mounted");
    let line = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let octal = line.expect("every descriptor has a flags line").trim();
    let bits = u32::from_str_radix(octal, 8).expect("they are octal");
    bits & (NONBLOCK | CLOEXEC)
}
