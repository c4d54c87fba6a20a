//! Every call on every kind of descriptor, valid or not: the traces show whether the model returns
//! the errors that Linux returns.

use epollite::kernel::{EpollEvent, EpollOp};
use epollite::kernel::{Shutdown, Signal, SocketOptionName, SocketType};
use epollite::net::{AddressFamily, DatagramBatch, UnixAddr};
use epollite::{Addr, Fd};

use crate::harness::{Harness, IN, OUT};
use crate::same;

/// One descriptor of each kind, with its label.
fn one_of_each(harness: &mut Harness<'_>) -> Vec<(&'static str, Fd)> {
    let (tcp, tcp_far) = harness.tcp_pair();
    let (unix, unix_far) = harness.unix_pair();
    let (reader, writer) = harness.k.pipe2().unwrap();
    let (datagrams, datagrams_far) = harness.k.socketpair(SocketType::Datagram).unwrap();
    let (listener, _) = harness.listener(4);
    let (unix_stream_listener, _) = harness.unix_listener(4);
    let fresh = harness.k.socket(AddressFamily::Inet, SocketType::Stream).unwrap();
    let fresh_unix = harness.k.socket(AddressFamily::Unix, SocketType::Stream).unwrap();
    let udp = harness.k.socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
    let unix_datagrams = harness.k.socket(AddressFamily::Unix, SocketType::Datagram).unwrap();
    let (messages, messages_far) = harness.k.socketpair(SocketType::SeqPacket).unwrap();
    let messages_listener = harness.unix_listener_of(SocketType::SeqPacket, 4).0;
    let fresh_messages = harness.k.socket(AddressFamily::Unix, SocketType::SeqPacket).unwrap();
    let event = harness.k.eventfd(0).unwrap();
    let epoll = harness.epoll();
    let signals = harness.k.signalfd(Signal::USR2.into()).unwrap();
    vec![
        ("tcp", tcp),
        ("its peer", tcp_far),
        ("unix", unix),
        ("its peer", unix_far),
        ("reading end", reader),
        ("writing end", writer),
        ("datagrams", datagrams),
        ("their peer", datagrams_far),
        ("listener", listener),
        ("unix listener", unix_stream_listener),
        ("fresh", fresh),
        ("fresh unix", fresh_unix),
        ("udp", udp),
        ("unix datagrams", unix_datagrams),
        ("seqpacket", messages),
        ("its peer", messages_far),
        ("seqpacket listener", messages_listener),
        ("fresh seqpacket", fresh_messages),
        ("eventfd", event),
        ("epoll", epoll),
        ("signalfd", signals),
    ]
}

