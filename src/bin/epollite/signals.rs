//! Signals of the program: which of them it reads, and their dispositions until then.
//!
//! Knows dispositions and masks, which are inherited through exec(2). The parent may have ignored
//! or blocked any signal, often unintentionally: a shell with `trap '' CHLD`, a supervisor that
//! left its mask set. So what the program depends on is set here, before anything else. Two things
//! are kept:
//!
//! * `SIGINT`, `SIGHUP` and `SIGQUIT` that were ignored stay ignored. A shell starts background
//!   jobs of a script like that, and nohup(1) its command: Ctrl-C is then meant for the script
//!   alone. `SIGTERM` is always meant for the process that it is sent to.
//! * Timers (alarm(2)) and limits, which are set on purpose.

use epollite::Errno;
use epollite::kernel::{SIGINFO_BYTES, Signal, SignalSet};

use crate::instrument::CountingKernel;
use crate::instrument::ring;
use crate::models::{
    Disposition, ModelSyscalls as _, is_ignored, set_disposition, unblock_signals,
};

/// Signals that request a shutdown.
const SHUTDOWN_SIGNALS: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

/// More than the signals that a server reads, none of which is pending twice.
const SIGNALS_READ_MAX: usize = 8;

/// PID 1 of a system or a container. The kernel does not deliver signals to it for which it has no
/// handler.
const FIRST_PROCESS: u32 = 1;

/// Sets the inherited dispositions and mask to what the program needs. To be called first.
pub(crate) fn prepare(is_server: bool, has_children: bool) {
    // With SIGCHLD ignored a parent is not notified when children exit, and waitpid(2) finds none.
    // PID 1 is the parent of all orphans: if it does not reap them, the kernel should.
    let is_first = std::process::id() == FIRST_PROCESS;
    let on_child =
        if is_first && !has_children { Disposition::Ignored } else { Disposition::Default };
    set_disposition(Signal::CHLD, on_child);
    if on_child == Disposition::Ignored {
        // Orphans that exited before the call above are still to be reaped.
        let mut kernel = CountingKernel::default();
        while let Ok(Some(_)) = kernel.waitpid() {}
    }
    // A write beyond the file size limit then fails with EFBIG; like a full disk, it must not kill
    // the server.
    set_disposition(Signal::XFSZ, Disposition::Ignored);
    let on_shutdown = if is_first { Disposition::Exit } else { Disposition::Default };
    shutdown_signals().into_iter().for_each(|signal| set_disposition(signal, on_shutdown));
    if is_server {
        // A SIGUSR1 that arrives before the server reads signals must not kill it. Nor may a
        // SIGUSR2 where there is no flight recorder: what is asked for is a print.
        for signal in [Signal::USR1, Signal::USR2] {
            set_disposition(signal, Disposition::Ignored);
        }
    }
    unblock_signals();
}

/// The signals that request a shutdown, without those ignored at the start.
pub(crate) fn shutdown_signals() -> Vec<Signal> {
    let is_wanted = |signal: &Signal| *signal == Signal::TERM || !is_ignored(*signal);
    SHUTDOWN_SIGNALS.into_iter().filter(is_wanted).collect()
}

/// The signals that a server reads; SIGCHLD only if it has children, and SIGUSR2 only if there is
/// a flight recorder: otherwise that is ignored.
pub(crate) fn read_by_server(has_children: bool) -> Vec<Signal> {
    let mut signals = shutdown_signals();
    signals.push(Signal::USR1);
    signals.extend(ring::is_on().then_some(Signal::USR2));
    signals.extend(has_children.then_some(Signal::CHLD));
    signals
}

/// The signals as a set.
pub(crate) fn set(signals: &[Signal]) -> SignalSet {
    signals.iter().fold(SignalSet::EMPTY, |set, &signal| set | signal.into())
}

/// The signals that `read` takes from a signalfd: all that are pending.
///
/// signalfd(2) returns the lowest number first. If one were read at a time, a SIGUSR1 that is sent
/// again and again would keep a SIGTERM from ever being read.
pub(crate) fn read_signals(read: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Vec<Signal> {
    let mut records = [[0; SIGINFO_BYTES]; SIGNALS_READ_MAX];
    let count = read(records.as_flattened_mut()).unwrap_or(0) / SIGINFO_BYTES;
    records[..count].iter().filter_map(|record| Signal::from_siginfo(record)).collect()
}

/// Exits at once, with the exit code that a shell gives to a process killed by `signal`.
pub(crate) fn exit_by(signal: Signal) -> ! {
    std::process::exit(128 + i32::from(signal.number()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_always_pending_hides_no_other() {
        // As signalfd(2) does it: the lowest number first, and the first one is raised again.
        let pending = [Signal::USR1, Signal::TERM];
        let read = read_signals(|records| {
            let slots = records.chunks_exact_mut(SIGINFO_BYTES);
            let filled = slots.zip(pending).map(|(slot, signal)| slot[0] = signal.number());
            Ok(filled.count() * SIGINFO_BYTES)
        });
        assert_eq!(read, pending);
    }
}
