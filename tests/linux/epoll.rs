//! The epoll system calls, without a reactor.

use core::time::Duration;

use epollite::event::{EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLRDHUP};
use epollite::kernel::{EpollEvent, EpollOp};
use epollite::{Errno, Fd, Kernel, Linux};

use super::support::close;

#[test]
fn a_registration_is_reported_with_its_data_until_deleted() {
    let (epoll, eventfd) = (Linux.epoll_create1().unwrap(), Linux.eventfd(1).unwrap());
    let data = 0x0123_4567_89ab_cdef;
    let add = EpollOp::Add(EpollEvent::new(EPOLLIN, data));
    assert_eq!(Linux.epoll_ctl(&epoll, add, &eventfd), Ok(()));
    assert_eq!(waits(&epoll), [Ok(1), Ok(1)]);
    let mut events = [EpollEvent::default(); 1];
    assert_eq!(Linux.epoll_wait(&epoll, &mut events, None), Ok(1));
    assert_eq!(events[0], EpollEvent::new(EPOLLIN, data));

    let modify = EpollOp::Modify(EpollEvent::new(0, !data));
    assert_eq!(Linux.epoll_ctl(&epoll, modify, &eventfd), Ok(()));
    assert_eq!(waits(&epoll), [Ok(0), Ok(0)]);
    assert_eq!(Linux.epoll_ctl(&epoll, EpollOp::Delete, &eventfd), Ok(()));
    close([eventfd, epoll]);
}

#[test]
fn invalid_epoll_ctl_arguments_return_the_documented_errno() {
    let (epoll, eventfd) = (Linux.epoll_create1().unwrap(), Linux.eventfd(1).unwrap());
    let event = EpollEvent::new(EPOLLIN, 0);
    let (add, modify) = (EpollOp::Add(event), EpollOp::Modify(event));
    for control in [modify, EpollOp::Delete] {
        assert_eq!(Linux.epoll_ctl(&epoll, control, &eventfd), Err(Errno::ENOENT));
    }
    assert_eq!(Linux.epoll_ctl(&epoll, add, &eventfd), Ok(()));
    assert_eq!(Linux.epoll_ctl(&epoll, add, &eventfd), Err(Errno::EEXIST));
    assert_eq!(Linux.epoll_ctl(&epoll, add, &epoll), Err(Errno::EINVAL));
    assert_eq!(Linux.epoll_ctl(&eventfd, add, &epoll), Err(Errno::EINVAL));
    close([eventfd, epoll]);
}

#[test]
fn linux_rejects_the_exclusive_masks_that_the_library_rejects() {
    let (epoll, eventfd) = (Linux.epoll_create1().unwrap(), Linux.eventfd(1).unwrap());
    for bad in [EPOLLRDHUP, EPOLLONESHOT, epollite::event::EPOLLPRI] {
        let add = EpollOp::Add(EpollEvent::new(EPOLLIN | EPOLLEXCLUSIVE | bad, 0));
        assert_eq!(Linux.epoll_ctl(&epoll, add, &eventfd), Err(Errno::EINVAL));
    }
    let exclusive = EpollEvent::new(EPOLLIN | EPOLLEXCLUSIVE, 0);
    assert_eq!(Linux.epoll_ctl(&epoll, EpollOp::Add(exclusive), &eventfd), Ok(()));
    let modify = EpollOp::Modify(EpollEvent::new(EPOLLIN, 0));
    assert_eq!(Linux.epoll_ctl(&epoll, modify, &eventfd), Err(Errno::EINVAL));
    close([eventfd, epoll]);
}

#[test]
fn epoll_wait_times_out_and_returns_at_most_maxevents() {
    let epoll = Linux.epoll_create1().unwrap();
    let before = Linux.now();
    assert_eq!(waits(&epoll), [Ok(0), Ok(0)]);
    assert!(Linux.now() - before >= Duration::from_micros(1_500));
    let eventfds = [(); 3].map(|()| Linux.eventfd(1).unwrap());
    for eventfd in &eventfds {
        let add = EpollOp::Add(EpollEvent::new(EPOLLIN, 0));
        Linux.epoll_ctl(&epoll, add, eventfd).unwrap();
    }
    let mut buf = [EpollEvent::default(); 2];
    assert_eq!(Linux.epoll_wait(&epoll, &mut buf, Some(0)), Ok(2));
    assert_eq!(Linux.epoll_pwait2(&epoll, &mut buf, None), Ok(2));
    assert_eq!(Linux.epoll_wait(&epoll, &mut [], Some(0)), Err(Errno::EINVAL));
    close(eventfds.into_iter().chain([epoll]));
}

#[test]
fn the_longest_timeout_is_accepted() {
    let (epoll, eventfd) = (Linux.epoll_create1().unwrap(), Linux.eventfd(1).unwrap());
    let add = EpollOp::Add(EpollEvent::new(EPOLLIN, 0));
    Linux.epoll_ctl(&epoll, add, &eventfd).unwrap();
    let mut buf = [EpollEvent::default(); 2];
    let timeout = Some(Duration::MAX);
    assert_eq!(Linux.epoll_pwait2(&epoll, &mut buf, timeout), Ok(1));
    assert_eq!(Linux.epoll_wait(&epoll, &mut buf, Some(u32::MAX)), Ok(1));
    close([eventfd, epoll]);
}

#[test]
fn epoll_wait_on_another_fd_is_einval() {
    let (reader, writer) = Linux.pipe2().unwrap();
    let mut buf = [EpollEvent::default(); 1];
    assert_eq!(Linux.epoll_wait(&reader, &mut buf, Some(0)), Err(Errno::EINVAL));
    close([writer]);
    assert_eq!(super::support::ready(&reader), EPOLLHUP);
    close([reader]);
}

/// One short wait by each call.
fn waits(epoll: &Fd) -> [Result<usize, Errno>; 2] {
    let mut buf = [EpollEvent::default(); 4];
    [
        Linux.epoll_wait(epoll, &mut buf, Some(1)),
        Linux.epoll_pwait2(epoll, &mut buf, Some(Duration::from_micros(500))),
    ]
}
