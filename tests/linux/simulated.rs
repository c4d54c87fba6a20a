//! A descriptor of a simulated kernel is EBADF on the real one, for every call.

use epollite::kernel::{EpollEvent, EpollOp};
use epollite::kernel::{Shutdown, SocketOption, SocketOptionName};
use epollite::net::DatagramBatch;
use epollite::{Addr, Errno, Fd, Kernel, Linux};

#[test]
fn every_syscall_returns_ebadf() {
    for number in [0, 1, 2, 7, i32::MAX.cast_unsigned()] {
        let fd = Fd::simulated(number);
        for (verb, errno) in every_verb(&fd) {
            assert_eq!(errno, Some(Errno::EBADF), "invariant: {verb} of a simulated descriptor");
        }
        assert_eq!(
            Linux.close(fd),
            Err(Errno::EBADF),
            "invariant: close of a simulated descriptor"
        );
    }
}

#[test]
fn epoll_ctl_rejects_a_simulated_fd() {
    let (epoll, fd) = (Linux.epoll_create1().unwrap(), Fd::simulated(0));
    let event = EpollEvent::new(1, 0);
    for control in [EpollOp::Add(event), EpollOp::Modify(event), EpollOp::Delete] {
        let refused = Linux.epoll_ctl(&epoll, control, &fd);
        assert_eq!(refused, Err(Errno::EBADF));
    }
    Linux.close(epoll).unwrap();
}

fn every_verb(fd: &Fd) -> Vec<(&'static str, Option<Errno>)> {
    let addr: Addr = "127.0.0.1:9".parse().expect("the address is valid");
    let (mut buf, mut batch) = ([0; 8], DatagramBatch::new(1, 8));
    batch.push(b"x", &addr.encode());
    let mut events = [EpollEvent::default(); 1];
    let delete = EpollOp::Delete;
    let linux = &mut Linux;
    let mut results = vec![
        ("bind", linux.bind(fd, &addr).err()),
        ("listen", linux.listen(fd, 1).err()),
        ("accept4", linux.accept4(fd).err()),
        ("connect", linux.connect(fd, &addr).err()),
        ("getsockname", linux.getsockname(fd).err()),
        ("getpeername", linux.getpeername(fd).err()),
        ("recv", linux.recv(fd, &mut buf).err()),
        ("send", linux.send(fd, &buf).err()),
        ("recvfrom", linux.recvfrom(fd, &mut buf).err()),
        ("sendto", linux.sendto(fd, &buf, &addr).err()),
        ("sendmmsg", linux.sendmmsg(fd, &batch, 0).err()),
        ("recvmmsg", linux.recvmmsg(fd, &mut batch).err()),
        ("shutdown", linux.shutdown(fd, Shutdown::Both).err()),
        ("read", linux.read(fd, &mut buf).err()),
        ("write", linux.write(fd, &buf).err()),
        ("splice", linux.splice(fd, fd, 1).err()),
        ("fcntl", linux.fcntl_setpipe_sz(fd, 4_096).err()),
        ("dup", linux.dup(fd).err()),
        ("epoll_ctl", linux.epoll_ctl(fd, delete, fd).err()),
        ("epoll_wait", linux.epoll_wait(fd, &mut events, Some(0)).err()),
        ("epoll_pwait2", linux.epoll_pwait2(fd, &mut events, None).err()),
    ];
    let on = SocketOption::ReuseAddr(true);
    results.push(("setsockopt", linux.setsockopt(fd, on).err()));
    for name in SocketOptionName::ALL {
        results.push(("getsockopt", linux.getsockopt(fd, name).err()));
    }
    results
}
