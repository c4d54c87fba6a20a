//! The server that is examined: an address, and with `--start` its process, its log, and what its
//! processes used before the first case.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::LimitValue;
use socket2::SockAddr;

use super::failure::{Checked, Local, wrong};
use super::vitals::{self, Vitals};
use super::wait;
use crate::case::Transport;
use crate::process_usage::process_tree;
use crate::server::{Endpoint, Server, free_endpoint};

/// A window in which a server that rests is looked at, and how long it may be runnable in it. Two
/// such windows in a row out of all until a deadline are enough, so that a late timer of a runtime
/// is no failure; a thread that spins is runnable in all of them, on a busy machine too.
const WINDOW: Duration = Duration::from_millis(25);
const RUNNABLE_MAX: Duration = Duration::from_micros(2500);

/// In the cases about rest, such windows could lie between bursts of work: a server is watched for
/// as long as this too, and may be on a core for 2 % of it. Timers of runtimes need less; a burst
/// in each tenth of a second needs more. Waiting for a core does not count: a busy machine adds it
/// to every timer.
const STRETCH: Duration = Duration::from_millis(500);
const ON_CORE_MAX: Duration = Duration::from_millis(10);

/// How long a server may take to close, to wait for its children and to come to rest after a case.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// How long descriptors that are no sockets may stay open behind the sockets.
const DESCRIPTORS_SETTLE_MAX: Duration = Duration::from_millis(500);

/// How long a stop may take to reach every thread, and between two looks at them.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
const STOP_LOOK: Duration = Duration::from_micros(200);

/// Memory that a server may keep after a case beyond what it had before the first: the stacks of
/// hundreds of threads and what an allocator does not give back, and so many times what it had from
/// the start. A runtime with a garbage collector is large from the start, and lets its heap grow
/// before it collects: of Java 5.5 times as much was seen. A server in C or Rust starts
/// with a few MiB.
const KEPT_BYTES_MAX: u64 = 32 << 20;
const KEPT_TIMES_MAX: u64 = 6;

/// Bytes that a server may log in one case.
const LOG_BYTES_MAX: u64 = 1 << 20;

/// A server under examination.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) transport: Transport,
    pub(super) addr: SockAddr,
    /// The path of a Unix socket.
    pub(super) path: Option<PathBuf>,
    pub(super) process: Option<Process>,
    /// Its command, if it is started here.
    command: Option<String>,
}

/// A server that was started here.
#[derive(Debug)]
pub(super) struct Process {
    command: String,
    endpoint: Endpoint,
    server: Server,
    log: tempfile::NamedTempFile,
    /// Before the first case.
    before: Vitals,
    logged_bytes: u64,
    /// Whether it is never idle, which one case reports.
    is_busy: bool,
}

impl Subject {
    /// A server that runs already.
    pub(super) fn running(transport: Transport, addr: SockAddr, path: Option<PathBuf>) -> Self {
        Self { transport, addr, path, process: None, command: None }
    }

    /// Starts a server.
    pub(super) fn start(command: &str, transport: Transport) -> Result<Self> {
        let (endpoint, _) = free_endpoint(transport)?;
        Self::start_at(command, transport, endpoint)
    }

    /// Starts a server at this endpoint.
    pub(super) fn start_at(
        command: &str,
        transport: Transport,
        endpoint: Endpoint,
    ) -> Result<Self> {
        let (addr, path) = address(&endpoint)?;
        let process = Some(Process::start(command, endpoint)?);
        Ok(Self { transport, addr, path, process, command: Some(command.to_owned()) })
    }

    /// Ends the process and starts another one at the same endpoint.
    pub(super) fn restart(&mut self) -> Result<()> {
        let Some(process) = self.process.take() else { return Ok(()) };
        self.start_after(process)
    }

    /// Starts another process while the path of the ended one is still there.
    pub(super) fn restart_over_left_path(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.server.keep_path();
        self.start_after(process)
    }

    /// A server for the following cases: at another endpoint, if the old one cannot be used.
    pub(super) fn recover(&mut self) -> Result<()> {
        let Some(command) = self.command.clone() else { return Ok(()) };
        if self.process.is_some() && self.restart().is_ok() {
            return Ok(());
        }
        *self = Self::start(&command, self.transport)?;
        Ok(())
    }

    /// Ends the process, and starts one like it at its endpoint.
    fn start_after(&mut self, process: Process) -> Result<()> {
        let (endpoint, is_busy) = (process.endpoint.clone(), process.is_busy);
        drop(process);
        let command = self.command.clone().unwrap_or_default();
        self.process = Some(Process { is_busy, ..Process::start(&command, endpoint)? });
        Ok(())
    }

