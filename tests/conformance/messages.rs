//! Several buffers in one call, and messages with descriptors: what a receiver gets, and what
//! happens to files that are in flight.

use epollite::Fd;
use epollite::kernel::{
    IOVECS_MAX, OutgoingMessage, ReceiveMode, ReceivedMessage, SocketOption, SocketType,
};
use epollite::net::{AddressFamily, PacketInfo};

use crate::harness::{ALL, Harness, IN, anywhere};
use crate::same;

impl Harness<'_> {
    fn send_parts(&mut self, socket: &Fd, bufs: &[&[u8]], descriptors: &[&Fd]) {
        let message = OutgoingMessage { bufs, descriptors, ..OutgoingMessage::default() };
        let sent = self.k.send_message(socket, &message);
        self.record(format!("sent {sent:?}"));
    }

    /// Receives into buffers of these sizes; returns the descriptors that came.
    fn recv_parts(&mut self, socket: &Fd, sizes: &[usize], mode: ReceiveMode) -> Vec<Fd> {
        let mut memory: Vec<Vec<u8>> = sizes.iter().map(|&size| vec![b'.'; size]).collect();
        let mut bufs: Vec<&mut [u8]> = memory.iter_mut().map(|buf| &mut buf[..]).collect();
        let received = self.k.recv_message(socket, &mut bufs, mode);
        let texts = memory.iter().map(|buf| String::from_utf8_lossy(buf));
        let texts = texts.collect::<Vec<_>>().join("|");
        let mut fds = Vec::new();
        match received {
            Err(errno) => self.record(format!("{mode:?} {errno:?}")),
            Ok(mut message) => {
                let ReceivedMessage { len_bytes, is_truncated, is_control_truncated, .. } = message;
                self.record(format!(
                    "{mode:?} {len_bytes} {texts} {} descriptors{}{}",
                    message.descriptors.len(),
                    if is_truncated { ", truncated" } else { "" },
                    if is_control_truncated { ", control truncated" } else { "" },
                ));
                while let Some(fd) = message.descriptors.take() {
                    fds.push(fd.into_fd_as_is());
                }
            }
        }
        fds
    }
}

const TAKE: ReceiveMode = ReceiveMode::Consume;
const PEEK: ReceiveMode = ReceiveMode::Peek;

#[test]
fn several_buffers_are_one_transfer() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let written = harness.k.writev(&near, &[b"ab", b"", b"cde"]);
            harness.record(format!("written {written:?}"));
            let (mut one, mut two) = ([0; 4], [0; 4]);
            let read = harness.k.readv(&far, &mut [&mut one, &mut two]);
            harness.record(format!("read {read:?} {one:?} {two:?}"));
            let read = harness.k.readv(&far, &mut [&mut one, &mut two]);
            harness.record(format!("read {read:?}"));
            let nothing = (harness.k.readv(&far, &mut []), harness.k.writev(&near, &[b"", b""]));
            harness.record(format!("nothing {nothing:?}"));
            harness.close_all([near]);
            let read = harness.k.readv(&far, &mut [&mut one, &mut two]);
            harness.record(format!("read {read:?}"));
            harness.close_all([far]);
        },
        &[
            "written Ok(5)",
            "read Ok(5) [97, 98, 99, 100] [101, 0, 0, 0]",
            "read Err(EAGAIN)",
            "nothing (Ok(0), Ok(0))",
            "read Ok(0)",
        ],
    );
}

#[test]
fn more_buffers_than_the_table_has_are_a_short_transfer() {
    same(
        |harness| {
            let (reader, writer) = harness.k.pipe2().unwrap();
            let bufs = [&b"x"[..]; IOVECS_MAX + 3];
            let written = harness.k.writev(&writer, &bufs);
            harness.record(format!("written {written:?}"));
            let mut memory = [[b'.'; 1]; IOVECS_MAX + 3];
            let mut bufs: Vec<&mut [u8]> = memory.iter_mut().map(|buf| &mut buf[..]).collect();
            harness.k.write(&writer, b"yz").unwrap();
            let read = harness.k.readv(&reader, &mut bufs);
            harness.record(format!(
                "read {read:?}, {:?}",
                String::from_utf8_lossy(&memory.as_flattened()[15..])
            ));
            harness.close_all([reader, writer]);
            let (near, far) = harness.unix_pair();
            harness.send_parts(&near, &[&b"x"[..]; IOVECS_MAX + 1], &[]);
            harness.recv_parts(&near, &[1; IOVECS_MAX + 1], TAKE);
            harness.close_all([near, far]);
        },
        &["written Ok(16)", "read Ok(16), \"x...\"", "sent Err(EMSGSIZE)", "Consume EMSGSIZE"],
    );
}

