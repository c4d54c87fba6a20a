//! The text of an experiment: where it comes from, and texts derived from it.
//!
//! Knows the notation as far as words go; what they mean is the library's.

use std::ffi::OsStr;
use std::path::Path;

use epollite::study::{BUILT_IN, Experiment, built_in, parse};

use super::file::read_text;
use crate::args::{Trigger, nearest_names};
use crate::exit::CliError;
use crate::output::columns::one_line;

/// An experiment and its text.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The name of a built-in one, the path of another.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) experiment: Experiment,
}

/// Flags of a mask that say how often an event is reported.
const TRIGGERS: [&str; 2] = ["ET", "ONESHOT"];

impl Script {
    /// A built-in experiment.
    pub(crate) fn find(name: &str) -> Result<Self, CliError> {
        Self::parse(name, find_text(name)?)
    }

    /// Every built-in experiment, in the order of the course.
    pub(crate) fn course() -> Result<Vec<Self>, CliError> {
        BUILT_IN.iter().map(|(name, text)| Self::parse(name, text)).collect()
    }

    pub(crate) fn read_file(path: &OsStr) -> Result<Self, CliError> {
        let name = one_line(&path.to_string_lossy());
        let usage = |why: String| CliError::new(CliError::USAGE, why);
        let read = read_text(Path::new(path));
        let text = read.map_err(|error| usage(format!("{name}: {error}")))?;
        let experiment = parse(&text).map_err(|error| usage(format!("{name}:{error}")))?;
        Ok(Self { name, text, experiment })
    }

    fn parse(name: &str, text: &str) -> Result<Self, CliError> {
        let parsed = parse(text).map_err(|error| CliError::run(format!("{name}.txt:{error}")))?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), experiment: parsed })
    }

    /// Its first `steps` steps, and then `call`. `None` when the call has no meaning there.
    pub(crate) fn until(&self, steps: usize, call: &str) -> Option<Experiment> {
        let last = self.experiment.steps.get(steps.checked_sub(1)?)?.line;
        let lines: Vec<&str> = self.text.lines().take(last).collect();
        parse(&format!("{}\n{call}\n", lines.join("\n"))).ok()
    }

    /// The same experiment with another trigger in every registration. Any result agrees.
    pub(crate) fn with_trigger(&self, trigger: Trigger) -> Result<Self, CliError> {
        let first = self.experiment.steps.first().map_or(1, |step| step.line);
        let mut lines: Vec<String> = self.text.lines().take(first - 1).map(str::to_owned).collect();
        for step in &self.experiment.steps {
            // An empty line keeps the number of each step's line.
            lines.resize(step.line - 1, String::new());
            let note = if step.note.is_empty() { "" } else { " ; " };
            let call = replace_trigger(&step.call, trigger);
            lines.push(format!("{call} = ?{note}{}", step.note));
        }
        let text = lines.join("\n") + "\n";
        let experiment =
            parse(&text).map_err(|error| CliError::run(format!("{}:{error}", self.name)))?;
        Ok(Self { name: self.name.clone(), text, experiment })
    }
}

/// The text of a built-in experiment.
pub(crate) fn find_text(name: &str) -> Result<&'static str, CliError> {
    built_in(name).ok_or_else(|| {
        let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        let near = nearest_names(name, &names);
        let near = if near.is_empty() {
            near.concat()
        } else {
            format!(" (nearest: {})", near.join(", "))
        };
        // A word such as RDHUP, ghost or cork is not a name; what has it is listed.
        let word = name.to_lowercase();
        let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let has_it = |(_, text): &(&str, &str)| text.to_lowercase().contains(&word);
        let name = one_line(name);
        let list = if is_word && BUILT_IN.iter().any(has_it) {
            format!("epollite study list {name}")
        } else {
            "epollite study list".to_owned()
        };
        let why = format!("unknown experiment '{name}'{near}; try '{list}'");
        CliError::new(CliError::USAGE, why)
    })
}

/// `add e0 s0 IN ET` with another trigger; other calls are left as they are.
fn replace_trigger(call: &str, trigger: Trigger) -> String {
    let words: Vec<&str> = call.split_ascii_whitespace().collect();
    if !words.iter().take(2).any(|word| ["add", "mod"].contains(word)) {
        return call.to_owned();
    }
    let flag = match trigger {
        Trigger::Level => None,
        Trigger::Edge => Some("ET"),
        Trigger::Oneshot => Some("ONESHOT"),
    };
    let mut kept: Vec<&str> = words.into_iter().filter(|word| !TRIGGERS.contains(word)).collect();
    if flag.is_some() {
        kept.retain(|word| *word != "none");
    }
    kept.extend(flag);
    let has_mask = kept.last().is_some_and(|word| !word.starts_with(|c: char| c.is_lowercase()));
    if !has_mask && kept.last() != Some(&"none") {
        kept.push("none");
    }
    kept.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trigger_of_a_registration_is_replaced() {
        for (call, level, edge, oneshot) in [
            ("add e0 s0 IN ET", "add e0 s0 IN", "add e0 s0 IN ET", "add e0 s0 IN ONESHOT"),
            (
                "mod e0 s0 IN OUT",
                "mod e0 s0 IN OUT",
                "mod e0 s0 IN OUT ET",
                "mod e0 s0 IN OUT ONESHOT",
            ),
            ("add e0 s0 none", "add e0 s0 none", "add e0 s0 ET", "add e0 s0 ONESHOT"),
            ("add e0 s0 ET", "add e0 s0 none", "add e0 s0 ET", "add e0 s0 ONESHOT"),
            ("send s0 \"ET\"", "send s0 \"ET\"", "send s0 \"ET\"", "send s0 \"ET\""),
        ] {
            for (trigger, expected) in
                [(Trigger::Level, level), (Trigger::Edge, edge), (Trigger::Oneshot, oneshot)]
            {
                assert_eq!(replace_trigger(call, trigger), expected);
            }
        }
    }

    #[test]
    fn every_experiment_has_a_text_for_every_trigger() {
        for script in Script::course().unwrap() {
            for trigger in [Trigger::Level, Trigger::Edge, Trigger::Oneshot] {
                let other = script.with_trigger(trigger).unwrap().experiment;
                assert_eq!(other.steps.len(), script.experiment.steps.len(), "{}", script.name);
            }
        }
    }
}
