//! Urgent bytes (`MSG_OOB`), over TCP and Unix streams: readiness while one is queued, and what
//! reads return, with and without `SO_OOBINLINE`.
//!
//! No method of `Kernel` sends one, so these scenarios have a kernel of their own.

use std::os::fd::AsRawFd;

use epollite::event::Ready;
use epollite::kernel::{EpollEvent, EpollOp, Shutdown, SocketOption};
use epollite::sim::Sim;
use epollite::{Fd, Kernel, Linux};

use crate::harness::{ALL, ET, Harness};
use crate::machine::{MACHINE, model};
use epollite::sim::Version;

/// A kernel that can send a byte out of band.
trait Urgent: Kernel {
    fn send_urgent_byte(&mut self, socket: &Fd, byte: u8);
}

impl Urgent for Sim {
    fn send_urgent_byte(&mut self, socket: &Fd, byte: u8) {
        self.send_urgent(socket, byte).expect("there is room");
    }
}

impl Urgent for Linux {
    #[expect(unsafe_code, reason = "no call of the library sends a byte out of band")]
    fn send_urgent_byte(&mut self, socket: &Fd, byte: u8) {
        // SAFETY: send(2) reads one byte at `byte`, which lives until it returns, and keeps no
        // pointer.
        let sent =
            unsafe { libc::send(socket.as_raw_fd(), (&raw const byte).cast(), 1, libc::MSG_OOB) };
        assert_eq!(sent, 1, "there is room");
    }
}

/// One act: bytes, or a byte out of band, or a read of the given size, or others.
#[derive(Clone, Copy, Debug)]
enum Act {
    Send(&'static [u8]),
    Shout(u8),
    Read(usize),
    /// A splice of up to so many bytes into a pipe.
    Splice(usize),
    HalfClose,
}

/// What is observed after each act: the level- and edge-triggered events, and the result of a read.
/// Several attempts on the real kernel, one on the model.
fn played(
    kernel: &mut impl Urgent,
    attempt: Option<usize>,
    is_tcp: bool,
    inline: bool,
    acts: &[Act],
) -> Vec<String> {
    let mut seen = Vec::new();
    let (near, far) = {
        let mut harness = match attempt {
            Some(attempt) => Harness::real(kernel, attempt),
            None => Harness::simulated(kernel),
        };
        harness.pair(is_tcp)
    };
    if inline {
        kernel
            .setsockopt(&far, SocketOption::OutOfBandInline(true))
            .expect("both families support it");
    }
    let epolls = [ALL, ALL | ET].map(|events| {
        let epoll = kernel.epoll_create1().expect("room");
        let add = EpollOp::Add(EpollEvent::new(events, 0));
        kernel.epoll_ctl(&epoll, add, &far).expect("room");
        epoll
    });
    let pipe = kernel.pipe2().expect("room");
    for act in acts {
        match *act {
            Act::Send(bytes) => assert_eq!(kernel.send(&near, bytes), Ok(bytes.len())),
            Act::Shout(byte) => kernel.send_urgent_byte(&near, byte),
            Act::Read(room) => {
                let mut buf = vec![0; room];
                let read = kernel.recv(&far, &mut buf);
                let read = read.map(|count| String::from_utf8_lossy(&buf[..count]).into_owned());
                seen.push(format!("{read:?}"));
            }
            Act::Splice(len) => seen.push(format!("{:?}", kernel.splice(&far, &pipe.1, len))),
            Act::HalfClose => kernel.shutdown(&near, Shutdown::Write).expect("it is connected"),
        }
        if let Some(attempt) = attempt {
            Harness::real(kernel, attempt).wait_idle();
        }
        for epoll in &epolls {
            let mut events = [EpollEvent::default(); 4];
            let count = kernel.epoll_wait(epoll, &mut events, Some(0)).expect("the call succeeds");
            let reported = events[..count].iter().map(|event| Ready::from_bits(event.events()));
            seen.push(format!("{act:?}: {:?}", reported.collect::<Vec<_>>()));
        }
    }
    for fd in epolls.into_iter().chain([near, far, pipe.0, pipe.1]) {
        kernel.close(fd).expect("it is open");
    }
    seen
}

fn same(is_tcp: bool, inline: bool, acts: &[Act]) {
    let on_model = played(&mut model(), None, is_tcp, inline, acts);
    let mut on_linux = Vec::new();
    for attempt in 0..5 {
        on_linux = played(&mut Linux, Some(attempt), is_tcp, inline, acts);
        if on_linux == on_model {
            return;
        }
    }
    assert_eq!(on_model, on_linux, "the model (left) is not Linux (right): {is_tcp} {inline}");
}

#[test]
fn urgent_bytes_stop_a_read_and_are_skipped_or_inline() {
    use Act::{Read, Send, Shout};
    for is_tcp in [true, false] {
        // Before 6.18 a Unix socket remembered a discarded urgent byte (docs/kernels.md).
        if !is_tcp && MACHINE.version < Version::NEWEST {
            continue;
        }
        for inline in [false, true] {
            same(
                is_tcp,
                inline,
                &[Send(b"ab"), Shout(b'C'), Send(b"d"), Read(9), Read(9), Read(9)],
            );
            same(is_tcp, inline, &[Send(b"ab"), Shout(b'C'), Read(1), Read(9), Read(9)]);
            same(is_tcp, inline, &[Shout(b'C'), Send(b"d"), Read(9), Read(9)]);
        }
    }
}

/// There it returns what an empty socket does, or one at its end: only a read goes on.
#[test]
fn a_splice_from_tcp_stops_at_an_urgent_byte() {
    use Act::{HalfClose, Read, Send, Shout, Splice};
    for inline in [false, true] {
        let begin = [Send(b"ab"), Shout(b'C'), Send(b"d"), Splice(9), Splice(9)];
        let acts = [&begin[..], &[Read(9), Splice(9), Splice(9)]].concat();
        same(true, inline, &acts);
        let acts = [&begin[..], &[HalfClose, Splice(9), Read(9), Splice(9), Splice(9)]].concat();
        same(true, inline, &acts);
    }
}

/// Readable, and a read returns nothing: a read loop spins once, and not forever.
#[test]
fn a_unix_stream_with_nothing_but_an_urgent_byte_is_readable_once() {
    use Act::{Read, Shout};
    if MACHINE.version < Version::NEWEST {
        return;
    }
    for inline in [false, true] {
        same(false, inline, &[Shout(b'C'), Read(9), Read(9)]);
        same(false, inline, &[Shout(b'C'), Shout(b'D'), Read(9), Read(9)]);
    }
}
