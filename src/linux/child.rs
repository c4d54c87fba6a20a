//! A child process that waits in an epoll when it is told to, and one that is traced.
//!
//! The program that forks may have threads, so a child makes system calls only: it allocates
//! nothing, takes no lock, and ends with `_exit`.

use alloc::vec::Vec;
use core::ptr::{null, null_mut};

use super::process::now;
use super::result::{check_count, check_int_count, check_ok};
use crate::errno::Errno;
use crate::kernel::{ChildProcess, ChildRole, EpollEvent, Fd, Kernel, SocketType};

use super::{Linux, ancillary, notification};

/// The most events of one wait.
const EVENTS_MAX: u8 = 8;
/// A command: the epoll, how many events, how long.
const COMMAND_BYTES: usize = 12;
/// An answer: a count or a negative errno, and the events.
const ANSWER_BYTES: usize = 4 + EVENTS_MAX as usize * EVENT_BYTES;
/// `events` and `data`.
const EVENT_BYTES: usize = 12;
/// How long a child may take to answer: too long on any machine.
const ANSWER_MILLIS: i32 = 5_000;
/// The answer that the call is about to be made.
const BEGINS: i32 = i32::MIN;

type Answer = [u8; ANSWER_BYTES];

// Written to a pipe as a whole.
const _: () = assert!(ANSWER_BYTES < libc::PIPE_BUF);

pub(super) fn fork() -> Result<ChildProcess, Errno> {
    let (command_end, commands) = pipe()?;
    let (results, result_end) = match pipe() {
        Ok(pair) => pair,
        Err(errno) => {
            close_both(command_end, commands);
            return Err(errno);
        }
    };
    // SAFETY: fork(2) copies this process, with this thread only; what the child does from here on
    // is `serve`, which uses no memory but its own stack.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        serve(command_end.raw(), result_end.raw(), [commands.raw(), results.raw()]);
    }
    let forked = check_count(isize::try_from(pid).unwrap_or(-1));
    close_both(command_end, result_end);
    match forked {
        Ok(pid) => {
            Ok(ChildProcess { pid: u32::try_from(pid).unwrap_or(u32::MAX), commands, results })
        }
        Err(errno) => {
            close_both(commands, results);
            Err(errno)
        }
    }
}

fn close_both(one: Fd, other: Fd) {
    let _ = Linux.close(one);
    let _ = Linux.close(other);
}

/// A pipe whose ends wait.
fn pipe() -> Result<(Fd, Fd), Errno> {
    let mut pair = [0; 2];
    // SAFETY: pipe2(2) writes two `int`s at `pair`, a local array of two `int`s that lives until
    // it returns.
    check_ok(unsafe { libc::pipe2(pair.as_mut_ptr(), libc::O_CLOEXEC) })?;
    Ok((Fd::from_raw(pair[0]), Fd::from_raw(pair[1])))
}

/// A child of a role, and the descriptor that it has made.
pub(super) fn fork_with(role: ChildRole) -> Result<(ChildProcess, Fd), Errno> {
    let (results, result_end) = Linux.socketpair(SocketType::Stream)?;
    let (command_end, commands) = match pipe() {
        Ok(pair) => pair,
        Err(errno) => {
            close_both(results, result_end);
            return Err(errno);
        }
    };
    // SAFETY: fork(2) copies this process, with this thread only; what the child does from here on
    // is `play`, which uses no memory but its own stack.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        play(role, &command_end, &result_end, [commands.raw(), results.raw()]);
    }
    let forked = check_count(isize::try_from(pid).unwrap_or(-1));
    close_both(command_end, result_end);
    let pid = match forked {
        Ok(pid) => u32::try_from(pid).unwrap_or(u32::MAX),
        Err(errno) => {
            close_both(commands, results);
            return Err(errno);
        }
    };
    let child = ChildProcess { pid, commands, results };
    match take_made(&child) {
        Ok(made) => Ok((child, made)),
        Err(errno) => {
            // SAFETY: kill(2) takes two numbers and touches no user memory.
            unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) };
            let _ = wait(pid.cast_signed());
            close_both(child.commands, child.results);
            Err(errno)
        }
    }
}

