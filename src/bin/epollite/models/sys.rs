//! The system calls that only the models make.
//!
//! The one file of the program that says `unsafe` or `libc::`. Each call is counted and shown
//! beside those of the kernel; nothing here retries, remembers or decides.

#![expect(
    unsafe_code,
    reason = "these calls are the program's own, and no kernel of the library's"
)]

use std::fmt::Write as _;
use std::fs::File;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use epollite::traced::{Argument as A, Returned};
use epollite::{Call, Errno, Fd, Interest, Signal};

use crate::meter::Meter;

/// One line of poll(2)'s list.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct PollFd(libc::pollfd);

impl PollFd {
    /// Of `fd`, to hear of `interest`. Errors and hang-ups come unasked.
    pub(super) fn new(fd: &Fd, interest: Interest) -> Self {
        let mut events = 0;
        if interest.contains(Interest::READABLE) {
            events |= libc::POLLIN;
        }
        if interest.contains(Interest::WRITABLE) {
            events |= libc::POLLOUT;
        }
        // What nothing is wanted of is left out: a negative number stands for nobody. A door that
        // has hung up would otherwise be reported for ever.
        let fd = if events == 0 { -1 } else { fd.as_raw_fd() };
        Self(libc::pollfd { fd, events, revents: 0 })
    }

    /// Whether the kernel wrote anything into it.
    pub(super) const fn is_ready(&self) -> bool {
        self.0.revents != 0
    }
}

/// Waits until one of `list` is ready, or `timeout` has passed; `None` is for ever. Returns how
/// many are. Work: one system call, O(list).
///
/// Man page: poll(2)
pub(super) fn poll<K: Meter>(
    kernel: &mut K,
    list: &mut [PollFd],
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    // To the millisecond, rounded up: to wake too early is to turn in vain.
    let millis = timeout.map_or(-1, |timeout| {
        i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
    });
    let (at, len) = (list.as_mut_ptr(), list.len());
    let make = || {
        // SAFETY: poll(2) reads and writes `len` pollfds at `at`, which is what a PollFd is; the
        // slice is borrowed exclusively until it returns, and it keeps no pointer. What the
        // numbers in it stand for is the kernel's to check.
        count(unsafe { libc::poll(at.cast(), len as libc::nfds_t, millis) })
    };
    kernel.beside(Call::Poll, make, |result| {
        let number = i64::try_from(len).unwrap_or(i64::MAX);
        let returned = Returned::Number(*result.as_ref().unwrap_or(&0));
        (vec![A::Text(lines(list)), A::Number(number), A::Number(millis.into())], returned)
    })
}

