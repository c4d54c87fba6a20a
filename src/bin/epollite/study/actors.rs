//! Threads and child processes that wait in an epoll: the actors of experiments, on Linux.
//!
//! Whether one sleeps is read from /proc; nothing here sleeps itself.

use std::fs::{self, File};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant as StdInstant};

use epollite::kernel::{ChildProcess, ChildRole, Devices, EpollEvent, Signal};
use epollite::study::{Actors, Returned, Waited};
use epollite::{Errno, Fd, Instant, Kernel, Linux};

use crate::small_map::SmallMap;

/// How long an actor may take to fall asleep or to return: too long on any machine.
const ASLEEP_MAX: Duration = Duration::from_secs(10);
/// The numbers of epoll_wait(2), epoll_pwait(2) and recvmmsg(2) on the machines that Linux has.
const WAIT_NUMBERS: [&str; 5] = ["232", "281", "22", "299", "243"];

/// The actors of one experiment.
#[derive(Debug, Default)]
pub(crate) struct LinuxActors {
    actors: SmallMap<String, Actor>,
    /// Names of processes that could not be forked: a thread must not stand for one, since what is
    /// sent to it would stop or end this program.
    missing: Vec<String>,
}

#[derive(Debug)]
enum Actor {
    Thread(Worker),
    Process(Child),
}

/// What a thread does.
type Call = Box<dyn FnOnce() -> Result<Returned, Errno> + Send>;

/// A thread that makes one call.
#[derive(Debug)]
struct Worker {
    thread: u32,
    messages: Receiver<Message>,
    handle: Option<JoinHandle<()>>,
    returned: Option<Ended>,
}

#[derive(Debug)]
struct Child {
    process: ChildProcess,
    waits_since: Option<Instant>,
    returned: Option<Ended>,
    is_alive: bool,
}

/// What a thread says: which it is, and later how its call has ended.
#[derive(Debug)]
enum Message {
    Began(Option<u32>),
    Ended(Ended),
}

#[derive(Debug)]
struct Ended {
    result: Result<Returned, Errno>,
    start: Instant,
    duration: Duration,
}

impl Actors for LinuxActors {
    fn begin_wait(
        &mut self,
        actor: &str,
        epoll: &Fd,
        events_max: usize,
        timeout_millis: u32,
    ) -> Result<(), Errno> {
        match self.actors.get_mut(actor) {
            Some(Actor::Thread(_)) => return Err(Errno::EBUSY),
            Some(Actor::Process(child)) => {
                if child.waits_since.is_some() {
                    return Err(Errno::EBUSY);
                }
                child.waits_since = Some(Linux.now());
                let (epoll, process) = (epoll.number(), &child.process);
                Linux.child_begin_wait(process, epoll, events_max, timeout_millis)?;
            }
            None => {
                let epoll = epoll.number();
                self.begin_thread(actor, move || {
                    let mut events = vec![EpollEvent::default(); events_max];
                    let count = Linux.epoll_wait_in(epoll, &mut events, timeout_millis)?;
                    Ok(Returned::Events(events[..count].to_vec()))
                })?;
            }
        }
        self.settle()
    }

    fn begin_receive(
        &mut self,
        actor: &str,
        socket: &Fd,
        messages_max: usize,
        timeout_millis: u32,
    ) -> Result<(), Errno> {
        let socket = socket.number();
        if self.actors.contains_key(actor) {
            return Err(Errno::EBUSY);
        }
        self.begin_thread(actor, move || {
            Linux.recvmmsg_in(socket, messages_max, timeout_millis).map(Returned::Count)
        })?;
        self.settle()
    }

    fn end_wait(&mut self, actor: &str) -> Result<Waited, Errno> {
        self.settle()?;
        let returned = match self.actors.get_mut(actor).ok_or(Errno::ESRCH)? {
            Actor::Thread(worker) => worker.returned.take(),
            Actor::Process(child) => {
                child.waits_since.ok_or(Errno::ESRCH)?;
                child.returned.take()
            }
        };
        let Some(Ended { result, start, duration }) = returned else {
            return Ok(Waited::Blocked);
        };
        match self.actors.get_mut(actor) {
            Some(Actor::Process(child)) => child.waits_since = None,
            _ => _ = self.actors.remove(actor).map(Actor::end),
        }
        Ok(Waited::Returned { result, start, duration })
    }

