//! A server under test as a process: started on its core, paused, stopped. It knows only the
//! endpoint, not what is served there.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use serde::{Deserialize, Serialize};

use crate::case::Transport;

/// Time limit for a server to accept a connection. A debug build on a busy machine starts in well
/// under a second.
const START_MAX: Duration = Duration::from_secs(5);

/// Time limit for ending after SIGTERM; then it is killed.
const STOP_MAX: Duration = Duration::from_secs(2);

/// How long after a lost connection a crash of the server is waited for: interpreters exit slowly.
const CRASH_MAX: Duration = Duration::from_millis(200);

/// Polling interval while waiting for start or exit.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Maximum length of the path of a folder for sockets: a socket path has at most 107 bytes, and our
/// file names take some 35 of them.
const SOCKET_FOLDER_MAX: usize = 64;

/// CPU cores: the server and the load generator must not disturb each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// The one core all servers share; they are busy one at a time.
    pub server: usize,
    /// The core of the load generator.
    pub load: usize,
}

impl Cores {
    /// Chooses two of the cores this process may use: the first for the load, since interrupts tend
    /// to go there, and the last for the servers.
    ///
    /// # Errors
    /// If there are not two of them: on one core, scheduling would dominate the measurement.
    pub fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::this()).context("cannot read the CPU affinity")?;
        let mut cores = (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false));
        match (cores.next(), cores.next_back()) {
            (Some(load), Some(server)) => Ok(Self { server, load }),
            _ => bail!("two cores are needed: one for the server, one for the load"),
        }
    }
}

/// Moves the calling thread, and what it starts from now on, to one core.
///
/// # Errors
/// If the kernel rejects the core.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core).with_context(|| format!("no core {core}"))?;
    // 0 is the calling thread.
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("cannot use core {core}"))
}

/// Raises the soft `RLIMIT_NOFILE` to the hard limit, for this process and the servers it starts.
///
/// # Errors
/// If the kernel refuses, which is not expected.
pub fn raise_file_limit() -> Result<()> {
    let (_, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of open files")
}

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Endpoint {
    /// TCP.
    Tcp(SocketAddr),
    /// UDP.
    Udp(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    endpoint: Endpoint,
}

impl Server {
    /// Starts `command` on its core and waits until it serves. `{port}` is replaced by a free port,
    /// `{path}` by an unused path.
    ///
    /// The command is split like in a shell, but no shell runs. Its standard output is discarded;
    /// its standard error is inherited. It leads its own process group.
    ///
    /// # Errors
    /// If it cannot be started, ends, or does not serve within five seconds.
    pub fn start(name: &str, command: &str, transport: Transport, cores: Cores) -> Result<Self> {
        let slot = if transport == Transport::Unix { "{path}" } else { "{port}" };
        ensure!(command.contains(slot), "{name}: the command does not contain {slot}");
        let (endpoint, text) = free_endpoint(transport).context("no free endpoint")?;
        let command = command.replace(slot, &text);
        let words = shlex::split(&command)
            .with_context(|| format!("{name}: unterminated quote in `{command}`"))?;
        let (program, arguments) =
            words.split_first().with_context(|| format!("{name}: the command is empty"))?;
        let mut child = Command::new(program);
        child.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        set_pdeathsig(&mut child);
        // Affinity is inherited: every thread of the server is on its core from the first
        // instruction, without taskset(1).
        pin(cores.server)?;
        let child = child.spawn();
        pin(cores.load)?;
        let child = child.with_context(|| format!("{name}: cannot start `{program}`"))?;
        let mut server = Self { name: name.to_owned(), child, endpoint };
        server.wait_until_up()?;
        Ok(server)
    }

    /// Adds the exit status of the process to an error of the load: a crash explains a lost
    /// connection.
    pub fn with_exit_status(&mut self, failure: impl std::fmt::Display) -> String {
        // A crash closes the connections a moment before the process can be waited for.
        let deadline = Instant::now() + CRASH_MAX;
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return format!("{failure}; it ended: {status}");
            }
            thread::sleep(POLL_INTERVAL);
        }
        failure.to_string()
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let name = self.name.clone();
        let deadline = Instant::now() + START_MAX;
        while !is_serving(&self.endpoint) {
            if let Some(status) = self.ended() {
                bail!("{name}: did not start; it ended: {status}");
            }
            ensure!(
                Instant::now() < deadline,
                "{name}: did not start: nothing serves at {:?} after {} s",
                self.endpoint,
                START_MAX.as_secs(),
            );
            thread::sleep(POLL_INTERVAL);
        }
        // Its CPU time could not be measured: the process that serves was daemonized, or was there
        // before.
        if self.ended().is_some() {
            bail!("{name}: it ended, but its endpoint is served: keep it in the foreground");
        }
        Ok(())
    }

    /// The name in tables.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The process, the root of its process tree.
    #[must_use]
    pub fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// Stops it (SIGSTOP): a server that never sleeps would disturb the others.
    pub fn pause(&self) {
        // Best effort: it fails only if the process has ended.
        let _ = killpg(self.pid(), Signal::SIGSTOP);
    }

    /// Resumes it (SIGCONT).
    pub fn resume(&self) {
        let _ = killpg(self.pid(), Signal::SIGCONT);
    }

    /// Its exit status, if it has ended. Kills the remaining processes of its group: a shell that
    /// started the server may exit before it.
    fn ended(&mut self) -> Option<ExitStatus> {
        if self.is_running() != Some(false) {
            return None;
        }
        // It has not been waited for, so its pid and group id are not reused yet. Best effort:
        // mostly the group is empty.
        let _ = killpg(self.pid(), Signal::SIGKILL);
        self.child.wait().ok()
    }

    /// Whether it runs, without reaping it; `None` if it has been reaped.
    fn is_running(&self) -> Option<bool> {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status = waitid(Id::Pid(self.pid()), look).ok()?;
        Some(status == WaitStatus::StillAlive)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Best effort: the server may have ended already.
        if self.is_running() == Some(true) {
            let _ = kill(self.pid(), Signal::SIGTERM);
            self.resume();
        }
        let deadline = Instant::now() + STOP_MAX;
        while self.is_running() == Some(true) {
            if Instant::now() > deadline {
                let _ = killpg(self.pid(), Signal::SIGKILL);
            }
            thread::sleep(POLL_INTERVAL);
        }
        self.ended();
        if let Endpoint::Unix(path) = &self.endpoint {
            drop(std::fs::remove_file(path));
        }
    }
}

