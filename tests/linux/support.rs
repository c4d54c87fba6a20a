//! Shared by the tests of the real kernel. Independent of the tests.

use core::time::Duration;

use epollite::event::{EPOLLIN, EPOLLOUT};
use epollite::kernel::SocketType;
use epollite::kernel::{EpollEvent, EpollOp};
use epollite::net::AddressFamily;
use epollite::{Addr, Fd, Kernel, Linux};

/// Closes the descriptors of a test.
pub(crate) fn close(fds: impl IntoIterator<Item = Fd>) {
    for fd in fds {
        Linux.close(fd).expect("it was open");
    }
}

/// Waits until `fd` is readable or writable, and returns which.
pub(crate) fn ready(fd: &Fd) -> u32 {
    ready_for(EPOLLIN | EPOLLOUT, fd)
}

/// Waits until `fd` is readable, or at EOF.
pub(crate) fn readable(fd: &Fd) {
    ready_for(EPOLLIN, fd);
}

/// A minute counts as hung.
fn ready_for(bits: u32, fd: &Fd) -> u32 {
    let epoll = Linux.epoll_create1().expect("a descriptor is available");
    let control = EpollOp::Add(EpollEvent::new(bits, 7));
    Linux.epoll_ctl(&epoll, control, fd).expect("the descriptor is pollable");
    let mut events = [EpollEvent::default(); 2];
    let minute = Some(Duration::from_secs(60));
    let brought = Linux.epoll_pwait2(&epoll, &mut events, minute);
    assert_eq!(brought, Ok(1), "the descriptor is ready within a minute");
    close([epoll]);
    assert_eq!(events[0].data(), 7);
    events[0].events()
}

/// A socket bound to an unused address.
pub(crate) fn bound(family: AddressFamily, kind: SocketType) -> (Fd, Addr) {
    let socket = Linux.socket(family, kind).expect("the kernel supports it");
    let any = match family {
        AddressFamily::Inet => "127.0.0.1:0",
        AddressFamily::Inet6 => "[::1]:0",
        AddressFamily::Unix => panic!("a Unix name is chosen, not given"),
    };
    let any: Addr = any.parse().expect("the address is valid");
    Linux.bind(&socket, &any).expect("loopback has free ports");
    let addr = Linux.getsockname(&socket).expect("the socket is bound");
    (socket, addr)
}

/// A listener, and its address.
pub(crate) fn listening() -> (Fd, Addr) {
    let (listener, addr) = bound(AddressFamily::Inet, SocketType::Stream);
    Linux.listen(&listener, 16).expect("it is bound");
    (listener, addr)
}

/// Both ends of a TCP connection over loopback.
pub(crate) fn connected() -> (Fd, Fd) {
    let (listener, addr) = listening();
    let client =
        Linux.socket(AddressFamily::Inet, SocketType::Stream).expect("the kernel supports it");
    // In progress or done: `ready` reports which.
    let _ = Linux.connect(&client, &addr);
    ready(&listener);
    let (server, _) = Linux.accept4(&listener).expect("the listener is readable");
    ready(&client);
    close([listener]);
    (client, server)
}