/// The list as strace(1) prints it; what came back stands beside what was asked for.
fn lines(list: &[PollFd]) -> String {
    let mut text = String::from("[");
    for (at, PollFd(line)) in list.iter().enumerate() {
        let between = if at == 0 { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(text, "{between}{{fd={}, events={}", line.fd, bits(line.events));
        if line.revents != 0 {
            let _ = write!(text, ", revents={}", bits(line.revents));
        }
        text.push('}');
    }
    text + "]"
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

/// A set of descriptors as select(2) wants it: bit n stands for descriptor n.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct FdSet([libc::c_ulong; Self::WORDS]);

const _: () = assert!(size_of::<FdSet>() == size_of::<libc::fd_set>(), "select(2) knows no end");
const _: () = assert!(libc::FD_SETSIZE == FdSet::SIZE as usize);
const _: () = assert!(align_of::<FdSet>() == align_of::<libc::fd_set>());

impl FdSet {
    /// How many bits there are.
    pub(super) const SIZE: u32 = 1024;
    const WORDS: usize = (Self::SIZE / libc::c_ulong::BITS) as usize;
    pub(super) const EMPTY: Self = Self([0; Self::WORDS]);

    /// Where the bit of `fd` is: which word, and the bit in it.
    const fn place(fd: &Fd) -> (usize, libc::c_ulong) {
        let number = fd.number();
        assert!(number < Self::SIZE, "behind the set is somebody else's memory");
        ((number / libc::c_ulong::BITS) as usize, 1 << (number % libc::c_ulong::BITS))
    }

    /// Sets the bit of `fd`.
    ///
    /// # Panics
    /// It has none: its number is [`SIZE`](Self::SIZE) or more.
    pub(super) const fn insert(&mut self, fd: &Fd) {
        let (word, bit) = Self::place(fd);
        self.0[word] |= bit;
    }

    /// Whether the bit of `fd` is set; no bit is none.
    pub(super) const fn contains(&self, fd: &Fd) -> bool {
        if fd.number() >= Self::SIZE {
            return false;
        }
        let (word, bit) = Self::place(fd);
        self.0[word] & bit != 0
    }

    /// One more than the highest number in it.
    fn end(&self) -> i32 {
        let (mut first, mut end) = (0, 0);
        for word in self.0 {
            if word != 0 {
                end = first + libc::c_ulong::BITS - word.leading_zeros();
            }
            first += libc::c_ulong::BITS;
        }
        end.cast_signed()
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        let bits = libc::c_ulong::BITS;
        (0..Self::SIZE).filter(move |n| self.0[(n / bits) as usize] >> (n % bits) & 1 == 1)
    }

    /// As strace(1) prints it.
    fn text(&self) -> String {
        let numbers: Vec<String> = self.numbers().map(|number| number.to_string()).collect();
        format!("[{}]", numbers.join(" "))
    }
}

/// Waits until one of `readers` is readable or one of `writers` writable, or `timeout` has
/// passed, and leaves those bits set. Returns how many there are. Work: one system call,
/// O(highest number).
///
/// Man page: select(2)
pub(super) fn select<K: Meter>(
    kernel: &mut K,
    readers: &mut FdSet,
    writers: &mut FdSet,
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    let end = readers.end().max(writers.end());
    let asked = [*readers, *writers];
    let mut time = timeout.map(|timeout| libc::timeval {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        // To the microsecond, rounded up, and always under a million.
        tv_usec: libc::suseconds_t::from((timeout.subsec_micros() + 1).min(999_999)),
    });
    let time = time.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
    let (read, write) = (std::ptr::from_mut(readers), std::ptr::from_mut(writers));
    let make = || {
        // SAFETY: select(2) reads and writes the two sets, each of the size and alignment of an
        // fd_set (asserted above) and longer than `end` bits, and the timeval, if any; all three
        // are ours alone until it returns, and it keeps no pointer.
        count(unsafe { libc::select(end, read.cast(), write.cast(), std::ptr::null_mut(), time) })
    };
    kernel.beside(Call::Select, make, |result| {
        let [readers, writers] = asked.map(|set| A::Text(set.text()));
        let timeout = timeout.map_or(A::Name("NULL"), A::Timespec);
        let returned = Returned::Number(*result.as_ref().unwrap_or(&0));
        (vec![A::Number(end.into()), readers, writers, A::Name("NULL"), timeout], returned)
    })
}

/// Has the calls on `fd` wait from now on, instead of saying `EAGAIN`: the kernels of the library
/// know no descriptor that blocks. Work: one system call.
///
/// Man page: ioctl(2), `FIONBIO`
pub(super) fn set_blocking<K: Meter>(kernel: &mut K, fd: &Fd) -> Result<(), Errno> {
    let make = || {
        let mut is_nonblocking: libc::c_int = 0;
        // SAFETY: ioctl(2) with FIONBIO reads one `int` at the address given, which is ours until
        // it returns, and keeps no pointer.
        count(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONBIO, &raw mut is_nonblocking) })
    };
    let made = kernel.beside(Call::Ioctl, make, |_| {
        (vec![A::Fd(fd.number()), A::Name("FIONBIO"), A::Value(0)], Returned::Number(0))
    });
    made.map(drop)
}

/// What a signal that is not blocked does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Disposition {
    Default,
    Ignored,
    /// Ends the process at once, with the exit code that a shell gives to this death.
    Exit,
}

/// Sets what `signal` does. Work: one system call.
///
/// Man page: signal(2)
pub(crate) fn set_disposition(signal: Signal, to: Disposition) {
    let handler = match to {
        Disposition::Default => libc::SIG_DFL,
        Disposition::Ignored => libc::SIG_IGN,
        Disposition::Exit => exit_by as extern "C" fn(libc::c_int) as libc::sighandler_t,
    };
    // SAFETY: signal(2) takes two numbers and touches no memory of ours. The one handler that is
    // ever set, `exit_by`, makes a single call that may be made in a handler.
    unsafe { libc::signal(signal.number().into(), handler) };
}

