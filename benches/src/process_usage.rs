//! Resource usage of a server: CPU time and memory, of the process and its descendants. It reads
//! `/proc`.
//!
//! Total CPU time is exact to the nanosecond for living processes, and to a tick (10 ms) for
//! children that have ended; user and system time have tick resolution, so they are meaningful over
//! a whole case only. Work that the kernel does for a loopback peer inside the server's own calls
//! is included.

use std::fs;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

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

/// The process and all its living descendants, the root first.
#[must_use]
pub fn process_tree(root: Pid) -> Vec<Pid> {
    let mut processes = vec![root];
    let mut next = 0;
    while let Some(&pid) = processes.get(next) {
        next += 1;
        processes.extend(children(pid));
    }
    processes
}

/// The CPU time of the process tree; `None` if the root has ended.
///
/// Cost: two or three small reads per process.
#[must_use]
pub fn cpu(root: Pid) -> Option<Cpu> {
    let mut sum = Cpu::default();
    for pid in process_tree(root) {
        let clock = clock_getcpuclockid(pid).and_then(clock_gettime).map(Duration::from);
        match (clock, ticks(pid)) {
            (Ok(clock), Some([user, system, dead_user, dead_system])) => {
                sum.total += clock + dead_user + dead_system;
                sum.user += user + dead_user;
                sum.system += system + dead_system;
            }
            // A child may end in between; its CPU time is then counted with its parent.
            _ if pid != root => {}
            _ => return None,
        }
    }
    Some(sum)
}

/// The CPU time of the calling process.
#[must_use]
pub fn own_cpu() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok().map(Duration::from)
}

/// Peak resident memory, summed over the process tree; `None` if the root has ended.
#[must_use]
pub fn peak_rss_bytes(root: Pid) -> Option<u64> {
    sum(root, "status", "VmHWM:")
}

/// The proportional set size of the process tree: a page shared by two processes counts half for
/// each.
#[must_use]
pub fn pss_bytes(root: Pid) -> Option<u64> {
    sum(root, "smaps_rollup", "Pss:")
}

/// Number of threads of the process tree.
#[must_use]
pub fn threads(root: Pid) -> usize {
    let of = |pid| {
        let entries = fs::read_dir(format!("/proc/{pid}/task"));
        entries.map_or(0, Iterator::count)
    };
    process_tree(root).into_iter().map(of).sum()
}

fn sum(root: Pid, file: &str, field: &str) -> Option<u64> {
    let mut sum = 0;
    for pid in process_tree(root) {
        match kilobytes(pid, file, field) {
            Some(kilobytes) => sum += kilobytes * 1024,
            None if pid != root => {}
            None => return None,
        }
    }
    Some(sum)
}

fn kilobytes(pid: Pid, file: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Every thread may fork, and has its own list of children.
///
/// Man page: `proc_tid_children(5)`
fn children(pid: Pid) -> Vec<Pid> {
    let of = |tid: &str| {
        fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).unwrap_or_default()
    };
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let threads: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let lists: String = if threads.len() > FORKING_THREADS_MAX {
        of(&pid.to_string())
    } else {
        threads.iter().map(|tid| of(tid)).collect()
    };
    lists.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

/// User and system time of the process, then of its children that were waited for.
///
/// Man page: `proc_pid_stat(5)`
fn ticks(pid: Pid) -> Option<[Duration; 4]> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may contain any character, including spaces and parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok().map(time);
    Some([next()?, next()?, next()?, next()?])
}

fn time(ticks: u64) -> Duration {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    let per_second = u64::try_from(per_second).unwrap_or(100).max(1);
    Duration::from_micros(ticks * 1_000_000 / per_second)
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
        let alone = kilobytes(pid, "status", "VmHWM:").expect("it runs") * 1024;
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
