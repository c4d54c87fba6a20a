//! Descriptors that are not sockets: pipes, splice, eventfd, signalfd.

use epollite::kernel::SIGINFO_BYTES;
use epollite::kernel::{Signal, SignalSet};

use crate::harness::{ALL, ET, IN, OUT};
use crate::same;

#[test]
fn a_pipe_from_both_ends() {
    same(
        |harness| {
            let (reader, writer) = harness.k.pipe2().unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &reader, ALL, 1);
            harness.add(&epoll, &writer, ALL, 2);
            harness.wait(&epoll, "idle");
            let read = harness.k.read(&reader, &mut [0; 8]);
            harness.read_and_record("read", read);
            harness.k.write(&writer, b"bytes").unwrap();
            harness.wait(&epoll, "written");
            harness.close(writer);
            harness.wait(&epoll, "writer closed");
            let read = harness.k.read(&reader, &mut [0; 8]);
            harness.read_and_record("read", read);
            let read = harness.k.read(&reader, &mut [0; 8]);
            harness.read_and_record("read", read);
            harness.wait(&epoll, "empty and closed");
            harness.close_all([reader, epoll]);
        },
        &[
            "idle: [2 OUT]",
            "read: Err(EAGAIN)",
            "written: [2 OUT, 1 IN]",
            "writer closed: [1 IN|HUP]",
            "read: Ok(5)",
            "read: Ok(0)",
            "empty and closed: [1 HUP]",
        ],
    );
}

#[test]
fn a_pipe_without_a_reader() {
    same(
        |harness| {
            let (reader, writer) = harness.k.pipe2().unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &writer, OUT | ET, 2);
            harness.wait(&epoll, "registered");
            harness.close(reader);
            harness.wait(&epoll, "reader closed");
            let written = harness.k.write(&writer, b"x");
            harness.read_and_record("write", written);
            harness.close_all([writer, epoll]);
        },
        &["registered: [2 OUT]", "reader closed: [2 OUT|ERR]", "write: Err(EPIPE)"],
    );
}

#[test]
fn a_full_pipe_is_sixteen_pages() {
    for write in [1, 100, 3_000, 4_096, 5_000, 40_000] {
        let play = |harness: &mut crate::harness::Harness<'_>| {
            let (reader, writer) = harness.k.pipe2().unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &writer, OUT | ET, 2);
            harness.wait(&epoll, "registered");
            let bytes = vec![b'p'; write];
            let (mut sent, mut last) = (0, Ok(0));
            while let Ok(count) = harness.k.write(&writer, &bytes) {
                (sent, last) = (sent + count, Ok(count));
                let _: Result<usize, ()> = last;
            }
            harness.read_and_record("taken", (sent, last));
            harness.wait(&epoll, "full");
            let mut read = 0;
            while harness.poll(&epoll, 1).is_empty() {
                read += harness.k.read(&reader, &mut [0; 512]).unwrap();
            }
            harness.read_and_record("read until there was room", read);
            let rest = harness.k.read(&reader, &mut [0; 512]);
            harness.read_and_record("then", rest);
            harness.wait(&epoll, "no edge, it was not full");
            harness.close_all([reader, writer, epoll]);
        };
        let mut sim = crate::machine::model();
        let mut harness = crate::harness::Harness::simulated(&mut sim);
        play(&mut harness);
        let log = harness.log;
        let log: Vec<&str> = log.iter().map(String::as_str).collect();
        same(play, &log);
    }
}

#[test]
fn splice_from_and_to_a_socket() {
    for is_tcp in [true, false] {
        same(
            |harness| {
                let (near, far) = harness.pair(is_tcp);
                let (reader, writer) = harness.k.pipe2().unwrap();
                let moved = harness.k.splice(&near, &writer, 64);
                harness.read_and_record("nothing there", moved);
                let moved = harness.k.splice(&reader, &near, 64);
                harness.read_and_record("nothing there either", moved);
                harness.send(&far, b"through a pipe");
                let moved = harness.k.splice(&near, &writer, 7);
                harness.read_and_record("in", moved);
                let moved = harness.k.splice(&near, &writer, 64);
                harness.read_and_record("in", moved);
                let moved = harness.k.splice(&reader, &near, 64);
                harness.read_and_record("out", moved);
                harness.recv(&far, 64).unwrap();
                harness.k.shutdown(&far, epollite::kernel::Shutdown::Write).unwrap();
                harness.wait_idle();
                let moved = harness.k.splice(&near, &writer, 64);
                harness.read_and_record("the end", moved);
                let moved = harness.k.splice(&near, &far, 64);
                harness.read_and_record("no pipe", moved);
                harness.close_all([near, far, reader, writer]);
            },
            &[
                "nothing there: Err(EAGAIN)",
                "nothing there either: Err(EAGAIN)",
                "in: Ok(7)",
                "in: Ok(7)",
                "out: Ok(14)",
                "recv 64: Ok(\"through a pipe\")",
                "the end: Ok(0)",
                "no pipe: Err(EINVAL)",
            ],
        );
    }
}

