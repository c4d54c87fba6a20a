//! The kinds of descriptors that [`Devices`](super::Devices) creates: the [`Device`] enum.
//!
//! Knows names and arguments; the calls are made by the kernels.

/// A descriptor that one call creates, or the few that it takes.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Device {
    /// A timer of the monotonic clock. Man page: timerfd_create(2)
    Timer,
    /// A regular file without a name. Man page: open(2), `O_TMPFILE`
    Tmpfile,
    /// The reading end of a FIFO, whose name is removed. Man page: mkfifo(3), fifo(7)
    Fifo,
    /// A pseudoterminal: its master, unlocked. Man page: pty(7)
    Pty,
    /// The other end of a pseudoterminal. Man page: ioctl_tty(2), `TIOCGPTPEER`
    PtyPeer,
    /// Man page: inotify_init1(2)
    Inotify,
    /// A notification group that names files by handle: no privilege is needed.
    /// Man page: fanotify_init(2), `FAN_REPORT_FID`
    Fanotify,
    /// Queues for one request and its completion. Man page: io_uring_setup(2)
    IoUring,
    /// A counter that counts nothing, without a buffer. Man page: perf_event_open(2)
    PerfEvent,
    /// A ring buffer of BPF, of one page. Man page: bpf(2), `BPF_MAP_TYPE_RINGBUF`
    BpfRing,
    /// The mounts of this thread, which gets a namespace of its own for them.
    /// Man page: unshare(2), proc_pid_mounts(5)
    Mounts,
    /// The process at the other end of a Unix socket. Man page: socket(7), `SO_PEERPIDFD`
    PeerProcess,
}

impl Device {
    /// The call and its arguments, as strace(1) prints them; before these stands the descriptor
    /// that it is made of, if it is. Cost: O(1).
    #[must_use]
    pub const fn c_call(self) -> (&'static str, &'static str) {
        match self {
            Self::Timer => ("timerfd_create", "CLOCK_MONOTONIC, TFD_CLOEXEC|TFD_NONBLOCK"),
            Self::Tmpfile => ("open", "\"/tmp\", O_RDWR|O_TMPFILE"),
            Self::Fifo => ("open", "FIFO, O_RDONLY|O_NONBLOCK"),
            Self::Pty => ("open", "\"/dev/ptmx\", O_RDWR|O_NOCTTY"),
            Self::PtyPeer => ("ioctl", "TIOCGPTPEER, O_RDWR"),
            Self::Inotify => ("inotify_init1", "IN_CLOEXEC|IN_NONBLOCK"),
            Self::Fanotify => ("fanotify_init", "FAN_REPORT_FID|FAN_CLOEXEC|FAN_NONBLOCK"),
            Self::IoUring => ("io_uring_setup", "1, {}"),
            Self::PerfEvent => ("perf_event_open", "{PERF_COUNT_SW_DUMMY}, 0, -1, -1, 0"),
            Self::BpfRing => ("bpf", "BPF_MAP_CREATE, {BPF_MAP_TYPE_RINGBUF}"),
            Self::Mounts => ("open", "\"/proc/thread-self/mounts\", O_RDONLY"),
            Self::PeerProcess => ("getsockopt", "SOL_SOCKET, SO_PEERPIDFD"),
        }
    }
}
