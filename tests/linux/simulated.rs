//! A descriptor of a simulated kernel is nobody to the real one, for every verb.

use epollite::kernel::{Control, EpollEvent};
use epollite::{Addr, Batch, Errno, Fd, Kernel, Linux, OptionName, Shut, SocketOption};

#[test]
fn every_verb_says_ebadf() {
    for number in [0, 1, 2, 7, i32::MAX.cast_unsigned()] {
        let fd = Fd::simulated(number);
        for (verb, errno) in every_verb(&fd) {
            assert_eq!(errno, Some(Errno::EBADF), "law: {verb} of a stranger");
        }
        assert_eq!(Linux.close(fd), Err(Errno::EBADF), "law: close of a stranger");
    }
}

#[test]
fn a_real_epoll_takes_no_simulated_descriptor() {
    let (epoll, fd) = (Linux.epoll_create1().unwrap(), Fd::simulated(0));
    let event = EpollEvent::new(1, 0);
    for control in [Control::Add(event), Control::Modify(event), Control::Delete] {
        let refused = Linux.epoll_ctl(&epoll, control, &fd);
        assert_eq!(refused, Err(Errno::EBADF));
    }
    Linux.close(epoll).unwrap();
}

fn every_verb(fd: &Fd) -> Vec<(&'static str, Option<Errno>)> {
    let addr: Addr = "127.0.0.1:9".parse().expect("it is an address");
    let (mut buf, mut batch) = ([0; 8], Batch::new(1, 8));
    batch.push(b"x", &addr.encode());
    let mut events = [EpollEvent::default(); 1];
    let delete = Control::Delete;
    let linux = &mut Linux;
    let mut heard = vec![
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
        ("shutdown", linux.shutdown(fd, Shut::Both).err()),
        ("read", linux.read(fd, &mut buf).err()),
        ("write", linux.write(fd, &buf).err()),
        ("splice", linux.splice(fd, fd, 1).err()),
        ("dup", linux.dup(fd).err()),
        ("epoll_ctl", linux.epoll_ctl(fd, delete, fd).err()),
        ("epoll_wait", linux.epoll_wait(fd, &mut events, Some(0)).err()),
        ("epoll_pwait2", linux.epoll_pwait2(fd, &mut events, None).err()),
    ];
    let on = SocketOption::ReuseAddr(true);
    heard.push(("setsockopt", linux.setsockopt(fd, on).err()));
    for name in OptionName::ALL {
        heard.push(("getsockopt", linux.getsockopt(fd, name).err()));
    }
    heard
}
