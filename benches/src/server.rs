//! A server under test as a process: started on its core, paused, stopped. It knows nothing of what
//! the server serves, only that it is to be reached through a port or a path.

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

/// How long a server may take until it accepts a connection. A debug build on a busy machine
/// starts in well under a second.
const START_MAX: Duration = Duration::from_secs(5);

/// How long it may take to end after SIGTERM; then it is killed.
const STOP_MAX: Duration = Duration::from_secs(2);

/// How long after a lost connection we look for the crash behind it: interpreters take their time.
const CRASH_MAX: Duration = Duration::from_millis(200);

/// How often we look whether it has come up or gone down.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How long the path of a folder for sockets may be: a socket's own is at most 107 bytes long, and our
/// names take some 35 of them.
const SOCKET_FOLDER_MAX: usize = 64;

/// Who runs where: the server must not feel the load generator, nor the other way round.
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
    /// When there are not two of them: a comparison on one core compares schedulers.
    pub fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::this()).context("which cores may be used?")?;
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
/// When the kernel refuses the core.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core).with_context(|| format!("no core {core}"))?;
    // 0 is the calling thread.
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("cannot use core {core}"))
}

/// Raises the limit of open files as far as it goes, for us and for the servers we start.
///
/// # Errors
/// When the kernel refuses, which it should not.
pub fn raise_file_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("how many files may be open?")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of open files")
}

/// Where a server is to be found.
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
    /// Starts `command` on its core and waits until it serves. A free port stands for `{port}`, for
    /// `{path}` a path where nothing is.
    ///
    /// The command is split like a shell would, but no shell runs. Its standard output is thrown
    /// away; what it says on standard error is seen. It leads a process group of its own.
    ///
    /// # Errors
    /// When it cannot be started, ends, or serves nothing within five seconds.
    pub fn start(name: &str, command: &str, transport: Transport, cores: Cores) -> Result<Self> {
        let slot = if transport == Transport::Unix { "{path}" } else { "{port}" };
        ensure!(command.contains(slot), "{name}: the command has no {slot} in it");
        let (endpoint, text) = free_endpoint(transport).context("no free endpoint to listen")?;
        let command = command.replace(slot, &text);
        let words = shlex::split(&command)
            .with_context(|| format!("{name}: a quote is left open in `{command}`"))?;
        let (program, arguments) =
            words.split_first().with_context(|| format!("{name}: the command is empty"))?;
        let mut child = Command::new(program);
        child.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        set_pdeathsig(&mut child);
        // Affinity is inherited: every thread the server will ever have is on its core from the
        // first instruction, and no foreign program is needed to put it there.
        pin(cores.server)?;
        let child = child.spawn();
        pin(cores.load)?;
        let child = child.with_context(|| format!("{name}: cannot start `{program}`"))?;
        let mut server = Self { name: name.to_owned(), child, endpoint };
        server.wait_until_up()?;
        Ok(server)
    }

    /// Adds what became of the process to an error of the load: a server that crashed is more news
    /// than the connection that was lost by it.
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
                bail!("{name}: did not come up; it ended: {status}");
            }
            ensure!(
                Instant::now() < deadline,
                "{name}: did not come up: nothing serves at {:?} after {} s",
                self.endpoint,
                START_MAX.as_secs(),
            );
            thread::sleep(POLL_INTERVAL);
        }
        // Whose bill would it be? What serves there has left us, or was there before.
        if self.ended().is_some() {
            bail!("{name}: it ended, and something serves all the same: keep it in the foreground");
        }
        Ok(())
    }

    /// What it is called in the table.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it serves.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The process, the eldest of its family.
    #[must_use]
    pub fn pid(&self) -> Pid {
        pid_of(&self.child)
    }

    /// Takes the core away from it: one that never sleeps would be in everybody's way.
    pub fn pause(&self) {
        // Best effort: one that has ended is in nobody's way.
        let _ = killpg(self.pid(), Signal::SIGSTOP);
    }

    /// Gives the core back.
    pub fn resume(&self) {
        let _ = killpg(self.pid(), Signal::SIGCONT);
    }

    /// How it ended, if it has. Whom it left behind in its group ends too: a shell that was told to
    /// start the server goes, and the server would stay.
    fn ended(&mut self) -> Option<ExitStatus> {
        if self.is_running() != Some(false) {
            return None;
        }
        // It has not been waited for, so its pid and its group are its own, and this hits nobody
        // else. Best effort: mostly nobody is left.
        let _ = killpg(self.pid(), Signal::SIGKILL);
        self.child.wait().ok()
    }

    /// Looks without taking notice; `None` when its end has been taken notice of.
    fn is_running(&self) -> Option<bool> {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status = waitid(Id::Pid(self.pid()), look).ok()?;
        Some(status == WaitStatus::StillAlive)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // All of this is best effort: a server that has ended already has nothing to be told.
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
/// When the kernel refuses, which it should not.
pub fn set_own_pdeathsig() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGTERM).context("prctl")
}

/// Makes the kernel end the child when we end, however we end.
#[expect(unsafe_code, reason = "std offers no other way to make a call between fork and exec")]
pub(crate) fn set_pdeathsig(command: &mut Command) {
    let end = || prctl::set_pdeathsig(Signal::SIGTERM).map_err(std::io::Error::from);
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe work is allowed:
    // it makes one prctl(2) call, allocates nothing, takes no lock and touches no memory of ours.
    unsafe { command.pre_exec(end) };
}

/// Where nobody listens, and how that is said in a command. Somebody else could take it before the
/// server does; then the server says so, which is rare enough.
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
            // A command is text, and the name of a socket is short.
            let folder = std::env::temp_dir();
            let folder = folder.to_str().filter(|it| it.len() <= SOCKET_FOLDER_MAX);
            let text = format!("{}/{name}", folder.unwrap_or("/tmp"));
            (Endpoint::Unix(PathBuf::from(&text)), text)
        }
    })
}

/// Whether somebody answers there; for a datagram socket that takes an echo.
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

/// Whether a socket is connected with itself: our own end was given the very port where the server is
/// not listening yet.
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
        // Good enough for a test on a machine with one core.
        Cores::choose().unwrap_or(Cores { server: 0, load: 0 })
    }

    #[test]
    fn a_crashed_server_differs_from_a_slow_one() {
        let error = Server::start("gone", "false {port}", Transport::Tcp, cores())
            .expect_err("it ends at once");
        assert!(error.to_string().contains("did not come up; it ended"), "{error}");
    }

    #[test]
    fn a_socket_that_met_itself_has_found_no_server() {
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
    fn a_command_that_cannot_be_meant_is_refused() {
        for (command, why) in [
            ("true", "has no {port}"),
            ("'true {port}", "a quote is left open"),
            ("no-such-program-here {port}", "cannot start"),
        ] {
            let error = Server::start("x", command, Transport::Tcp, cores()).expect_err(command);
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