/// Makes `call` on a new one of each, on a harness of its own.
pub(crate) fn on_each(call: impl Fn(&mut Harness<'_>, &Fd)) {
    same(
        |harness| {
            let each = one_of_each(harness);
            for (_, fd) in &each {
                call(harness, fd);
            }
            harness.close_all(each.into_iter().map(|(_, fd)| fd));
        },
        &[],
    );
}

#[test]
fn receiving() {
    on_each(|harness, fd| {
        let _ = harness.k.recv(fd, &mut [0; 4]);
        let _ = harness.k.recv(fd, &mut []);
    });
    on_each(|harness, fd| {
        let _ = harness.k.recvfrom(fd, &mut [0; 4]);
    });
    on_each(|harness, fd| {
        let _ = harness.k.read(fd, &mut [0; 4]);
        let _ = harness.k.read(fd, &mut [0; 16]);
    });
}

#[test]
fn receiving_many() {
    on_each(|harness, fd| {
        let mut batch = DatagramBatch::new(2, 8);
        let _ = harness.k.recvmmsg(fd, &mut batch);
    });
}

#[test]
fn sending() {
    on_each(|harness, fd| {
        let _ = harness.k.send(fd, b"word");
        harness.wait_idle();
        let _ = harness.k.send(fd, b"");
    });
    on_each(|harness, fd| {
        let _ = harness.k.write(fd, b"word");
        harness.wait_idle();
        let _ = harness.k.write(fd, &7u64.to_ne_bytes());
    });
}

#[test]
fn sending_to_an_address() {
    for to in ["127.0.0.1:9", "[::1]:9", "unix:@unbound", "unix:/nowhere/at/all"] {
        let to: Addr = to.parse().unwrap();
        on_each(|harness, fd| {
            let _ = harness.k.sendto(fd, b"word", &to);
            harness.wait_idle();
        });
    }
}

#[test]
fn sending_many() {
    let to = "127.0.0.1:9".parse::<Addr>().unwrap().encode();
    on_each(|harness, fd| {
        let mut batch = DatagramBatch::new(2, 8);
        assert!(batch.push(b"one", &to) && batch.push(b"two", &to));
        let _ = harness.k.sendmmsg(fd, &batch, 0);
        harness.wait_idle();
    });
}

#[test]
fn binding_and_naming() {
    for name in ["127.0.0.1:0", "[::1]:0", "8.8.8.8:0"] {
        let name: Addr = name.parse().unwrap();
        on_each(|harness, fd| {
            let _ = harness.k.bind(fd, &name);
            let _ = harness.k.bind(fd, &name);
        });
    }
    on_each(|harness, fd| {
        let _ = harness.k.getsockname(fd);
        let _ = harness.k.getpeername(fd);
    });
}

#[test]
fn listening_and_accepting() {
    on_each(|harness, fd| {
        let _ = harness.k.listen(fd, 2);
        let _ = harness.k.listen(fd, 3);
        let accepted = harness.k.accept4(fd);
        assert!(accepted.is_err(), "there is no client");
    });
}

#[test]
fn connecting() {
    // No listener; another family; an unbound name; a missing directory.
    let unspecified = Addr::Unspecified;
    let unnamed = Addr::Unix(UnixAddr::unnamed());
    let texts = ["127.0.0.1:1", "[::1]:1", "unix:@unbound", "unix:/nowhere/at/all"];
    let addrs = texts.map(|text| text.parse().unwrap());
    for to in addrs.into_iter().chain([unspecified, unnamed]) {
        on_each(|harness, fd| {
            let _ = harness.k.connect(fd, &to);
            harness.wait_idle();
            let _ = harness.k.connect(fd, &to);
            harness.wait_idle();
            let _ = harness.k.getsockopt(fd, SocketOptionName::Error);
        });
    }
}

#[test]
fn connecting_to_the_wrong_kind() {
    same(
        |harness| {
            let each = one_of_each(harness);
            let (listener, addr) = harness.listener(4);
            let (unix_stream_listener, unix_addr) = harness.unix_listener(4);
            let datagrams = harness.k.socket(AddressFamily::Unix, SocketType::Datagram).unwrap();
            harness.k.bind(&datagrams, &Addr::Unix(UnixAddr::unnamed())).unwrap();
            let datagrams_addr = harness.k.getsockname(&datagrams).unwrap();
            for to in [addr, unix_addr, datagrams_addr] {
                for (_, fd) in &each {
                    let _ = harness.k.connect(fd, &to);
                    harness.wait_idle();
                    let _ = harness.k.connect(fd, &to);
                }
            }
            harness.close_all(each.into_iter().map(|(_, fd)| fd));
            harness.close_all([listener, unix_stream_listener, datagrams]);
        },
        &[],
    );
}

#[test]
fn shutting() {
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        on_each(|harness, fd| {
            let _ = harness.k.shutdown(fd, how);
            harness.wait_idle();
            let _ = harness.k.send(fd, b"late");
            harness.wait_idle();
            let _ = harness.k.recv(fd, &mut [0; 8]);
            let _ = harness.k.shutdown(fd, how);
        });
    }
}

#[test]
fn watching() {
    same(
        |harness| {
            let each = one_of_each(harness);
            let epoll = harness.epoll();
            for (_, fd) in &each {
                for control in [EpollOp::Add, EpollOp::Add, EpollOp::Modify] {
                    let _ = harness.k.epoll_ctl(&epoll, control(EpollEvent::new(IN | OUT, 1)), fd);
                }
                let _ = harness.k.epoll_ctl(&epoll, EpollOp::Delete, fd);
                let _ = harness.k.epoll_ctl(&epoll, EpollOp::Delete, fd);
                // And as if it were an epoll itself.
                let _ = harness.k.epoll_ctl(fd, EpollOp::Add(EpollEvent::new(IN, 1)), &epoll);
                let _ = harness.k.epoll_ctl(fd, EpollOp::Delete, fd);
                let _ = harness.k.epoll_wait(fd, &mut [EpollEvent::default(); 2], Some(0));
                let _ = harness.k.epoll_wait(fd, &mut [], Some(0));
                let zero = Some(core::time::Duration::ZERO);
                let _ = harness.k.epoll_pwait2(fd, &mut [EpollEvent::default(); 2], zero);
            }
            harness.close_all(each.into_iter().map(|(_, fd)| fd));
            harness.close_all([epoll]);
        },
        &[],
    );
}

#[test]
fn splicing() {
    same(
        |harness| {
            let each = one_of_each(harness);
            let (reader, writer) = harness.k.pipe2().unwrap();
            harness.k.write(&writer, b"some bytes").unwrap();
            for (_, fd) in &each {
                let _ = harness.k.splice(&reader, fd, 2);
                harness.wait_idle();
                let _ = harness.k.splice(fd, &writer, 2);
                let _ = harness.k.splice(fd, &reader, 2);
                let _ = harness.k.splice(fd, fd, 2);
            }
            harness.close_all(each.into_iter().map(|(_, fd)| fd));
            harness.close_all([reader, writer]);
        },
        &[],
    );
}
