//! Forked children and signal handlers beside a reactor, as its documentation says.

#![expect(unsafe_code, reason = "fork, and what a child and a handler may call")]

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;
use std::thread;

use epollite::reactor::Waker;
use epollite::{Event, Interest, Kernel, Linux, Reactor, Token, Trigger};

use super::support::{poll_now, stream_pair};

/// Runs `child` in a child process, which ends when that returns.
fn in_child(child: impl FnOnce()) {
    // SAFETY: fork(2) has no precondition. The child of a program with threads only makes calls
    // that are async-signal-safe, and allocates nothing.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        child();
        // SAFETY: _exit(2) has no precondition, and does not return.
        unsafe { libc::_exit(0) };
    }
    let mut status = -1;
    // SAFETY: waitpid(2) writes one number at `status`, which lives until it returns.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "how the child has ended");
}

/// The reactor reports what arrives, and only that.
fn check(reactor: &mut Reactor<()>, near: Token, far: &epollite::Fd) {
    assert_eq!(poll_now(reactor), None);
    Linux.send(far, b"x").unwrap();
    assert!(matches!(reactor.next(None), Ok(Some(Event::Io { token, .. })) if token == near));
    reactor.get_mut(near).unwrap().1.recv(&mut [0; 8]).unwrap();
    assert_eq!(poll_now(reactor), None);
}

#[test]
fn children_that_close_or_exec_leave_the_reactor_as_it_was() {
    crate::deadline::arm();
    let mut reactor = Reactor::new().unwrap();
    let (near, far) = stream_pair(&mut Linux);
    let near = reactor.register(near, Interest::READABLE, Trigger::Level, ()).unwrap();
    let waker = reactor.waker().unwrap();
    check(&mut reactor, near, &far);

    in_child(|| {});
    check(&mut reactor, near, &far);

    in_child(|| {
        for number in 3..1_024 {
            // SAFETY: close(2) touches no memory; this child uses no descriptor afterwards.
            unsafe { libc::close(number) };
        }
    });
    check(&mut reactor, near, &far);

    // An open epoll, eventfd or socket would be an error of the script.
    let script = c"for fd in /proc/self/fd/*; do case $(readlink $fd) in \
        *eventpoll*|*eventfd*) exit 1;; esac; done";
    in_child(|| {
        let (shell, option, end) =
            (c"/bin/sh".as_ptr(), c"-c".as_ptr(), core::ptr::null::<core::ffi::c_char>());
        // SAFETY: execl(3) reads texts that end with a zero byte, and a null pointer after them.
        unsafe { libc::execl(shell, shell, option, script.as_ptr(), end) };
        // SAFETY: _exit(2) has no precondition, and does not return.
        unsafe { libc::_exit(2) };
    });
    check(&mut reactor, near, &far);
    waker.wake(&mut Linux).unwrap();
    assert_eq!(poll_now(&mut reactor), Some(Event::Woken));
    Linux.close(far).unwrap();
}

/// Why a child must not use it.
#[test]
fn what_a_child_deregisters_is_the_parents() {
    crate::deadline::arm();
    let mut reactor = Reactor::new().unwrap();
    let (near, far) = stream_pair(&mut Linux);
    let near = reactor.register(near, Interest::READABLE, Trigger::Level, ()).unwrap();
    check(&mut reactor, near, &far);
    in_child(|| {
        let _ = reactor.deregister(near);
    });
    Linux.send(&far, b"x").unwrap();
    assert_eq!(poll_now(&mut reactor), None, "the kernel has one list for both");
    Linux.close(far).unwrap();
}

static WAKER: OnceLock<Waker> = OnceLock::new();

extern "C" fn wake(_: libc::c_int) {
    if let Some(waker) = WAKER.get() {
        let _ = waker.wake(&mut Linux);
    }
}

#[test]
fn a_signal_handler_wakes_at_any_place() {
    crate::deadline::arm();
    let mut reactor = Reactor::<()>::new().unwrap();
    assert!(WAKER.set(reactor.waker().unwrap()).is_ok());
    let handler = wake as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: signal(2) keeps the address of a function that only does what a handler may.
    let before = unsafe { libc::signal(libc::SIGUSR1, handler) };
    assert_ne!(before, libc::SIG_ERR);
    // SAFETY: pthread_self(3) has no precondition.
    let this = unsafe { libc::pthread_self() };
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                // SAFETY: the thread lives as long as the scope.
                unsafe { libc::pthread_kill(this, libc::SIGUSR1) };
                thread::yield_now();
            }
        });
        for _ in 0..200 {
            assert_eq!(reactor.next(None), Ok(Some(Event::Woken)));
        }
        is_done.store(true, Ordering::Release);
    });
}
