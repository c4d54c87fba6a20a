//! `--explain`: a sentence for each decision of the server.
//!
//! Knows decisions, and nothing of what they are made by.

use epollite::event::Ready;
use epollite::kernel::{ConnectionDecision, Decision, ListenerDecision, StopReason};
use epollite::server::Refusal;
use epollite::server::stream::CloseReason;
use epollite::{Errno, Interest};

/// The decision in words, without an end of line.
pub(crate) fn sentence(decision: &Decision) -> String {
    match decision {
        Decision::Connection { fd, what } => format!("connection {fd}: {}", connection(what)),
        Decision::Listener { fd, what } => format!("listener {fd}: {}", listener(what)),
        Decision::StaleEvent { token, ready } => format!(
            "stale event: {} of registration {token}, which has ended; it is dropped",
            names(*ready)
        ),
        Decision::Polled { has_found: true } => "polled instead of blocking: an event came".into(),
        Decision::Polled { has_found: false } => {
            "polled before blocking: no event came in that time; blocks now".into()
        }
        Decision::AcceptPaused { errno: Some(errno), connections } => format!(
            "accepting pauses because accept4 failed ({errno}) with {connections} connections \
             open; it resumes when one closes, or in 250 ms; clients wait in the accept queue"
        ),
        Decision::AcceptPaused { errno: None, connections } => format!(
            "accepting pauses because {connections} connections are the limit; it resumes when one \
             closes; clients wait in the accept queue"
        ),
        Decision::AcceptResumed => "accepting resumes".into(),
        Decision::DrainBegins { connections } => format!(
            "shutdown: the accept queues are emptied, listeners close, and {connections} \
             connections end when what has arrived is answered"
        ),
        Decision::DrainTimedOut { connections } => format!(
            "the drain timeout has passed: {connections} connections are served once more and closed"
        ),
        other => format!("{other:?}"),
    }
}

fn connection(what: &ConnectionDecision) -> String {
    match what {
        ConnectionDecision::Event { ready, unsent_bytes } => event(*ready, *unsent_bytes),
        ConnectionDecision::NotReported => {
            "is served without an event: data may have arrived that was not reported yet".into()
        }
        ConnectionDecision::Spurious { ready } => {
            format!("spurious: there was nothing to do for {}", names(*ready))
        }
        ConnectionDecision::ReadingStopped { why, bytes } => stop(*why, *bytes),
        ConnectionDecision::Requeued { ready } => format!(
            "goes on the requeue list with {}: it is served again after the others, because the \
             kernel reports no edge for what is there already",
            names(*ready)
        ),
        ConnectionDecision::Buffered { bytes } => {
            format!("short send: {bytes} bytes are buffered, and reading stops until they are sent")
        }
        ConnectionDecision::Held { bytes } => format!(
            "is held: {bytes} bytes have arrived, the send buffer is full, and all write buffers \
             together are at their limit; they stay in the receive queue"
        ),
        ConnectionDecision::Discarded { bytes } => {
            format!("{bytes} bytes were unsent and are lost: the peer cannot receive them any more")
        }
        ConnectionDecision::Flushed => "flushed: all that was buffered is sent; reads again".into(),
        ConnectionDecision::InterestChanged { interest } => {
            format!("interest changes to {}", interest_names(*interest))
        }
        ConnectionDecision::ReceivedEof { unsent_bytes } => format!(
            "recv returned 0: the peer has shut its side down; {}",
            match unsent_bytes {
                0 => "everything is echoed".to_owned(),
                bytes => format!("{bytes} bytes are still to be sent"),
            }
        ),
        ConnectionDecision::HalfClosed => {
            "shuts its side down, and waits a second for the peer's end: a close with unread data \
             would reset the echo in flight"
                .into()
        }
        ConnectionDecision::IdleTimedOut => "the idle timeout has passed: begins to close".into(),
        ConnectionDecision::StillActive => {
            "a deadline has passed, and the peer was active since it was set: it is set again"
                .into()
        }
        ConnectionDecision::Streams { is_streaming: true } => {
            "streams: bulk on, bytes move by splice from here on".into()
        }
        ConnectionDecision::Streams { is_streaming: false } => {
            "streams no more: bulk off, bytes are copied again".into()
        }
        ConnectionDecision::Closed { why, unsent_bytes } => closed(*why, *unsent_bytes),
        other => format!("{other:?}"),
    }
}