#[test]
fn several_buffers_of_every_kind_of_descriptor() {
    crate::misuse::on_each(|harness, fd| {
        let _ = harness.k.writev(fd, &[b"four", b"and5"]);
        let _ = harness.k.writev(fd, &[]);
        let _ = harness.k.readv(fd, &mut []);
        let _ = harness.k.readv(fd, &mut [&mut [0; 4], &mut [0; 60]]);
    });
}

#[test]
fn messages_of_every_kind_of_descriptor() {
    crate::misuse::on_each(|harness, fd| {
        let message = OutgoingMessage { bufs: &[b"a", b"b"], ..OutgoingMessage::default() };
        let _ = harness.k.send_message(fd, &message);
        for mode in [PEEK, TAKE, ReceiveMode::ErrorQueue] {
            if let Ok(message) = harness.k.recv_message(fd, &mut [&mut [0; 1], &mut [0; 9]], mode) {
                message.descriptors.close_all(harness.k);
            }
        }
    });
}

#[test]
fn an_eventfd_is_written_buffer_by_buffer() {
    same(
        |harness| {
            let eventfd = harness.k.eventfd(0).unwrap();
            let one = 1_u64.to_ne_bytes();
            for bufs in [&[&one[..], &one][..], &[&one[..4], &one[4..]], &[&one, &one[..2]]] {
                let written = harness.k.writev(&eventfd, bufs);
                harness.record(format!("written {written:?}"));
            }
            let (mut low, mut high) = ([0; 4], [0; 4]);
            let read = harness.k.readv(&eventfd, &mut [&mut low, &mut high]);
            harness.record(format!("read {read:?} {}", low[0] + low[3] + high[0] + high[3]));
            harness.close_all([eventfd]);
        },
        &["written Ok(16)", "written Err(EINVAL)", "written Ok(8)", "read Ok(8) 3"],
    );
}

#[test]
fn a_peek_leaves_everything_as_it_is() {
    same(
        |harness| {
            let (near, far) = harness.tcp_pair();
            harness.k.send(&near, b"hello").unwrap();
            harness.arrived(&far, IN);
            for mode in [PEEK, PEEK, TAKE, PEEK] {
                harness.recv_parts(&far, &[2, 8], mode);
            }
            harness.close_all([near, far]);
            let (near, far) = harness.unix_pair();
            harness.k.send(&near, b"one").unwrap();
            harness.k.send(&near, b"two").unwrap();
            for mode in [PEEK, TAKE, PEEK] {
                harness.recv_parts(&far, &[4, 8], mode);
            }
            harness.close_all([near]);
            harness.recv_parts(&far, &[4, 8], PEEK);
            harness.close_all([far]);
            let (near, far) = harness.k.socketpair(SocketType::Datagram).unwrap();
            harness.k.send(&near, b"one").unwrap();
            harness.k.send(&near, b"two").unwrap();
            for (mode, size) in [(PEEK, 2), (PEEK, 8), (TAKE, 2), (TAKE, 8), (PEEK, 8)] {
                harness.recv_parts(&far, &[1, size], mode);
            }
            harness.close_all([near, far]);
        },
        &[
            "Peek 5 he|llo..... 0 descriptors",
            "Peek 5 he|llo..... 0 descriptors",
            "Consume 5 he|llo..... 0 descriptors",
            "Peek EAGAIN",
            "Peek 6 onet|wo...... 0 descriptors",
            "Consume 6 onet|wo...... 0 descriptors",
            "Peek EAGAIN",
            "Peek 0 ....|........ 0 descriptors",
            "Peek 3 o|ne 0 descriptors",
            "Peek 3 o|ne...... 0 descriptors",
            "Consume 3 o|ne 0 descriptors",
            "Consume 3 t|wo...... 0 descriptors",
            "Peek EAGAIN",
        ],
    );
}

