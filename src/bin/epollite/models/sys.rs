//! The system calls that only the models make.
//!
//! With `operation/sys.rs` the only file of the program that contains `unsafe` or `libc::`. Each
//! call is counted and traced like those of the kernel; nothing here retries, keeps state or
//! decides.

#![expect(unsafe_code, reason = "these calls are the program's own, not part of the Kernel trait")]

use std::cell::Cell;
use std::fs::File;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use epollite::instrument::Argument as A;
use epollite::kernel::{Signal, SocketType, Syscall};
use epollite::{Errno, Fd, Interest};

use crate::echo::model::Steer;
use crate::instrument::InstrumentedKernel;
use crate::instrument::call::Call;

/// The calls that the models make besides those of the library's kernels, on any kernel of the
/// program.
pub(crate) trait ModelSyscalls: InstrumentedKernel {
    /// Waits until one of `list` is ready, or `timeout` has passed; `None` waits without limit.
    /// Returns the number of ready entries. Cost: one system call, O(list).
    ///
    /// Man page: poll(2)
    fn poll(&mut self, list: &mut [PollFd], timeout: Option<Duration>) -> Result<usize, Errno> {
        let millis = timeout.map_or(-1, millis);
        let (at, len) = (list.as_mut_ptr(), list.len());
        let make = || {
            // SAFETY: poll(2) reads and writes `len` pollfds at `at`, and a PollFd is one; the
            // slice is borrowed exclusively until it returns, and it keeps no pointer. The kernel
            // checks the descriptor numbers in it.
            check_count(unsafe { libc::poll(at.cast(), len as libc::nfds_t, millis) })
        };
        self.record_syscall(Call::Poll, make, |_| {
            let number = i64::try_from(len).unwrap_or(i64::MAX);
            vec![A::Text(trace_text(list)), A::Number(number), A::Number(millis.into())]
        })
    }

    /// Waits until one of `readers` is readable or one of `writers` writable, or `timeout` has
    /// passed, and leaves the bits of ready descriptors set. Returns their number. Cost: one system
    /// call, O(highest number).
    ///
    /// Man page: select(2)
    fn select(
        &mut self,
        readers: &mut FdSet,
        writers: &mut FdSet,
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        let end = readers.nfds().max(writers.nfds());
        let requested = [*readers, *writers];
        let mut time = timeout.map(|timeout| libc::timeval {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            // In microseconds, rounded up, and always under a million.
            tv_usec: libc::suseconds_t::from((timeout.subsec_micros() + 1).min(999_999)),
        });
        let time = time.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
        let (read, write) = (std::ptr::from_mut(readers), std::ptr::from_mut(writers));
        let make = || {
            // SAFETY: select(2) reads and writes the two sets, each of the size and alignment of an
            // fd_set (asserted above) and longer than `end` bits, and the timeval, if any; all
            // three are exclusively ours until it returns, and it keeps no pointer.
            check_count(unsafe {
                libc::select(end, read.cast(), write.cast(), std::ptr::null_mut(), time)
            })
        };
        self.record_syscall(Call::Select, make, |_| {
            let [readers, writers] = requested.map(|set| A::Text(set.trace_text()));
            let timeout = timeout.map_or(A::Name("NULL"), A::Timespec);
            vec![A::Number(end.into()), readers, writers, A::Name("NULL"), timeout]
        })
    }

    /// Makes the calls on `fd` block from now on, instead of failing with `EAGAIN`: the kernels of
    /// the library only create non-blocking descriptors. Cost: one system call.
    ///
    /// Man page: ioctl(2), `FIONBIO`
    fn set_blocking(&mut self, fd: &Fd) -> Result<(), Errno> {
        self.set_blocking_mode(fd, false)
    }

    /// Makes them fail again instead. Cost: one system call.
    fn set_nonblocking(&mut self, fd: &Fd) -> Result<(), Errno> {
        self.set_blocking_mode(fd, true)
    }

