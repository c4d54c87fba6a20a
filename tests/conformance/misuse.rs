//! Every call on every kind of descriptor, rightly and wrongly: the traces say whether the model
//! refuses what Linux refuses, in the same words.

use epollite::kernel::{Control, EpollEvent};
use epollite::{Addr, Batch, Family, Fd, Kind, OptionName, Shut, Signal, UnixAddr};

use crate::same;
use crate::stage::{IN, OUT, Stage};

/// One of each, with what it is.
fn one_of_each(stage: &mut Stage<'_>) -> Vec<(&'static str, Fd)> {
    let (tcp, tcp_far) = stage.tcp_pair();
    let (unix, unix_far) = stage.unix_pair();
    let (reader, writer) = stage.k.pipe2().unwrap();
    let (letters, letters_far) = stage.k.socketpair(Kind::Datagram).unwrap();
    let (door, _) = stage.listener(4);
    let (unix_door, _) = stage.unix_listener(4);
    let fresh = stage.k.socket(Family::Inet, Kind::Stream).unwrap();
    let fresh_unix = stage.k.socket(Family::Unix, Kind::Stream).unwrap();
    let udp = stage.k.socket(Family::Inet, Kind::Datagram).unwrap();
    let unix_letters = stage.k.socket(Family::Unix, Kind::Datagram).unwrap();
    let event = stage.k.eventfd(0).unwrap();
    let epoll = stage.epoll();
    let signals = stage.k.signalfd(Signal::USR2.into()).unwrap();
    vec![
        ("tcp", tcp),
        ("its peer", tcp_far),
        ("unix", unix),
        ("its peer", unix_far),
        ("reading end", reader),
        ("writing end", writer),
        ("letters", letters),
        ("their peer", letters_far),
        ("door", door),
        ("unix door", unix_door),
        ("fresh", fresh),
        ("fresh unix", fresh_unix),
        ("udp", udp),
        ("unix letters", unix_letters),
        ("eventfd", event),
        ("epoll", epoll),
        ("signalfd", signals),
    ]
}

