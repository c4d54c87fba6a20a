//! What happened in an experiment, step by step, with descriptors by their names: the rows of every
//! page and picture.
//!
//! Makes values from a report; it runs nothing and knows no format.

use std::time::Duration;

use epollite::instrument::{Argument, ReturnValue, SyscallRecord};
use epollite::study::{Experiment, ExperimentReport, ExperimentStep, StepReport, Value};

use crate::output::columns::one_line;
use crate::small_map::SmallMap;

/// The actor of a step that names none.
const MAIN: &str = "main";

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// From 1.
    pub(crate) number: usize,
    pub(crate) actor: String,
    /// Since the first call.
    pub(crate) time: Duration,
    pub(crate) took: Duration,
    /// In the notation.
    pub(crate) call: String,
    /// As strace(1) prints them.
    pub(crate) calls: Vec<String>,
    /// The same with descriptors by name, without addresses and ports.
    pub(crate) named_calls: Vec<String>,
    pub(crate) result: String,
    pub(crate) expected: String,
    pub(crate) people: Option<String>,
    pub(crate) note: String,
    pub(crate) agrees: bool,
    /// The descriptors that the call names, in its order.
    pub(crate) names: Vec<String>,
    /// Those that it creates.
    pub(crate) opened: Vec<String>,
    /// Those whose events a wait returned.
    pub(crate) reported: Vec<String>,
}

impl Row {
    /// What is done: the first word of the call that does not name an actor.
    pub(crate) fn verb(&self) -> &str {
        let mut words = self.call.split_ascii_whitespace();
        words.find(|word| !word.starts_with('@')).unwrap_or_default()
    }

    /// `10 calls: socket, bind, ...`.
    pub(crate) fn summary(&self) -> String {
        let names: Vec<&str> =
            self.calls.iter().filter_map(|call| call.split('(').next()).collect();
        format!("{} calls: {}", names.len(), names.join(", "))
    }

    /// Whether the step closes a descriptor.
    pub(crate) fn closes(&self) -> bool {
        self.verb() == "close" && !self.result.starts_with('E')
    }

    /// Whether the step ends a child.
    pub(crate) fn kills(&self) -> bool {
        self.verb() == "kill" && self.call.ends_with(" KILL") && !self.is_failed()
    }

    /// A connection in progress is no failure.
    pub(crate) fn is_failed(&self) -> bool {
        self.result.starts_with('E') && self.result != "EINPROGRESS"
    }
}

/// The steps of an experiment as one kernel performed them.
pub(crate) fn timeline(experiment: &Experiment, report: &ExperimentReport) -> Vec<Row> {
    let start = report.steps.iter().find_map(|step| step.calls.first()).map(|call| call.start);
    let mut names = Names::new(experiment.names());
    let mut time = Duration::ZERO;
    let rows = experiment.steps.iter().zip(&report.steps).enumerate().map(|(at, (step, seen))| {
        if let (Some(first), Some(start)) = (seen.calls.first(), start) {
            time = first.start - start;
        }
        let took = seen.calls.iter().map(|call| call.duration).sum();
        let opened = names.open(step, seen);
        let named_calls = seen.calls.iter().map(|call| names.show(call)).collect();
        let mentioned = names.mentioned(&step.call);
        names.close(&seen.calls);
        Row {
            number: at + 1,
            actor: actor(step).to_owned(),
            time,
            took,
            call: one_line(&step.call),
            calls: seen.calls.iter().map(ToString::to_string).collect(),
            named_calls,
            result: observed(Some(seen)),
            expected: expected(step),
            people: step.people.as_ref().map(ToString::to_string),
            note: one_line(&step.note),
            agrees: seen.agrees,
            names: mentioned,
            opened,
            reported: reported(seen),
        }
    });
    rows.collect()
}

/// The thread that makes the call.
fn actor(step: &ExperimentStep) -> &str {
    step.actor.as_deref().unwrap_or(MAIN)
}

/// Every actor, in the order of their first calls.
pub(crate) fn actors(rows: &[Row]) -> Vec<&str> {
    let mut actors: Vec<&str> = Vec::new();
    for row in rows {
        if !actors.contains(&row.actor.as_str()) {
            actors.push(&row.actor);
        }
    }
    actors
}

