//! A server under test as a process: started on its core, paused, stopped. It knows only the
//! endpoint, not what is served there.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
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

/// Between two looks at whether the processes of a group have ended.
const GROUP_LOOK: Duration = Duration::from_millis(1);

/// Time limit for ending after SIGTERM; then it is killed.
const STOP_MAX: Duration = Duration::from_secs(2);

/// How long after a lost connection a crash of the server is waited for: interpreters exit slowly.
const CRASH_MAX: Duration = Duration::from_millis(200);

/// Polling interval while waiting for start or exit.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Ports outside Linux's default ephemeral range: they are assigned only on explicit request.
const PORTS: Range<u16> = 20_000..32_000;
const PORTS_LEN: u32 = (PORTS.end - PORTS.start) as u32;

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

/// Raises the soft `RLIMIT_NOFILE` to `needed`, at most to the hard limit, for this process and
/// what it starts from now on; returns the limit.
pub(crate) fn raise_file_limit(needed: u64) -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let raised = needed.clamp(soft, hard);
    setrlimit(Resource::RLIMIT_NOFILE, raised, hard)?;
    Ok(raised)
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
    /// Whether the path of a Unix socket is removed at the end.
    removes_path: bool,
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
        // Affinity is inherited: every thread of the server is on its core from the first
        // instruction, without taskset(1).
        pin(cores.server)?;
        let server = Self::spawn(name, &[], command, transport);
        pin(cores.load)?;
        let mut server = server?;
        server.wait_until_up()?;
        Ok(server)
    }

    /// Starts `command` behind the words of `wrapper`, as [`Self::start`] does, and does not wait.
    pub(crate) fn spawn(
        name: &str,
        wrapper: &[&str],
        command: &str,
        transport: Transport,
    ) -> Result<Self> {
        Self::spawn_at(name, wrapper, command, free_endpoint(transport)?, None)
    }

    /// Starts `command` at an endpoint, given with its form in a command, and does not wait. Both
    /// outputs go to `log`, if there is one.
    pub(crate) fn spawn_at(
        name: &str,
        wrapper: &[&str],
        command: &str,
        (endpoint, text): (Endpoint, String),
        log: Option<&File>,
    ) -> Result<Self> {
        let slot = if matches!(endpoint, Endpoint::Unix(_)) { "{path}" } else { "{port}" };
        ensure!(command.contains(slot), "{name}: the command does not contain {slot}");
        let command = command.replace(slot, &text);
        let words = shlex::split(&command)
            .with_context(|| format!("{name}: unterminated quote in `{command}`"))?;
        let mut words = wrapper.iter().copied().chain(words.iter().map(String::as_str));
        let program = words.next().with_context(|| format!("{name}: the command is empty"))?;
        let mut child = Command::new(program);
        child.args(words).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        if let Some(log) = log {
            let output = || log.try_clone().context("no descriptor is left");
            child.stdout(output()?).stderr(output()?);
        }
        set_pdeathsig(&mut child);
        let child = child.spawn().with_context(|| format!("{name}: cannot start `{program}`"))?;
        Ok(Self { name: name.to_owned(), child, endpoint, removes_path: true })
    }

    /// Adds the exit status of the process to an error of the load: a crash explains a lost
    /// connection.
    pub(crate) fn with_exit_status(&mut self, failure: anyhow::Error) -> String {
        // A crash closes the connections a moment before the process can be waited for.
        match poll_until(CRASH_MAX, POLL_INTERVAL, || self.ended()) {
            Some(status) => format!("{failure:#}; it ended: {status}"),
            None => format!("{failure:#}"),
        }
    }

    /// Waits until it serves. Fails if it ends, or does not serve within five seconds.
    pub(crate) fn wait_until_up(&mut self) -> Result<()> {
        let up = poll_until(START_MAX, POLL_INTERVAL, || {
            if is_serving(&self.endpoint) { Some(None) } else { self.ended().map(Some) }
        });
        let (name, limit) = (self.name.clone(), START_MAX.as_secs());
        match up {
            Some(None) => {}
            Some(Some(status)) => bail!("{name}: did not start; it ended: {status}"),
            None => bail!(
                "{name}: did not start: nothing serves at {:?} after {limit} s",
                self.endpoint
            ),
        }
        // Its CPU time could not be measured: the process that serves was daemonized, or was there
        // before.
        if self.ended().is_some() {
            bail!("{name}: it ended, but its endpoint is served: keep it in the foreground");
        }
        Ok(())
    }

    /// Its endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Leaves the path of its Unix socket where it is when it ends.
    pub(crate) fn keep_path(&mut self) {
        self.removes_path = false;
    }

    /// The process, the root of its process tree.
    pub fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// Stops it (SIGSTOP): a server that never sleeps would disturb the others.
    pub(crate) fn pause(&self) {
        // Best effort: it fails only if the process has ended.
        let _ = killpg(self.pid(), Signal::SIGSTOP);
    }

    /// Resumes it (SIGCONT).
    pub(crate) fn resume(&self) {
        let _ = killpg(self.pid(), Signal::SIGCONT);
    }

    /// Its exit status, if it has ended. Kills the remaining processes of its group: a shell that
    /// started the server may exit before it.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.is_running() != Some(false) {
            return None;
        }
        // It has not been waited for, so its pid and group id are not reused yet. Best effort:
        // mostly the group is empty.
        let group = self.pid();
        let _ = killpg(group, Signal::SIGKILL);
        let status = self.child.wait().ok();
        // Until the others have ended, too, they may hold its sockets.
        let deadline = Instant::now() + STOP_MAX;
        while killpg(group, None).is_ok() && Instant::now() < deadline {
            thread::sleep(GROUP_LOOK);
        }
        status
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
        let has_ended = || (self.is_running() != Some(true)).then_some(());
        while poll_until(STOP_MAX, POLL_INTERVAL, has_ended).is_none() {
            let _ = killpg(self.pid(), Signal::SIGKILL);
        }
        self.ended();
        if let Endpoint::Unix(path) = &self.endpoint
            && self.removes_path
        {
            drop(std::fs::remove_file(path));
        }
    }
}