    #[doc(hidden)]
    fn set_blocking_mode(&mut self, fd: &Fd, is_nonblocking: bool) -> Result<(), Errno> {
        let make = || {
            let mut is_nonblocking = libc::c_int::from(is_nonblocking);
            // SAFETY: ioctl(2) with FIONBIO reads one `int` at the address given, which is ours
            // until it returns, and keeps no pointer.
            check_count(unsafe {
                libc::ioctl(fd.as_raw_fd(), libc::FIONBIO, &raw mut is_nonblocking)
            })
        };
        let value = A::Value(is_nonblocking.into());
        let show = |_| vec![A::Fd(fd.number()), A::Name("FIONBIO"), value];
        self.record_syscall(Call::Kernel(Syscall::Ioctl), make, show).map(drop)
    }

    /// Makes a call of `thread` that blocks fail with `EINTR`: sends it a signal whose handler does
    /// nothing. One that comes before the call is lost. Cost: one system call, not counted.
    ///
    /// Man page: tgkill(2)
    fn interrupt(&mut self, thread: &ThreadId) {
        let (process, signal) = (std::process::id(), INTERRUPT);
        // SAFETY: tgkill(2) takes three numbers and touches none of our memory. It fails when the
        // thread has exited, which is harmless.
        unsafe { libc::syscall(libc::SYS_tgkill, process, thread.0, signal) };
    }

    /// Creates a copy of this process. Returns the child's process ID in the parent, and `None` in
    /// the child. Cost: one system call, O(mapped memory).
    ///
    /// Only for single-threaded processes, which the models that call it are: in a multi-threaded
    /// one the child would have one thread, and locks held by the others would never be released.
    ///
    /// Man page: fork(2)
    fn fork(&mut self) -> Result<Option<u32>, Errno> {
        let make = || {
            // SAFETY: fork(2) touches none of our memory. The child continues with copies of
            // everything, and as no other thread has been started, no lock is held and no operation
            // is half done.
            check_count(unsafe { libc::fork() })
        };
        let number = self.record_syscall(Call::Fork, make, |_| vec![A::Name("SIGCHLD")])?;
        Ok(u32::try_from(number).ok().filter(|&number| number > 0))
    }

    /// Reaps a child that has exited, if there is one: until then it is a zombie, an entry in the
    /// process table that cannot be reused. Does not wait. Cost: one system call.
    ///
    /// # Errors
    /// * [`Errno::ECHILD`]: there are no children.
    ///
    /// Man page: waitpid(2), `WNOHANG`
    fn waitpid(&mut self) -> Result<Option<(u32, ExitStatus)>, Errno> {
        let status = Cell::new(0);
        let end = || match status.get() {
            status if libc::WIFSIGNALED(status) => ExitStatus::Killed(libc::WTERMSIG(status)),
            status => ExitStatus::Exited(libc::WEXITSTATUS(status)),
        };
        let make = || {
            // SAFETY: waitpid(2) writes one `int` at `status`, which is ours until it returns.
            check_count(unsafe { libc::waitpid(-1, status.as_ptr(), libc::WNOHANG) })
        };
        let number = self.record_syscall(Call::Waitpid, make, |number| {
            let end = match end() {
                _ if number == 0 => A::Name("..."),
                ExitStatus::Exited(code) => {
                    A::Text(format!("[{{WIFEXITED(s) && WEXITSTATUS(s) == {code}}}]"))
                }
                ExitStatus::Killed(signal) => {
                    A::Text(format!("[{{WIFSIGNALED(s) && WTERMSIG(s) == {signal}}}]"))
                }
            };
            vec![A::Number(-1), end, A::Name("WNOHANG"), A::Name("NULL")]
        })?;
        Ok(u32::try_from(number).ok().filter(|&number| number > 0).map(|number| (number, end())))
    }