    /// The address, unless it is a Unix socket.
    pub(super) fn ip(&self) -> Option<SocketAddr> {
        self.addr.as_socket()
    }

    /// Records what the server uses now, as what it must return to. It has served a client.
    pub(super) fn take_baseline(&mut self) -> Checked {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.is_busy = process.idle_failure(Instant::now() + SETTLE_MAX)?.is_some();
        process.before = vitals::vitals(process.server.pid()).unwrap_or(process.before);
        Ok(())
    }

    /// How many descriptors are open that are no sockets and were not open before; after this they
    /// count as open before.
    pub(super) fn take_new_descriptors(&mut self) -> Checked<usize> {
        let Some(process) = &mut self.process else { return Ok(0) };
        let (pid, before) = (process.pid(), process.before.others);
        let mut now = before;
        wait::until(Instant::now() + DESCRIPTORS_SETTLE_MAX, || {
            now = vitals::vitals(pid).map_or(before, |found| found.others);
            now <= before
        })?;
        process.before.others = now;
        Ok(now.saturating_sub(before))
    }

    /// What must hold after each case: the processes have closed, waited, come to rest, and kept
    /// little.
    pub(super) fn check_after_case(&mut self, timeout: Duration) -> Checked {
        let Some(process) = &mut self.process else { return Ok(()) };
        let deadline = Instant::now() + SETTLE_MAX.min(timeout);
        process.check_alive()?;
        let pid = process.server.pid();
        let mut now = process.before;
        let before = process.before;
        let is_back = wait::until(deadline, || {
            now = vitals::vitals(pid).unwrap_or(before);
            now.sockets <= before.sockets && now.processes <= before.processes
        })?;
        if !is_back && now.sockets > before.sockets {
            let more = now.sockets - before.sockets;
            return wrong(format!("{more} sockets stay open after all clients have gone"));
        }
        if !is_back {
            let more = now.processes - before.processes;
            return wrong(format!("{more} more processes than before the first client"));
        }
        let kept = now.resident_bytes.saturating_sub(before.resident_bytes);
        if kept > KEPT_BYTES_MAX + KEPT_TIMES_MAX * before.resident_bytes {
            return wrong(format!("{} MiB of memory are kept", kept >> 20));
        }
        let logged = process.logged_bytes()?;
        let new = logged - std::mem::replace(&mut process.logged_bytes, logged);
        if new > LOG_BYTES_MAX {
            return wrong(format!("{} KiB of log in one case", new >> 10));
        }
        if process.is_busy {
            return Ok(());
        }
        process.check_idle(deadline)
    }
}

/// The address of an endpoint for the system calls, and the path of a Unix socket.
fn address(endpoint: &Endpoint) -> Result<(SockAddr, Option<PathBuf>)> {
    Ok(match endpoint {
        Endpoint::Tcp(addr) | Endpoint::Udp(addr) => (SockAddr::from(*addr), None),
        Endpoint::Unix(path) => {
            (SockAddr::unix(path).context("the socket path")?, Some(path.clone()))
        }
    })
}

impl Process {
    fn start(command: &str, endpoint: Endpoint) -> Result<Self> {
        let log = tempfile::NamedTempFile::new().context("no temporary file")?;
        let mut server = spawn(command, &endpoint, log.as_file())?;
        server.wait_until_up()?;
        let before = vitals::vitals(server.pid()).context("the server has ended")?;
        let command = command.to_owned();
        Ok(Self { command, endpoint, server, log, before, logged_bytes: 0, is_busy: false })
    }

    /// A second instance at the same endpoint, which is not waited for. The log is shared.
    pub(super) fn second_instance(&self) -> Checked<Server> {
        spawn(&self.command, &self.endpoint, self.log.as_file()).local("start")
    }

    /// The root of the process tree.
    pub(super) fn pid(&self) -> Pid {
        self.server.pid()
    }

    /// The command.
    pub(super) fn command(&self) -> &str {
        &self.command
    }

    /// Whether it used the processor before the first client.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Sends a signal to the server's first process.
    pub(super) fn signal(&self, signal: Signal) -> Checked {
        kill(self.pid(), signal).local("kill")
    }

    /// Stops all its processes (SIGSTOP), or lets them go on.
    pub(super) fn set_stopped(&self, is_stopped: bool) {
        if !is_stopped {
            return self.server.resume();
        }
        self.server.pause();
        // On a busy machine a thread may still run for a while, and answer what comes.
        let deadline = Instant::now() + STOP_TIMEOUT;
        while !vitals::is_stopped(self.pid()) && Instant::now() < deadline {
            std::thread::sleep(STOP_LOOK);
        }
    }

