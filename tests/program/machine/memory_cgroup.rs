//! A server in a control group with a limit of memory, among clients that never read.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use epollite::kernel::SocketOption;
use epollite::{Fd, Kernel, Linux};

use super::is_disposable;
use crate::support::client::{Duplex, connect, connect_unix, exchange};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::wait::until_still;

/// A group below the root of the hierarchy, with a limit.
struct Group(String);

impl Group {
    const ROOT: &str = "/sys/fs/cgroup";

    fn with_limit(bytes: u64) -> Self {
        let root = Self::ROOT;
        let controllers = fs::read_to_string(format!("{root}/cgroup.controllers")).unwrap();
        assert!(controllers.split_whitespace().any(|name| name == "memory"), "{controllers}");
        fs::write(format!("{root}/cgroup.subtree_control"), "+memory").unwrap();
        let group = Self(format!("{root}/epollite-{}", std::process::id()));
        fs::create_dir(&group.0).unwrap();
        fs::write(group.file("memory.max"), bytes.to_string()).unwrap();
        group
    }

    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }

    /// A wrapper that starts a program in the group.
    fn wrapper(&self) -> [String; 3] {
        let line = format!("echo $$ > {}; exec \"$0\" \"$@\"", self.file("cgroup.procs"));
        ["sh".to_owned(), "-c".to_owned(), line]
    }

    /// A number of a file with a name and a number in each line.
    fn number(&self, file: &str, name: &str) -> u64 {
        let lines = fs::read_to_string(self.file(file)).unwrap();
        let line = lines.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.expect("the kernel counts it").parse().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// What its send buffer holds is charged to the client: a read of the server finds more than it can
/// write.
fn with_large_send_buffer(stream: UnixStream) -> UnixStream {
    let socket = Fd::from(OwnedFd::from(stream));
    Linux.setsockopt(&socket, SocketOption::SendBufferBytes(128 << 10)).unwrap();
    UnixStream::from(OwnedFd::from(socket))
}

/// Without the total their buffers alone would exceed the limit of the group. What the kernel's
/// buffers hold is charged to the group too, and is no part of the total: it is small here.
#[test]
fn a_swarm_that_never_reads_does_not_get_the_server_killed() {
    if !is_disposable() {
        return;
    }
    fs::write("/proc/sys/net/core/wmem_default", "4608").unwrap();
    let scratch = Scratch::new();
    let path = scratch.file("socket");
    let options = ["--unix", &path, "--buffer-total", "16MiB"];
    let waits = is_not_killed(&options, 16 << 20, |_| connect_unix(&path), with_large_send_buffer);
    assert!(waits.iter().all(|&waits| waits > 0), "the total was reached: {waits:?}");
}

/// The kernel's buffers of TCP connections are charged to the server, and are most of what such
/// clients cost it: with the defaults they get it killed.
#[test]
fn nor_does_a_swarm_over_tcp_with_socket_buffers_of_fixed_size() {
    if !is_disposable() {
        return;
    }
    let options = ["--tcp", "127.0.0.1:0", "--buffer-total", "8MiB", "--socket-buffers", "4KiB"];
    is_not_killed(&options, 8 << 20, |server| connect(&server.tcp()), |stream| stream);
}

/// A server with these options, of which one bounds the total, is not killed by clients that send
/// until they are stuck. Returns how often it waited for room, in each trigger mode.
fn is_not_killed<C: Duplex + Write>(
    options: &[&str],
    total: u64,
    connect: impl Fn(&Program) -> C,
    prepare: impl Fn(C) -> C,
) -> [u64; 2] {
    const CLIENTS: usize = 700;
    const LIMIT: u64 = 32 << 20;
    ["level", "edge"].map(|trigger| {
        let group = Group::with_limit(LIMIT);
        let common = ["--trigger", trigger, "--log-format", "json"];
        let server = Program::serving_under(&group.wrapper(), &[options, &common].concat());
        let mut swarm: Vec<C> = (0..CLIENTS).map(|_| prepare(connect(&server))).collect();
        swarm.iter_mut().for_each(|stream| stream.set_blocking(false));
        let chunk = vec![b'x'; 64 << 10];
        let mut sent = 0;
        until_still("the swarm to be stuck", 50, || {
            for stream in &mut swarm {
                match stream.write(&chunk) {
                    Ok(count) => sent += count,
                    Err(error) => assert_eq!(
                        (error.kind(), group.number("memory.events", "oom_kill")),
                        (ErrorKind::WouldBlock, 0),
                        "invariant: the server is not killed"
                    ),
                }
            }
            sent
        });
        let statistics = server.statistics();
        let [anon, kernel, sock] =
            ["anon", "kernel", "sock"].map(|name| group.number("memory.stat", name) >> 10);
        println!("{trigger}: anon {anon} KiB, kernel {kernel} KiB, sockets {sock} KiB");
        assert!(statistics.number("buffers.bytes") <= total, "invariant: the sum is bounded");
        assert!(statistics.number("bytes.in") > statistics.number("bytes.out"), "they are stuck");
        exchange(connect(&server), 1 << 20);
        assert_eq!(group.number("memory.events", "oom_kill"), 0, "invariant: it is not killed");
        drop(swarm);
        server.stop().expect_code(0);
        statistics.number("buffers.waits")
    })
}
