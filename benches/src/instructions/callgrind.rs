//! A server under callgrind: it is stopped (SIGSTOP) while it sleeps, input is provided, and it is
//! resumed. This module knows processes and /proc, not the input.
//!
//! Counts are exact because the number of ready messages per wake-up does not depend on timing: the
//! server is stopped only when it sleeps (so it has nothing left to do), and everything that
//! arrives while it is stopped is ready when it resumes.

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

/// Time limit of every wait: callgrind is slow to start, and the machine may be busy.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// Ports outside Linux's default ephemeral range: they are assigned only on explicit request.
const PORTS: Range<u16> = 20_000..32_000;
const PORTS_LEN: u32 = (PORTS.end - PORTS.start) as u32;

/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_micros(20);

/// A server whose instructions are counted. Dropping it kills it.
#[derive(Debug)]
pub(super) struct CallgrindServer {
    child: Child,
    endpoint: Endpoint,
    /// Where callgrind writes what it has counted.
    profile: PathBuf,
    /// Temporary folder for the profile and the socket, removed on drop.
    _folder: TempDir,
}

impl CallgrindServer {
    /// Starts `command` under callgrind and waits until it listens and sleeps. `{port}` is replaced
    /// by a free port, `{path}` by an unused path.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn start(command: &str, transport: Transport) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder for the profile")?;
        let (endpoint, text) = free_endpoint(transport, folder.path())?;
        let slot = if transport == Transport::Unix { "{path}" } else { "{port}" };
        let words = shlex::split(&command.replace(slot, &text)).context("a quote is left open")?;
        let profile = folder.path().join("callgrind.out");
        let mut counted = Command::new("valgrind");
        counted
            .args(["-q", "--tool=callgrind", "--vgdb=no"])
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        server::set_pdeathsig(&mut counted);
        let child = counted.spawn().context("valgrind cannot be started")?;
        let mut server = Self { child, endpoint, profile, _folder: folder };
        server.wait_until("does not listen", Self::is_listening)?;
        server.wait_until("does not become idle", Self::is_sleeping)?;
        Ok(server)
    }

    /// Where it listens.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Stops the server once it is idle, calls `action`, and resumes it.
    ///
    /// # Errors
    /// If it ends or does not become idle, or `action` fails.
    pub(super) fn while_stopped(&mut self, action: impl FnOnce() -> Result<()>) -> Result<()> {
        self.wait_until("does not become idle", Self::is_sleeping)?;
        kill(self.pid(), Signal::SIGSTOP).context("cannot stop it")?;
        self.wait_until("does not stop", |server| server.state() == Some('T'))?;
        let result = action();
        kill(self.pid(), Signal::SIGCONT).context("cannot resume it")?;
        result
    }

    /// Ends the server with SIGTERM, and reads the count of callgrind.
    ///
    /// # Errors
    /// If it does not end, or nothing was counted.
    pub(super) fn end(mut self) -> Result<u64> {
        self.wait_until("does not become idle", Self::is_sleeping)?;
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

    /// Waits until a condition holds.
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

    /// Whether it waits for events. It can sleep nowhere else: it has one thread, and its sockets
    /// do not block.
    fn is_sleeping(&self) -> bool {
        self.state() == Some('S')
    }

    /// The process state as in ps(1). The name before it may contain any character, including a
    /// parenthesis.
    fn state(&self) -> Option<char> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        text.rsplit_once(") ")?.1.chars().next()
    }

    /// Whether a socket listens at its endpoint; checked in /proc, since connecting would affect
    /// the count.
    fn is_listening(&self) -> bool {
        let table =
            |name: &str| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
        // Addresses are in host byte order, ports are printed as numbers.
        let at = |port: u16| format!(" 0100007F:{port:04X} ");
        match &self.endpoint {
            Endpoint::Tcp(address) => {
                let local = at(address.port());
                // 0A is TCP_LISTEN.
                table("tcp")
                    .lines()
                    .any(|line| line.contains(&(local.clone() + "00000000:0000 0A")))
            }
            Endpoint::Udp(address) => table("udp").contains(&at(address.port())),
            Endpoint::Unix(path) => path.exists(),
        }
    }

    fn pid(&self) -> Pid {
        server::pid_of(&self.child)
    }
}

/// An unused endpoint, and its form in a command. Callgrind takes long to start, and an ephemeral
/// port would often be assigned to another process by then, so the port is outside that range.
fn free_endpoint(transport: Transport, folder: &Path) -> Result<(Endpoint, String)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if transport == Transport::Unix {
        let path = folder.join("socket");
        let text = path.to_str().context("a path that is not text")?.to_owned();
        return Ok((Endpoint::Unix(path), text));
    }
    // Other processes doing the same start at another offset.
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
        // Has no effect after `end`: std does not kill a child that has been waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
