//! Connections, of TCP and Unix sockets: what comes back of what was sent, and how they end.

use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, exit};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixCredentials, recv, recvmsg, send, setsockopt,
};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use socket2::SockRef;

use super::{LISTENER, among};

/// Clients that ended without a byte.
static SILENT: AtomicUsize = AtomicUsize::new(0);

/// Clients that ended behind some bytes.
static ENDED: AtomicUsize = AtomicUsize::new(0);

/// Set by SIGCONT.
pub(super) static CONTINUED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Pipes that no connection uses at this moment.
static POOL: Mutex<Vec<(std::io::PipeReader, std::io::PipeWriter)>> = Mutex::new(Vec::new());

/// What a connection of TCP and of Unix has in common.
pub(super) trait Stream: Read + Write + Send + AsFd + AsRawFd + Sized + 'static {
    fn copy(&self) -> Self;

    fn end(&self, how: Shutdown) {
        drop(SockRef::from(self).shutdown(how));
    }

    fn nonblocking(&self) {
        SockRef::from(self).set_nonblocking(true).unwrap();
    }
}

impl Stream for TcpStream {
    fn copy(&self) -> Self {
        self.try_clone().unwrap()
    }
}

impl Stream for UnixStream {
    fn copy(&self) -> Self {
        self.try_clone().unwrap()
    }
}

/// Serves one connection.
pub(super) fn echo(wrong: &'static str, stream: &mut impl Stream, me: u64) {
    match wrong {
        "leaves-children" => drop(Command::new("true").spawn()),
        "logs-much" => eprintln!("{}", "a client has come ".repeat(40)),
        "spins-with-a-client" | "spins-while-blocked" => return spin(wrong, stream),
        "unbounded" | "loses-behind-fin" => return unbounded(wrong, stream),
        "keeps-descriptors" | "drops-bytes-with-descriptors" | "tells-credentials" => {
            return with_control_messages(wrong, stream);
        }
        "discards-early-bytes" => discard_early_bytes(stream),
        "leaks-pipes" => std::mem::forget(std::io::pipe().unwrap()),
        "keeps-a-pool-of-pipes" => return with_a_pipe_of_the_pool(|| exchange(wrong, stream, me)),
        "drops-what-blocks" => {
            drop(socket2::SockRef::from(&*stream).set_send_buffer_size(4096));
        }
        _ => {}
    }
    exchange(wrong, stream, me);
}

/// Sends back what comes, until the end.
fn exchange(wrong: &'static str, stream: &mut impl Stream, me: u64) {
    let mut state = State::new(me);
    let mut buf = vec![0; 65_536];
    loop {
        let count = match read(wrong, stream, &mut buf) {
            Ok(0) => return end(wrong, stream, &state),
            Ok(count) => count,
            Err(_) => return lost(wrong, me),
        };
        if is_ended_early(wrong, stream) {
            return;
        }
        if wrong == "flushes-at-urgent" && has(stream, PollFlags::POLLPRI, 0) {
            continue;
        }
        state.last_read = Instant::now();
        let Some(answer) = state.answer(wrong, &buf[..count]) else { return };
        if wrong == "drops-what-blocks" {
            state.write_without_waiting(stream, &answer);
        } else if !write(wrong, stream, &answer) {
            return lost(wrong, me);
        }
        if wrong == "ends-first" {
            return stream.end(Shutdown::Write);
        }
    }
}

/// The client has ended its half.
fn end(wrong: &str, stream: &mut impl Stream, state: &State) {
    match wrong {
        // Not with those by which it is seen to have started.
        "ends-with-silent-clients" if state.total == 0 && SILENT.fetch_add(1, Relaxed) > 20 => {
            exit(1)
        }
        "ends-after-10-clients"
            if (1..SERVED_CHECK.len()).contains(&state.total)
                && ENDED.fetch_add(1, Relaxed) > 10 =>
        {
            exit(1)
        }
        "never-ends" => thread::sleep(Duration::from_secs(600)),
        "misses-late-ends" if state.last_read.elapsed() > Duration::from_millis(50) => {
            thread::sleep(Duration::from_secs(600));
        }
        "misses-ends-at-once" if state.total > 1000 && !among::is_end_noticed() => {
            thread::sleep(Duration::from_secs(600));
        }
        "ends-all-at-an-end" => among::end_others(state.me),
        "ends-in-order" => among::wait_for_the_earlier(state.me),
        "leaks-descriptors" => {
            std::mem::forget(stream.copy());
            stream.end(Shutdown::Both);
        }
        "leaks-connections" => std::mem::forget(stream.copy()),
        "resets-at-the-end" => {
            let socket = socket2::SockRef::from(&*stream);
            drop(socket.set_linger(Some(Duration::ZERO)));
        }
        "leaks-memory" if state.total > 4 << 20 => {
            std::mem::forget(vec![1_u8; 96 << 20]);
        }
        _ => {}
    }
}