    /// Sends a signal to the child `number`, which has not been reaped: so its process ID has not
    /// been reused. Cost: one system call.
    ///
    /// Man page: kill(2)
    fn kill(&mut self, number: u32, signal: i32) -> Result<(), Errno> {
        let target = number.cast_signed();
        let make = || {
            // SAFETY: kill(2) takes two numbers and touches none of our memory.
            check_count(unsafe { libc::kill(target, signal) })
        };
        let name = match signal {
            SIGKILL => "SIGKILL",
            SIGUSR2 => "SIGUSR2",
            _ => "SIGTERM",
        };
        let show = |_| vec![A::Number(number.into()), A::Name(name)];
        self.record_syscall(Call::Kill, make, show).map(drop)
    }

    /// Attaches a program that selects, for each new connection, one of the `count` sockets of a
    /// port: by the processor on which the packet came in, or at random. `Hash` is the kernel's
    /// default. Cost: one system call.
    ///
    /// Man page: socket(7), `SO_ATTACH_REUSEPORT_CBPF`
    fn attach_reuseport_cbpf(
        &mut self,
        socket: &Fd,
        by: Steer,
        count_of_sockets: u32,
    ) -> Result<(), Errno> {
        let offset = match by {
            Steer::Hash => return Ok(()),
            Steer::Cpu => libc::SKF_AD_CPU,
            Steer::Random => libc::SKF_AD_RANDOM,
        };
        let line = |code: u32, k: u32| libc::sock_filter {
            code: u16::try_from(code).unwrap_or(u16::MAX),
            jt: 0,
            jf: 0,
            k,
        };
        let mut program: [_; 3] = [
            // A = the value; A = A % sockets; return A: the index of a socket.
            line(
                libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
                (libc::SKF_AD_OFF + offset).cast_unsigned(),
            ),
            line(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, count_of_sockets),
            line(libc::BPF_RET | libc::BPF_A, 0),
        ];
        let header = libc::sock_fprog { len: 3, filter: program.as_mut_ptr() };
        let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF);
        let bytes = libc::socklen_t::try_from(size_of::<libc::sock_fprog>())
            .expect("a length and a pointer are a few bytes");
        let make = || {
            let header = (&raw const header).cast();
            // SAFETY: setsockopt(2) reads `bytes` bytes at `header`, a sock_fprog, and through it
            // the instructions of `program`; both live until it returns, and it keeps a copy, no
            // pointer.
            check_count(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, header, bytes) })
        };
        let show = |_| {
            let [level, name, program] =
                ["SOL_SOCKET", "SO_ATTACH_REUSEPORT_CBPF", "{len=3, filter=...}"].map(A::Name);
            vec![A::Fd(socket.number()), level, name, program, A::Number(bytes.into())]
        };
        self.record_syscall(Call::Kernel(Syscall::Setsockopt), make, show).map(drop)
    }
}

impl<K: InstrumentedKernel> ModelSyscalls for K {}

/// One entry of poll(2)'s array.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct PollFd(libc::pollfd);

impl PollFd {
    /// An entry for `fd` and `interest`. Errors and hang-ups are always reported.
    pub(super) fn new(fd: &Fd, interest: Interest) -> Self {
        let mut events = 0;
        if interest.contains(Interest::READABLE) {
            events |= libc::POLLIN;
        }
        if interest.contains(Interest::WRITABLE) {
            events |= libc::POLLOUT;
        }
        // A negative number makes poll(2) ignore the entry. With `events` 0 and the real number, a
        // listener that has hung up would be reported on every call.
        let fd = if events == 0 { -1 } else { fd.as_raw_fd() };
        Self(libc::pollfd { fd, events, revents: 0 })
    }

    /// Whether the kernel reported any event for it.
    pub(super) const fn is_ready(&self) -> bool {
        self.0.revents != 0
    }
}

