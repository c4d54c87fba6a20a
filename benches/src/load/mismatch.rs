//! What can be wrong with an echo, by name. It does not know how it was found.

use std::fmt;

use serde::Serialize;

/// One thing that came back other than it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// In which connection.
    pub connection: u32,
    /// Where in what came back on that connection, in bytes; datagrams have no such place.
    pub offset: Option<u64>,
    /// Which message was due or is meant, counted from 0 in each connection.
    pub message: u64,
    /// What is wrong.
    pub wrong: MismatchKind,
}

/// The kinds of wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MismatchKind {
    /// A byte was changed.
    Altered {
        /// As it was sent.
        expected: u8,
        /// As it came.
        got: u8,
    },
    /// So many bytes are missing in the middle of a message.
    BytesLost(u64),
    /// So many bytes came in between that nobody sent.
    BytesAdded(u64),
    /// So many whole messages, beginning with this one, did not come, and later ones did.
    Lost(u64),
    /// This one came after that one, which was sent later.
    Reordered(u64),
    /// This one had come before.
    Duplicated,
    /// Here came a message that was sent on that connection.
    WrongConnection(u32),
    /// Bytes came when none was owed.
    Extra(u64),
    /// A datagram came with so many bytes, and was sent with that many.
    Length(u64, u64),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, offset, message, wrong } = self;
        write!(f, "connection {connection}")?;
        if let Some(offset) = offset {
            write!(f, ", byte {offset}")?;
        }
        write!(f, ": ")?;
        match wrong {
            MismatchKind::Altered { expected, got } => {
                write!(f, "altered: {got:#04x} instead of {expected:#04x} in message {message}")
            }
            MismatchKind::BytesLost(count) => write!(f, "lost: {count} bytes of message {message}"),
            MismatchKind::BytesAdded(count) => {
                write!(f, "added: {count} bytes that nobody sent, in message {message}")
            }
            MismatchKind::Lost(1) => write!(f, "lost: message {message}"),
            MismatchKind::Lost(count) => {
                write!(f, "lost: {count} messages from message {message} on")
            }
            MismatchKind::Reordered(other) => {
                write!(f, "reordered: message {message} came after message {other}")
            }
            MismatchKind::Duplicated => write!(f, "duplicated: message {message} came again"),
            MismatchKind::WrongConnection(other) => {
                write!(f, "foreign: message {message} of connection {other} came here")
            }
            MismatchKind::Extra(count) => {
                write!(f, "surplus: {count} bytes came and none was owed")
            }
            MismatchKind::Length(got, sent) => {
                write!(f, "altered: message {message} has {got} bytes instead of {sent}")
            }
        }
    }
}