#[test]
fn bytes_that_were_peeked_at_are_received_again() {
    same(
        |harness| {
            for (near, far) in [harness.unix_pair(), harness.tcp_pair()] {
                let peek = |harness: &mut Harness<'_>, room: usize| {
                    let mut buf = vec![b'.'; room];
                    let peeked = harness.k.recv_peek(&far, &mut buf);
                    harness.record(format!("{peeked:?} {}", String::from_utf8_lossy(&buf)));
                };
                peek(harness, 4);
                harness.k.send(&near, b"one").unwrap();
                harness.k.send(&near, b"two").unwrap();
                harness.wait_idle();
                peek(harness, 4);
                peek(harness, 9);
                let mut buf = [0; 2];
                let received = harness.k.recv(&far, &mut buf);
                harness.record(format!("received {received:?} {}", String::from_utf8_lossy(&buf)));
                peek(harness, 9);
                harness.k.recv(&far, &mut [0; 9]).unwrap();
                peek(harness, 1);
                harness.close_all([near]);
                harness.wait_idle();
                peek(harness, 1);
                harness.close_all([far]);
            }
        },
        &[
            "Err(EAGAIN) ....",
            "Ok(4) onet",
            "Ok(6) onetwo...",
            "received Ok(2) on",
            "Ok(4) etwo.....",
            "Err(EAGAIN) .",
            "Ok(0) .",
            "Err(EAGAIN) ....",
            "Ok(4) onet",
            "Ok(6) onetwo...",
            "received Ok(2) on",
            "Ok(4) etwo.....",
            "Err(EAGAIN) .",
            "Ok(0) .",
        ],
    );
}

#[test]
fn a_descriptor_arrives_with_the_first_of_its_bytes() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let eventfd = harness.k.eventfd(7).unwrap();
            harness.k.send(&near, b"plain").unwrap();
            harness.send_parts(&near, &[b"wi", b"th"], &[&eventfd, &near]);
            harness.k.send(&near, b"after").unwrap();
            // The copy that was sent keeps the file open.
            harness.close_all([eventfd]);
            harness.recv_parts(&far, &[3], TAKE);
            // A read goes up to the end of the message with descriptors.
            let fds = harness.recv_parts(&far, &[4], TAKE);
            for fd in &fds[..1] {
                let mut count = [0; 8];
                let read = harness.k.read(fd, &mut count);
                harness.record(format!("read {read:?}, {}", count[0] + count[7]));
            }
            harness.recv_parts(&far, &[16], TAKE);
            harness.close_all(fds);
            harness.close_all([near, far]);
        },
        &[
            "sent Ok(4)",
            "Consume 3 pla 0 descriptors",
            "Consume 4 inwi 2 descriptors",
            "read Ok(8), 7",
            "Consume 7 thafter......... 0 descriptors",
        ],
    );
}

#[test]
fn descriptors_that_are_not_taken_are_closed() {
    same(
        |harness| {
            for how in ["received without", "read", "closed"] {
                let (near, far) = harness.unix_pair();
                let (reader, writer) = harness.k.pipe2().unwrap();
                harness.send_parts(&near, &[b"x"], &[&writer]);
                harness.close_all([writer]);
                let still = harness.k.read(&reader, &mut [0; 8]);
                harness.record(format!("{how}: in flight {still:?}"));
                match how {
                    "received without" => drop(harness.k.recv(&far, &mut [0; 8])),
                    "read" => drop(harness.k.readv(&far, &mut [&mut [0; 8]])),
                    _ => {}
                }
                harness.close_all([far]);
                let end = harness.k.read(&reader, &mut [0; 8]);
                harness.record(format!("{how}: then {end:?}"));
                harness.close_all([near, reader]);
            }
        },
        &[
            "sent Ok(1)",
            "received without: in flight Err(EAGAIN)",
            "received without: then Ok(0)",
            "sent Ok(1)",
            "read: in flight Err(EAGAIN)",
            "read: then Ok(0)",
            "sent Ok(1)",
            "closed: in flight Err(EAGAIN)",
            "closed: then Ok(0)",
        ],
    );
}