    fn fork(&mut self, actor: &str) -> Result<(), Errno> {
        let process = Linux.fork().inspect_err(|_| self.missing.push(actor.to_owned()))?;
        self.insert_child(actor, process);
        self.settle()
    }

    fn fork_with(&mut self, actor: &str, role: ChildRole) -> Result<Fd, Errno> {
        let forked = Linux.fork_with(role);
        let (process, made) = forked.inspect_err(|_| self.missing.push(actor.to_owned()))?;
        self.insert_child(actor, process);
        Ok(made)
    }

    fn kill(&mut self, actor: &str, signal: Signal) -> Result<(), Errno> {
        match self.actors.get(actor).ok_or(Errno::ESRCH)? {
            Actor::Thread(worker) => {
                Linux.sigaction_nothing(Signal::URG)?;
                Linux.tgkill(worker.thread, signal)?;
            }
            // Its number may be another process's.
            Actor::Process(Child { is_alive: false, .. }) => return Err(Errno::ESRCH),
            Actor::Process(Child { process, .. }) => {
                Linux.kill(process.pid, signal)?;
                let wanted: &[char] = match signal {
                    Signal::STOP => &['T', 'Z', 'X'],
                    Signal::KILL => &['Z', 'X'],
                    _ => return self.settle(),
                };
                let path = format!("/proc/{}/stat", process.pid);
                until(&mut || state(&path).is_none_or(|state| wanted.contains(&state)))?;
            }
        }
        self.settle()
    }

    fn pidfd(&mut self, actor: &str) -> Result<Fd, Errno> {
        match self.actors.get(actor) {
            Some(Actor::Process(child)) if child.is_alive => Linux.pidfd_open(child.process.pid),
            _ => Err(Errno::ESRCH),
        }
    }

    fn reap(&mut self, actor: &str) -> Result<(), Errno> {
        match self.actors.get_mut(actor) {
            Some(Actor::Process(child)) if child.is_alive => {
                if state(&format!("/proc/{}/stat", child.process.pid)) != Some('Z') {
                    return Err(Errno::EBUSY);
                }
                child.is_alive = false;
                Linux.waitpid(child.process.pid)
            }
            _ => Err(Errno::ECHILD),
        }
    }

    fn end_all(&mut self) {
        std::mem::take(&mut self.actors).into_values().for_each(Actor::end);
    }
}

impl LinuxActors {
    fn begin_thread(
        &mut self,
        actor: &str,
        call: impl FnOnce() -> Result<Returned, Errno> + Send + 'static,
    ) -> Result<(), Errno> {
        self.begin_boxed(actor, Box::new(call))
    }

    fn begin_boxed(&mut self, actor: &str, call: Call) -> Result<(), Errno> {
        if self.missing.iter().any(|name| name == actor) {
            return Err(Errno::ESRCH);
        }
        self.actors.insert(actor.to_owned(), Actor::Thread(Worker::begin(call)?));
        Ok(())
    }

    fn insert_child(&mut self, actor: &str, process: ChildProcess) {
        let child = Child { process, waits_since: None, returned: None, is_alive: true };
        self.actors.insert(actor.to_owned(), Actor::Process(child));
    }

    /// Waits until every actor sleeps, is stopped, or has returned. One that returns may have woken
    /// another, so all of them are asked twice.
    ///
    /// # Errors
    /// It cannot be seen, or one is not quiet in time.
    fn settle(&mut self) -> Result<(), Errno> {
        // Without /proc, or a descriptor to read it, no actor would ever seem to sleep.
        File::open("/proc/self/stat")
            .map_err(|it| Errno::from_io_error(&it).unwrap_or(Errno::EIO))?;
        let mut quiet = 0;
        until(&mut || {
            let is_quiet = self.actors.values_mut().all(Actor::is_quiet);
            quiet = if is_quiet { quiet + 1 } else { 0 };
            quiet == 2
        })
    }
}

