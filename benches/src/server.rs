//! A server under test as a process: started on its core, billed for its CPU, stopped. It knows
//! nothing of what the server serves, only that it accepts TCP connections on a port.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// How long a server may take until it accepts a connection. A debug build on a busy machine
/// starts in well under a second.
const START_MAX: Duration = Duration::from_secs(5);

/// How long it may take to end after SIGTERM; then it is killed.
const STOP_MAX: Duration = Duration::from_secs(2);

/// How long after a lost connection we look for the crash behind it: interpreters take their time.
const CRASH_MAX: Duration = Duration::from_millis(200);

/// How often we look whether it has come up or gone down.
const LOOK_EVERY: Duration = Duration::from_millis(5);

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

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    address: SocketAddr,
    clock: ClockId,
}

impl Server {
    /// Starts `command` on its core, with a free port for `{port}`, and waits until it accepts.
    ///
    /// The command is split like a shell would, but no shell runs. Its standard output is thrown
    /// away; what it says on standard error is seen.
    ///
    /// # Errors
    /// When it cannot be started, ends, or accepts nothing within five seconds.
    pub fn start(name: &str, command: &str, cores: Cores) -> Result<Self> {
        ensure!(command.contains("{port}"), "{name}: the command has no {{port}} in it");
        let address = free_address().context("no free port")?;
        let command = command.replace("{port}", &address.port().to_string());
        let words = shlex::split(&command)
            .with_context(|| format!("{name}: a quote is left open in `{command}`"))?;
        let (program, arguments) =
            words.split_first().with_context(|| format!("{name}: the command is empty"))?;
        let mut child = Command::new(program);
        child.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        end_with_us(&mut child);
        // Affinity is inherited: every thread the server will ever have is on its core from the
        // first instruction, and no foreign program is needed to put it there.
        pin(cores.server)?;
        let child = child.spawn();
        pin(cores.load)?;
        let child = child.with_context(|| format!("{name}: cannot start `{program}`"))?;
        let pid = pid_of(&child);
        let clock = clock_getcpuclockid(pid).with_context(|| format!("{name}: no CPU clock"))?;
        let mut server = Self { name: name.to_owned(), child, address, clock };
        server.wait_until_up()?;
        Ok(server)
    }

    /// Adds what became of the process to an error of the load: a server that crashed is more news
    /// than the connection that was lost by it.
    pub fn explain(&mut self, failure: impl std::error::Error) -> anyhow::Error {
        // A crash closes the connections a moment before the process can be waited for.
        let deadline = Instant::now() + CRASH_MAX;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return anyhow::anyhow!("{}: {failure}; it ended: {status}", self.name);
            }
            thread::sleep(LOOK_EVERY);
        }
        anyhow::anyhow!("{}: {failure}", self.name)
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let name = &self.name;
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect_timeout(&self.address, START_MAX).is_err() {
            if let Some(status) = self.child.try_wait().context("cannot wait for the server")? {
                bail!("{name}: did not come up; it ended: {status}");
            }
            ensure!(
                Instant::now() < deadline,
                "{name}: did not come up: nothing accepts on {} after {} s",
                self.address,
                START_MAX.as_secs(),
            );
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// What it is called in the table.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it accepts.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CPU time of all its threads since it was started, user and system together, to the
    /// nanosecond. Work that the kernel does for a loopback peer in the server's own calls is part
    /// of it. Child processes are not: a server that forks for every client needs another bill.
    ///
    /// Man page: `clock_getcpuclockid(3)`
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(&self) -> Result<Duration> {
        let spent = clock_gettime(self.clock).with_context(|| format!("{}: gone", self.name))?;
        Ok(Duration::from(spent))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A child that has not been waited for keeps its pid, so this can hit nobody else. All of
        // this is best effort: a server that has ended already has nothing to be told.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(pid_of(&self.child), Signal::SIGTERM);
        }
        let deadline = Instant::now() + STOP_MAX;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                drop(self.child.kill());
                drop(self.child.wait());
                return;
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Makes the kernel end the child when we end, however we end.
#[expect(unsafe_code, reason = "std offers no other way to make a call between fork and exec")]
fn end_with_us(command: &mut Command) {
    let end = || prctl::set_pdeathsig(Signal::SIGTERM).map_err(std::io::Error::from);
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe work is allowed:
    // it makes one prctl(2) call, allocates nothing, takes no lock and touches no memory of ours.
    unsafe { command.pre_exec(end) };
}

/// A port nobody listens on. Somebody else could take it before the server does; then the server
/// says so and the run ends, which is rare enough.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn pid_of(child: &Child) -> Pid {
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
    fn a_server_that_ends_is_told_from_one_that_is_slow() {
        let error = Server::start("gone", "false {port}", cores()).expect_err("it ends at once");
        assert!(error.to_string().contains("did not come up; it ended"), "{error}");
    }

    #[test]
    fn a_command_that_cannot_be_meant_is_refused() {
        for (command, why) in [
            ("true", "has no {port}"),
            ("'true {port}", "a quote is left open"),
            ("no-such-program-here {port}", "cannot start"),
        ] {
            let error = Server::start("x", command, cores()).expect_err(command);
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