/// Makes `call` on a fresh one of each, from a stage of its own.
pub(crate) fn on_each(call: impl Fn(&mut Stage<'_>, &Fd)) {
    same(
        |stage| {
            let each = one_of_each(stage);
            for (_, fd) in &each {
                call(stage, fd);
            }
            stage.close_all(each.into_iter().map(|(_, fd)| fd));
        },
        &[],
    );
}

#[test]
fn receiving() {
    on_each(|stage, fd| {
        let _ = stage.k.recv(fd, &mut [0; 4]);
        let _ = stage.k.recv(fd, &mut []);
    });
    on_each(|stage, fd| {
        let _ = stage.k.recvfrom(fd, &mut [0; 4]);
    });
    on_each(|stage, fd| {
        let _ = stage.k.read(fd, &mut [0; 4]);
        let _ = stage.k.read(fd, &mut [0; 16]);
    });
}

#[test]
fn receiving_many() {
    on_each(|stage, fd| {
        let mut batch = Batch::new(2, 8);
        let _ = stage.k.recvmmsg(fd, &mut batch);
    });
}

#[test]
fn sending() {
    on_each(|stage, fd| {
        let _ = stage.k.send(fd, b"word");
        stage.settle();
        let _ = stage.k.send(fd, b"");
    });
    on_each(|stage, fd| {
        let _ = stage.k.write(fd, b"word");
        stage.settle();
        let _ = stage.k.write(fd, &7u64.to_ne_bytes());
    });
}

#[test]
fn sending_to_an_address() {
    for to in ["127.0.0.1:9", "[::1]:9", "unix:@nobody", "unix:/nowhere/at/all"] {
        let to: Addr = to.parse().unwrap();
        on_each(|stage, fd| {
            let _ = stage.k.sendto(fd, b"word", &to);
            stage.settle();
        });
    }
}

#[test]
fn sending_many() {
    let to = "127.0.0.1:9".parse::<Addr>().unwrap().encode();
    on_each(|stage, fd| {
        let mut batch = Batch::new(2, 8);
        assert!(batch.push(b"one", &to) && batch.push(b"two", &to));
        let _ = stage.k.sendmmsg(fd, &batch, 0);
        stage.settle();
    });
}

#[test]
fn binding_and_naming() {
    for name in ["127.0.0.1:0", "[::1]:0", "8.8.8.8:0"] {
        let name: Addr = name.parse().unwrap();
        on_each(|stage, fd| {
            let _ = stage.k.bind(fd, &name);
            let _ = stage.k.bind(fd, &name);
        });
    }
    on_each(|stage, fd| {
        let _ = stage.k.getsockname(fd);
        let _ = stage.k.getpeername(fd);
    });
}

#[test]
fn listening_and_accepting() {
    on_each(|stage, fd| {
        let _ = stage.k.listen(fd, 2);
        let _ = stage.k.listen(fd, 3);
        let accepted = stage.k.accept4(fd);
        assert!(accepted.is_err(), "nobody has come");
    });
}

#[test]
fn connecting() {
    // Where nobody listens; another family; a name that nobody has; nowhere.
    let unspecified = Addr::Unspec;
    let unnamed = Addr::Unix(UnixAddr::unnamed());
    let texts = ["127.0.0.1:1", "[::1]:1", "unix:@nobody", "unix:/nowhere/at/all"];
    let addrs = texts.map(|text| text.parse().unwrap());
    for to in addrs.into_iter().chain([unspecified, unnamed]) {
        on_each(|stage, fd| {
            let _ = stage.k.connect(fd, &to);
            stage.settle();
            let _ = stage.k.connect(fd, &to);
            stage.settle();
            let _ = stage.k.getsockopt(fd, OptionName::Error);
        });
    }
}

#[test]
fn connecting_to_the_wrong_kind() {
    same(
        |stage| {
            let each = one_of_each(stage);
            let (door, addr) = stage.listener(4);
            let (unix_door, unix_addr) = stage.unix_listener(4);
            let letters = stage.k.socket(Family::Unix, Kind::Datagram).unwrap();
            stage.k.bind(&letters, &Addr::Unix(UnixAddr::unnamed())).unwrap();
            let letters_addr = stage.k.getsockname(&letters).unwrap();
            for to in [addr, unix_addr, letters_addr] {
                for (_, fd) in &each {
                    let _ = stage.k.connect(fd, &to);
                    stage.settle();
                    let _ = stage.k.connect(fd, &to);
                }
            }
            stage.close_all(each.into_iter().map(|(_, fd)| fd));
            stage.close_all([door, unix_door, letters]);
        },
        &[],
    );
}

#[test]
fn shutting() {
    for how in [Shut::Read, Shut::Write, Shut::Both] {
        on_each(|stage, fd| {
            let _ = stage.k.shutdown(fd, how);
            stage.settle();
            let _ = stage.k.send(fd, b"late");
            stage.settle();
            let _ = stage.k.recv(fd, &mut [0; 8]);
            let _ = stage.k.shutdown(fd, how);
        });
    }
}

#[test]
fn watching() {
    same(
        |stage| {
            let each = one_of_each(stage);
            let epoll = stage.epoll();
            for (_, fd) in &each {
                for control in [Control::Add, Control::Add, Control::Modify] {
                    let _ = stage.k.epoll_ctl(&epoll, control(EpollEvent::new(IN | OUT, 1)), fd);
                }
                let _ = stage.k.epoll_ctl(&epoll, Control::Delete, fd);
                let _ = stage.k.epoll_ctl(&epoll, Control::Delete, fd);
                // And as if it were an epoll itself.
                let _ = stage.k.epoll_ctl(fd, Control::Add(EpollEvent::new(IN, 1)), &epoll);
                let _ = stage.k.epoll_ctl(fd, Control::Delete, fd);
                let _ = stage.k.epoll_wait(fd, &mut [EpollEvent::default(); 2], Some(0));
                let _ = stage.k.epoll_wait(fd, &mut [], Some(0));
                let zero = Some(core::time::Duration::ZERO);
                let _ = stage.k.epoll_pwait2(fd, &mut [EpollEvent::default(); 2], zero);
            }
            stage.close_all(each.into_iter().map(|(_, fd)| fd));
            stage.close_all([epoll]);
        },
        &[],
    );
}

#[test]
fn splicing() {
    same(
        |stage| {
            let each = one_of_each(stage);
            let (reader, writer) = stage.k.pipe2().unwrap();
            stage.k.write(&writer, b"some bytes").unwrap();
            for (_, fd) in &each {
                let _ = stage.k.splice(&reader, fd, 2);
                stage.settle();
                let _ = stage.k.splice(fd, &writer, 2);
                let _ = stage.k.splice(fd, &reader, 2);
                let _ = stage.k.splice(fd, fd, 2);
            }
            stage.close_all(each.into_iter().map(|(_, fd)| fd));
            stage.close_all([reader, writer]);
        },
        &[],
    );
}