extern "C" fn exit_by(signal: libc::c_int) {
    // SAFETY: _exit(2) takes a number, touches no memory and does not return.
    unsafe { libc::_exit(128 + signal) };
}

/// Whether `signal` is ignored. Work: one system call.
///
/// Man page: sigaction(2)
pub(crate) fn is_ignored(signal: Signal) -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::zeroed();
    let at = now.as_mut_ptr();
    // SAFETY: sigaction(2) with no new action only writes one at `at`, which is ours.
    let asked = unsafe { libc::sigaction(signal.number().into(), std::ptr::null(), at) };
    // SAFETY: zeroes are a sigaction: numbers, and a pointer that may be null.
    asked == 0 && unsafe { now.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// From here on no signal is blocked. Work: one system call.
///
/// Man page: sigprocmask(2), `SIG_SETMASK`
pub(crate) fn unblock_signals() {
    let none = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigprocmask(2) reads one sigset_t, of which zeroes are one with no signal in it,
    // and keeps no pointer.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
}

/// Standard input, output or error, by its number (0 to 2), as a file that stays open when it is
/// dropped.
pub(crate) fn standard_stream(number: i32) -> ManuallyDrop<File> {
    // SAFETY: from_raw_fd makes no call. The standard library has seen to it that the three are
    // open, and nothing in the program closes them.
    ManuallyDrop::new(unsafe { File::from_raw_fd(number) })
}

/// For a file that is opened only to be written to: nobody waits for its other end, nor for room.
pub(crate) const OPEN_NONBLOCKING: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Exited(i32),
    Killed(i32),
}

/// Makes a second process that is a copy of this one: returns the child's number in the parent,
/// and nothing in the child. Work: one system call, O(memory that is mapped).
///
/// Only for a process of one thread, which the models that call it are: of several, the child
/// would have one, and the locks of the others for ever.
///
/// Man page: fork(2)
pub(super) fn fork<K: Meter>(kernel: &mut K) -> Result<Option<u32>, Errno> {
    let make = || {
        // SAFETY: fork(2) touches no memory of ours. The child goes on with copies of everything,
        // and as no other thread has been started, no lock is held and nothing is half done.
        count(unsafe { libc::fork() })
    };
    let number = kernel.beside(Call::Fork, make, |result| {
        (vec![A::Name("SIGCHLD")], Returned::Number(*result.as_ref().unwrap_or(&0)))
    })?;
    Ok(u32::try_from(number).ok().filter(|&number| number > 0))
}

/// Has the kernel send us `signal` when our parent ends, however it does. Work: one system call.
///
/// A parent that has ended before is not noticed: whoever asks looks for it afterwards.
///
/// Man page: prctl(2), `PR_SET_PDEATHSIG`
pub(super) fn end_with_parent(signal: i32) {
    // SAFETY: prctl(2) takes two numbers here, and touches no memory. It refuses only a signal
    // that is none.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
}

/// Reaps a child that has ended, if one has: until then it is a zombie, a line in the table of
/// processes that nobody else may use. Does not wait. Work: one system call.
///
/// # Errors
/// * [`Errno::ECHILD`]: there are no children.
///
/// Man page: waitpid(2), `WNOHANG`
pub(crate) fn waitpid<K: Meter>(kernel: &mut K) -> Result<Option<(u32, End)>, Errno> {
    let make = || {
        let mut status = 0;
        // SAFETY: waitpid(2) writes one `int` at `status`, which is ours until it returns.
        let number = count(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) })?;
        let end = if libc::WIFSIGNALED(status) {
            End::Killed(libc::WTERMSIG(status))
        } else {
            End::Exited(libc::WEXITSTATUS(status))
        };
        Ok(u32::try_from(number).ok().filter(|&number| number > 0).map(|number| (number, end)))
    };
    kernel.beside(Call::Waitpid, make, |result| {
        let (number, end) = result.ok().flatten().map_or((0, A::Name("...")), |(number, end)| {
            let text = match end {
                End::Exited(code) => format!("[{{WIFEXITED(s) && WEXITSTATUS(s) == {code}}}]"),
                End::Killed(signal) => format!("[{{WIFSIGNALED(s) && WTERMSIG(s) == {signal}}}]"),
            };
            (number as usize, A::Text(text))
        });
        (vec![A::Number(-1), end, A::Name("WNOHANG"), A::Name("NULL")], Returned::Number(number))
    })
}

