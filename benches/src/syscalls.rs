//! Counts the system calls of a server with the kernel's tracepoints through perf. ptrace is not
//! used: it slows a server down, which changes the number of calls. It knows perf, not servers.

use std::io::{self, BufRead, BufReader, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command;
use crate::process_usage;
use crate::schema::{Calls, Syscalls};
use crate::server::pid_of;

/// System calls of echo servers, by the name of their tracepoint, separated by spaces.
const NAMED_EVENTS: &str = "\
    epoll_wait epoll_pwait epoll_pwait2 epoll_ctl poll ppoll select pselect6 recvfrom \
    sendto recvmsg sendmsg recvmmsg sendmmsg read write readv writev accept accept4 close \
    shutdown setsockopt futex io_uring_enter ioctl";

/// perf needs one descriptor per event and thread. With more threads than this only the sum is
/// counted, and with more than [`COUNTED_THREADS_MAX`] nothing.
const NAMED_THREADS_MAX: usize = 64;

/// Maximum number of threads for counting the sum.
const COUNTED_THREADS_MAX: usize = 2_000;

const TRACEPOINTS: &str = "/sys/kernel/tracing/events";

/// Why system calls cannot be counted on this machine, if they cannot.
pub(crate) fn unavailable_reason() -> Option<String> {
    if let Err(error) = std::fs::read_dir(TRACEPOINTS) {
        return Some(unreadable(&error));
    }
    let arguments = ["stat", "-x,", "-e", "raw_syscalls:sys_enter", "true"];
    let why = match command::run("perf", &arguments) {
        Ok(_) => return None,
        Err(error) if error.is::<io::Error>() => "installed (apt-get install linux-perf)",
        Err(_) => "permitted to count system calls",
    };
    Some(format!("not counted: perf is not {why}"))
}

/// The reason why the tracepoints are not readable.
fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        // The folder exists on every kernel with tracefs, and is empty until it is mounted.
        ErrorKind::NotFound => "not counted: tracefs is not mounted \
                                (mount -t tracefs tracefs /sys/kernel/tracing)"
            .to_owned(),
        ErrorKind::PermissionDenied => {
            format!("not counted: {TRACEPOINTS} is not readable (root is required)")
        }
        _ => format!("not counted: {TRACEPOINTS}: {error}"),
    }
}

/// Counts the system calls of the process tree of `root` while `work` runs, which returns the
/// number of messages. Fails if it has too many threads, perf fails, or `work` fails.
pub(crate) fn count(root: Pid, work: impl FnOnce() -> Result<u64>) -> Result<Syscalls> {
    let threads = process_usage::threads(root);
    ensure!(
        threads <= COUNTED_THREADS_MAX,
        "it has {threads} threads, and at most {COUNTED_THREADS_MAX} can be counted"
    );
    let pids: Vec<String> = process_usage::process_tree(root).iter().map(Pid::to_string).collect();
    let mut perf = Perf::attach(&events(threads <= NAMED_THREADS_MAX), &pids.join(","))?;
    perf.control("enable")?;
    let messages = work();
    perf.control("disable")?;
    let counts = perf.finish()?;
    Ok(per_message(&counts, messages?))
}

/// The event list: the total and, if requested, each named call.
fn events(are_named: bool) -> String {
    let mut events = vec!["raw_syscalls:sys_enter".to_owned()];
    let tracepoint =
        |name: &&str| Path::new(TRACEPOINTS).join(format!("syscalls/sys_enter_{name}"));
    let known = NAMED_EVENTS.split(' ').filter(|name| are_named && tracepoint(name).exists());
    events.extend(known.map(|name| format!("syscalls:sys_enter_{name}")));
    events.join(",")
}

/// Opens the tracepoints, for this process and with counting disabled, and keeps them open until
/// the result is dropped. The last close of a tracepoint waits until no core is inside it, about a
/// second for all of them; with this, many servers can be counted one after the other in the time
/// of one.
pub(crate) fn keep_tracepoints_open() -> Result<Perf> {
    let mut perf = Perf::attach(&events(true), &std::process::id().to_string())?;
    perf.control("disable")?;
    Ok(perf)
}

/// A running perf. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Perf {
    child: Child,
    control: PipeWriter,
    acknowledged: BufReader<PipeReader>,
}

