//! What a call of an experiment returned, and how it is written.
//!
//! Descriptors are names here; it does not know which call returned it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::errno::Errno;
use crate::event;
use crate::kernel::Signal;

/// The result of a step.
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Success, without a value of interest.
    Done,
    /// A number: of bytes that were sent, or an option's value.
    Number(u64),
    /// The bytes that were read.
    Bytes(Vec<u8>),
    /// The events of a wait, in the order in which they were reported.
    Events(Vec<Reported>),
    /// A datagram, and the name of the socket that has the sender's address.
    From {
        /// Its bytes.
        bytes: Vec<u8>,
        /// The sender; `unknown` when no socket has the address.
        name: String,
    },
    /// The name of the socket that has the peer's address.
    Peer(String),
    /// The value of `SO_ERROR`, or an error of the error queue.
    SocketError(Option<Errno>),
    /// The signal that a signalfd returned.
    Signal(Signal),
    /// An actor still waits in its call.
    Blocked,
    /// The call failed.
    Failed(Errno),
}

/// One event of a wait.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reported {
    /// The name under which the descriptor was registered.
    pub name: String,
    /// The bits of the event.
    pub events: u32,
}

/// As many bytes are written out; of more, only the number.
const BYTES_SHOWN_MAX: usize = 32;

impl fmt::Display for Value {
    /// As it is written in an experiment: `ok`, `2`, `"ab"`, `s0 IN RDHUP`, `nothing`, `EAGAIN`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("ok"),
            Self::Number(number) => number.fmt(f),
            Self::Bytes(bytes) => show_bytes(f, bytes),
            Self::Events(events) if events.is_empty() => f.write_str("nothing"),
            Self::Events(events) => {
                let mut between = "";
                for reported in events {
                    write!(f, "{between}{}", reported.name)?;
                    show_mask(f, reported.events)?;
                    between = ", ";
                }
                Ok(())
            }
            Self::From { bytes, name } => {
                show_bytes(f, bytes)?;
                write!(f, " from {name}")
            }
            Self::Peer(name) => write!(f, "peer {name}"),
            Self::Signal(signal) => write!(f, "signal {}", signal.name().unwrap_or("unknown")),
            Self::Blocked => f.write_str("blocked"),
            Self::SocketError(None) => f.write_str("error none"),
            Self::SocketError(Some(errno)) => write!(f, "error {errno:?}"),
            Self::Failed(errno) => write!(f, "{errno:?}"),
        }
    }
}

/// Text, or the number that an eventfd returns.
fn show_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    if let Ok(number) = <[u8; 8]>::try_from(bytes)
        && !bytes.iter().all(u8::is_ascii_graphic)
    {
        return write!(f, "u64 {}", u64::from_ne_bytes(number));
    }
    match bytes {
        [first, .., last] if bytes.len() > BYTES_SHOWN_MAX && first == last => {
            write!(f, "{}*\"{}\"", bytes.len(), first.escape_ascii())
        }
        _ => write!(f, "\"{}\"", bytes.escape_ascii()),
    }
}

fn show_mask(f: &mut fmt::Formatter<'_>, mask: u32) -> fmt::Result {
    let mut rest = mask;
    for (bit, name) in event::NAMES.into_iter().filter(|(bit, _)| mask & bit != 0) {
        write!(f, " {}", name.trim_start_matches("EPOLL"))?;
        rest &= !bit;
    }
    if rest == 0 { Ok(()) } else { write!(f, " {rest:#x}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    #[test]
    fn values_are_written_as_in_an_experiment() {
        let event = |name: &str, events| Reported { name: name.into(), events };
        for (value, text) in [
            (Value::Done, "ok"),
            (Value::Number(7), "7"),
            (Value::Bytes(b"ab".to_vec()), "\"ab\""),
            (Value::Bytes(Vec::new()), "\"\""),
            (Value::Bytes(vec![b'x'; 100]), "100*\"x\""),
            (Value::Bytes(3_u64.to_ne_bytes().to_vec()), "u64 3"),
            (Value::Events(vec![event("s0", 0x2001), event("s1", 4)]), "s0 IN RDHUP, s1 OUT"),
            (Value::Events(Vec::new()), "nothing"),
            (Value::SocketError(None), "error none"),
            (Value::SocketError(Some(Errno::ECONNREFUSED)), "error ECONNREFUSED"),
            (Value::Failed(Errno::EAGAIN), "EAGAIN"),
            (Value::From { bytes: b"a".to_vec(), name: "c0".into() }, "\"a\" from c0"),
            (Value::Peer("s0".into()), "peer s0"),
            (Value::Signal(Signal::USR1), "signal USR1"),
            (Value::Blocked, "blocked"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }
}