/// Waits until `stream` has room or an error, for at most `timeout`; returns whether it has. A
/// stream that cannot be polled always has: a regular file takes every write. For the log, whose
/// own calls are neither counted nor traced. Cost: one system call.
///
/// Man page: poll(2)
pub(crate) fn wait_writable(stream: &File, timeout: Duration) -> bool {
    let mut entry = libc::pollfd { fd: stream.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: poll(2) reads and writes one pollfd, which is ours until it returns.
    unsafe { libc::poll(&raw mut entry, 1, millis(timeout)) != 0 }
}

/// In milliseconds, rounded up: waking too early would only poll once more.
fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

/// The list as strace(1) prints it; returned events follow the requested ones.
fn trace_text(list: &[PollFd]) -> String {
    let entries = list.iter().map(|PollFd(entry)| match (entry.fd, bits(entry.events)) {
        (fd, events) if entry.revents == 0 => format!("{{fd={fd}, events={events}}}"),
        (fd, events) => format!("{{fd={fd}, events={events}, revents={}}}", bits(entry.revents)),
    });
    format!("[{}]", entries.collect::<Vec<_>>().join(", "))
}

fn bits(mask: i16) -> String {
    const NAMES: [(i16, &str); 5] = [
        (libc::POLLIN, "POLLIN"),
        (libc::POLLOUT, "POLLOUT"),
        (libc::POLLERR, "POLLERR"),
        (libc::POLLHUP, "POLLHUP"),
        (libc::POLLNVAL, "POLLNVAL"),
    ];
    let names = NAMES.iter().filter(|(bit, _)| mask & bit != 0).map(|(_, name)| *name);
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "0".into() } else { names.join("|") }
}

/// A set of descriptors as select(2) takes it: bit n stands for descriptor n.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct FdSet([libc::c_ulong; Self::WORDS]);

const _: () =
    assert!(size_of::<FdSet>() == size_of::<libc::fd_set>(), "select(2) writes a whole fd_set");
const _: () = assert!(libc::FD_SETSIZE == FdSet::SIZE as usize);
const _: () = assert!(align_of::<FdSet>() == align_of::<libc::fd_set>());

impl FdSet {
    /// The number of bits.
    pub(super) const SIZE: u32 = 1024;
    const WORDS: usize = (Self::SIZE / libc::c_ulong::BITS) as usize;
    pub(super) const EMPTY: Self = Self([0; Self::WORDS]);

    /// The position of the bit of `fd`: the index of its word, and the bit within it.
    const fn word_and_bit(fd: &Fd) -> (usize, libc::c_ulong) {
        let number = fd.number();
        assert!(number < Self::SIZE, "the bit would lie beyond the set");
        ((number / libc::c_ulong::BITS) as usize, 1 << (number % libc::c_ulong::BITS))
    }

    /// Sets the bit of `fd`.
    ///
    /// # Panics
    /// If it has none: its number is [`SIZE`](Self::SIZE) or more.
    pub(super) const fn insert(&mut self, fd: &Fd) {
        let (word, bit) = Self::word_and_bit(fd);
        self.0[word] |= bit;
    }

    /// Whether the bit of `fd` is set; false if it has none.
    pub(super) const fn contains(&self, fd: &Fd) -> bool {
        if fd.number() >= Self::SIZE {
            return false;
        }
        let (word, bit) = Self::word_and_bit(fd);
        self.0[word] & bit != 0
    }

    /// One more than the highest number in the set.
    fn nfds(&self) -> i32 {
        let ends = (1..).zip(self.0).filter(|(_, word)| *word != 0);
        let end = ends.last().map(|(at, word)| at * libc::c_ulong::BITS - word.leading_zeros());
        end.unwrap_or(0).cast_signed()
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        let bits = libc::c_ulong::BITS;
        (0..Self::SIZE).filter(move |n| self.0[(n / bits) as usize] >> (n % bits) & 1 == 1)
    }

    /// As strace(1) prints it.
    fn trace_text(&self) -> String {
        let numbers: Vec<String> = self.numbers().map(|number| number.to_string()).collect();
        format!("[{}]", numbers.join(" "))
    }
}

