//! The ready list over time: what a wait on each epoll would report after each step.
//!
//! A wait changes the list, so that every answer is from a run of its own, on the model: the steps
//! so far, and then a wait.

use super::kernels::Machine;
use super::script::Script;
use super::timeline::{Row, observed};

/// Of one epoll, after one step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ready {
    pub(crate) epoll: String,
    /// What a wait would report: `s0 IN`, or `nothing`.
    pub(crate) events: String,
}

/// More than any experiment has registrations.
const EVENTS_MAX: usize = 64;

/// For each step, the open epolls. Cost: a run of the experiment for each of them.
pub(crate) fn ready_lists(script: &Script, rows: &[Row], machine: &Machine) -> Vec<Vec<Ready>> {
    let mut epolls: Vec<String> = Vec::new();
    let lists = rows.iter().map(|row| {
        if row.verb() == "epoll" {
            epolls.extend(row.opened.iter().cloned());
        }
        if row.closes() {
            epolls.retain(|epoll| !row.names.contains(epoll));
        }
        let of = |epoll: &String| {
            let call = format!("wait {epoll} {EVENTS_MAX} = ?");
            let experiment = script.until(row.number, &call)?;
            let report = machine.on_model(&experiment);
            let events = observed(Some(report.steps.last()?));
            Some(Ready { epoll: epoll.clone(), events })
        };
        epolls.iter().filter_map(of).collect()
    });
    lists.collect()
}

#[cfg(test)]
mod tests {
    use super::super::timeline::timeline;
    use super::*;

    fn events(name: &str) -> Vec<String> {
        let script = Script::find(name).unwrap();
        let machine = Machine::newest();
        let rows = timeline(&script.experiment, &machine.on_model(&script.experiment));
        let lists = ready_lists(&script, &rows, &machine);
        lists.into_iter().flatten().map(|ready| ready.events).collect()
    }

    #[test]
    fn a_wait_empties_the_list_in_edge_mode_and_not_in_level_mode() {
        let (one, none) = ("s0 IN", "nothing");
        assert_eq!(events("edge-merged"), [none, none, one, one, none, none, none]);
        assert_eq!(events("level-until-read"), [none, none, one, one, one, one, one, none, none]);
    }
}