/// The connection was reset.
fn lost(wrong: &str, me: u64) {
    match wrong {
        "ends-at-reset" => exit(1),
        "ends-late-at-reset" => {
            // Clients notice the end before it can be waited for.
            let listener = LISTENER.get().unwrap();
            socket2::SockRef::from(listener).shutdown(Shutdown::Both).unwrap();
            thread::sleep(Duration::from_millis(300));
            exit(1);
        }
        "leaks-timers-at-resets" => {
            std::mem::forget(TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::empty()));
        }
        "ends-all-at-a-reset" => among::end_others(me),
        _ => {}
    }
}

/// Whether an event is reported within so many milliseconds.
fn has(stream: &impl Stream, event: PollFlags, milliseconds: u16) -> bool {
    let mut fds = [PollFd::new(stream.as_fd(), event)];
    poll(&mut fds, milliseconds).unwrap_or(0) > 0
        && fds[0].revents().is_some_and(|found| found.intersects(event))
}

/// Whether the client has ended its half, or does so in a moment.
fn has_ended_soon(stream: &impl Stream) -> bool {
    let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
    epoll.add(stream, EpollEvent::new(EpollFlags::EPOLLRDHUP, 0)).unwrap();
    epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::from(20_u16)) == Ok(1)
}

/// Ends the connection, although bytes of it have not been sent back: at the FIN behind them, or at
/// SIGCONT. What still comes is read, so that it ends with a FIN.
fn is_ended_early(wrong: &str, stream: &mut impl Stream) -> bool {
    let is_ended = match wrong {
        "ends-at-the-fin" => has_ended_soon(stream),
        "gives-up-at-continue" => CONTINUED.swap(false, Relaxed),
        _ => false,
    };
    if is_ended {
        stream.end(Shutdown::Write);
        let mut rest = vec![0; 65_536];
        while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
    }
    is_ended
}

/// Reads what has come before the connection was accepted, and forgets it.
fn discard_early_bytes(stream: &mut impl Stream) {
    let mut early = vec![0; 65_536];
    if !has(stream, PollFlags::POLLIN, 20) {
        return;
    }
    let peeked = recv(stream.as_raw_fd(), &mut early, MsgFlags::MSG_PEEK);
    if peeked.is_ok_and(|count| &early[..count] != SERVED_CHECK) {
        drop(stream.read(&mut early));
    }
}

/// A pipe for each connection, which is kept for a later one: what is open does not grow.
fn with_a_pipe_of_the_pool(serve: impl FnOnce()) {
    let kept = POOL.lock().unwrap().pop();
    let pipe = kept.unwrap_or_else(|| std::io::pipe().unwrap());
    serve();
    POOL.lock().unwrap().push(pipe);
}

/// Reads, or ends a connection that is silent for half a second.
fn read(wrong: &str, stream: &mut impl Stream, buf: &mut [u8]) -> std::io::Result<usize> {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    if wrong == "ends-silent-clients" && poll(&mut fds, 500_u16).unwrap_or(1) == 0 {
        return Ok(0);
    }
    if wrong == "flushes-at-urgent" {
        // Until what belongs together has come.
        poll(&mut fds, PollTimeout::NONE).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    if wrong == "prompts" && poll(&mut fds, 20_u16).unwrap_or(1) == 0 {
        stream.write_all(b"what next?")?;
    }
    stream.read(buf)
}

/// Writes everything; false if that fails, or the server gives up.
fn write(wrong: &str, stream: &mut impl Stream, answer: &[u8]) -> bool {
    if wrong == "gives-up-when-blocked" {
        let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut fds, 100_u16).unwrap_or(1) == 0 {
            thread::sleep(Duration::from_secs(600));
        }
    }
    stream.write_all(answer).is_ok()
}

