//! Echo servers that are wrong in one way each, by name, with the standard library. Only what their
//! name says is wrong; `right` is right.

use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, exit};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::{self, ThreadId};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use signal_hook::consts::{SIGCONT, SIGINT, SIGTERM, SIGWINCH};

/// Connections that are open at this moment.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Clients that ended without a byte.
static SILENT: AtomicUsize = AtomicUsize::new(0);

/// A copy of the descriptor of the TCP listener.
static LISTENER: OnceLock<TcpListener> = OnceLock::new();

/// What a connection of TCP and of Unix has in common.
trait Stream: Read + Write + Send + AsFd + AsRawFd + Sized + 'static {
    fn copy(&self) -> Self;
    fn end(&self, how: Shutdown);
    fn nonblocking(&self);
}

impl Stream for TcpStream {
    fn copy(&self) -> Self {
        self.try_clone().unwrap()
    }
    fn end(&self, how: Shutdown) {
        drop(self.shutdown(how));
    }
    fn nonblocking(&self) {
        self.set_nonblocking(true).unwrap();
    }
}

impl Stream for UnixStream {
    fn copy(&self) -> Self {
        self.try_clone().unwrap()
    }
    fn end(&self, how: Shutdown) {
        drop(self.shutdown(how));
    }
    fn nonblocking(&self) {
        self.set_nonblocking(true).unwrap();
    }
}

/// Serves at a port, or a path, until it is ended.
pub(crate) fn serve(wrong: &'static str, place: &str) {
    match wrong {
        "ignores-sigint" => drop(signal_hook::flag::register(SIGINT, Arc::default())),
        "ends-at-continue" | "ends-at-winch" => {
            let signal = if wrong == "ends-at-winch" { SIGWINCH } else { SIGCONT };
            let always = Arc::new(true.into());
            signal_hook::flag::register_conditional_shutdown(signal, 1, always).unwrap();
        }
        "looks-each-millisecond" => drop(thread::spawn(|| {
            loop {
                thread::sleep(Duration::from_millis(1));
            }
        })),
        "ignores-sigterm" => drop(signal_hook::flag::register(SIGTERM, Arc::default())),
        "fails-at-sigterm" => {
            let always = Arc::new(true.into());
            signal_hook::flag::register_conditional_shutdown(SIGTERM, 3, always).unwrap();
        }
        "without-drain" => {
            let always = Arc::new(true.into());
            signal_hook::flag::register_conditional_shutdown(SIGTERM, 0, always).unwrap();
        }
        "never-idle" => drop(thread::spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        })),
        _ => {}
    }
    match (std::env::var_os("WRONG_UDP").is_some(), place.parse::<u16>()) {
        (true, Ok(port)) => datagrams(wrong, port),
        (_, Ok(port)) => tcp(wrong, port),
        (_, Err(_)) => unix(wrong, place),
    }
}

fn tcp(wrong: &'static str, port: u16) {
    let address: SocketAddr = match wrong {
        "only-ipv6" => format!("[::]:{port}").parse().unwrap(),
        "only-127.0.0.1" => format!("0.0.0.0:{port}").parse().unwrap(),
        "refuses-ipv6" | "alters" => format!("[::]:{port}").parse().unwrap(),
        _ => format!("127.0.0.1:{port}").parse().unwrap(),
    };
    let socket =
        socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)
            .unwrap();
    if address.is_ipv6() {
        socket.set_only_v6(wrong == "only-ipv6").unwrap();
    }
    socket.set_reuse_address(wrong != "without-reuseaddr").unwrap();
    if socket.bind(&address.into()).is_err() {
        exit(i32::from(wrong != "succeeds-without-port"));
    }
    socket.listen(1024).unwrap();
    let listener = TcpListener::from(socket);
    drop(LISTENER.set(listener.try_clone().unwrap()));
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(_) if wrong == "logs-at-limit" => {
                // Slowly enough not to spin.
                eprintln!("cannot accept: {}", "for lack of descriptors ".repeat(100));
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            Err(_) if wrong == "spins-at-limit" => continue,
            Err(_) if wrong == "ends-at-limit" => exit(1),
            Err(_) => {
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        let (local, peer) = (stream.local_addr().unwrap(), stream.peer_addr());
        let refused = match wrong {
            "only-127.0.0.1" => local.ip().to_string() != "127.0.0.1",
            "refuses-ipv6" => local.ip().to_canonical().is_ipv6(),
            "refuses-127.0.0.9" => peer.is_ok_and(|peer| peer.ip().to_string() == "127.0.0.9"),
            _ => false,
        };
        if wrong == "ends-at-urgent" {
            socket2::SockRef::from(&stream).set_out_of_band_inline(true).unwrap();
        }
        drop(stream.set_nodelay(true));
        if !refused {
            connection(wrong, stream);
        }
    }
}

