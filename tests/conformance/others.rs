//! What is no socket: pipes, splice, eventfd, signalfd.

use epollite::kernel::SIGINFO_BYTES;
use epollite::{Signal, SignalSet};

use crate::same;
use crate::stage::{ALL, ET, IN, OUT};

#[test]
fn a_pipe_from_both_ends() {
    same(
        |stage| {
            let (reader, writer) = stage.k.pipe2().unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &reader, ALL, 1);
            stage.add(&epoll, &writer, ALL, 2);
            stage.wait(&epoll, "idle");
            let read = stage.k.read(&reader, &mut [0; 8]);
            stage.see("read", read);
            stage.k.write(&writer, b"bytes").unwrap();
            stage.wait(&epoll, "written");
            stage.close(writer);
            stage.wait(&epoll, "writer closed");
            let read = stage.k.read(&reader, &mut [0; 8]);
            stage.see("read", read);
            let read = stage.k.read(&reader, &mut [0; 8]);
            stage.see("read", read);
            stage.wait(&epoll, "empty and closed");
            stage.close_all([reader, epoll]);
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
fn a_pipe_that_nobody_reads() {
    same(
        |stage| {
            let (reader, writer) = stage.k.pipe2().unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &writer, OUT | ET, 2);
            stage.wait(&epoll, "registered");
            stage.close(reader);
            stage.wait(&epoll, "reader closed");
            let written = stage.k.write(&writer, b"x");
            stage.see("write", written);
            stage.close_all([writer, epoll]);
        },
        &["registered: [2 OUT]", "reader closed: [2 OUT|ERR]", "write: Err(EPIPE)"],
    );
}

#[test]
fn a_full_pipe_is_sixteen_pages() {
    for write in [1, 100, 3_000, 4_096, 5_000, 40_000] {
        let play = |stage: &mut crate::stage::Stage<'_>| {
            let (reader, writer) = stage.k.pipe2().unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &writer, OUT | ET, 2);
            stage.wait(&epoll, "registered");
            let bytes = vec![b'p'; write];
            let (mut sent, mut last) = (0, Ok(0));
            while let Ok(count) = stage.k.write(&writer, &bytes) {
                (sent, last) = (sent + count, Ok(count));
                let _: Result<usize, ()> = last;
            }
            stage.see("taken", (sent, last));
            stage.wait(&epoll, "full");
            let mut read = 0;
            while stage.poll(&epoll, 1).is_empty() {
                read += stage.k.read(&reader, &mut [0; 512]).unwrap();
            }
            stage.see("read until there was room", read);
            let rest = stage.k.read(&reader, &mut [0; 512]);
            stage.see("then", rest);
            stage.wait(&epoll, "no edge, it was not full");
            stage.close_all([reader, writer, epoll]);
        };
        let mut sim = crate::machine::model();
        let mut stage = crate::stage::Stage::simulated(&mut sim);
        play(&mut stage);
        let log = stage.log;
        let log: Vec<&str> = log.iter().map(String::as_str).collect();
        same(play, &log);
    }
}

#[test]
fn splice_takes_from_a_socket_and_gives_to_one() {
    for is_tcp in [true, false] {
        same(
            |stage| {
                let (near, far) = stage.pair(is_tcp);
                let (reader, writer) = stage.k.pipe2().unwrap();
                let moved = stage.k.splice(&near, &writer, 64);
                stage.see("nothing there", moved);
                let moved = stage.k.splice(&reader, &near, 64);
                stage.see("nothing there either", moved);
                stage.send(&far, b"through a pipe");
                let moved = stage.k.splice(&near, &writer, 7);
                stage.see("in", moved);
                let moved = stage.k.splice(&near, &writer, 64);
                stage.see("in", moved);
                let moved = stage.k.splice(&reader, &near, 64);
                stage.see("out", moved);
                stage.recv(&far, 64).unwrap();
                stage.k.shutdown(&far, epollite::Shut::Write).unwrap();
                stage.settle();
                let moved = stage.k.splice(&near, &writer, 64);
                stage.see("the end", moved);
                let moved = stage.k.splice(&near, &far, 64);
                stage.see("no pipe", moved);
                stage.close_all([near, far, reader, writer]);
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
fn every_write_to_an_eventfd_is_an_edge() {
    same(
        |stage| {
            let eventfd = stage.k.eventfd(0).unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &eventfd, ALL | ET, 1);
            stage.wait(&epoll, "registered");
            for _ in 0..3 {
                stage.k.write(&eventfd, &1u64.to_ne_bytes()).unwrap();
                stage.wait(&epoll, "written");
            }
            let mut buf = [0; 8];
            let read = stage.k.read(&eventfd, &mut buf);
            stage.see("read", (read, u64::from_ne_bytes(buf)));
            stage.wait(&epoll, "read, which is an edge for OUT");
            let read = stage.k.read(&eventfd, &mut buf);
            stage.see("read", read);
            stage.close_all([eventfd, epoll]);
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
        |stage| {
            let eventfd = stage.k.eventfd(7).unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &eventfd, ALL, 1);
            stage.wait(&epoll, "seven");
            for more in [u64::MAX - 8, 1, u64::MAX, 0] {
                let written = stage.k.write(&eventfd, &more.to_ne_bytes());
                stage.see("write", (more, written));
            }
            stage.wait(&epoll, "full");
            let written = stage.k.write(&eventfd, b"short");
            stage.see("too short", written);
            let read = stage.k.read(&eventfd, &mut [0; 7]);
            stage.see("too short", read);
            stage.close_all([eventfd, epoll]);
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
fn a_signalfd_without_signals() {
    same(
        |stage| {
            let wanted = SignalSet::from(Signal::USR1) | Signal::USR2.into();
            stage.k.sigprocmask(wanted).unwrap();
            let blocked = stage.k.sigprocmask(wanted).unwrap();
            stage.see("blocked", blocked.contains(Signal::USR1));
            let signalfd = stage.k.signalfd(wanted).unwrap();
            let epoll = stage.epoll();
            stage.add(&epoll, &signalfd, IN, 1);
            stage.wait(&epoll, "none");
            let read = stage.k.read(&signalfd, &mut [0; SIGINFO_BYTES]);
            stage.see("read", read);
            let read = stage.k.read(&signalfd, &mut [0; SIGINFO_BYTES - 1]);
            stage.see("too short", read);
            stage.close_all([signalfd, epoll]);
        },
        &["blocked: true", "none: []", "read: Err(EAGAIN)", "too short: Err(EINVAL)"],
    );
}
