//! Lints for event handlers: what a handler does with epoll that goes wrong later.
//!
//! Knows the calls that a [`Tracer`] records, and no handler: what a program keeps in mind without
//! a call is not seen. So a lint is a strong hint, not a proof; where a rule has an exception it is
//! documented at its [`Lint`].

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

use super::tracer::{Argument, RecordSink, ReturnValue, SyscallRecord, Tracer};
use crate::errno::Errno;
use crate::event::{EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT, EPOLLRDHUP};
use crate::kernel::{EpollEvent, Kernel, Syscall};

/// Reports in a row after which a handler counts as ignoring them. Fewer happen by chance: a
/// second report may have been made before the first was handled.
const REPEATS: u32 = 3;

/// Findings that are kept: a handler that does it once does it for every connection.
const FOUND_MAX: usize = 1024;

/// Something that a handler did.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lint {
    /// Edge-triggered, a descriptor was reported readable, and the handler went back to a wait that
    /// may block without having read to `EAGAIN`, to the end, or to a short read (which counts only
    /// if nothing but `EPOLLIN` and `EPOLLOUT` was reported). The kernel does not report the rest
    /// again. (No lint: a poll without blocking comes next, as with a requeue
    /// list; or the last send was short, and reading goes on when there is room.)
    EdgeNotDrained {
        /// The descriptor.
        fd: u32,
    },
    /// Edge-triggered, the handler stopped at a short recv(2), and `EPOLLRDHUP` is not in the
    /// interest: an end of file behind the data may never be reported.
    ShortReadWithoutRdhup {
        /// The descriptor.
        fd: u32,
    },
    /// Level-triggered, room to write was reported three times in a row, and nothing was sent in
    /// between: without anything to send, `EPOLLOUT` must not be in the interest.
    WritableWithoutData {
        /// The descriptor.
        fd: u32,
    },
    /// Level-triggered, `EPOLLHUP` or `EPOLLERR` was reported three times in a row, and the
    /// descriptor was neither read nor closed.
    HangupIgnored {
        /// The descriptor.
        fd: u32,
    },
    /// A descriptor was closed while it was registered: level-triggered, or with a duplicate that
    /// is open. The registration lives as long as any duplicate, one of a child process too, and
    /// no number deletes it any more. (Edge-triggered or one-shot, and without a duplicate that was
    /// seen, the close alone is common, and at worst a stale event follows.)
    ClosedWithoutDelete {
        /// The descriptor.
        fd: u32,
    },
    /// Level-triggered, the same readiness was reported three times in a row, and no call was made
    /// on the descriptor: the loop spins.
    Spin {
        /// The descriptor.
        fd: u32,
    },
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EdgeNotDrained { fd } => {
                write!(f, "fd {fd}: edge-triggered, and not read to EAGAIN before the next wait")
            }
            Self::ShortReadWithoutRdhup { fd } => write!(
                f,
                "fd {fd}: reading stopped at a short read, and EPOLLRDHUP is not in the interest"
            ),
            Self::WritableWithoutData { fd } => {
                write!(f, "fd {fd}: EPOLLOUT is reported again and again, and nothing is sent")
            }
            Self::HangupIgnored { fd } => {
                write!(f, "fd {fd}: EPOLLHUP or EPOLLERR is reported, and not handled")
            }
            Self::ClosedWithoutDelete { fd } => {
                write!(f, "fd {fd}: closed while registered, and a duplicate may live on")
            }
            Self::Spin { fd } => {
                write!(f, "fd {fd}: the same event is reported again and again, and not handled")
            }
        }
    }
}

