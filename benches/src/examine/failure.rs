//! How a case ends when it does not simply succeed.

/// Why a case stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The server is wrong, in one sentence.
    Wrong(String),
    /// The case says nothing about this server or on this machine; the reason.
    Skipped(String),
    /// A termination signal was received.
    Interrupted,
}

/// The result of a step of a case.
pub(crate) type Checked<T = ()> = Result<T, Stop>;

/// A step that found something wrong.
pub(crate) fn wrong<T>(why: impl Into<String>) -> Checked<T> {
    Err(Stop::Wrong(why.into()))
}

/// A case that does not apply.
pub(crate) fn skipped<T>(why: impl Into<String>) -> Checked<T> {
    Err(Stop::Skipped(why.into()))
}

/// Converts the failure of a call on this side, which says nothing about the server.
pub(crate) trait Local<T> {
    /// Names the call.
    fn local(self, call: &str) -> Checked<T>;
}

impl<T, E: std::fmt::Display> Local<T> for Result<T, E> {
    fn local(self, call: &str) -> Checked<T> {
        self.map_err(|error| Stop::Skipped(format!("on this side, {call}: {error}")))
    }
}
