//! Kinds of wrong echoes. How they are detected is in `diagnose.rs` and `datagram.rs`.

use std::fmt;

use serde::Serialize;

/// One wrong echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// Index of the connection.
    pub connection: u32,
    /// Offset in the received stream, in bytes; `None` for datagrams.
    pub offset: Option<u64>,
    /// Number of the message concerned, counted from 0 in each connection.
    pub message: u64,
    /// The kind of mismatch.
    pub wrong: MismatchKind,
}

/// Kinds of mismatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MismatchKind {
    /// A byte was changed.
    Altered {
        /// The byte sent.
        expected: u8,
        /// The byte received.
        got: u8,
    },
    /// This many bytes are missing in the middle of a message.
    BytesLost(u64),
    /// This many bytes were inserted that were never sent.
    BytesAdded(u64),
    /// This many whole messages, starting with this one, were not received although later ones
    /// were.
    Lost(u64),
    /// The message was received after the given one, which was sent later.
    Reordered(u64),
    /// The message had been received before.
    Duplicated,
    /// A message was received that was sent on the given connection.
    WrongConnection(u32),
    /// This many bytes were received when none was outstanding.
    Extra(u64),
    /// A datagram was received with the first length and sent with the second.
    Length(u64, u64),
}

impl std::error::Error for Mismatch {}

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
                write!(f, "added: {count} bytes that were never sent, in message {message}")
            }
            MismatchKind::Lost(1) => write!(f, "lost: message {message}"),
            MismatchKind::Lost(count) => {
                write!(f, "lost: {count} messages from message {message} on")
            }
            MismatchKind::Reordered(other) => {
                write!(f, "reordered: message {message} received after message {other}")
            }
            MismatchKind::Duplicated => write!(f, "duplicated: message {message} received again"),
            MismatchKind::WrongConnection(other) => {
                write!(f, "wrong connection: received message {message} of connection {other}")
            }
            MismatchKind::Extra(count) => {
                write!(f, "surplus: {count} bytes received when none was outstanding")
            }
            MismatchKind::Length(got, sent) => {
                write!(f, "altered: message {message} has {got} bytes instead of {sent}")
            }
        }
    }
}