/// A kernel that watches how it is used.
///
/// It composes over any kernel, so that a handler is linted on the simulated one, in every order of
/// events that a test can make, and on the real one. Meant for tests: each call is recorded.
///
/// ```
/// use epollite::event::{EPOLLET, EPOLLIN};
/// use epollite::instrument::{Lint, Linted};
/// use epollite::kernel::{EpollEvent, EpollOp, SocketType};
/// use epollite::sim::Sim;
/// use epollite::Kernel;
///
/// let mut kernel = Linted::with_lints(Sim::default());
/// let (near, far) = kernel.socketpair(SocketType::Stream).unwrap();
/// let epoll = kernel.epoll_create1().unwrap();
/// let event = EpollEvent::new(EPOLLIN | EPOLLET, 1);
/// kernel.epoll_ctl(&epoll, EpollOp::Add(event), &near).unwrap();
/// kernel.send(&far, &[7; 100]).unwrap();
///
/// let mut events = [EpollEvent::default(); 8];
/// kernel.epoll_wait(&epoll, &mut events, None).unwrap();
/// kernel.recv(&near, &mut [0; 10]).unwrap();              // 90 bytes are left,
/// kernel.epoll_wait(&epoll, &mut events, Some(1)).unwrap(); // and no edge comes for them
/// assert_eq!(kernel.sink.found(), [Lint::EdgeNotDrained { fd: near.number() }]);
/// # kernel.close(near).unwrap(); kernel.close(far).unwrap(); kernel.close(epoll).unwrap();
/// ```
pub type Linted<K> = Tracer<K, Lints>;

impl<K: Kernel> Linted<K> {
    /// Wraps `kernel`; what is found is in [`sink`](Tracer::sink). Cost: O(1).
    pub const fn with_lints(kernel: K) -> Self {
        Self::with_sink(kernel, Lints::new())
    }
}

/// What has been found, and what is needed to find more.
#[derive(Clone, Debug, Default)]
pub struct Lints {
    found: Vec<Lint>,
    /// By epoll and descriptor.
    watches: BTreeMap<(u32, u32), Watch>,
    /// Descriptors that were duplicated, and their duplicates: those of one file have one number.
    files: BTreeMap<u32, u64>,
    files_count: u64,
    /// Eventfds: each write is an edge, whether they are read or not.
    eventfds: BTreeSet<u32>,
}

/// A registration, and what has happened to it since its last report.
#[derive(Clone, Debug)]
struct Watch {
    mask: u32,
    data: u64,
    /// The last report; 0 before the first.
    reported: u32,
    last_read: LastRead,
    /// The last send did not take everything.
    send_is_blocked: bool,
    /// Since the last report: any call, any read, any send.
    has_call: bool,
    has_read: bool,
    has_send: bool,
    /// Reports in a row without such a call in between.
    unhandled: u32,
    unread_hangups: u32,
    unsent: u32,
}

/// How the last read of an edge ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LastRead {
    /// Nothing is known to be left.
    Drained,
    /// It was reported, and more may be there.
    Left,
    /// recv(2) returned less than there was room for.
    Short,
}

impl Watch {
    const fn new(event: EpollEvent) -> Self {
        Self {
            mask: event.events(),
            data: event.data(),
            reported: 0,
            last_read: LastRead::Drained,
            send_is_blocked: false,
            has_call: false,
            has_read: false,
            has_send: false,
            unhandled: 0,
            unread_hangups: 0,
            unsent: 0,
        }
    }

    const fn is_edge(&self) -> bool {
        self.mask & (EPOLLET | EPOLLONESHOT) == EPOLLET
    }

    const fn is_level(&self) -> bool {
        self.mask & (EPOLLET | EPOLLONESHOT) == 0
    }

    /// Accounts for a report.
    fn report(&mut self, events: u32) {
        let is_same = self.reported == events;
        let next = |count: u32, is_handled| if is_handled { 1 } else { count + 1 };
        self.unhandled = next(self.unhandled, self.has_call || !is_same);
        self.unread_hangups = next(self.unread_hangups, self.has_read);
        self.unsent = next(self.unsent, self.has_send);
        if events & (EPOLLHUP | EPOLLERR) == 0 {
            self.unread_hangups = 0;
        }
        if events & EPOLLOUT == 0 {
            self.unsent = 0;
        }
        (self.has_call, self.has_read, self.has_send) = (false, false, false);
        self.reported = events;
        if events & EPOLLIN != 0 {
            self.last_read = LastRead::Left;
        }
        if events & EPOLLOUT != 0 {
            self.send_is_blocked = false;
        }
    }

