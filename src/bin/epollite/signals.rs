//! Signals of the program: which of them it reads, and what each does until then.
//!
//! Knows dispositions and masks, which exec(2) passes on. Whatever started the program may have
//! ignored or blocked any signal, often without meaning to: a shell with `trap '' CHLD`, a
//! supervisor that left its mask set. What the program depends on is therefore set here, before
//! anything else is done. Two things are kept:
//!
//! * `SIGINT`, `SIGHUP` and `SIGQUIT` that were ignored stay ignored. A shell starts background
//!   jobs of a script like that, and nohup(1) its command: Ctrl-C is then meant for the script
//!   alone. `SIGTERM` is always meant for the process that it is sent to.
//! * Timers (alarm(2)) and limits, which are set on purpose.

use epollite::{Counted, Linux, Signal, SignalSet};

use crate::meter::Meter;
use crate::models::{Disposition, is_ignored, set_disposition, unblock_signals, waitpid};

/// Signals that ask the program to end.
const ENDING: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

/// The first process of a system or of a container. The kernel delivers no signal to it that it
/// has no handler for.
const FIRST_PROCESS: u32 = 1;

/// Sets what was inherited to what the program depends on. To be called before all else.
pub(crate) fn prepare(is_server: bool, has_children: bool) {
    // A parent that ignores it is not told of its children's end, and finds none to wait for. The
    // first process is given the orphans of all others: if it waits for none, the kernel is to.
    let is_first = std::process::id() == FIRST_PROCESS;
    let reaps = if is_first && !has_children { Disposition::Ignored } else { Disposition::Default };
    set_disposition(Signal::CHLD, reaps);
    if reaps == Disposition::Ignored {
        // Those that have ended before are left to us.
        let mut kernel = <Counted<Linux> as Meter>::fresh();
        while let Ok(Some(_)) = waitpid(&mut kernel) {}
    }
    // A write past the limit fails with EFBIG then. A full disk does not end a server either.
    set_disposition(Signal::XFSZ, Disposition::Ignored);
    let ends = if is_first { Disposition::Exit } else { Disposition::Default };
    ending().into_iter().for_each(|signal| set_disposition(signal, ends));
    if is_server {
        // A question that comes before there is anything to tell does not end it.
        set_disposition(Signal::USR1, Disposition::Ignored);
    }
    unblock_signals();
}

/// The signals that ask the program to end, without those that were ignored at the start.
pub(crate) fn ending() -> Vec<Signal> {
    let is_ours = |signal: &Signal| *signal == Signal::TERM || !is_ignored(*signal);
    ENDING.into_iter().filter(is_ours).collect()
}

/// The signals that a server reads; one that has children is told of their end.
pub(crate) fn read_by_server(has_children: bool) -> Vec<Signal> {
    let mut signals = ending();
    signals.push(Signal::USR1);
    signals.extend(has_children.then_some(Signal::CHLD));
    signals
}

/// All of these.
pub(crate) fn set(signals: &[Signal]) -> SignalSet {
    signals.iter().fold(SignalSet::EMPTY, |set, &signal| set | signal.into())
}
