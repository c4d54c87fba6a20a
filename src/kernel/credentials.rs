//! `Credentials`: the identity of a process.
//!
//! Values only.

/// The identity of a process: `struct ucred`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Credentials {
    /// Its process ID, as seen from here; 0 if it is in another namespace.
    pub pid: u32,
    /// Its effective user ID.
    pub uid: u32,
    /// Its effective group ID.
    pub gid: u32,
}