#[test]
fn descriptors_of_datagrams_and_of_peeks() {
    same(
        |harness| {
            let (near, far) = harness.k.socketpair(SocketType::Datagram).unwrap();
            harness.send_parts(&near, &[b"da", b"ta"], &[&near, &far, &near]);
            let peeked = harness.recv_parts(&far, &[2], PEEK);
            let taken = harness.recv_parts(&far, &[2], TAKE);
            let sent = harness.k.send(&taken[0], b"by a duplicate");
            harness.record(format!("sent {sent:?}"));
            harness.recv_parts(&far, &[16], TAKE);
            harness.close_all(peeked);
            harness.close_all(taken);
            harness.close_all([near, far]);
        },
        &[
            "sent Ok(4)",
            "Peek 2 da 3 descriptors, truncated",
            "Consume 2 da 3 descriptors, truncated",
            "sent Ok(14)",
            "Consume 14 by a duplicate.. 0 descriptors",
        ],
    );
}

#[test]
fn a_message_says_what_it_could_not_deliver() {
    same(
        |harness| {
            let (near, far) = harness.k.socketpair(SocketType::Datagram).unwrap();
            harness.send_parts(&near, &[b"123456"], &[]);
            harness.recv_parts(&far, &[2, 2], TAKE);
            let udp = harness.k.socket(AddressFamily::Inet, SocketType::Datagram).unwrap();
            harness.k.bind(&udp, &anywhere()).unwrap();
            harness.k.setsockopt(&udp, SocketOption::PacketInfoV4(true)).unwrap();
            let here = harness.k.getsockname(&udp).unwrap();
            let source = PacketInfo { addr: "127.0.0.3".parse().unwrap(), interface: 0 };
            let bufs = [&b"ab"[..], b"cd"];
            let message = OutgoingMessage {
                bufs: &bufs,
                to: Some(&here),
                packet_info: Some(source),
                descriptors: &[&near],
                ..OutgoingMessage::default()
            };
            let sent = harness.k.send_message(&udp, &message);
            harness.record(format!("sent {sent:?}"));
            harness.arrived(&udp, IN);
            let received = harness.k.recv_message(&udp, &mut [&mut [0; 3]], TAKE).unwrap();
            let from_source = received.from.ip() == Some(source.addr);
            let to = received.packet_info.map(|info| info.addr);
            harness.record(format!(
                "{} {from_source} {to:?} {} {}",
                received.len_bytes,
                received.is_truncated,
                received.descriptors.len()
            ));
            harness.close_all([near, far, udp]);
        },
        &[
            "sent Ok(6)",
            "Consume 4 12|34 0 descriptors, truncated",
            "sent Ok(4)",
            "3 true Some(127.0.0.1) true 0",
        ],
    );
}

#[test]
fn messages_with_descriptors_wake_as_others_do() {
    same(
        |harness| {
            let (near, far) = harness.unix_pair();
            let epoll = harness.epoll();
            harness.add(&epoll, &far, ALL | crate::harness::ET, 1);
            harness.wait(&epoll, "idle");
            harness.send_parts(&near, &[b"x"], &[&epoll]);
            harness.wait(&epoll, "sent");
            harness
                .recv_parts(&far, &[1], PEEK)
                .into_iter()
                .for_each(|fd| harness.k.close(fd).unwrap());
            harness.wait(&epoll, "peeked");
            let fds = harness.recv_parts(&far, &[1], TAKE);
            harness.wait(&fds[0], "by the duplicate");
            harness.close_all(fds);
            harness.close_all([near]);
            harness.wait(&epoll, "closed");
            harness.close_all([far, epoll]);
        },
        &[
            "idle: [1 OUT]",
            "sent Ok(1)",
            "sent: [1 IN|OUT]",
            "Peek 1 x 1 descriptors",
            "peeked: []",
            "Consume 1 x 1 descriptors",
            "by the duplicate: []",
            "closed: [1 IN|OUT|HUP|RDHUP]",
        ],
    );
}