    /// The lint of a level-triggered registration that was reported, if there is one.
    fn level_lint(&self, fd: u32) -> Option<Lint> {
        if !self.is_level() {
            return None;
        }
        let is_hangup = self.reported & (EPOLLHUP | EPOLLERR) != 0;
        match () {
            () if self.unread_hangups >= REPEATS => Some(Lint::HangupIgnored { fd }),
            () if is_hangup => None,
            () if self.unsent >= REPEATS => Some(Lint::WritableWithoutData { fd }),
            () if self.unhandled >= REPEATS && self.reported & EPOLLOUT == 0 => {
                Some(Lint::Spin { fd })
            }
            () => None,
        }
    }
}

impl Lints {
    /// Without findings. Cost: O(1).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            found: Vec::new(),
            watches: BTreeMap::new(),
            files: BTreeMap::new(),
            files_count: 0,
            eventfds: BTreeSet::new(),
        }
    }

    /// What has been found, each once for a descriptor; at most 1024. Cost: O(1).
    #[must_use]
    pub fn found(&self) -> &[Lint] {
        &self.found
    }

    fn find(&mut self, lint: Lint) {
        if self.found.len() < FOUND_MAX && !self.found.contains(&lint) {
            self.found.push(lint);
        }
    }

    fn for_each_watch_of(&mut self, fd: u32, mut act: impl FnMut(&mut Watch)) {
        for ((_, watched), watch) in &mut self.watches {
            if *watched == fd {
                act(watch);
            }
        }
    }

    /// epoll_ctl(2), when it has succeeded.
    fn on_control(&mut self, arguments: &[Argument]) {
        let [Argument::Fd(epoll), Argument::Name(op), Argument::Fd(fd), event] = arguments else {
            return;
        };
        match (*op, event) {
            ("EPOLL_CTL_DEL", _) => _ = self.watches.remove(&(*epoll, *fd)),
            // A modified registration is reported again, whatever was left.
            (_, Argument::Event(event)) => {
                let watch = self.watches.entry((*epoll, *fd)).or_insert(Watch::new(*event));
                (watch.mask, watch.data) = (event.events(), event.data());
                (watch.last_read, watch.has_call) = (LastRead::Drained, true);
            }
            _ => {}
        }
    }

    /// Before the wait: what was not finished, if it may block. Then what it has reported.
    fn on_wait(&mut self, record: &SyscallRecord) {
        let [Argument::Fd(epoll), events, _, timeout, ..] = &record.arguments[..] else { return };
        let may_block = match timeout {
            Argument::Number(millis) => *millis != 0,
            Argument::Timespec(timeout) => !timeout.is_zero(),
            _ => true,
        };
        let mut lints = Vec::new();
        for ((_, fd), watch) in self.watches.iter_mut().filter(|((own, _), _)| own == epoll) {
            let fd = *fd;
            if !may_block || !watch.is_edge() || watch.send_is_blocked {
                continue;
            }
            match watch.last_read {
                LastRead::Left if !self.eventfds.contains(&fd) => {
                    lints.push(Lint::EdgeNotDrained { fd });
                }
                LastRead::Short if watch.mask & EPOLLRDHUP == 0 => {
                    lints.push(Lint::ShortReadWithoutRdhup { fd });
                }
                // Behind the data there is an end, an error or an urgent mark.
                LastRead::Short if watch.reported & !(EPOLLIN | EPOLLOUT) != 0 => {
                    lints.push(Lint::EdgeNotDrained { fd });
                }
                _ => {}
            }
        }
        if let Argument::Events(events) = events {
            for event in events {
                let is_it = |watch: &Watch| watch.data == event.data();
                let mut watches = self.watches.iter_mut();
                if let Some(((_, fd), watch)) =
                    watches.find(|((own, _), watch)| own == epoll && is_it(watch))
                {
                    watch.report(event.events());
                    lints.extend(watch.level_lint(*fd));
                }
            }
        }
        lints.into_iter().for_each(|lint| self.find(lint));
    }

    /// A read from `fd`, with room for `room`, which returned `result`.
    fn on_read(&mut self, fd: u32, call: Syscall, room: usize, result: Result<usize, Errno>) {
        let last = match (call, result) {
            // Whatever the error is, the handler knows that there is nothing to be had.
            (_, Err(errno)) if !errno.is_interrupted() => Some(LastRead::Drained),
            (Syscall::Recv | Syscall::Read, Ok(0)) if room > 0 => Some(LastRead::Drained),
            (Syscall::Recv, Ok(count)) if count < room => Some(LastRead::Short),
            (Syscall::Read | Syscall::Recvmmsg, Ok(count)) if count < room => {
                Some(LastRead::Drained)
            }
            (_, Ok(_)) => Some(LastRead::Left),
            (_, Err(_)) => None,
        };
        self.for_each_watch_of(fd, |watch| {
            watch.has_read = true;
            // Without a report nothing has to be read.
            if watch.reported != 0
                && let Some(last) = last
            {
                watch.last_read = last;
            }
        });
    }

    fn on_send(&mut self, fd: u32, len: usize, result: Result<usize, Errno>) {
        let is_blocked = match result {
            Ok(count) => count < len,
            Err(errno) => errno.is_would_block(),
        };
        self.for_each_watch_of(fd, |watch| {
            watch.has_send = true;
            watch.send_is_blocked = is_blocked;
        });
    }

    /// A descriptor is closed, whatever close(2) returned.
    fn on_close(&mut self, fd: u32) {
        self.eventfds.remove(&fd);
        let file = self.files.remove(&fd);
        let has_duplicate = file.is_some_and(|file| self.files.values().any(|own| *own == file));
        let is_reported = |watch: &Watch| watch.is_level() || has_duplicate;
        let of_it = |((_, watched), _): &(&(u32, u32), &Watch)| *watched == fd;
        if self.watches.iter().filter(of_it).any(|(_, watch)| is_reported(watch)) {
            self.find(Lint::ClosedWithoutDelete { fd });
        }
        // Its own registrations, if it is an epoll, end too.
        self.watches.retain(|(epoll, watched), _| *watched != fd && *epoll != fd);
    }

    /// Both descriptors refer to one file from now on.
    fn on_dup(&mut self, from: u32, to: u32) {
        self.files_count += 1;
        let file = *self.files.entry(from).or_insert(self.files_count);
        self.files.insert(to, file);
        if self.eventfds.contains(&from) {
            self.eventfds.insert(to);
        }
    }
}