/// Sends a signal to the child `number`, which has not been reaped: so its number is still its
/// own. Work: one system call.
///
/// Man page: kill(2)
pub(super) fn kill<K: Meter>(kernel: &mut K, number: u32, signal: i32) -> Result<(), Errno> {
    let target = number.cast_signed();
    let make = || {
        // SAFETY: kill(2) takes two numbers and touches no memory of ours.
        count(unsafe { libc::kill(target, signal) })
    };
    let made = kernel.beside(Call::Kill, make, |_| {
        let name = if signal == SIGKILL { "SIGKILL" } else { "SIGTERM" };
        let arguments = vec![A::Number(number.into()), A::Name(name)];
        (arguments, Returned::Number(0))
    });
    made.map(drop)
}

/// The signals that [`kill`] is used with.
pub(super) const SIGTERM: i32 = libc::SIGTERM;
pub(super) const SIGKILL: i32 = libc::SIGKILL;

/// What a program of three instructions steers by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ancillary {
    /// The processor that the packet came in on.
    Cpu,
    /// A number drawn by the kernel.
    Random,
}

/// Has a program choose, for each new connection, which of the `count` sockets of a port gets it.
/// Work: one system call.
///
/// Man page: socket(7), `SO_ATTACH_REUSEPORT_CBPF`
pub(super) fn attach_reuseport_cbpf<K: Meter>(
    kernel: &mut K,
    socket: &Fd,
    by: Ancillary,
    count_of_sockets: u32,
) -> Result<(), Errno> {
    let offset = match by {
        Ancillary::Cpu => libc::SKF_AD_CPU,
        Ancillary::Random => libc::SKF_AD_RANDOM,
    };
    let line = |code: u32, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(u16::MAX),
        jt: 0,
        jf: 0,
        k,
    };
    let mut program: [_; 3] = [
        // A = what is steered by; A = A % sockets; return A: the number of a socket.
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
        // SAFETY: setsockopt(2) reads `bytes` bytes at `header`, a sock_fprog, and through it the
        // instructions of `program`; both live until it returns, and it keeps a copy, no pointer.
        count(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, header, bytes) })
    };
    let made = kernel.beside(Call::Setsockopt, make, |_| {
        let names = ["SOL_SOCKET", "SO_ATTACH_REUSEPORT_CBPF", "{len=3, filter=...}"].map(A::Name);
        let mut arguments = vec![A::Fd(socket.number())];
        arguments.extend(names);
        arguments.push(A::Number(bytes.into()));
        (arguments, Returned::Number(0))
    });
    made.map(drop)
}

/// `count` words, all zero, that children see too: in them and here they are the same memory.
/// Work: one system call.
///
/// Man page: mmap(2), `MAP_SHARED`
pub(crate) fn shared_words(count: usize) -> Result<&'static [AtomicU64], Errno> {
    let bytes = count * size_of::<AtomicU64>();
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: mmap(2) without an address of ours touches no memory that we have: it gives us
    // `bytes` new bytes, zeroed, page-aligned.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, kind, -1, 0) };
    if at == libc::MAP_FAILED {
        return Err(last());
    }
    // SAFETY: from_raw_parts reads nothing. `at` holds `count` zeroed words, aligned to a page; they
    // are never unmapped, and only looked at as atomics, by whichever thread or process.
    Ok(unsafe { std::slice::from_raw_parts(at.cast(), count) })
}

/// -1 and errno become `Err`.
fn count(returned: i32) -> Result<usize, Errno> {
    usize::try_from(returned).map_err(|_| last())
}

/// Why the last call of this thread failed.
fn last() -> Errno {
    let error = std::io::Error::last_os_error();
    Errno::try_from(&error).unwrap_or(Errno::EIO)
}