    /// Fails if it has ended.
    pub(super) fn check_alive(&mut self) -> Checked {
        match self.server.ended() {
            None => Ok(()),
            Some(status) => wrong(format!("the server ended: {status}")),
        }
    }

    /// Waits until it ends; returns its exit status, or the signal that ended it.
    pub(super) fn wait_end(&mut self, deadline: Instant) -> Checked<Result<i32, i32>> {
        let mut status = None;
        wait::until(deadline, || {
            status = self.server.ended();
            status.is_some()
        })?;
        let Some(status) = status else {
            return wrong("the server has not ended in time");
        };
        Ok(status.code().ok_or_else(|| status.signal().unwrap_or(0)))
    }

    /// Bytes of its log.
    pub(super) fn logged_bytes(&self) -> Checked<u64> {
        Ok(self.log.as_file().metadata().local("fstat")?.len())
    }

    /// Fails if it does not come to rest until the deadline.
    pub(super) fn check_idle(&self, deadline: Instant) -> Checked {
        match self.idle_failure(deadline)? {
            None => Ok(()),
            Some(percent) => wrong(format!("it uses the processor while idle: {percent} %")),
        }
    }

    /// Fails if it does not come to rest, and stay so, until the deadline.
    pub(super) fn check_rest(&self, deadline: Instant) -> Checked {
        self.check_idle(deadline)?;
        loop {
            let (start, before) = (Instant::now(), vitals::runnable(self.pid()).on_core);
            wait::pause(STRETCH)?;
            let used = vitals::runnable(self.pid()).on_core.saturating_sub(before);
            let time = start.elapsed();
            if used <= ON_CORE_MAX.mul_f64(time.as_secs_f64() / STRETCH.as_secs_f64()) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let percent = used.as_micros() * 100 / time.as_micros();
                return wrong(format!("it uses the processor while idle: {percent} %"));
            }
        }
    }

    /// The percentage of a core that it wants while idle, unless it comes to rest.
    fn idle_failure(&self, deadline: Instant) -> Checked<Option<u128>> {
        let mut quiet = 0;
        let mut used = Duration::ZERO;
        let mut before = vitals::runnable(self.pid());
        while quiet < 2 {
            if Instant::now() >= deadline {
                return Ok(Some(used.as_micros() * 100 / WINDOW.as_micros()));
            }
            let start = Instant::now();
            wait::pause(WINDOW)?;
            let after = vitals::runnable(self.pid());
            used = after.total.saturating_sub(before.total);
            before = after;
            // A window that was stretched may hold proportionally more.
            let allowed =
                RUNNABLE_MAX.mul_f64(start.elapsed().as_secs_f64() / WINDOW.as_secs_f64());
            quiet = if used <= allowed && !after.now { quiet + 1 } else { 0 };
        }
        Ok(None)
    }

    /// Limits the descriptors of each process to `more` beyond those that it has open; prlimit(1)
    /// does it. Returns the earlier limits.
    pub(super) fn limit_descriptors(&self, more: usize) -> Checked<Vec<(Pid, String)>> {
        let limit = (vitals::descriptors_max(self.pid()) + more).to_string();
        let mut earlier = Vec::new();
        for pid in process_tree(self.pid()) {
            let limits = procfs::process::Process::new(pid.as_raw()).and_then(|it| it.limits());
            earlier.push((
                pid,
                match limits.local("/proc/PID/limits")?.max_open_files.soft_limit {
                    LimitValue::Value(limit) => limit.to_string(),
                    LimitValue::Unlimited => "unlimited".to_owned(),
                },
            ));
            set_descriptor_limit(pid, &limit)?;
        }
        Ok(earlier)
    }
}

/// Sets the soft limit of a process.
pub(super) fn set_descriptor_limit(pid: Pid, limit: &str) -> Checked {
    let arguments = ["--pid", &pid.to_string(), &format!("--nofile={limit}:")];
    crate::command::run("prlimit", &arguments).local("prlimit").map(drop)
}

fn spawn(command: &str, endpoint: &Endpoint, log: &File) -> Result<Server> {
    let text = match endpoint {
        Endpoint::Tcp(addr) | Endpoint::Udp(addr) => addr.port().to_string(),
        Endpoint::Unix(path) => path.to_str().context("the socket path is text")?.to_owned(),
    };
    Server::spawn_at("the server", &[], command, (endpoint.clone(), text), Some(log))
}
