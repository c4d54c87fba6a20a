//! Layouts and constants shared with C, checked at compile time: structs and numbers that are
//! passed by layout or by value and not by name. (Errors and addresses: `constants.rs`.)

use core::mem::offset_of;

use crate::event;
use crate::kernel::{EpollEvent, SIGINFO_BYTES, Signal};

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

const fn assert_layout(signal: Signal, number: i32) -> bool {
    signal.number() as i32 == number
}
const _: () =
    assert!(assert_layout(Signal::HUP, libc::SIGHUP) && assert_layout(Signal::INT, libc::SIGINT));
const _: () = assert!(
    assert_layout(Signal::USR1, libc::SIGUSR1) && assert_layout(Signal::USR2, libc::SIGUSR2)
);
const _: () = assert!(assert_layout(Signal::PIPE, libc::SIGPIPE));
const _: () = assert!(
    assert_layout(Signal::TERM, libc::SIGTERM) && assert_layout(Signal::CHLD, libc::SIGCHLD)
);

const _: () = assert!(size_of::<libc::signalfd_siginfo>() == SIGINFO_BYTES);
const _: () = assert!(offset_of!(libc::signalfd_siginfo, ssi_signo) == 0);