fn unix(wrong: &'static str, path: &str) {
    if wrong == "short-paths-only" && path.len() > 90 {
        exit(1);
    }
    // A path that a live server uses is not taken.
    let is_live = UnixStream::connect(path).is_ok();
    if (!is_live && wrong != "keeps-left-path") || wrong == "steals-path" {
        drop(std::fs::remove_file(path));
    }
    if is_live && wrong == "removes-path-in-vain" {
        drop(std::fs::remove_file(path));
        exit(1);
    }
    let Ok(listener) = UnixListener::bind(path) else { exit(1) };
    if wrong == "not-writable" {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o400)).unwrap();
    }
    if wrong != "leaves-path" {
        let path = path.to_owned();
        let mut signals = signal_hook::iterator::Signals::new([SIGTERM]).unwrap();
        thread::spawn(move || {
            signals.forever().next();
            drop(std::fs::remove_file(path));
            exit(0);
        });
    }
    for stream in listener.incoming().flatten() {
        connection(wrong, stream);
    }
}

/// A thread for each client, unless that is what is wrong.
fn connection(wrong: &'static str, stream: impl Stream) {
    let serve = move || {
        let open = OPEN.fetch_add(1, Relaxed);
        if wrong != "at-most-64-clients" || open < 64 {
            echo(wrong, stream);
        }
        OPEN.fetch_sub(1, Relaxed);
    };
    if wrong == "one-client-at-a-time" {
        serve();
    } else if thread::Builder::new().stack_size(256 << 10).spawn(serve).is_err() {
        eprintln!("no thread");
    }
}

fn echo(wrong: &'static str, mut stream: impl Stream) {
    match wrong {
        "leaves-children" => drop(Command::new("true").spawn()),
        "logs-much" => eprintln!("{}", "a client has come ".repeat(40)),
        "spins-with-a-client" | "spins-while-blocked" => return spin(wrong, stream),
        "unbounded" | "loses-behind-fin" => return unbounded(wrong, stream),
        "keeps-descriptors" => return keep_descriptors(stream),
        _ => {}
    }
    let mut state = State { total: 0, last: Vec::new(), line: Vec::new() };
    let mut buf = vec![0; 65_536];
    loop {
        let count = match read(wrong, &mut stream, &mut buf) {
            Ok(0) => break,
            Ok(count) => count,
            Err(_) if wrong == "ends-at-reset" => exit(1),
            Err(_) if wrong == "ends-late-at-reset" => {
                // Clients notice the end before it can be waited for.
                let listener = LISTENER.get().unwrap();
                socket2::SockRef::from(listener).shutdown(Shutdown::Both).unwrap();
                thread::sleep(Duration::from_millis(300));
                exit(1);
            }
            Err(_) => return,
        };
        let Some(answer) = state.answer(wrong, &buf[..count]) else { return };
        if !write(wrong, &mut stream, &answer) {
            if wrong == "ends-at-reset" {
                exit(1);
            }
            return;
        }
        if wrong == "ends-first" {
            return stream.end(Shutdown::Write);
        }
    }
    match wrong {
        // Not with those by which it is seen to have started.
        "ends-with-silent-clients" if state.total == 0 && SILENT.fetch_add(1, Relaxed) > 20 => {
            exit(1)
        }
        "never-ends" => thread::sleep(Duration::from_secs(600)),
        "leaks-descriptors" => {
            stream.end(Shutdown::Both);
            std::mem::forget(stream);
        }
        "leaks-connections" => std::mem::forget(stream),
        "resets-at-the-end" => {
            let socket = socket2::SockRef::from(&stream);
            drop(socket.set_linger(Some(Duration::ZERO)));
        }
        "leaks-memory" if state.total > 4 << 20 => {
            std::mem::forget(vec![1_u8; 400 << 20]);
        }
        _ => {}
    }
}

