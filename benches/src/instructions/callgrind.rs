//! A server under callgrind: it is stopped (SIGSTOP) while it sleeps, input is provided, and it is
//! resumed. This module knows processes and /proc, not the input.
//!
//! Counts are exact because the number of ready messages per wake-up does not depend on timing: the
//! server is stopped only when it sleeps (so it has nothing left to do), and everything that
//! arrives while it is stopped is ready when it resumes.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use procfs::net::{self, TcpState};
use procfs::process::Process;
use tempfile::TempDir;

use crate::case::Transport;
use crate::server::{Endpoint, Server, poll_until};

/// Time limit of every wait: callgrind is slow to start, and the machine may be busy.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_micros(20);

/// A server whose instructions are counted. Dropping it stops it.
#[derive(Debug)]
pub(super) struct CallgrindServer {
    server: Server,
    /// Where callgrind writes what it has counted.
    profile: PathBuf,
    /// Temporary folder for the profile, removed on drop.
    _folder: TempDir,
}

impl CallgrindServer {
    /// Starts `command` under callgrind and waits until it listens and sleeps. `{port}` is replaced
    /// by a free port, `{path}` by an unused path. Fails if it does not start.
    pub(super) fn start(command: &str, transport: Transport) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder for the profile")?;
        let profile = folder.path().join("callgrind.out");
        let out_file = format!("--callgrind-out-file={}", profile.display());
        let wrapper = ["valgrind", "-q", "--tool=callgrind", "--vgdb=no", &out_file];
        let server = Server::spawn("callgrind", &wrapper, command, transport)?;
        let mut server = Self { server, profile, _folder: folder };
        server.wait_until("does not listen", Self::is_listening)?;
        server.wait_until("does not become idle", Self::is_sleeping)?;
        Ok(server)
    }

    /// Where it listens.
    pub(super) fn endpoint(&self) -> &Endpoint {
        self.server.endpoint()
    }

    /// Stops the server once it is idle, calls `action`, and resumes it. Fails if it ends or does
    /// not become idle, or `action` fails.
    pub(super) fn while_stopped(&mut self, action: impl FnOnce() -> Result<()>) -> Result<()> {
        self.wait_until("does not become idle", Self::is_sleeping)?;
        kill(self.server.pid(), Signal::SIGSTOP).context("cannot stop it")?;
        self.wait_until("does not stop", |server| server.state() == Some('T'))?;
        let result = action();
        kill(self.server.pid(), Signal::SIGCONT).context("cannot resume it")?;
        result
    }

    /// Ends the server with SIGTERM, and reads the count of callgrind. Fails if it does not end, or
    /// nothing was counted.
    pub(super) fn end(mut self) -> Result<u64> {
        self.wait_until("does not become idle", Self::is_sleeping)?;
        kill(self.server.pid(), Signal::SIGTERM).context("cannot end it")?;
        poll_until(TIMEOUT, POLL_INTERVAL, || self.server.ended()).context("it does not end")?;
        let text = fs::read_to_string(&self.profile).context("callgrind has counted nothing")?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        total.and_then(|total| total.trim().parse().ok()).context("callgrind gives no total")
    }

    /// Waits until a condition holds.
    fn wait_until(&mut self, what: &str, is_true: impl Fn(&Self) -> bool) -> Result<()> {
        let found = poll_until(TIMEOUT, POLL_INTERVAL, || {
            if is_true(self) { Some(None) } else { self.server.ended().map(Some) }
        });
        match found.with_context(|| format!("it {what}, for {} s", TIMEOUT.as_secs()))? {
            Some(status) => bail!("it ended: {status}"),
            None => Ok(()),
        }
    }

    /// Whether it waits for events. It can sleep nowhere else: it has one thread, and its sockets
    /// do not block.
    fn is_sleeping(&self) -> bool {
        self.state() == Some('S')
    }

    /// The process state as in ps(1).
    fn state(&self) -> Option<char> {
        let process = Process::new(self.server.pid().as_raw()).ok()?;
        process.stat().ok().map(|stat| stat.state)
    }

    /// Whether a socket listens at its endpoint; checked in /proc, since connecting would affect
    /// the count.
    fn is_listening(&self) -> bool {
        match self.endpoint() {
            Endpoint::Tcp(address) => net::tcp()
                .unwrap_or_default()
                .iter()
                .any(|socket| socket.local_address == *address && socket.state == TcpState::Listen),
            Endpoint::Udp(address) => {
                net::udp().unwrap_or_default().iter().any(|it| it.local_address == *address)
            }
            Endpoint::Unix(path) => path.exists(),
        }
    }
}