impl RecordSink for Lints {
    fn record(&mut self, record: SyscallRecord) {
        let Some(call) = record.call else { return };
        let fd = match record.arguments.first() {
            Some(Argument::Fd(fd)) => *fd,
            _ => 0,
        };
        let count = record.result.map(|value| match value {
            ReturnValue::Number(count) => count,
            ReturnValue::Fd(_) => 1,
        });
        match (call, record.result) {
            (Syscall::EpollCtl, result) => {
                if result.is_ok() {
                    self.on_control(&record.arguments);
                }
                return;
            }
            (Syscall::EpollWait | Syscall::EpollPwait2, _) => return self.on_wait(&record),
            (Syscall::Close, _) => return self.on_close(fd),
            (Syscall::Dup, Ok(ReturnValue::Fd(to))) => self.on_dup(fd, to),
            (Syscall::Eventfd, Ok(ReturnValue::Fd(eventfd))) => _ = self.eventfds.insert(eventfd),
            _ => {}
        }
        match call {
            Syscall::Recv | Syscall::Read | Syscall::Recvmmsg | Syscall::Recvfrom => {
                self.on_read(fd, call, number(record.arguments.get(2)), count);
            }
            Syscall::Recvmsg | Syscall::Accept4 => self.on_read(fd, call, 0, count),
            // Asking for the error takes it.
            Syscall::Getsockopt => self.for_each_watch_of(fd, |watch| watch.has_read = true),
            Syscall::Send | Syscall::Sendto | Syscall::Write => {
                self.on_send(fd, number(record.arguments.get(2)), count);
            }
            Syscall::Sendmmsg | Syscall::Sendmsg => self.on_send(fd, 0, count),
            Syscall::Splice => {
                self.on_read(fd, call, 0, count);
                if let Some(Argument::Fd(into)) = record.arguments.get(2) {
                    self.on_send(*into, 0, count);
                    self.for_each_watch_of(*into, |watch| watch.has_call = true);
                }
            }
            _ => {}
        }
        self.for_each_watch_of(fd, |watch| watch.has_call = true);
    }
}

fn number(argument: Option<&Argument>) -> usize {
    match argument {
        Some(Argument::Number(number)) => usize::try_from(*number).unwrap_or(0),
        _ => 0,
    }
}
