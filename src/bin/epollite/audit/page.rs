//! The page of `epollite audit`: a table for each epoll, and a sentence for each fault.

use epollite::audit::{EpollEntry, Fault, Target, WatchedEpoll};
use epollite::event::Ready;

use super::process::ProcessState;
use crate::output::columns::labelled;

/// The columns of descriptor, mask and data; the rest is that of the target.
const FD: usize = 7;
const MASK: usize = 23;
const DATA: usize = 14;

/// The page of a process.
pub(super) fn process(state: &ProcessState, faults: &[Fault]) -> String {
    let ProcessState { pid, command, epolls, .. } = state;
    let entries: usize = epolls.iter().map(|epoll| epoll.entries.len()).sum();
    let mut page = format!(
        "process {pid} ({command}): {}, {}\n",
        counted(epolls.len(), "epoll", "epolls"),
        counted(entries, "registration", "registrations")
    );
    for epoll in epolls {
        page += &table(state, epoll);
    }
    page += &sentences(state, faults);
    page
}

fn counted(count: usize, one: &str, several: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {several}") }
}

fn table(state: &ProcessState, epoll: &WatchedEpoll) -> String {
    let data = if state.has_tokens { "token" } else { "data" };
    let mut page =
        format!("\nepoll {}\n{:>5}  {:MASK$}{data:DATA$}target\n", epoll.fd, "fd", "mask");
    // The kernel's order is that of addresses in its memory.
    let mut entries = epoll.entries.clone();
    entries.sort_by_key(|(entry, _)| entry.fd);
    for (entry, target) in &entries {
        let text = match target {
            Target::Watched => state.text(entry.fd).unwrap_or("?").to_owned(),
            Target::Closed => "closed: a ghost".into(),
            Target::Reused => {
                format!("a ghost; the number is now {}", state.text(entry.fd).unwrap_or("?"))
            }
        };
        let data = data_text(state, entry);
        let label = format!("{:>5}  {:MASK$}{data:DATA$}", entry.fd, mask_text(entry));
        // A long mask or long data leaves no room: the target begins on the next line.
        if !label.ends_with(' ') {
            page += &format!("{}\n", label.trim_end());
            page += &labelled(&" ".repeat(FD + MASK + DATA), &text);
        } else {
            page += &labelled(&label, &text);
        }
    }
    page
}

/// The bits that were asked for, in words.
fn mask_text(entry: &EpollEntry) -> String {
    if entry.requested() == 0 {
        return "none".into();
    }
    let names = Ready::from_bits(entry.requested()).to_string();
    if entry.is_disarmed() { format!("{names}, disarmed") } else { names }
}

fn data_text(state: &ProcessState, entry: &EpollEntry) -> String {
    match entry.data {
        u64::MAX if state.has_tokens => "waker".into(),
        _ if state.has_tokens => entry.token().to_string(),
        data => format!("{data:#x}"),
    }
}

fn sentences(state: &ProcessState, faults: &[Fault]) -> String {
    if state.epolls.is_empty() {
        return "\nno epoll, and so nothing to compare\n".into();
    }
    if faults.is_empty() {
        let text = "no faults: every registration is of an open descriptor, and every socket is in \
                    an epoll";
        return format!("\n{}", labelled("", text));
    }
    let mut page = String::from("\n");
    for fault in faults {
        page += &labelled("fault: ", &sentence(state, fault));
    }
    page
}

/// One fault, in words.
pub(super) fn sentence(state: &ProcessState, fault: &Fault) -> String {
    let place = |epoll: &u32, entry: &EpollEntry| {
        let (fd, data) = (entry.fd, data_text(state, entry));
        format!("epoll {epoll}, fd {fd} ({data})")
    };
    match fault {
        Fault::Ghost { epoll, entry, target, duplicate } => {
            let why = match target {
                Target::Reused => "the descriptor was closed and its number reused",
                Target::Closed | Target::Watched => "the descriptor is closed",
            };
            let duplicate = match duplicate {
                Some(fd) => format!("fd {fd} is a duplicate that keeps it"),
                None => "a duplicate keeps it, perhaps in another process".into(),
            };
            format!(
                "{} is a ghost: {why}, and the registration lives on. {duplicate}. Delete a \
                 registration (EPOLL_CTL_DEL) before the close.",
                place(epoll, entry)
            )
        }
        Fault::NotWatched { fd } => {
            format!("fd {fd} ({}) is open and in no epoll", state.text(*fd).unwrap_or("?"))
        }
        Fault::NoInterest { epoll, entry } => format!(
            "{} has no interest, level-triggered: EPOLLERR and EPOLLHUP cannot be masked, and are \
             reported without end when the peer hangs up",
            place(epoll, entry)
        ),
        Fault::NothingToSend { epoll, entry } => format!(
            "{} waits for EPOLLOUT, level-triggered, and its send queue is empty: every wait \
             reports it, the loop spins",
            place(epoll, entry)
        ),
    }
}