/// What a signal does that is not blocked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Disposition {
    Default,
    Ignored,
    /// Exits at once, with the exit code that a shell reports for death by this signal.
    Exit,
}

/// Sets the disposition of `signal`. Cost: one system call.
///
/// Man page: signal(2)
pub(crate) fn set_disposition(signal: Signal, to: Disposition) {
    let handler = match to {
        Disposition::Default => libc::SIG_DFL,
        Disposition::Ignored => libc::SIG_IGN,
        Disposition::Exit => exit_by as extern "C" fn(libc::c_int) as libc::sighandler_t,
    };
    // SAFETY: signal(2) takes two numbers and touches none of our memory. The only handler ever
    // set, `exit_by`, makes a single async-signal-safe call.
    unsafe { libc::signal(signal.number().into(), handler) };
}

extern "C" fn exit_by(signal: libc::c_int) {
    // SAFETY: _exit(2) takes a number, touches no memory and does not return.
    unsafe { libc::_exit(128 + signal) };
}

/// A thread of this process that can be interrupted.
pub(crate) struct ThreadId(libc::pid_t);

/// By default it is ignored, and no other part of the program uses it: one that is sent from
/// outside only makes calls return early.
const INTERRUPT: libc::c_int = libc::SIGURG;

impl ThreadId {
    /// The calling thread. From here on its calls are interrupted by the signal. Cost: two system
    /// calls.
    ///
    /// Man page: gettid(2), sigaction(2)
    pub(super) fn own() -> Self {
        extern "C" fn do_nothing(_: libc::c_int) {}
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        let at = action.as_mut_ptr();
        let handler = do_nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: the field is in a local variable. All other zeroes are valid: an empty mask, and
        // no SA_RESTART, which would make calls go on.
        unsafe { (*at).sa_sigaction = handler };
        // SAFETY: sigaction(2) reads one sigaction at `at`, which is ours until it returns. The
        // handler makes no call at all.
        unsafe { libc::sigaction(INTERRUPT, at, std::ptr::null_mut()) };
        // SAFETY: gettid(2) takes nothing, touches no memory and cannot fail.
        Self(unsafe { libc::gettid() })
    }
}

