//! What nc knows of one connection. Values only: what is done with them is `relay.rs`' affair.

use epollite::{Addr, Owed};

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) addr: Addr,
    /// In a chat.
    pub(super) number: u64,
    pub(super) owed: Owed,
    /// How much it had not taken when it was last found silent.
    pub(super) unsent_bytes: usize,
    /// Whether something may still come.
    pub(super) reads: bool,
    /// Whether something may still be sent.
    pub(super) writes: bool,
    /// Whether nothing is sent behind what is owed.
    pub(super) ends: bool,
    /// Whether it has ended its side and stays until the input falls silent.
    pub(super) lingers: bool,
    /// What it has said of a line, in a chat.
    pub(super) line: Vec<u8>,
}
