//! System calls by kind, as counted by the program, and the difference of two snapshots.

use std::collections::BTreeMap;

use super::json::Json;
use super::program::Program;

/// Number of calls of each kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Calls(pub(crate) BTreeMap<String, u64>);

impl Calls {
    /// The counts reported in `statistics`.
    pub(crate) fn parse(statistics: &Json) -> Self {
        let kinds = statistics.names("syscalls").into_iter().filter(|kind| kind != "total");
        let counted = kinds.map(|kind| {
            let count = statistics.number(&format!("syscalls.{kind}"));
            (kind, count)
        });
        Self(counted.collect())
    }

    /// The calls made since `before`; kinds without new calls are left out.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let more = self.0.iter().map(|(kind, count)| (kind.clone(), count - before.of(kind)));
        Self(more.filter(|&(_, count)| count > 0).collect())
    }

    pub(crate) fn of(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or(0)
    }

    /// The number of epoll waits, by either system call.
    pub(crate) fn waits(&self) -> u64 {
        self.of("epoll_wait") + self.of("epoll_pwait2")
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// The system calls the program makes during `act`, measured with one statistics query.
pub(crate) fn during(server: &Program, act: impl FnOnce()) -> Calls {
    let before = Calls::parse(&server.statistics());
    act();
    Calls::parse(&server.statistics()).since(&before)
}