/// Reads without waiting, and writes without waiting: always, or only while the client does not
/// read.
fn spin(wrong: &str, stream: &mut impl Stream) {
    let mut buf = vec![0; 65_536];
    stream.nonblocking();
    loop {
        let count = match stream.read(&mut buf) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if wrong == "spins-while-blocked" {
                    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
                    let _ = poll(&mut fds, PollTimeout::NONE);
                }
                continue;
            }
            Err(_) => return,
        };
        let mut rest = &buf[..count];
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

/// Reads as fast as the client sends, and writes from a queue without a bound; at the end of the
/// client the queue is sent, or lost.
fn unbounded(wrong: &str, stream: &mut impl Stream) {
    let queue = Arc::new((Mutex::new((Vec::<u8>::new(), false)), Condvar::new()));
    let (theirs, mut writer) = (Arc::clone(&queue), stream.copy());
    let thread = thread::spawn(move || {
        loop {
            let mut state = theirs.0.lock().unwrap();
            while state.0.is_empty() && !state.1 {
                state = theirs.1.wait(state).unwrap();
            }
            let bytes = std::mem::take(&mut state.0);
            drop(state);
            if bytes.is_empty() {
                return;
            }
            // In pieces, so that a loss is a loss of whole ones.
            for piece in bytes.chunks(65_536) {
                if writer.write_all(piece).is_err() {
                    return;
                }
            }
        }
    });
    let mut buf = vec![0; 65_536];
    while let Ok(count @ 1..) = stream.read(&mut buf) {
        queue.0.lock().unwrap().0.extend_from_slice(&buf[..count]);
        queue.1.notify_one();
    }
    queue.0.lock().unwrap().1 = true;
    queue.1.notify_one();
    if wrong == "loses-behind-fin" {
        stream.end(Shutdown::Write);
    }
    drop(thread.join());
}

/// Receives control messages, as a program does that expects some: it keeps descriptors, loses the
/// bytes that come with them, or tells the process of its client.
fn with_control_messages(wrong: &str, stream: &mut impl Stream) {
    if wrong == "tells-credentials" {
        setsockopt(&*stream, PassCred, &true).unwrap();
    }
    let mut buf = vec![0; 65_536];
    loop {
        let mut space = nix::cmsg_space!([i32; 4], UnixCredentials);
        let mut answer = Vec::new();
        let mut has_descriptors = false;
        let count = {
            let mut parts = [IoSliceMut::new(&mut buf)];
            let flags = MsgFlags::empty();
            let Ok(message) =
                recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), flags)
            else {
                return;
            };
            for control in message.cmsgs().into_iter().flatten() {
                match control {
                    // Numbers: nothing closes them but this.
                    ControlMessageOwned::ScmRights(fds) if wrong != "keeps-descriptors" => {
                        fds.into_iter().for_each(|fd| _ = nix::unistd::close(fd));
                        has_descriptors = true;
                    }
                    ControlMessageOwned::ScmCredentials(client) => {
                        answer = format!("process {}: ", client.pid()).into_bytes();
                    }
                    _ => {}
                }
            }
            message.bytes
        };
        if has_descriptors && wrong == "drops-bytes-with-descriptors" {
            continue;
        }
        if &buf[..count] == SERVED_CHECK {
            answer.clear();
        }
        answer.extend_from_slice(&buf[..count]);
        if count == 0 || stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// What is kept of a connection, by servers that need it.
struct State {
    me: u64,
    start: Instant,
    last_read: Instant,
    total: usize,
    last: Vec<u8>,
    line: Vec<u8>,
    /// Whether something could not be sent at once.
    is_full: bool,
}

/// By this message `examine` sees after each case that the server still serves. What is wrong with
/// a server that answers it is for the case to see.
const SERVED_CHECK: &[u8] = b"is another client served?\n";

/// Whether a byte has been dropped once.
static HAS_DROPPED: AtomicBool = AtomicBool::new(false);

/// The last bytes of any client, and the thread that serves it.
static SHARED: Mutex<(Option<ThreadId>, Vec<u8>)> = Mutex::new((None, Vec::new()));

impl State {
    fn new(me: u64) -> Self {
        let (start, last, line) = (Instant::now(), Vec::new(), Vec::new());
        Self { me, start, last_read: start, total: 0, last, line, is_full: false }
    }