/// Asks the kernel to end this process when its parent ends.
///
/// # Errors
/// If the kernel refuses, which is not expected.
pub fn set_own_pdeathsig() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGTERM).context("prctl")
}

/// Makes the kernel end the child when we end, however we end.
#[expect(unsafe_code, reason = "std offers no other way to make a call between fork and exec")]
pub(crate) fn set_pdeathsig(command: &mut Command) {
    let end = || prctl::set_pdeathsig(Signal::SIGTERM).map_err(std::io::Error::from);
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe work is allowed:
    // it makes one prctl(2) call, allocates nothing, takes no lock and touches no other memory.
    unsafe { command.pre_exec(end) };
}

/// An unused endpoint, and its form in a command. Another process could take it before the server
/// does; then the server fails to start, which is rare.
fn free_endpoint(transport: Transport) -> std::io::Result<(Endpoint, String)> {
    let any = (Ipv4Addr::LOCALHOST, 0);
    Ok(match transport {
        Transport::Tcp => {
            let address = TcpListener::bind(any)?.local_addr()?;
            (Endpoint::Tcp(address), address.port().to_string())
        }
        Transport::Udp => {
            let address = UdpSocket::bind(any)?.local_addr()?;
            (Endpoint::Udp(address), address.port().to_string())
        }
        Transport::Unix => {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let nth = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("epollite-bench-{}-{nth}.sock", std::process::id());
            // A command is UTF-8, and the path of a socket is short.
            let folder = std::env::temp_dir();
            let folder = folder.to_str().filter(|it| it.len() <= SOCKET_FOLDER_MAX);
            let text = format!("{}/{name}", folder.unwrap_or("/tmp"));
            (Endpoint::Unix(PathBuf::from(&text)), text)
        }
    })
}

/// Whether a server accepts there; for a datagram socket, whether it echoes.
fn is_serving(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Tcp(address) => TcpStream::connect_timeout(address, START_MAX)
            .is_ok_and(|stream| !is_itself(stream.local_addr(), stream.peer_addr())),
        Endpoint::Unix(path) => UnixStream::connect(path).is_ok(),
        Endpoint::Udp(address) => probe_echo(*address).unwrap_or(false),
    }
}

fn probe_echo(address: SocketAddr) -> std::io::Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(address)?;
    if is_itself(socket.local_addr(), socket.peer_addr()) {
        return Ok(false);
    }
    socket.set_read_timeout(Some(POLL_INTERVAL))?;
    socket.send(b"?")?;
    Ok(socket.recv(&mut [0; 8])? == 1)
}

/// Whether a socket is connected to itself: the kernel chose as local port the one where the server
/// is not listening yet.
fn is_itself(own: std::io::Result<SocketAddr>, peer: std::io::Result<SocketAddr>) -> bool {
    own.is_ok_and(|own| peer.is_ok_and(|peer| own == peer))
}

pub(crate) fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("the kernel's pids are positive ints"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores() -> Cores {
        // Sufficient for a test on a machine with one core.
        Cores::choose().unwrap_or(Cores { server: 0, load: 0 })
    }

    #[test]
    fn a_crashed_server_differs_from_a_slow_one() {
        let error = Server::start("gone", "false {port}", Transport::Tcp, cores())
            .expect_err("it ends at once");
        assert!(error.to_string().contains("did not start; it ended"), "{error}");
    }

    #[test]
    fn a_socket_connected_to_itself_is_no_server() {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn};
        use nix::sys::socket::{bind, connect, getsockname, socket};
        use std::os::fd::AsRawFd;
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("a socket");
        bind(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a free port");
        let own: SockaddrIn = getsockname(fd.as_raw_fd()).expect("it is bound");
        connect(fd.as_raw_fd(), &own).expect("a simultaneous open with itself");
        let stream = TcpStream::from(fd);
        assert!(is_itself(stream.local_addr(), stream.peer_addr()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        assert!(!is_itself(stream.local_addr(), stream.peer_addr()));
    }

    #[test]
    fn invalid_commands_are_rejected() {
        for (command, why) in [
            ("true", "does not contain {port}"),
            ("'true {port}", "unterminated quote"),
            ("no-such-program-here {port}", "cannot start"),
        ] {
            let error = Server::start("x", command, Transport::Tcp, cores()).expect_err(command);
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