/// Whether `signal` is ignored. Cost: one system call.
///
/// Man page: sigaction(2)
pub(crate) fn is_ignored(signal: Signal) -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::zeroed();
    let at = now.as_mut_ptr();
    // SAFETY: sigaction(2) with no new action only writes one at `at`, which is ours.
    let requested = unsafe { libc::sigaction(signal.number().into(), std::ptr::null(), at) };
    // SAFETY: all zeroes are a valid sigaction: numbers, and a pointer that may be null.
    requested == 0 && unsafe { now.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// Unblocks all signals. Cost: one system call.
///
/// Man page: sigprocmask(2), `SIG_SETMASK`
pub(crate) fn unblock_signals() {
    let none = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigprocmask(2) reads one sigset_t, for which all zeroes are the empty set, and keeps
    // no pointer.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
}

/// Standard input, output or error, by its number (0 to 2), as a file that stays open when it is
/// dropped.
pub(crate) fn standard_stream(number: i32) -> ManuallyDrop<File> {
    // SAFETY: from_raw_fd makes no call. The standard library ensures that the three are open, and
    // nothing in the program closes them.
    ManuallyDrop::new(unsafe { File::from_raw_fd(number) })
}

/// Whether the program was started without standard output. The standard library opens /dev/null in
/// its place before `main`, and every write succeeds.
pub(crate) fn has_no_stdout() -> bool {
    HAS_NO_STDOUT.load(Ordering::Relaxed)
}

static HAS_NO_STDOUT: AtomicBool = AtomicBool::new(false);

// SAFETY: the C library calls the functions in this section before `main`, which is where the
// standard library begins. This one makes a call, and stores a number.
#[unsafe(link_section = ".init_array")]
#[used]
static LOOK_AT_STDOUT: extern "C" fn() = look_at_stdout;

extern "C" fn look_at_stdout() {
    // SAFETY: fcntl(2) with F_GETFD takes numbers and touches no user memory.
    let is_missing = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
    HAS_NO_STDOUT.store(is_missing, Ordering::Relaxed);
}

/// Takes ownership of an inherited descriptor, and sets close-on-exec. Cost: one system call. To be
/// called once for a number, before the program has opened a descriptor.
///
/// # Errors
/// * [`Errno::EBADF`]: it is not open.
///
/// Man page: fcntl(2), `F_SETFD`
pub(crate) fn adopt_descriptor(number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: fcntl(2) with F_SETFD takes numbers and touches no memory.
    check_count(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: from_raw_fd makes no call. The descriptor is open, as the call above has shown, and
    // nothing else owns it: the program has not opened one yet, and is passed it by its parent.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// What a socket from elsewhere is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SocketState {
    /// `None` for a type that no socket of the library has.
    pub(crate) kind: Option<SocketType>,
    pub(crate) is_listening: bool,
}

/// Its type, and whether it listens. Cost: two system calls.
///
/// # Errors
/// * [`Errno::ENOTSOCK`]: it is no socket.
///
/// Man page: socket(7), `SO_TYPE`, `SO_ACCEPTCONN`
pub(crate) fn socket_state(socket: BorrowedFd<'_>) -> Result<SocketState, Errno> {
    let kind = match socket_option(socket, libc::SO_TYPE)? {
        libc::SOCK_STREAM => Some(SocketType::Stream),
        libc::SOCK_DGRAM => Some(SocketType::Datagram),
        libc::SOCK_SEQPACKET => Some(SocketType::SeqPacket),
        _ => None,
    };
    Ok(SocketState { kind, is_listening: socket_option(socket, libc::SO_ACCEPTCONN)? != 0 })
}

fn socket_option(socket: BorrowedFd<'_>, name: libc::c_int) -> Result<libc::c_int, Errno> {
    let mut value: libc::c_int = 0;
    let mut len: libc::socklen_t = 4;
    let (at, len) = ((&raw mut value).cast(), &raw mut len);
    // SAFETY: getsockopt(2) writes at most 4 bytes at `value`, an int, and a length at `len`; both
    // live until it returns, and it keeps no pointer.
    check_count(unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, at, len) })?;
    Ok(value)
}

/// The effective user ID of this process. Cost: one system call.
///
/// Man page: geteuid(2)
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: geteuid(2) takes nothing, touches no memory and cannot fail.
    unsafe { libc::geteuid() }
}

/// For a file opened only for writing: neither open(2) nor write(2) blocks.
pub(crate) const OPEN_NONBLOCKING: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;

/// Whether descriptor `fd` of process `pid` is the file that the epoll `epoll` of that process
/// watches under the number `watched`: there may be several entries of that number, of which `nth`
/// (from 0, in the kernel's order) is meant. Unlike inodes this tells all files apart. Cost: one
/// system call.
///
/// # Errors
/// * [`Errno::EPERM`]: no permission to inspect the process.
/// * [`Errno::ESRCH`], [`Errno::EBADF`], [`Errno::ENOENT`]: no such process, descriptor or entry.
/// * [`Errno::ENOSYS`]: a kernel without `CONFIG_KCMP`, or a sandbox.
///
/// Man page: kcmp(2), `KCMP_EPOLL_TFD`
pub(crate) fn is_file_watched(
    pid: i32,
    fd: u32,
    epoll: u32,
    watched: u32,
    nth: u32,
) -> Result<bool, Errno> {
    /// In linux/kcmp.h, since Linux 4.13.
    const KCMP_EPOLL_TFD: libc::c_int = 7;
    // A struct kcmp_epoll_slot: efd, tfd, toff.
    let slot: [u32; 3] = [epoll, watched, nth];
    // SAFETY: kcmp(2) reads three 32-bit numbers at `slot`, which live until it returns, and keeps
    // no pointer.
    let order = unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            pid,
            pid,
            KCMP_EPOLL_TFD,
            libc::c_ulong::from(fd),
            &raw const slot,
        )
    };
    if order < 0 { Err(last_errno()) } else { Ok(order == 0) }
}

