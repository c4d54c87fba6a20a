//! Resource usage of a server: CPU time and memory, of the process and its descendants. It reads
//! `/proc`.
//!
//! Total CPU time is exact to the nanosecond for living processes, and to a tick (10 ms) for
//! children that have ended; user and system time have tick resolution, so they are meaningful over
//! a whole case only. Work that the kernel does for a loopback peer inside the server's own calls
//! is included.

use std::ops::AddAssign;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use procfs::process::{Process, Task};

/// For a process with more threads than this, only children of its first thread are found.
const FORKING_THREADS_MAX: usize = 64;

/// CPU time of a process tree since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    /// User and system together.
    pub total: Duration,
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

impl AddAssign for Cpu {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.user += other.user;
        self.system += other.system;
    }
}

/// The process and all its living descendants, the root first.
pub fn process_tree(root: Pid) -> Vec<Pid> {
    let mut processes = vec![root];
    let mut next = 0;
    while let Some(&pid) = processes.get(next) {
        next += 1;
        processes.extend(children(pid).into_iter().flatten());
    }
    processes
}

/// The CPU time of the process tree; `None` if the root has ended.
///
/// Cost: two or three small reads per process.
pub fn cpu(root: Pid) -> Option<Cpu> {
    sum(root, |pid| {
        let stat = process(pid)?.stat().ok()?;
        let [dead_user, dead_system] = [stat.cutime, stat.cstime].map(i64::unsigned_abs).map(time);
        let (user, system) = (time(stat.utime) + dead_user, time(stat.stime) + dead_system);
        Some(Cpu { total: process_cpu(pid)? + dead_user + dead_system, user, system })
    })
}

/// The CPU time of all threads of a process, without its children.
pub(crate) fn process_cpu(pid: Pid) -> Option<Duration> {
    // For the kernel 0 is the calling process, and some negative numbers are other clocks:
    // clock_getcpuclockid(3).
    let pid = Some(pid).filter(|pid| pid.as_raw() > 0)?;
    clock_getcpuclockid(pid).and_then(clock_gettime).map(Duration::from).ok()
}

/// The CPU time of the calling process.
pub fn own_cpu() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok().map(Duration::from)
}

/// The CPU time of the calling thread.
pub(crate) fn thread_cpu() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from)
}

/// Peak resident memory, summed over the process tree; `None` if the root has ended.
pub fn peak_rss_bytes(root: Pid) -> Option<u64> {
    sum(root, own_peak_rss_bytes)
}

fn own_peak_rss_bytes(pid: Pid) -> Option<u64> {
    Some(process(pid)?.status().ok()?.vmhwm? * 1024)
}

/// The proportional set size of the process tree: a page shared by two processes counts half for
/// each.
pub(crate) fn pss_bytes(root: Pid) -> Option<u64> {
    sum(root, |pid| {
        let rollup = process(pid)?.smaps_rollup().ok()?;
        rollup.memory_map_rollup.into_iter().next()?.extension.map.get("Pss").copied()
    })
}

/// Number of threads of the process tree.
pub fn threads(root: Pid) -> usize {
    let of = |pid| Some(usize::try_from(process(pid)?.stat().ok()?.num_threads).unwrap_or(0));
    sum(root, of).unwrap_or(0)
}

/// Sums a figure over the process tree; `None` if the root has ended. A child may end in between;
/// its CPU time is then counted with its parent.
fn sum<T: Default + AddAssign>(root: Pid, figure: impl Fn(Pid) -> Option<T>) -> Option<T> {
    let mut sum = T::default();
    for pid in process_tree(root) {
        match figure(pid) {
            Some(figure) => sum += figure,
            None if pid != root => {}
            None => return None,
        }
    }
    Some(sum)
}

fn process(pid: Pid) -> Option<Process> {
    Process::new(pid.as_raw()).ok()
}

/// Every thread may fork, and has its own list of children.
fn children(pid: Pid) -> Option<Vec<Pid>> {
    let process = process(pid)?;
    let mut threads: Vec<Task> =
        process.tasks().ok()?.flatten().take(FORKING_THREADS_MAX + 1).collect();
    if threads.len() > FORKING_THREADS_MAX {
        threads = vec![process.task_main_thread().ok()?];
    }
    let children = threads.iter().filter_map(|thread| thread.children().ok()).flatten();
    Some(children.filter_map(|pid| i32::try_from(pid).ok()).map(Pid::from_raw).collect())
}

fn time(ticks: u64) -> Duration {
    Duration::from_micros(ticks * 1_000_000 / procfs::ticks_per_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_is_counted_with_its_parent() {
        // The shell waits for the end of its input, and its child until then.
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & read line; kill $!; wait"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let pid = Pid::from_raw(i32::try_from(shell.id()).expect("a pid"));
        while process_tree(pid).len() < 2 {
            std::thread::yield_now();
        }
        let alone = own_peak_rss_bytes(pid).expect("it runs");
        assert!(peak_rss_bytes(pid).expect("it runs") > alone, "the child's memory is counted too");
        assert!(pss_bytes(pid).is_some() && cpu(pid).is_some());
        assert_eq!(threads(pid), 2);
        drop(shell.stdin.take());
        shell.wait().expect("it ends");
        assert_eq!(cpu(pid), None, "the process has ended");
    }

    #[test]
    fn user_and_system_add_up_to_the_total() {
        let Cpu { total, user, system } = cpu(Pid::this()).expect("this process is alive");
        assert!(total.abs_diff(user + system) < Duration::from_millis(50), "{total:?}");
    }
}