/// The child: sends what it has made, or why it has not, and waits in a call.
fn play(role: ChildRole, commands: &Fd, results: &Fd, others: [i32; 2]) -> ! {
    // SAFETY: prctl(2) with PR_SET_PDEATHSIG takes two numbers and touches no user memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    for other in others {
        // SAFETY: close(2) takes a number; the descriptors are the parent's ends, copied here.
        unsafe { libc::close(other) };
    }
    let made = match role {
        ChildRole::Notifying => notification::listen(),
        ChildRole::Peer => Linux.socketpair(SocketType::Stream).map(|(_, other)| other),
    };
    let _ = match made {
        Ok(made) => ancillary::send_rights(results, &0_i32.to_ne_bytes(), &made),
        Err(errno) => Linux.send(results, &errno.number().to_ne_bytes()),
    };
    if role == ChildRole::Notifying {
        // SAFETY: getppid(2) takes nothing and touches no memory. By number: a C library could
        // answer it without a call.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
    let mut byte = 0_u8;
    // SAFETY: read(2) writes at most one byte at `byte`, a local variable. It waits until the
    // parent ends.
    unsafe { libc::read(commands.raw(), (&raw mut byte).cast(), 1) };
    // SAFETY: _exit(2) ends the process, and runs no code of it.
    unsafe { libc::_exit(0) };
}

fn take_made(child: &ChildProcess) -> Result<Fd, Errno> {
    if !has_answer(child, ANSWER_MILLIS)? {
        return Err(Errno::ETIMEDOUT);
    }
    let mut answer = [0; 4];
    let (_, made) = ancillary::recv_rights(&child.results, &mut answer)?;
    made.ok_or_else(|| Errno::new(i32::from_ne_bytes(answer)).unwrap_or(Errno::ECHILD))
}

/// The child: performs one wait for each command, until the commands end.
fn serve(commands: i32, results: i32, others: [i32; 2]) -> ! {
    // SAFETY: prctl(2) with PR_SET_PDEATHSIG takes two numbers and touches no user memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    for other in others {
        // SAFETY: close(2) takes a number; the descriptors are the parent's ends, copied here.
        unsafe { libc::close(other) };
    }
    let mut command = [0_u8; COMMAND_BYTES];
    loop {
        // SAFETY: read(2) writes at most as many bytes as the array has, a local variable.
        let count = unsafe { libc::read(commands, command.as_mut_ptr().cast(), COMMAND_BYTES) };
        if count < 0 && is_interrupted() {
            continue;
        }
        if count != COMMAND_BYTES.cast_signed() {
            // SAFETY: _exit(2) ends the process, and runs no code of it.
            unsafe { libc::_exit(0) };
        }
        answer(results, &encode(BEGINS, &[]));
        let mut events = [EpollEvent::default(); EVENTS_MAX as usize];
        let int = |at: usize| {
            command.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |it| i32::from_ne_bytes(*it))
        };
        let max = int(4).clamp(0, EVENTS_MAX.into());
        // SAFETY: epoll_wait(2) writes at most `max` events at `events`, an array of at least as
        // many, of the layout asserted in `layout.rs`.
        let count = unsafe { libc::epoll_wait(int(0), events.as_mut_ptr().cast(), max, int(8)) };
        let code = if count < 0 { -errno() } else { count };
        answer(results, &encode(code, &events));
    }
}

fn answer(results: i32, answer: &Answer) {
    // SAFETY: write(2) reads `ANSWER_BYTES` bytes at `answer`, which is borrowed until it returns.
    unsafe { libc::write(results, answer.as_ptr().cast(), ANSWER_BYTES) };
}

fn encode(code: i32, events: &[EpollEvent]) -> Answer {
    let mut answer = [0; ANSWER_BYTES];
    answer[..4].copy_from_slice(&code.to_ne_bytes());
    for (entry, event) in answer[4..].chunks_exact_mut(EVENT_BYTES).zip(events) {
        entry[..4].copy_from_slice(&event.events().to_ne_bytes());
        entry[4..].copy_from_slice(&event.data().to_ne_bytes());
    }
    answer
}

fn decode(answer: &Answer) -> Result<Vec<EpollEvent>, Errno> {
    let (code, events) = answer.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let code = i32::from_ne_bytes(*code);
    let count = usize::try_from(code)
        .map_err(|_| Errno::new(code.saturating_neg()).unwrap_or(Errno::EIO))?;
    let events = events.chunks_exact(EVENT_BYTES).take(count).filter_map(|entry| {
        let (events, data) = entry.split_first_chunk()?;
        let data = u64::from_ne_bytes(*data.first_chunk()?);
        Some(EpollEvent::new(u32::from_ne_bytes(*events), data))
    });
    Ok(events.collect())
}