/// Every descriptor, in the order of their creation.
pub(crate) fn descriptors(rows: &[Row]) -> Vec<&str> {
    rows.iter().flat_map(|row| &row.opened).map(String::as_str).collect()
}

/// A result. A step that was not made has a dash.
pub(crate) fn observed(seen: Option<&StepReport>) -> String {
    match seen.map(|seen| &seen.observed) {
        None => "-".to_owned(),
        Some(None) => "(a descriptor is missing)".to_owned(),
        Some(Some(value)) => shortened(value),
    }
}

/// What should have been observed, on any version.
pub(crate) fn expected(step: &ExperimentStep) -> String {
    step.expected.as_ref().map_or_else(|| "no error".to_owned(), ToString::to_string)
}

/// Long bytes are not shown as a whole.
fn shortened(value: &Value) -> String {
    /// Three lines of a cell.
    const CHARS_MAX: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= CHARS_MAX || !matches!(value, Value::Bytes(_)) {
        return text;
    }
    text.chars().take(CHARS_MAX).chain("...".chars()).collect()
}

fn reported(seen: &StepReport) -> Vec<String> {
    match &seen.observed {
        Some(Value::Events(events)) => events.iter().map(|event| event.name.clone()).collect(),
        _ => Vec::new(),
    }
}

/// Which name each number has, and which names there have been.
struct Names<'e> {
    /// Every name of the experiment: an event carries the place of its name.
    all: &'e [String],
    known: Vec<String>,
    numbers: SmallMap<u32, String>,
}

impl<'e> Names<'e> {
    fn new(all: &'e [String]) -> Self {
        Self { all, known: Vec::new(), numbers: SmallMap::default() }
    }

    /// The names that a step has created.
    fn open(&mut self, step: &ExperimentStep, seen: &StepReport) -> Vec<String> {
        let mut new = words(&step.call);
        new.retain(|word| self.all.contains(word) && !self.known.contains(word));
        self.known.extend(new.iter().cloned());
        let mut numbers = open_numbers(&seen.calls);
        // The connecting socket is created before the accepted one, and named after it.
        if step.call.starts_with("tcp ") {
            numbers.reverse();
        }
        for (number, name) in numbers.into_iter().zip(&new) {
            self.numbers.insert(number, name.clone());
        }
        if matches!(seen.observed, None | Some(Value::Failed(_))) { Vec::new() } else { new }
    }

    fn close(&mut self, calls: &[SyscallRecord]) {
        for number in calls.iter().filter_map(closed_number) {
            self.numbers.remove(&number);
        }
    }

    /// The known names in a call.
    fn mentioned(&self, call: &str) -> Vec<String> {
        let mut words = words(call);
        words.retain(|word| self.known.contains(word));
        words
    }

    /// A call in strace's form, with names for numbers. What differs between two runs (a port, an
    /// address in memory, an assigned Unix name) is left out.
    fn show(&self, call: &SyscallRecord) -> String {
        let arguments: Vec<String> = call.arguments.iter().map(|it| self.argument(it)).collect();
        let result = match call.result {
            Ok(ReturnValue::Fd(number)) => self.name(number),
            Ok(ReturnValue::Number(number)) => number.to_string(),
            Ok(_) => "?".to_owned(),
            Err(errno) => format!("-1 {errno:?}"),
        };
        format!("{}({}) = {result}", call.name, arguments.join(", "))
    }

    fn argument(&self, argument: &Argument) -> String {
        match argument {
            Argument::Fd(number) => self.name(*number),
            Argument::Pair([one, other]) => format!("[{}, {}]", self.name(*one), self.name(*other)),
            Argument::Address(_) => "buf".to_owned(),
            Argument::Addr(_) => {
                let text = without(&argument.to_string(), "_port=htons(", ")");
                without(&text, "sun_path=@\"", "\"")
            }
            Argument::Event(_) | Argument::Events(_) => self.with_event_data(&argument.to_string()),
            argument => argument.to_string(),
        }
    }

    fn name(&self, number: u32) -> String {
        self.numbers.get(&number).cloned().unwrap_or_else(|| number.to_string())
    }

