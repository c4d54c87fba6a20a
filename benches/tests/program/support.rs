//! Test support: echo servers in threads, correct and misbehaving; and running the program.

use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, setsockopt, socket, sockopt,
};
use nix::unistd::Pid;

/// A server's handler: the message number and bytes; returns the response, or `None` to close.
pub(crate) type Answer = dyn Fn(u64, &[u8]) -> Option<Vec<u8>> + Send + Sync;

/// Bytes in a message of a test.
pub(crate) const SIZE: usize = 64;

/// Time limit of the program. No test needs a tenth of it on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// Receive buffer of a UDP server: 20,000 small datagrams.
const RECEIVE_BUFFER_BYTES: usize = 16 << 20;

/// The handler of a correct server.
pub(crate) fn echo(_: u64, message: &[u8]) -> Option<Vec<u8>> {
    Some(message.to_vec())
}

/// A TCP server that answers message by message, of [`SIZE`] bytes each, counted in each
/// connection from 0.
pub(crate) fn tcp(
    answer: impl Fn(u64, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> SocketAddr {
    tcp_of(SIZE, answer)
}

/// The same, for messages of another size.
pub(crate) fn tcp_of(
    size: usize,
    answer: impl Fn(u64, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer: Arc<Answer> = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            thread::spawn(move || serve_messages(stream, size, &*answer));
        }
    });
    address
}

fn serve_messages(mut stream: TcpStream, size: usize, answer: &Answer) {
    stream.set_nodelay(true).unwrap();
    let mut message = vec![0; size];
    let mut number = 0;
    while stream.read_exact(&mut message).is_ok() {
        let Some(bytes) = answer(number, &message) else { return };
        if stream.write_all(&bytes).is_err() {
            return;
        }
        number += 1;
    }
}

/// A TCP server that echoes whatever comes, of any size.
pub(crate) fn plain_tcp() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| echo_stream(stream.unwrap())));
    address
}

/// The same, on a Unix socket.
pub(crate) fn plain_unix(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || listener.incoming().for_each(|stream| echo_stream(stream.unwrap())));
}

fn echo_stream(mut stream: impl Read + Write + Send + 'static) {
    thread::spawn(move || {
        let mut buf = vec![0; 65_536];
        while let Ok(count @ 1..) = stream.read(&mut buf) {
            if stream.write_all(&buf[..count]).is_err() {
                return;
            }
        }
    });
}

/// A UDP server; datagrams are counted over all clients.
pub(crate) fn udp(answer: impl Fn(u64, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // Holds everything a load sends while this thread is not scheduled, so that nothing is dropped.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES).unwrap();
    }
    thread::spawn(move || {
        let mut buf = vec![0; 65_536];
        for number in 0.. {
            let (count, from) = socket.recv_from(&mut buf).unwrap();
            for reply in answer(number, &buf[..count]) {
                socket.send_to(&reply, from).unwrap();
            }
        }
    });
    address
}

/// The program with these space-separated arguments, without the environment variables that affect
/// it.
pub(crate) fn bench(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epollite-bench"));
    command.args(arguments.split_whitespace()).stdin(Stdio::null());
    for (name, _) in std::env::vars() {
        if ["EPL_", "OMPI_", "SLURM_", "JOB_"].iter().any(|start| name.starts_with(start)) {
            command.env_remove(name);
        }
    }
    command
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// The result as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts the exit code, and that standard error is one line containing `line`.
    #[track_caller]
    pub(crate) fn ended(&self, code: i32, line: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(line), "'{line}' is not in the output: {self:?}");
        assert_eq!(self.err.lines().count(), 1, "one line: {self:?}");
    }
}

impl Run {
    /// Asserts a usage error with this reason.
    #[track_caller]
    pub(crate) fn ended_with_usage(&self, why: &str) {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert!(
            self.err.contains(why) && self.out.is_empty(),
            "'{why}' is not in the output: {self:?}"
        );
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &str) -> Run {
    finish(bench(arguments))
}

/// Runs a command to its end. At the deadline it is killed with its process group.
#[track_caller]
pub(crate) fn finish(mut command: Command) -> Run {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().unwrap();
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let (ended, wait) = mpsc::channel();
    thread::spawn(move || ended.send(child.wait_with_output()));
    match wait.recv_timeout(DEADLINE) {
        Ok(output) => output.unwrap().into(),
        Err(_) => {
            // It has not been waited for, so its group id is not reused yet.
            let _ = killpg(group, Signal::SIGKILL);
            panic!("{command:?} has not ended after {DEADLINE:?}");
        }
    }
}

/// Python script: starts an echo server, or none, then the program.
const SERVED: &str = "
import socket, subprocess, sys, threading
what, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
def echo(client):
    while data := client.recv(65536):
        client.sendall(data)
def streams():
    while True:
        threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
def datagrams():
    while True:
        data, peer = listener.recvfrom(65536)
        listener.sendto(data, peer)
if what != 'nothing':
    kind = socket.SOCK_DGRAM if what == 'udp' else socket.SOCK_STREAM
    family, _, _, _, place = socket.getaddrinfo(address, port, type=kind)[0]
    listener = socket.socket(family, kind)
    listener.bind(place)
    if what == 'tcp':
        listener.listen(512)
    serve = datagrams if what == 'udp' else streams
    threading.Thread(target=serve, daemon=True).start()
sys.exit(subprocess.run(sys.argv[4:]).returncode)
";

/// Loads an echo server of this kind (`tcp`, `udp` or `nothing`) at an address in a new network
/// namespace, set up by the shell script `setup`. No other process uses the namespace.
#[track_caller]
pub(crate) fn in_network(setup: &str, server: (&str, &str, u16), arguments: &str) -> Run {
    let (what, address, port) = server;
    let script = format!("set -e; ip link set lo up; {setup}\nexec python3 -c \"$0\" \"$@\"");
    let program = bench(&format!("load {arguments} --warmup 0"));
    let mut command = Command::new("unshare");
    command.args(["-rn", "--mount", "sh", "-c", &script, SERVED, what, address]);
    command.arg(port.to_string()).arg(program.get_program()).args(program.get_args());
    finish(command)
}

/// Whether this kernel supports IPv6.
pub(crate) fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}

/// An address that refuses connections. Its port is not assigned to another process while the
/// socket exists: it is bound, and does not listen.
pub(crate) fn refusing_tcp() -> (OwnedFd, SocketAddr) {
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    let address: SockaddrIn = getsockname(fd.as_raw_fd()).unwrap();
    (fd, SocketAddrV4::from(address).into())
}

/// The same for datagrams: a socket connected to itself receives none from others.
pub(crate) fn refusing_udp() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    socket.connect(address).unwrap();
    (socket, address)
}