impl Drop for Perf {
    fn drop(&mut self) {
        // Has no effect after `finish`: std does not kill a child that has been waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Perf {
    /// Starts perf with its counters disabled. They are in place when it has acknowledged the first
    /// command.
    fn attach(events: &str, pids: &str) -> Result<Self> {
        let (perf_control, control) = io::pipe().context("no pipe")?;
        let (acknowledged, perf_ack) = io::pipe().context("no pipe")?;
        // perf inherits its two ends, given by number; the ends of this process are close-on-exec.
        fcntl(&perf_control, FcntlArg::F_SETFD(FdFlag::empty())).context("fcntl")?;
        fcntl(&perf_ack, FcntlArg::F_SETFD(FdFlag::empty())).context("fcntl")?;
        let fds = format!("fd:{},{}", perf_control.as_raw_fd(), perf_ack.as_raw_fd());
        let child = Command::new("perf")
            .process_group(0)
            .args(["stat", "-x,", "-D", "-1", "--control", &fds, "-e", events, "-p", pids])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start perf")?;
        drop((perf_control, perf_ack));
        Ok(Self { child, control, acknowledged: BufReader::new(acknowledged) })
    }

    /// Sends a command, and waits for its acknowledgement.
    fn control(&mut self, command: &str) -> Result<()> {
        writeln!(self.control, "{command}").context("perf has ended")?;
        let mut reply = String::new();
        self.acknowledged.read_line(&mut reply).context("cannot wait for perf")?;
        ensure!(reply.contains("ack"), "perf did not {command}: {reply:?}");
        Ok(())
    }

    /// Ends perf, and reads its counts: event and number.
    fn finish(mut self) -> Result<Vec<(String, u64)>> {
        kill(pid_of(&self.child), Signal::SIGINT).context("perf has ended")?;
        let mut text = String::new();
        let mut output = self.child.stderr.take().context("perf has no output")?;
        output.read_to_string(&mut text).context("cannot read the output of perf")?;
        self.child.wait().context("cannot wait for perf")?;
        let counts: Vec<_> = text.lines().filter_map(parse).collect();
        if counts.is_empty() {
            bail!("perf counted nothing: {}", text.lines().next().unwrap_or("no output"));
        }
        Ok(counts)
    }
}

/// A line of `perf stat -x,`: count, unit, event, and further fields.
fn parse(line: &str) -> Option<(String, u64)> {
    let mut fields = line.split(',');
    let count = fields.next()?.parse().ok()?;
    Some((fields.nth(1)?.to_owned(), count))
}

fn per_message(counts: &[(String, u64)], messages: u64) -> Syscalls {
    let by = |count: u64| count as f64 / messages.max(1) as f64;
    let mut all = 0;
    let mut named = 0;
    let mut kinds = Vec::new();
    for (event, count) in counts {
        match event.strip_prefix("syscalls:sys_enter_") {
            None => all = *count,
            Some(_) if *count == 0 => {}
            Some(name) => {
                named += count;
                kinds.push(Calls { name: name.to_owned(), per_message: by(*count) });
            }
        }
    }
    kinds.sort_by(|a, b| b.per_message.total_cmp(&a.per_message));
    if !kinds.is_empty() && all > named {
        kinds.push(Calls { name: "other".to_owned(), per_message: by(all - named) });
    }
    Syscalls { per_message: by(all), messages, kinds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_for_unreadable_tracepoints_is_specific() {
        for (kind, why) in [
            (ErrorKind::NotFound, "tracefs is not mounted"),
            (ErrorKind::PermissionDenied, "root is required"),
        ] {
            let text = unreadable(&kind.into());
            assert!(text.starts_with("not counted: ") && text.contains(why), "{text}");
        }
    }

    #[test]
    fn counts_are_parsed_and_divided_by_messages() {
        let text = "300,,raw_syscalls:sys_enter,1,100.00,,\n\
                    100,,syscalls:sys_enter_sendto,1,100.00,,\n\
                    150,,syscalls:sys_enter_recvfrom,1,100.00,,\n\
                    0,,syscalls:sys_enter_poll,1,100.00,,\n\
                    <not counted>,,syscalls:sys_enter_read,0,0.00,,\n";
        let counts: Vec<_> = text.lines().filter_map(parse).collect();
        let syscalls = per_message(&counts, 100);
        assert_eq!((syscalls.per_message, syscalls.messages), (3.0, 100));
        let kinds: Vec<_> =
            syscalls.kinds.iter().map(|kind| (kind.name.as_str(), kind.per_message)).collect();
        assert_eq!(kinds, [("recvfrom", 1.5), ("sendto", 1.0), ("other", 0.5)]);
    }
}