#[test]
fn the_capacity_of_a_pipe_is_a_power_of_two_of_pages_and_no_less_than_its_contents() {
    same(
        |harness| {
            let (reader, writer) = harness.k.pipe2().unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &writer, ALL | ET, 1);
            harness.wait(&epoll, "registered");
            for bytes in [0, 1, 4_097, 12_288, 1 << 20] {
                let set = harness.k.fcntl_setpipe_sz(&writer, bytes);
                harness.read_and_record(&format!("{bytes}"), set);
                harness.wait(&epoll, "set");
            }
            let written = harness.k.write(&writer, &[7; 20_000]);
            harness.read_and_record("written", written);
            for bytes in [16_384, 20_000] {
                let set = harness.k.fcntl_setpipe_sz(&reader, bytes);
                harness.read_and_record(&format!("{bytes}"), set);
                harness.wait(&epoll, "set");
            }
            let written = harness.k.write(&writer, &[7; 20_000]);
            harness.read_and_record("written", written);
            let set = harness.k.fcntl_setpipe_sz(&writer, (1 << 31) + 1);
            harness.read_and_record("too much", set);
            let set = harness.k.fcntl_setpipe_sz(&epoll, 4_096);
            harness.read_and_record("no pipe", set);
            harness.close_all([epoll, reader, writer]);
        },
        &[
            "registered: [1 OUT]",
            "0: Ok(4096)",
            "set: [1 OUT]",
            "1: Ok(4096)",
            "set: [1 OUT]",
            "4097: Ok(8192)",
            "set: [1 OUT]",
            "12288: Ok(16384)",
            "set: [1 OUT]",
            "1048576: Ok(1048576)",
            "set: [1 OUT]",
            "written: Ok(20000)",
            "16384: Err(EBUSY)",
            "set: []",
            "20000: Ok(32768)",
            "set: [1 OUT]",
            "written: Ok(12288)",
            "too much: Err(EINVAL)",
            "no pipe: Err(EBADF)",
        ],
    );
}

#[test]
fn every_write_to_an_eventfd_is_an_edge() {
    same(
        |harness| {
            let eventfd = harness.k.eventfd(0).unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &eventfd, ALL | ET, 1);
            harness.wait(&epoll, "registered");
            for _ in 0..3 {
                harness.k.write(&eventfd, &1u64.to_ne_bytes()).unwrap();
                harness.wait(&epoll, "written");
            }
            let mut buf = [0; 8];
            let read = harness.k.read(&eventfd, &mut buf);
            harness.read_and_record("read", (read, u64::from_ne_bytes(buf)));
            harness.wait(&epoll, "read, which is an edge for OUT");
            let read = harness.k.read(&eventfd, &mut buf);
            harness.read_and_record("read", read);
            harness.close_all([eventfd, epoll]);
        },
        &[
            "registered: [1 OUT]",
            "written: [1 IN|OUT]",
            "written: [1 IN|OUT]",
            "written: [1 IN|OUT]",
            "read: (Ok(8), 3)",
            "read, which is an edge for OUT: [1 OUT]",
            "read: Err(EAGAIN)",
        ],
    );
}

#[test]
fn an_eventfd_at_its_maximum() {
    same(
        |harness| {
            let eventfd = harness.k.eventfd(7).unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &eventfd, ALL, 1);
            harness.wait(&epoll, "seven");
            for more in [u64::MAX - 8, 1, u64::MAX, 0] {
                let written = harness.k.write(&eventfd, &more.to_ne_bytes());
                harness.read_and_record("write", (more, written));
            }
            harness.wait(&epoll, "full");
            let written = harness.k.write(&eventfd, b"short");
            harness.read_and_record("too short", written);
            let read = harness.k.read(&eventfd, &mut [0; 7]);
            harness.read_and_record("too short", read);
            harness.close_all([eventfd, epoll]);
        },
        &[
            "seven: [1 IN|OUT]",
            "write: (18446744073709551607, Ok(8))",
            "write: (1, Err(EAGAIN))",
            "write: (18446744073709551615, Err(EINVAL))",
            "write: (0, Ok(8))",
            "full: [1 IN]",
            "too short: Err(EINVAL)",
            "too short: Err(EINVAL)",
        ],
    );
}

#[test]
fn a_signalfd_without_heartbeatals() {
    same(
        |harness| {
            let wanted = SignalSet::from(Signal::USR1) | Signal::USR2.into();
            harness.k.sigprocmask(wanted).unwrap();
            let blocked = harness.k.sigprocmask(wanted).unwrap();
            harness.read_and_record("blocked", blocked.contains(Signal::USR1));
            let signalfd = harness.k.signalfd(wanted).unwrap();
            let epoll = harness.epoll();
            harness.add(&epoll, &signalfd, IN, 1);
            harness.wait(&epoll, "none");
            let read = harness.k.read(&signalfd, &mut [0; SIGINFO_BYTES]);
            harness.read_and_record("read", read);
            let read = harness.k.read(&signalfd, &mut [0; SIGINFO_BYTES - 1]);
            harness.read_and_record("too short", read);
            harness.close_all([signalfd, epoll]);
        },
        &["blocked: true", "none: []", "read: Err(EAGAIN)", "too short: Err(EINVAL)"],
    );
}