/// Reads, or ends a connection that is silent for half a second.
fn read(wrong: &str, stream: &mut impl Stream, buf: &mut [u8]) -> std::io::Result<usize> {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    if wrong == "ends-silent-clients" && poll(&mut fds, 500_u16).unwrap_or(1) == 0 {
        return Ok(0);
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
fn spin(wrong: &str, mut stream: impl Stream) {
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
fn unbounded(wrong: &str, mut stream: impl Stream) {
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

/// Receives descriptors, as a program does that expects some, and keeps them.
fn keep_descriptors(mut stream: impl Stream) {
    let mut buf = vec![0; 65_536];
    loop {
        let mut space = nix::cmsg_space!([i32; 4]);
        let count = {
            let mut parts = [IoSliceMut::new(&mut buf)];
            let flags = MsgFlags::empty();
            let Ok(message) =
                recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), flags)
            else {
                return;
            };
            for control in message.cmsgs().into_iter().flatten() {
                // Numbers: nothing closes them.
                let ControlMessageOwned::ScmRights(_) = control else { continue };
            }
            message.bytes
        };
        if count == 0 || stream.write_all(&buf[..count]).is_err() {
            return;
        }
    }
}

fn datagrams(wrong: &'static str, port: u16) {
    let address = match wrong {
        "from-any-address" | "right-everywhere" => "0.0.0.0",
        "ignores-ipv6" => "::",
        _ => "127.0.0.1",
    };
    let Ok(socket) = UdpSocket::bind((address, port)) else { exit(1) };
    if wrong == "ends-at-icmp-error" {
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Ipv4RecvErr, &true)
            .unwrap();
    }
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut buf = vec![0; 1 << 17];
    let (mut peers, mut last, mut first, mut long_ones) = (Vec::new(), None, None, 0_u64);
    for nth in 0_u64.. {
        let (count, from) = match socket.recv_from(&mut buf) {
            Ok(received) => received,
            Err(_) if wrong == "ends-at-icmp-error" => exit(1),
            Err(_) => continue,
        };
        let data = buf[..count].to_vec();
        long_ones += u64::from(count > 9000);
        if !peers.contains(&from) {
            peers.push(from);
        }
        let repeated = last.replace((data.clone(), from)) == Some((data.clone(), from));
        let answer = match wrong {
            "cuts-at-1472" => data[..count.min(1472)].to_vec(),
            "cuts-at-65000" => data[..count.min(65_000)].to_vec(),
            "cuts-at-nul" => data.split(|&byte| byte == 0).next().unwrap_or_default().to_vec(),
            "alters" if data != ANSWERED_CHECK => match data.split_last() {
                Some((last, rest)) => [rest, &[last ^ 1]].concat(),
                None => vec![0],
            },
            "ignores-empty" if count == 0 => continue,
            "ignores-repetition" if repeated => continue,
            "ignores-ipv6" if from.ip().to_canonical().is_ipv6() => continue,
            "stops-at-20" if nth > 20 => continue,
            "stops-at-long-ones" if long_ones > 3 => continue,
            "spins-at-100" if nth > 100 => loop {
                std::hint::spin_loop();
            },
            "ignores-from-100-clients-on" if peers.len() > 100 => continue,
            "alters-some" if nth % 64 == 63 && count == 48 => vec![0; 48],
            "merges" => match first.take() {
                None if count == 100 => {
                    first = Some(data);
                    continue;
                }
                None => data,
                Some(first) => [first, data].concat(),
            },
            _ => data,
        };
        match wrong {
            "from-another-port" if count == 11 => drop(other.send_to(&answer, from)),
            "tells-all" => {
                peers.iter().for_each(|peer| drop(socket.send_to(&answer, peer)));
            }
            "twice" => (0..2).for_each(|_| drop(socket.send_to(&answer, from))),
            "answers-short-ones-only" if count > 9000 => {}
            _ => drop(socket.send_to(&answer, from)),
        }
    }
}

/// What is kept of a connection, by servers that need it.
struct State {
    total: usize,
    last: Vec<u8>,
    line: Vec<u8>,
}

/// By this message `examine` sees after each case that the server still serves, over TCP and Unix
/// sockets and over UDP. What is wrong with a server that answers it is for the case to see.
const SERVED_CHECK: &[u8] = b"is another client served?\n";
const ANSWERED_CHECK: &[u8] = b"still served?";

/// Whether a byte has been dropped once.
static HAS_DROPPED: AtomicBool = AtomicBool::new(false);

/// The last bytes of any client, and the thread that serves it.
static SHARED: Mutex<(Option<ThreadId>, Vec<u8>)> = Mutex::new((None, Vec::new()));

impl State {
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
