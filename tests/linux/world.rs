//! What the tests of the real kernel have in common. It knows no test.

use core::time::Duration;

use epollite::event::{EPOLLIN, EPOLLOUT};
use epollite::kernel::{Control, EpollEvent};
use epollite::{Addr, Family, Fd, Kernel, Kind, Linux};

/// Closes what a test has opened.
pub(crate) fn close(fds: impl IntoIterator<Item = Fd>) {
    for fd in fds {
        Linux.close(fd).expect("it was open");
    }
}

/// Waits until `fd` is readable or writable, and says which.
pub(crate) fn ready(fd: &Fd) -> u32 {
    ready_for(EPOLLIN | EPOLLOUT, fd)
}

/// Waits until `fd` is readable, or at its end.
pub(crate) fn readable(fd: &Fd) {
    ready_for(EPOLLIN, fd);
}

/// A minute is for ever.
fn ready_for(bits: u32, fd: &Fd) -> u32 {
    let epoll = Linux.epoll_create1().expect("one descriptor is to be had");
    let control = Control::Add(EpollEvent::new(bits, 7));
    Linux.epoll_ctl(&epoll, control, fd).expect("it can be waited for");
    let mut events = [EpollEvent::default(); 2];
    let minute = Some(Duration::from_secs(60));
    let brought = Linux.epoll_pwait2(&epoll, &mut events, minute);
    assert_eq!(brought, Ok(1), "it comes within a minute");
    close([epoll]);
    assert_eq!(events[0].data(), 7);
    events[0].events()
}

/// A socket with an address that nobody else has.
pub(crate) fn bound(family: Family, kind: Kind) -> (Fd, Addr) {
    let socket = Linux.socket(family, kind).expect("the system has it");
    let any = match family {
        Family::Inet => "127.0.0.1:0",
        Family::Inet6 => "[::1]:0",
        Family::Unix => panic!("a Unix name is chosen, not given"),
    };
    let any: Addr = any.parse().expect("it is an address");
    Linux.bind(&socket, &any).expect("loopback has free ports");
    let addr = Linux.getsockname(&socket).expect("it has a name");
    (socket, addr)
}

/// A listener, and where it listens.
pub(crate) fn listening() -> (Fd, Addr) {
    let (listener, addr) = bound(Family::Inet, Kind::Stream);
    Linux.listen(&listener, 16).expect("it is bound");
    (listener, addr)
}

/// Both ends of a TCP connection over loopback.
pub(crate) fn connected() -> (Fd, Fd) {
    let (listener, addr) = listening();
    let client = Linux.socket(Family::Inet, Kind::Stream).expect("the system has it");
    // In progress or done: `ready` tells.
    let _ = Linux.connect(&client, &addr);
    ready(&listener);
    let (server, _) = Linux.accept4(&listener).expect("it said so");
    ready(&client);
    close([listener]);
    (client, server)
}
