//! What the kernel says about a server's processes: descriptors, processes, memory, and whether
//! they run. It reads `/proc` and knows no echo.

use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use procfs::process::{FDTarget, ProcState, Process};

use crate::process_usage::process_tree;

/// A look at all processes of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Vitals {
    /// Open sockets.
    pub(super) sockets: usize,
    /// Other descriptors: files, pipes, event counters, timers, epoll instances.
    pub(super) others: usize,
    /// Processes, those that have ended and are not waited for included.
    pub(super) processes: usize,
    /// Resident memory.
    pub(super) resident_bytes: u64,
}

/// How long the threads of a server have been runnable since their start: running, or waiting for a
/// core. That a machine is busy does not change it for a server that sleeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runnable {
    pub(super) total: Duration,
    /// The part of it on a core.
    pub(super) on_core: Duration,
    /// Whether a thread is runnable at this moment.
    pub(super) now: bool,
}

/// The vitals of the process tree; `None` if its root has ended.
pub(super) fn vitals(root: Pid) -> Option<Vitals> {
    let mut sum = Vitals { sockets: 0, others: 0, processes: 0, resident_bytes: 0 };
    for pid in process_tree(root) {
        let Some(process) = process(pid) else { continue };
        sum.processes += 1;
        let (sockets, others) = descriptors(&process);
        sum.sockets += sockets;
        sum.others += others;
        let status = process.status().ok().and_then(|status| status.vmrss);
        sum.resident_bytes += status.unwrap_or(0) * 1024;
    }
    (sum.processes > 0).then_some(sum)
}

/// The largest number of descriptors that a process of the tree has open.
pub(super) fn descriptors_max(root: Pid) -> usize {
    let open = |pid| process(pid).and_then(|process| process.fd_count().ok());
    process_tree(root).into_iter().filter_map(open).max().unwrap_or(0)
}

/// How long the process tree has been runnable.
///
/// `/proc/PID/task/TID/schedstat`: time on a core, and time in a run queue. A thread that waits for
/// a core all the time is not in it yet, but is in state R.
pub(super) fn runnable(root: Pid) -> Runnable {
    let mut sum = Runnable { total: Duration::ZERO, on_core: Duration::ZERO, now: false };
    for process in process_tree(root).into_iter().filter_map(process) {
        for task in process.tasks().into_iter().flatten().flatten() {
            let (on_core, waiting) =
                task.schedstat().map_or((0, 0), |stat| (stat.sum_exec_runtime, stat.run_delay));
            sum.total += Duration::from_nanos(on_core + waiting);
            sum.on_core += Duration::from_nanos(on_core);
            let state = task.stat().ok().and_then(|stat| stat.state().ok());
            sum.now |= state == Some(ProcState::Running);
        }
    }
    sum
}

/// Whether no thread of the process tree runs any more, after SIGSTOP.
pub(super) fn is_stopped(root: Pid) -> bool {
    let tasks = process_tree(root).into_iter().filter_map(process).flat_map(|process| {
        process
            .tasks()
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|task| task.stat().ok()?.state().ok())
    });
    tasks.into_iter().all(|state| !matches!(state, ProcState::Running | ProcState::Sleeping))
}

/// Whether a process ignores this signal.
pub(super) fn ignores(pid: Pid, signal: Signal) -> bool {
    let ignored = process(pid).and_then(|it| it.status().ok()).map_or(0, |status| status.sigign);
    ignored >> (signal as i32 - 1) & 1 == 1
}

/// The addresses at which the processes listen or receive at this port.
pub(super) fn local_addresses(root: Pid, port: u16, is_datagrams: bool) -> Vec<std::net::IpAddr> {
    let inodes: Vec<u64> = process_tree(root)
        .into_iter()
        .filter_map(process)
        .flat_map(|process| socket_inodes(&process))
        .collect();
    let mut found: Vec<(u64, std::net::SocketAddr)> = Vec::new();
    if is_datagrams {
        let sockets = [procfs::net::udp(), procfs::net::udp6()].into_iter().flatten().flatten();
        found.extend(sockets.map(|socket| (socket.inode, socket.local_address)));
    } else {
        let sockets = [procfs::net::tcp(), procfs::net::tcp6()].into_iter().flatten().flatten();
        let listening = sockets.filter(|it| it.state == procfs::net::TcpState::Listen);
        found.extend(listening.map(|socket| (socket.inode, socket.local_address)));
    }
    let of_server = found.into_iter().filter(|(inode, _)| inodes.contains(inode));
    of_server.filter(|(_, addr)| addr.port() == port).map(|(_, addr)| addr.ip()).collect()
}

fn socket_inodes(process: &Process) -> Vec<u64> {
    let open = process.fd().into_iter().flatten().flatten();
    let inode = |fd: procfs::process::FDInfo| match fd.target {
        FDTarget::Socket(inode) => Some(inode),
        _ => None,
    };
    open.filter_map(inode).collect()
}

/// How many descriptors are sockets, and how many are not.
fn descriptors(process: &Process) -> (usize, usize) {
    let open = process.fd().into_iter().flatten().flatten();
    open.fold((0, 0), |(sockets, others), fd| match fd.target {
        FDTarget::Socket(_) => (sockets + 1, others),
        _ => (sockets, others + 1),
    })
}

fn process(pid: Pid) -> Option<Process> {
    Process::new(pid.as_raw()).ok()
}