    /// Sends what fits, and nothing any more once something did not fit.
    fn write_without_waiting(&mut self, stream: &impl Stream, answer: &[u8]) {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        if !self.is_full {
            self.is_full = send(stream.as_raw_fd(), answer, flags) != Ok(answer.len());
        }
    }

    /// What is sent back for what came; `None` to end the connection.
    fn answer(&mut self, wrong: &str, got: &[u8]) -> Option<Vec<u8>> {
        let before = self.total;
        self.total += got.len();
        let repeated = std::mem::replace(&mut self.last, got.to_vec()) == got;
        Some(match wrong {
            "swallows-nul" => got.iter().copied().filter(|&byte| byte != 0).collect(),
            "cuts-at-nul" => got.split(|&byte| byte == 0).next().unwrap_or_default().to_vec(),
            "strips-cr" => got.iter().copied().filter(|&byte| byte != b'\r').collect(),
            "seven-bits" => got.iter().map(|byte| byte & 0x7f).collect(),
            "replaces-invalid-utf-8" => String::from_utf8_lossy(got).into_owned().into_bytes(),
            "ends-at-ctrl-d" if got.contains(&4) => return None,
            "ends-at-urgent" if got.contains(&b'!') => return None,
            "drops-last-byte-once" if got.len() == 1023 && !HAS_DROPPED.swap(true, Relaxed) => {
                got[..1022].to_vec()
            }
            "drops-last-byte" if got.len() == 1023 => got[..1022].to_vec(),
            "alters" if got != SERVED_CHECK => {
                got.split_last().map(|(last, rest)| [rest, &[last ^ 1]].concat())?
            }
            "expands-lf" if got != SERVED_CHECK => {
                String::from_utf8_lossy(got).replace('\n', "\r\n").into_bytes()
            }
            "ascii-only" => got.iter().map(|&b| if b.is_ascii() { b } else { b'?' }).collect(),
            "unescapes-telnet" => without_doubled_0xff(got),
            "counts-in-a-byte" if got.len() < 1000 => got[..got.len() % 256].to_vec(),
            "first-message-only" if before > 0 => Vec::new(),
            "first-65535" => got[..got.len().min(65_535_usize.saturating_sub(before))].to_vec(),
            "cuts-reads-at-1460" if got.len() < 4096 => got[..got.len().min(1460)].to_vec(),
            "wraps-wrong" => {
                let (mut answer, end) = (got.to_vec(), 4096 - before % 4096);
                answer.iter_mut().skip(end).take(1).for_each(|byte| *byte ^= 1);
                answer
            }
            "reverses-pieces" => got.chunks(64).rev().flatten().copied().collect(),
            "ends-slow-senders" if self.start.elapsed() > Duration::from_millis(300) => {
                return None;
            }
            "waits-within-a-message" => {
                among::wait_for_turn(self.me, got);
                got.to_vec()
            }
            "shares-a-buffer" => among::through_one_buffer(got),
            "formats" => String::from_utf8_lossy(got).replace("%%", "%").into_bytes(),
            "first-64-kib" => got[..got.len().min(65_536_usize.saturating_sub(before))].to_vec(),
            "ignores-repetition" if repeated => Vec::new(),
            "ignores-single-bytes" if got.len() == 1 => Vec::new(),
            "swaps-bytes" if got.len() > 3000 => {
                let mut answer = got.to_vec();
                answer.swap(1000, 2000);
                answer
            }
            "line-by-line" => {
                self.line.extend_from_slice(got);
                let end = self.line.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                self.line.drain(..end).collect()
            }
            "mixes-clients" => {
                let own = (Some(thread::current().id()), got.to_vec());
                let last = std::mem::replace(&mut *SHARED.lock().unwrap(), own.clone());
                if last.0.is_some() && last.0 != own.0 { last.1 } else { own.1 }
            }
            "slow" => {
                thread::sleep(Duration::from_millis(20));
                got.to_vec()
            }
            _ => got.to_vec(),
        })
    }
}

/// Of two bytes 0xff one: in telnet the first one announces a command, or that it is none.
fn without_doubled_0xff(got: &[u8]) -> Vec<u8> {
    let mut answer: Vec<u8> = Vec::new();
    for &byte in got {
        if byte == 0xff && answer.last() == Some(&0xff) {
            continue;
        }
        answer.push(byte);
    }
    answer
}