/// Makes the kernel end the child when we end, however we end.
#[expect(unsafe_code, reason = "std offers no other way to make a call between fork and exec")]
pub(crate) fn set_pdeathsig(command: &mut Command) {
    let end = || prctl::set_pdeathsig(Signal::SIGTERM).map_err(std::io::Error::from);
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe work is allowed:
    // it makes one prctl(2) call, allocates nothing, takes no lock and touches no other memory.
    unsafe { command.pre_exec(end) };
}

/// Repeats `condition` until it returns something, for `limit` at most.
pub(crate) fn poll_until<T>(
    limit: Duration,
    interval: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let found = condition();
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        thread::sleep(interval);
    }
}

/// An unused endpoint, and its form in a command. A server may take long to start, and an ephemeral
/// port would often be assigned to another process by then, so the port is outside that range.
pub(crate) fn free_endpoint(transport: Transport) -> Result<(Endpoint, String)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if transport == Transport::Unix {
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("epollite-bench-{}-{nth}.sock", std::process::id());
        // A command is UTF-8, and the path of a socket is short.
        let folder = std::env::temp_dir();
        let folder = folder.to_str().filter(|it| it.len() <= SOCKET_FOLDER_MAX);
        let text = format!("{}/{name}", folder.unwrap_or("/tmp"));
        return Ok((Endpoint::Unix(PathBuf::from(&text)), text));
    }
    // Other processes doing the same start at another offset.
    let first = std::process::id().wrapping_mul(97);
    for _ in PORTS {
        let nth = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS_LEN;
        let port = PORTS.start + u16::try_from(nth)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            let is_tcp = transport == Transport::Tcp;
            let endpoint = if is_tcp { Endpoint::Tcp(address) } else { Endpoint::Udp(address) };
            return Ok((endpoint, port.to_string()));
        }
    }
    bail!("no free port from {} to {}", PORTS.start, PORTS.end - 1)
}

/// Whether a server accepts there; for a datagram socket, whether it echoes.
fn is_serving(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Tcp(address) => TcpStream::connect_timeout(address, START_MAX)
            .is_ok_and(|stream| !is_itself(stream.local_addr(), stream.peer_addr())),
        Endpoint::Unix(path) => UnixStream::connect(path).is_ok(),
        Endpoint::Udp(address) => probe_echo(*address, POLL_INTERVAL).unwrap_or(false),
    }
}

/// Whether a datagram server answers within `limit`. Fails if nothing is received.
pub(crate) fn probe_echo(address: SocketAddr, limit: Duration) -> std::io::Result<bool> {
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(address)?;
    if is_itself(socket.local_addr(), socket.peer_addr()) {
        return Ok(false);
    }
    socket.set_read_timeout(Some(limit))?;
    socket.send(b"?")?;
    Ok(socket.recv(&mut [0; 8])? > 0)
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