pub(super) fn begin_wait(
    child: &ChildProcess,
    epoll: u32,
    events_max: usize,
    timeout_millis: u32,
) -> Result<(), Errno> {
    let mut command = [0_u8; COMMAND_BYTES];
    let events_max = u32::try_from(events_max).unwrap_or(u32::MAX >> 1);
    for (place, number) in command.chunks_exact_mut(4).zip([epoll, events_max, timeout_millis]) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
    Linux.write(&child.commands, &command)?;
    read_answer(child).map(|_| ())
}

/// The next answer. A child that is stopped gives none in time.
fn read_answer(child: &ChildProcess) -> Result<Answer, Errno> {
    if !has_answer(child, ANSWER_MILLIS)? {
        return Err(Errno::ETIMEDOUT);
    }
    let mut answer = [0; ANSWER_BYTES];
    match Linux.read(&child.results, &mut answer)? {
        ANSWER_BYTES => Ok(answer),
        _ => Err(Errno::ECHILD),
    }
}

pub(super) fn end_wait(
    child: &ChildProcess,
) -> Result<Option<Result<Vec<EpollEvent>, Errno>>, Errno> {
    if !has_answer(child, 0)? {
        return Ok(None);
    }
    read_answer(child).map(|answer| Some(decode(&answer)))
}

fn has_answer(child: &ChildProcess, millis: i32) -> Result<bool, Errno> {
    let mut poll = libc::pollfd { fd: child.results.raw(), events: libc::POLLIN, revents: 0 };
    // SAFETY: poll(2) reads and writes one pollfd at `poll`, a local variable.
    check_int_count(unsafe { libc::poll(&raw mut poll, 1, millis) }).map(|ready| ready > 0)
}

pub(super) fn wait_for_end(pid: u32) -> Result<(), Errno> {
    wait(pid.cast_signed()).map(|_| ())
}

/// The status of a child that has stopped or ended.
fn wait(pid: i32) -> Result<i32, Errno> {
    let mut status = 0;
    loop {
        // SAFETY: waitpid(2) writes one `int` at `status`, a local variable.
        let returned = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if returned != -1 || !is_interrupted() {
            return check_ok(returned).map(|()| status);
        }
    }
}

/// Calls that are timed, with a tracer and without.
const CALLS: u32 = 400;

/// The median of five, since the machine may be busy.
pub(super) fn ptrace_factor() -> Result<u32, Errno> {
    let mut factors = [0; 5];
    for factor in &mut factors {
        let start = now();
        short_calls();
        let alone = (now() - start).as_nanos().max(1);
        let traced = traced_nanos()?;
        *factor = u32::try_from(traced / alone).unwrap_or(u32::MAX);
    }
    factors.sort_unstable();
    Ok(factors[factors.len() / 2])
}

fn short_calls() {
    for _ in 0..CALLS {
        // SAFETY: getppid(2) takes nothing and touches no memory. By number: a C library could
        // answer it without a call.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
}

/// Nanoseconds that the calls take in a traced child.
fn traced_nanos() -> Result<u128, Errno> {
    // SAFETY: fork(2) copies this process, with this thread only; the child makes system calls
    // only, and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        be_traced();
    }
    check_ok(pid)?;
    let nanos = trace(pid);
    if nanos.is_err() {
        // SAFETY: kill(2) takes two numbers and touches no user memory.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        let _ = wait(pid);
    }
    nanos
}

fn be_traced() -> ! {
    // SAFETY: ptrace(2) with PTRACE_TRACEME ignores its other arguments.
    let traced = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, null::<u8>(), null::<u8>()) };
    if traced == 0 {
        // SAFETY: raise(3) takes a number and touches no memory.
        unsafe { libc::raise(libc::SIGSTOP) };
        short_calls();
    }
    // SAFETY: _exit(2) ends the process, and runs no code of it.
    unsafe { libc::_exit(i32::from(traced != 0)) };
}

/// Lets a stopped child go on from one call to the next, until it ends.
fn trace(pid: i32) -> Result<u128, Errno> {
    let mut status = wait(pid)?;
    let start = now();
    while libc::WIFSTOPPED(status) {
        let request = libc::PTRACE_SYSCALL;
        // SAFETY: ptrace(2) with PTRACE_SYSCALL takes a signal, none here, as a number.
        let resumed = unsafe { libc::ptrace(request, pid, null_mut::<u8>(), null_mut::<u8>()) };
        check_ok(if resumed < 0 { -1 } else { 0 })?;
        status = wait(pid)?;
    }
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 {
        return Ok((now() - start).as_nanos());
    }
    Err(Errno::EPERM)
}

fn errno() -> i32 {
    check_ok(-1).err().map_or(0, Errno::number)
}

fn is_interrupted() -> bool {
    errno() == libc::EINTR
}