impl Drop for LinuxActors {
    fn drop(&mut self) {
        self.end_all();
    }
}

impl Actor {
    /// Whether it can do no more by itself.
    fn is_quiet(&mut self) -> bool {
        match self {
            Self::Thread(worker) => worker.is_quiet(),
            Self::Process(child) => child.is_quiet(),
        }
    }

    fn end(self) {
        match self {
            Self::Thread(worker) => worker.end(),
            Self::Process(child) => child.end(),
        }
    }
}

impl Worker {
    fn begin(call: Call) -> Result<Self, Errno> {
        // So that the wait can be ended.
        Linux.sigaction_nothing(Signal::URG)?;
        let (send, messages) = channel();
        let wait = move || {
            let link = fs::read_link("/proc/thread-self").unwrap_or_default();
            let thread = link.file_name().and_then(|name| name.to_str()?.parse().ok());
            let start = Linux.now();
            let _ = send.send(Message::Began(thread));
            let result = call();
            let duration = Linux.now() - start;
            let _ = send.send(Message::Ended(Ended { result, start, duration }));
        };
        let handle = thread::Builder::new().spawn(wait);
        let handle = handle.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::EAGAIN));
        let handle = Some(handle?);
        let Ok(Message::Began(Some(thread))) = messages.recv() else { return Err(Errno::ENOENT) };
        Ok(Self { thread, messages, handle, returned: None })
    }

    fn is_quiet(&mut self) -> bool {
        if self.returned.is_some() {
            return true;
        }
        let folder = format!("/proc/self/task/{}", self.thread);
        let is_wait = |call: String| {
            call.split_ascii_whitespace().next().is_some_and(|it| WAIT_NUMBERS.contains(&it))
        };
        // A kernel may be built without the number of the call.
        let sleeps = state(&format!("{folder}/stat")) == Some('S')
            && fs::read_to_string(format!("{folder}/syscall")).map_or(true, is_wait);
        match self.messages.try_recv() {
            Ok(Message::Ended(returned)) => self.returned = Some(returned),
            Err(TryRecvError::Empty) => return sleeps,
            Ok(Message::Began(_)) | Err(TryRecvError::Disconnected) => {}
        }
        true
    }

    /// Interrupts the wait until it ends.
    fn end(mut self) {
        let Some(handle) = self.handle.take() else { return };
        let _ = until(&mut || {
            let has_ended = handle.is_finished();
            if !has_ended {
                let _ = Linux.tgkill(self.thread, Signal::URG);
            }
            has_ended
        });
        if handle.is_finished() {
            let _ = handle.join();
        }
    }
}

impl Child {
    fn is_quiet(&mut self) -> bool {
        let Some(start) = self.waits_since.filter(|_| self.returned.is_none()) else {
            return true;
        };
        let state = state(&format!("/proc/{}/stat", self.process.pid));
        match Linux.child_end_wait(&self.process) {
            Ok(Some(result)) => {
                let duration = Linux.now() - start;
                let result = result.map(Returned::Events);
                self.returned = Some(Ended { result, start, duration });
                true
            }
            Ok(None) => matches!(state, Some('S' | 'T' | 'Z') | None),
            Err(_) => true,
        }
    }

    fn end(self) {
        if self.is_alive {
            let _ = Linux.kill(self.process.pid, Signal::KILL);
            let _ = Linux.waitpid(self.process.pid);
        }
        let _ = Linux.close(self.process.commands);
        let _ = Linux.close(self.process.results);
    }
}

/// The state of a thread or process: `S` when it sleeps, `R` when it runs.
///
/// Man page: proc_pid_stat(5)
fn state(path: &str) -> Option<char> {
    let text = fs::read_to_string(path).ok()?;
    // The name, in parentheses, may contain anything.
    text.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Asks again and again, until it is so.
fn until(is_so: &mut dyn FnMut() -> bool) -> Result<(), Errno> {
    let deadline = StdInstant::now() + ASLEEP_MAX;
    while !is_so() {
        if StdInstant::now() > deadline {
            return Err(Errno::ETIMEDOUT);
        }
        thread::yield_now();
    }
    Ok(())
}
