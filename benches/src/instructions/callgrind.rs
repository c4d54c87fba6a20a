//! A server under callgrind, and when it is looked at: it is stopped while it sleeps, something is
//! laid at its listener, and it is let go. It knows processes and /proc, not what is laid there.
//!
//! What makes a count exact: whether a server finds one message ready or ten must not depend on
//! who is faster. It is stopped only when it sleeps (so it has nothing left to do), and whatever
//! arrives while it is stopped is there at once when it looks.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::case::Transport;
use crate::server::{self, Endpoint};

/// How long anything may take: callgrind is slow to start, and the machine may be busy.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// Ports that Linux, as it is shipped, gives to nobody who has not asked for them by number.
const PORTS: Range<u16> = 20_000..32_000;
const PORTS_LEN: u32 = (PORTS.end - PORTS.start) as u32;

/// How often we look.
const POLL_INTERVAL: Duration = Duration::from_micros(20);

/// A server whose instructions are counted. Dropping it kills it.
#[derive(Debug)]
pub(super) struct CallgrindServer {
    child: Child,
    endpoint: Endpoint,
    /// Where callgrind writes what it has counted.
    profile: PathBuf,
    /// Which goes with us, and a socket in it.
    _folder: TempDir,
}

impl CallgrindServer {
    /// Starts `command` under callgrind and waits until it listens and sleeps. A free port stands
    /// for `{port}`, for `{path}` a path where nothing is.
    ///
    /// # Errors
    /// When it does not come up.
    pub(super) fn start(command: &str, transport: Transport) -> Result<Self> {
        let folder = tempfile::tempdir().context("no endpoint for callgrind's sums")?;
        let (endpoint, text) = free_endpoint(transport, folder.path())?;
        let slot = if transport == Transport::Unix { "{path}" } else { "{port}" };
        let words = shlex::split(&command.replace(slot, &text)).context("a quote is left open")?;
        let sums = folder.path().join("sums");
        let mut counted = Command::new("valgrind");
        counted
            .args(["-q", "--tool=callgrind", "--vgdb=no"])
            .arg(format!("--callgrind-out-file={}", sums.display()))
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        server::set_pdeathsig(&mut counted);
        let child = counted.spawn().context("valgrind cannot be started")?;
        let mut server = Self { child, endpoint, profile: sums, _folder: folder };
        server.wait_until("does not listen", Self::is_listening)?;
        server.wait_until("does not come to rest", Self::is_sleeping)?;
        Ok(server)
    }

    /// Where it serves.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Stops it once it has nothing left to do, does `deed`, and lets it go on.
    ///
    /// # Errors
    /// When it ends or does not come to rest; and as `deed` does.
    pub(super) fn while_stopped(&mut self, deed: impl FnOnce() -> Result<()>) -> Result<()> {
        self.wait_until("does not come to rest", Self::is_sleeping)?;
        kill(self.pid(), Signal::SIGSTOP).context("cannot stop it")?;
        self.wait_until("does not stop", |server| server.state() == Some('T'))?;
        let done = deed();
        kill(self.pid(), Signal::SIGCONT).context("cannot let it go on")?;
        done
    }

    /// Tells it to end, and reads what callgrind has counted.
    ///
    /// # Errors
    /// When it does not end, or nothing was counted.
    pub(super) fn end(mut self) -> Result<u64> {
        self.wait_until("does not come to rest", Self::is_sleeping)?;
        kill(self.pid(), Signal::SIGTERM).context("cannot end it")?;
        let deadline = Instant::now() + TIMEOUT;
        while self.child.try_wait().context("cannot wait for it")?.is_none() {
            ensure!(Instant::now() < deadline, "it does not end");
            thread::sleep(POLL_INTERVAL);
        }
        let text = fs::read_to_string(&self.profile).context("callgrind has counted nothing")?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        total.and_then(|total| total.trim().parse().ok()).context("callgrind gives no total")
    }

    /// Waits until something is so.
    fn wait_until(&mut self, what: &str, mut is_true: impl FnMut(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        while !is_true(self) {
            if let Some(status) = self.child.try_wait().context("cannot wait for it")? {
                bail!("it ended: {status}");
            }
            ensure!(Instant::now() < deadline, "it {what}, for {} s", TIMEOUT.as_secs());
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// It waits for something to happen. Between two system calls it does so nowhere else: it has
    /// one thread, and its sockets do not block.
    fn is_sleeping(&self) -> bool {
        self.state() == Some('S')
    }

    /// As ps(1) has it; the name before it may hold anything, a parenthesis too.
    fn state(&self) -> Option<char> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        text.rsplit_once(") ")?.1.chars().next()
    }

    /// Whether somebody listens at its endpoint: without asking there, which it would notice.
    fn is_listening(&self) -> bool {
        let table =
            |name: &str| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
        // Addresses stand there in the order of the machine, ports in that of people.
        let at = |port: u16| format!(" 0100007F:{port:04X} ");
        match &self.endpoint {
            Endpoint::Tcp(address) => {
                let here = at(address.port());
                // 0A is TCP_LISTEN.
                table("tcp").lines().any(|line| line.contains(&(here.clone() + "00000000:0000 0A")))
            }
            Endpoint::Udp(address) => table("udp").contains(&at(address.port())),
            Endpoint::Unix(path) => path.exists(),
        }
    }

    fn pid(&self) -> Pid {
        server::pid_of(&self.child)
    }
}

/// Where nobody listens, and how that is said in a command. Callgrind takes its time until the
/// server listens, and a port that the kernel gives to whoever asks would often be gone by then: so
/// it is one of those that it gives to nobody.
fn free_endpoint(transport: Transport, folder: &Path) -> Result<(Endpoint, String)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if transport == Transport::Unix {
        let path = folder.join("socket");
        let text = path.to_str().context("a path that is not text")?.to_owned();
        return Ok((Endpoint::Unix(path), text));
    }
    // Others who do the same began elsewhere.
    let first = std::process::id().wrapping_mul(97);
    for _ in 0..PORTS.len() {
        let nth = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS_LEN;
        let port = PORTS.start + u16::try_from(nth).unwrap_or(0);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            let is_tcp = transport == Transport::Tcp;
            let endpoint = if is_tcp { Endpoint::Tcp(address) } else { Endpoint::Udp(address) };
            return Ok((endpoint, port.to_string()));
        }
    }
    bail!("no free port from {} to {}", PORTS.start, PORTS.end - 1)
}

impl Drop for CallgrindServer {
    fn drop(&mut self) {
        // One that has ended as it was told is not there any more; then this hits nobody, since a
        // child that has been waited for is not killed by std.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
