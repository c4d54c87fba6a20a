//! System calls by kind, as the program counts them, and the difference of two countings.

use std::collections::BTreeMap;

use super::json::Json;
use super::program::Program;

/// How many calls of each kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Calls(pub(crate) BTreeMap<String, u64>);

impl Calls {
    /// Those that `statistics` tells of.
    pub(crate) fn told(statistics: &Json) -> Self {
        let kinds = statistics.names("syscalls").into_iter().filter(|kind| kind != "total");
        let counted = kinds.map(|kind| {
            let count = statistics.number(&format!("syscalls.{kind}"));
            (kind, count)
        });
        Self(counted.collect())
    }

    /// What came on top of `before`; kinds that did not are left out.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let more = self.0.iter().map(|(kind, count)| (kind.clone(), count - before.of(kind)));
        Self(more.filter(|&(_, count)| count > 0).collect())
    }

    pub(crate) fn of(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or(0)
    }

    /// Waits, by whichever call.
    pub(crate) fn waits(&self) -> u64 {
        self.of("epoll_wait") + self.of("epoll_pwait2")
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// What the program calls while `act` is done, with one look at its statistics.
pub(crate) fn during(server: &Program, act: impl FnOnce()) -> Calls {
    let before = Calls::told(&server.statistics());
    act();
    Calls::told(&server.statistics()).since(&before)
}