/// Sets how an epoll polls network devices to the default, which is not at all: a probe of whether
/// the kernel has the setting. Cost: one system call.
///
/// # Errors
/// * [`Errno::ENOTTY`]: Linux before 6.9.
///
/// Man page: ioctl_eventpoll(2), `EPIOCSPARAMS`
pub(crate) fn set_busy_poll_params(epoll: &Fd) -> Result<(), Errno> {
    /// `_IOW(0x8a, 1, struct epoll_params)`, in linux/eventpoll.h.
    const EPIOCSPARAMS: libc::c_ulong = 0x4008_8a01;
    // A struct epoll_params: times, budget, preference, padding that must be zero.
    let params = [0_u8; 8];
    // SAFETY: ioctl(2) with EPIOCSPARAMS reads 8 bytes at `params`, which live until it returns,
    // and keeps no pointer.
    check_count(unsafe {
        libc::ioctl(epoll.as_raw_fd(), EPIOCSPARAMS as libc::Ioctl, &raw const params)
    })
    .map(drop)
}

/// Makes the kernel cut what is sent on a UDP socket into datagrams of this length. Cost: one
/// system call.
///
/// Man page: udp(7), `UDP_SEGMENT`
pub(crate) fn set_udp_segment_bytes(socket: &Fd, bytes: u16) -> Result<(), Errno> {
    let value = libc::c_int::from(bytes);
    let (level, name, at) = (libc::SOL_UDP, libc::UDP_SEGMENT, (&raw const value).cast());
    // SAFETY: setsockopt(2) reads 4 bytes at `value`, an int that lives until it returns, and
    // keeps no pointer.
    check_count(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, at, 4) }).map(drop)
}

/// How a child exited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ExitStatus {
    Exited(i32),
    Killed(i32),
}

/// Makes the kernel send us `signal` when our parent exits for any reason. Cost: one system call.
///
/// A parent that has already exited is not noticed: the caller checks for it afterwards.
///
/// Man page: prctl(2), `PR_SET_PDEATHSIG`
pub(super) fn set_pdeathsig(signal: i32) {
    // SAFETY: prctl(2) takes two numbers here, and touches no memory. It fails only for an invalid
    // signal.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
}

/// The signals that [`kill`](ModelSyscalls::kill) is used with.
pub(super) const SIGTERM: i32 = libc::SIGTERM;
pub(super) const SIGKILL: i32 = libc::SIGKILL;
pub(super) const SIGUSR2: i32 = libc::SIGUSR2;

/// `count` words, all zero, shared with child processes: both use the same memory. Cost: one system
/// call.
///
/// Man page: mmap(2), `MAP_SHARED`
pub(crate) fn mmap_shared(count: usize) -> Result<&'static [AtomicU64], Errno> {
    let bytes = count * size_of::<AtomicU64>();
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: mmap(2) without an address touches no existing memory: it returns `bytes` new bytes,
    // zeroed, page-aligned.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0) };
    if at == libc::MAP_FAILED {
        return Err(last_errno());
    }
    // SAFETY: from_raw_parts reads nothing. `at` holds `count` zeroed words, aligned to a page;
    // they are never unmapped, and only accessed as atomics, by any thread or process.
    Ok(unsafe { std::slice::from_raw_parts(at.cast(), count) })
}

/// Maps -1 to `Err` with errno.
fn check_count(returned: i32) -> Result<usize, Errno> {
    usize::try_from(returned).map_err(|_| last_errno())
}

/// The errno of this thread's last call.
fn last_errno() -> Errno {
    let error = std::io::Error::last_os_error();
    Errno::from_io_error(&error).unwrap_or(Errno::EIO)
}
