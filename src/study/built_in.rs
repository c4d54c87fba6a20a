//! The experiments of this crate, in the order in which a reader new to epoll should take them.

/// A part of the course.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Section {
    /// What it is about.
    pub title: &'static str,
    /// The names of its experiments.
    pub names: &'static [&'static str],
}

macro_rules! experiments {
    ($($title:literal: [$($name:literal)*])*) => {
        /// Every experiment: its name, and its text, which is also the example of the notation.
        pub const BUILT_IN: &[(&str, &str)] = &[
            $($(($name, include_str!(concat!("experiments/", $name, ".txt"))),)*)*
        ];

        /// The parts of the course, in the order of [`BUILT_IN`].
        pub const SECTIONS: &[Section] = &[
            $(Section { title: $title, names: &[$($name),*] },)*
        ];
    };
}

// A macro, because include_str! needs the name as a literal: without it every name would be written
// twice.
experiments! {
    "Readiness": [
        "level-until-read"
        "level-out"
        "two-epolls"
        "triggers-compared"
        "interest-mod"
        "interest-none-unix"
        "interest-none-tcp"
        "fresh-socket"
        "round-robin"
        "wait-no-room"
        "wait-maxevents"
        "wait-bad-address"
        "ctl-errors"
        "del-pending"
        "same-file-twice"
        "dup-ghost"
        "fd-reuse"
        "stale-batch"
        "nested"
        "nested-edge"
        "nested-limits"
        "exclusive-rules"
        "exclusive-no-thread"
        "exclusive-edge"
        "pwait2-precision"
        "emfile"
    ]
    "Edges": [
        "edge-residue"
        "edge-per-arrival"
        "edge-merged"
        "edge-late"
        "edge-mod-spurious"
        "edge-eof-hidden"
        "edge-eof-rdhup"
        "edge-lifecycle"
        "edge-listener"
        "edge-urgent-mark"
        "edge-rights"
        "oneshot-disarmed"
        "oneshot-edge"
        "zero-bytes"
        "pipe-edge"
        "pipe-page"
        "out-edge-unix"
        "out-edge-tcp"
    ]
    "Connections and their ends": [
        "connect-in-progress"
        "connect-refused"
        "connect-timed-out"
        "self-connect"
        "mapped-wildcard"
        "data-before-accept"
        "backlog-full"
        "half-close"
        "tcp-peer-close"
        "both-shut"
        "own-shutdown-write"
        "own-shutdown-read"
        "own-shutdown-both"
        "close-unread"
        "linger-reset"
        "data-then-reset"
        "so-error-takes"
        "reset-before-accept"
        "listener-shut"
        "listener-closed"
        "reuseport-split"
        "reuseport-queue-loss"
    ]
    "Socket options, partial sends": [
        "accept-inherits"
        "buffer-doubled"
        "short-send"
        "short-send-unix"
        "send-queue"
        "rcvlowat"
        "notsent-lowat"
        "cork"
        "nodelay-flushes"
        "defer-accept"
        "peek"
        "peek-offset"
        "urgent-inline"
        "urgent-read"
        "pass-credentials"
        "pass-rights"
        "zerocopy-copied"
        "tcp-info-grows"
        "rto-max"
        "read-nowait"
    ]
    "UDP": [
        "udp-truncated"
        "udp-zero-length"
        "udp-too-long"
        "udp-connected"
        "udp-refused"
        "udp-error-queue"
        "udp-errors-of-others"
        "udp-shutdown"
        "udp-own-send"
        "udp-overflow"
        "udp-port-shared"
        "udp-broadcast"
        "udp-wildcard-source"
        "udp-multicast"
        "udp-mmsg"
        "udp-recvmmsg-timeout"
        "udp-gso"
        "udp-gro"
    ]
    "Unix sockets": [
        "unix-connect"
        "abstract-name"
        "unix-peer-close"
        "unix-half-close"
        "unix-close-unread"
        "unix-data-then-close"
        "unix-listener-closed"
        "unix-urgent"
        "unix-urgent-taken"
        "unix-urgent-behind"
        "rights-ghost"
        "seqpacket"
        "seqpacket-edge"
        "unix-datagram-peer-gone"
        "unix-datagram-no-peer"
        "unix-datagram-full"
        "unix-datagram-edge"
    ]
    "Pipes and devices": [
        "eventfd-unread"
        "eventfd-maximum"
        "eventfd-zero"
        "eventfd-nine-bytes"
        "pipe-reader-gone"
        "pipe-full-reader-gone"
        "pipe-writer-gone"
        "pipe-size"
        "fifo"
        "splice"
        "splice-datagram"
        "splice-full"
        "timerfd-once"
        "timerfd-periodic"
        "signalfd"
        "sigpipe"
        "inotify-merged"
        "pty-ends"
        "pty-line"
        "regular-file"
        "special-files"
        "pressure-file"
        "proc-files"
        "sysfs-file"
        "mounts-file"
        "epoll-ioctl"
        "epoll-params"
        "io-uring"
        "fanotify"
        "perf-event"
        "bpf-ring"
    ]
    "Threads and processes": [
        "threads-level"
        "threads-edge"
        "threads-oneshot"
        "threads-two-handlers"
        "herd-level"
        "herd-accept"
        "herd-exclusive"
        "herd-rotated"
        "herd-reuseport"
        "add-while-waiting"
        "close-watched"
        "shutdown-watched"
        "close-epoll"
        "eintr"
        "pwait-mask"
        "sigstop"
        "signalfd-thread"
        "fork-ghost"
        "fork-shares-epoll"
        "pidfd"
        "peer-pidfd"
        "seccomp-listener"
        "strace-slows"
    ]
}

/// The text of the experiment of this name. Cost: O(experiments).
#[must_use]
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