/// What was reported, and what the less obvious bits mean.
fn event(ready: Ready, unsent_bytes: usize) -> String {
    let mut text = names(ready);
    let mut reasons = Vec::new();
    if ready.is_hup() {
        reasons.push("EPOLLHUP because both directions are shut");
    } else if ready.is_read_closed() {
        reasons.push("EPOLLRDHUP because the peer has shut its side down");
    }
    if ready.is_error() {
        reasons.push("EPOLLERR because an error is pending, which the next call returns");
    }
    if ready.is_priority() {
        reasons.push("EPOLLPRI because of urgent data");
    }
    if !reasons.is_empty() {
        text = format!("{text}: {}", reasons.join(", "));
    }
    match unsent_bytes {
        0 => text,
        bytes => format!("{text}; {bytes} bytes were unsent"),
    }
}

fn stop(why: StopReason, bytes: usize) -> String {
    match why {
        StopReason::WouldBlock => "reads no more: recv returned EAGAIN, the socket is empty".into(),
        StopReason::ShortRead => format!(
            "reads no more: {bytes} bytes are less than there was room for, and the event had none \
             of PRI, RDHUP, HUP and ERR, so the socket is empty (TCP); EAGAIN is not asked for"
        ),
        StopReason::KernelRepeats => {
            format!("reads no more after {bytes} bytes: what is left the kernel reports again")
        }
        StopReason::BudgetSpent => {
            format!("reads no more: the read budget of a turn is spent after {bytes} bytes")
        }
        other => format!("reads no more: {other:?}"),
    }
}

fn closed(why: CloseReason, unsent_bytes: usize) -> String {
    let why = match why {
        CloseReason::PeerClosed => "both sides have ended".to_owned(),
        CloseReason::Error(Errno::ECONNRESET) => "the peer has reset it (ECONNRESET)".into(),
        CloseReason::Error(errno) => format!("a call failed ({errno})"),
        CloseReason::IdleTimeout => "it was idle for too long".into(),
        CloseReason::DrainTimeout => "the peer did not end in time".into(),
        other => format!("{other:?}"),
    };
    match unsent_bytes {
        0 => format!("closes because {why}"),
        bytes => format!("closes because {why}; {bytes} bytes were unsent and are lost"),
    }
}

fn listener(what: &ListenerDecision) -> String {
    match what {
        ListenerDecision::Accepted { token } => format!("accepted, registered as {token}"),
        ListenerDecision::Refused { why } => {
            let why = match why {
                Refusal::NotAllowed => "its address is not in an allowed network",
                Refusal::Connections => "its address has too many connections",
                Refusal::Rate => "its address connects too often",
                _ => "its address cannot be counted",
            };
            format!("accepted one and closed it: {why}")
        }
        ListenerDecision::QueueEmpty { accepted } => {
            format!("{accepted} accepted, then accept4 returned EAGAIN: the accept queue is empty")
        }
        ListenerDecision::BatchFull { accepted } => {
            format!("{accepted} accepted, the limit of this turn: connections are served first")
        }
        ListenerDecision::Aborted { errno } => {
            format!("accept4 failed for one connection ({errno}): tries the next")
        }
        ListenerDecision::Failed { errno } => {
            format!("accept4 failed ({errno}): it accepts no more, and is closed")
        }
        ListenerDecision::BacklogDropped { errno: Some(errno) } => format!(
            "accept4 failed ({errno}) at shutdown: what is left in the accept queue is reset by \
             the close"
        ),
        ListenerDecision::BacklogDropped { errno: None } => {
            "the connection limit is reached at shutdown: what is left in the accept queue is \
             reset by the close"
                .into()
        }
        other => format!("{other:?}"),
    }
}

fn names(ready: Ready) -> String {
    ready.to_string().split('|').map(|name| format!("EPOLL{name}")).collect::<Vec<_>>().join("|")
}

fn interest_names(interest: Interest) -> String {
    if interest == Interest::NONE {
        "none".into()
    } else {
        names(Ready::from_bits(interest.bits()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_what_and_why() {
        let ready = Ready::from_bits(0x2011);
        let what = ConnectionDecision::Event { ready, unsent_bytes: 312 };
        assert_eq!(
            sentence(&Decision::Connection { fd: 12, what }),
            "connection 12: EPOLLIN|EPOLLHUP|EPOLLRDHUP: EPOLLHUP because both directions are \
             shut; 312 bytes were unsent"
        );
        let what = ConnectionDecision::Closed { why: CloseReason::PeerClosed, unsent_bytes: 0 };
        assert_eq!(
            sentence(&Decision::Connection { fd: 12, what }),
            "connection 12: closes because both sides have ended"
        );
    }
}