    /// `data={u32=0, u64=0}` is `data=s0`.
    fn with_event_data(&self, text: &str) -> String {
        const START: &str = "data={";
        const NUMBER: &str = "u64=";
        let mut parts = text.split(START);
        let mut shown = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (data, rest) = part.split_once('}').unwrap_or((part, ""));
            let number = data.split_once(NUMBER).and_then(|(_, number)| number.parse().ok());
            let name = number.and_then(|at: usize| self.all.get(at));
            shown += &format!("data={}{rest}", name.map_or("?", String::as_str));
        }
        shown
    }
}

/// `text` with dots for what stands between each `start` and the next `end`.
fn without(text: &str, start: &str, end: &str) -> String {
    let mut parts = text.split(start);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.find(end).map_or("", |at| &part[at..]);
        shown += &format!("{start}...{rest}");
    }
    shown
}

/// The words of a call, without the first. What is quoted is data.
fn words(call: &str) -> Vec<String> {
    let call = call.split('"').next().unwrap_or_default();
    call.split_ascii_whitespace().skip(1).map(str::to_owned).collect()
}

/// The numbers that the calls have opened and not closed.
fn open_numbers(calls: &[SyscallRecord]) -> Vec<u32> {
    let mut open = Vec::new();
    for call in calls.iter().filter(|call| call.result.is_ok()) {
        if let Ok(ReturnValue::Fd(number)) = call.result {
            open.push(number);
        }
        for argument in &call.arguments {
            if let Argument::Pair(pair) = argument {
                open.extend(pair);
            }
        }
        if let Some(closed) = closed_number(call) {
            open.retain(|number| *number != closed);
        }
    }
    open
}

fn closed_number(call: &SyscallRecord) -> Option<u32> {
    match call.arguments.first() {
        Some(Argument::Fd(number)) if call.name == "close" => Some(*number),
        _ => None,
    }
}

/// A duration in at most eight characters.
pub(crate) fn micros(time: Duration) -> String {
    match time.as_nanos() {
        0..10_000 => format!("{}.{} us", time.as_micros(), time.subsec_nanos() / 100 % 10),
        10_000..10_000_000 => format!("{} us", time.as_micros()),
        _ => format!("{} ms", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernels::Machine;
    use super::super::script::Script;
    use super::*;

    fn rows(name: &str) -> Vec<Row> {
        let script = Script::find(name).unwrap();
        timeline(&script.experiment, &Machine::newest().on_model(&script.experiment))
    }

    #[test]
    fn calls_have_names_for_numbers() {
        let rows = rows("edge-residue");
        let calls: Vec<&str> =
            rows[1..].iter().flat_map(|row| &row.named_calls).map(String::as_str).collect();
        assert_eq!(
            calls[..3],
            [
                "epoll_create1(EPOLL_CLOEXEC) = e0",
                "epoll_ctl(e0, EPOLL_CTL_ADD, s0, {events=EPOLLIN|EPOLLET, data=s0}) = 0",
                "sendto(c0, \"residue\", 7, MSG_NOSIGNAL, NULL, 0) = 7",
            ]
        );
        let wait = "epoll_wait(e0, [{events=EPOLLIN, data=s0}], 8, ";
        assert!(calls[3].starts_with(wait), "{calls:?}");
        assert_eq!(calls.last(), Some(&"recvfrom(s0, buf, 9, 0, NULL, NULL) = -1 EAGAIN"));
    }

    #[test]
    fn a_number_that_is_used_again_has_its_new_name() {
        let rows = rows("fd-reuse");
        let row = rows.iter().find(|row| row.call == "add e0 f0 IN").unwrap();
        assert!(row.named_calls[0].starts_with("epoll_ctl(e0, EPOLL_CTL_ADD, f0, "), "{row:?}");
        assert_eq!(descriptors(&rows), ["s0", "c0", "e0", "f0"]);
    }

    #[test]
    fn ports_are_left_out() {
        let rows = rows("edge-listener");
        let bind = rows.iter().find(|row| row.verb() == "bind").unwrap();
        assert_eq!(
            bind.named_calls[0],
            "bind(l0, {sa_family=AF_INET, sin_port=htons(...), sin_addr=inet_addr(\"127.0.0.1\")}, \
             16) = 0"
        );
    }

    #[test]
    fn data_is_no_name() {
        let all = ["s0".to_owned(), "x".to_owned()];
        let names = Names { known: all.to_vec(), ..Names::new(&all) };
        assert_eq!(names.mentioned("send s0 \"a x b\""), ["s0"]);
    }
}
