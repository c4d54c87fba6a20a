//! The numbers and layouts that layers 0 and 1 define, compared with libc at compile time.
//!
//! `errno`, `net`, `event` and `kernel` do not use `libc::`, so that the simulated kernel and a
//! reader need no C. This file is the price: a target where Linux numbers errors or lays out
//! addresses differently (MIPS, SPARC, PowerPC) fails to compile here, instead of misbehaving at
//! run time.

use core::mem::offset_of;

use crate::errno::{Errno, for_each_errno};
use crate::event;
use crate::kernel::{EpollEvent, SIGINFO_BYTES, Signal};
use crate::net::{
    AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC, SOCKADDR_IN_BYTES, SOCKADDR_IN6_BYTES, SUN_PATH_BYTES,
    SUN_PATH_OFFSET, SockAddr,
};

const fn assert_same(errno: Errno, number: i32) {
    assert!(errno.number() == number, "libc defines another number for this errno");
}

macro_rules! check_numbers {
    ($($number:literal $name:ident $meaning:literal;)*) => {
        const _: () = {
            $(assert_same(Errno::$name, libc::$name);)*
        };
    };
}
for_each_errno!(check_numbers);

const _: () = {
    assert_same(Errno::EWOULDBLOCK, libc::EWOULDBLOCK);
    assert_same(Errno::EDEADLOCK, libc::EDEADLOCK);
    assert_same(Errno::ENOTSUP, libc::ENOTSUP);
};

const _: () = {
    assert!(AF_UNSPEC as i32 == libc::AF_UNSPEC);
    assert!(AF_UNIX as i32 == libc::AF_UNIX);
    assert!(AF_INET as i32 == libc::AF_INET);
    assert!(AF_INET6 as i32 == libc::AF_INET6);
};

// The field offsets and lengths that `addr` uses.
const _: () = {
    assert!(size_of::<libc::sa_family_t>() == 2);

    assert!(SOCKADDR_IN_BYTES == size_of::<libc::sockaddr_in>());
    assert!(offset_of!(libc::sockaddr_in, sin_port) == 2);
    assert!(offset_of!(libc::sockaddr_in, sin_addr) == 4);

    assert!(SOCKADDR_IN6_BYTES == size_of::<libc::sockaddr_in6>());
    assert!(offset_of!(libc::sockaddr_in6, sin6_port) == 2);
    assert!(offset_of!(libc::sockaddr_in6, sin6_flowinfo) == 4);
    assert!(offset_of!(libc::sockaddr_in6, sin6_addr) == 8);
    assert!(offset_of!(libc::sockaddr_in6, sin6_scope_id) == 24);

    assert!(SUN_PATH_OFFSET == offset_of!(libc::sockaddr_un, sun_path));
    assert!(SUN_PATH_OFFSET + SUN_PATH_BYTES == size_of::<libc::sockaddr_un>());

    assert!(SockAddr::CAPACITY == size_of::<libc::sockaddr_storage>());
    assert!(align_of::<SockAddr>() >= align_of::<libc::sockaddr_storage>());
    assert!(size_of::<libc::socklen_t>() == size_of::<u32>());
};

// A slice of `EpollEvent` is passed to epoll_wait(2) as a slice of `epoll_event`.
const _: () = assert!(size_of::<EpollEvent>() == size_of::<libc::epoll_event>());
const _: () = assert!(align_of::<EpollEvent>() == align_of::<libc::epoll_event>());
const _: () = {
    let event = EpollEvent::new(0x0102_0304, 0x0506_0708_090a_0b0c);
    assert!(event.events() == 0x0102_0304 && event.data() == 0x0506_0708_090a_0b0c);
    assert!(offset_of!(libc::epoll_event, events) == 0);
    assert!(offset_of!(libc::epoll_event, u64) == size_of::<EpollEvent>() - 8);
};

const _: () = assert!(event::EPOLLIN == libc::EPOLLIN.cast_unsigned());
const _: () = assert!(event::EPOLLPRI == libc::EPOLLPRI.cast_unsigned());
const _: () = assert!(event::EPOLLOUT == libc::EPOLLOUT.cast_unsigned());
const _: () = assert!(event::EPOLLERR == libc::EPOLLERR.cast_unsigned());
const _: () = assert!(event::EPOLLHUP == libc::EPOLLHUP.cast_unsigned());
const _: () = assert!(event::EPOLLRDHUP == libc::EPOLLRDHUP.cast_unsigned());
const _: () = assert!(event::EPOLLEXCLUSIVE == libc::EPOLLEXCLUSIVE.cast_unsigned());
const _: () = assert!(event::EPOLLONESHOT == libc::EPOLLONESHOT.cast_unsigned());
const _: () = assert!(event::EPOLLET == libc::EPOLLET.cast_unsigned());

const fn is_same(signal: Signal, number: i32) -> bool {
    signal.number() as i32 == number
}
const _: () = {
    assert!(is_same(Signal::HUP, libc::SIGHUP) && is_same(Signal::INT, libc::SIGINT));
    assert!(is_same(Signal::USR1, libc::SIGUSR1) && is_same(Signal::USR2, libc::SIGUSR2));
    assert!(is_same(Signal::TERM, libc::SIGTERM) && is_same(Signal::CHLD, libc::SIGCHLD));
    assert!(is_same(Signal::PIPE, libc::SIGPIPE) && is_same(Signal::KILL, libc::SIGKILL));
    assert!(is_same(Signal::CONT, libc::SIGCONT) && is_same(Signal::STOP, libc::SIGSTOP));
    assert!(is_same(Signal::URG, libc::SIGURG) && is_same(Signal::WINCH, libc::SIGWINCH));
};

const _: () = assert!(size_of::<libc::signalfd_siginfo>() == SIGINFO_BYTES);
const _: () = assert!(offset_of!(libc::signalfd_siginfo, ssi_signo) == 0);
