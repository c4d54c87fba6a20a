//! How many predictions were right: in this run, and in a file that the user names.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::file::read_text;
use crate::exit::CliError;
use crate::output::columns::one_line;
use crate::small_map::SmallMap;

/// Right ones, and how many were asked.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Count {
    pub(super) right: usize,
    pub(super) asked: usize,
}

impl Count {
    pub(super) fn add(&mut self, is_right: bool) {
        self.asked += 1;
        self.right += usize::from(is_right);
    }
}

/// The score of a run, and that of the last run of each experiment in the file.
pub(super) struct Score {
    pub(super) total: Count,
    /// Where people are right, in the same questions.
    pub(super) people: Count,
    file: Option<OsString>,
    kept: SmallMap<String, Count>,
}

const HEAD: &str = "# epollite study --predict: experiment, right, asked";

impl Score {
    /// Reads the file, if there is one, and makes sure that it can be written.
    pub(super) fn open(file: Option<&OsStr>) -> Result<Self, CliError> {
        let mut kept = SmallMap::default();
        if let Some(path) = file {
            match read_text(Path::new(path)) {
                Ok(text) => kept = parse(&text).map_err(|why| failure(path, &why))?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failure(path, &format!(" {error}"))),
            }
        }
        let file = file.map(OsStr::to_owned);
        let score = Self { total: Count::default(), people: Count::default(), file, kept };
        score.write()?;
        Ok(score)
    }

    /// Notes the score of one experiment.
    pub(super) fn keep(&mut self, name: &str, count: Count) -> Result<(), CliError> {
        if count.asked == 0 {
            return Ok(());
        }
        self.kept.insert(one_line(name).replace(' ', "_"), count);
        self.write()
    }

    fn write(&self) -> Result<(), CliError> {
        let Some(path) = &self.file else { return Ok(()) };
        let mut text = format!("{HEAD}\n");
        for (name, Count { right, asked }) in self.kept.iter() {
            text += &format!("{name} {right} {asked}\n");
        }
        fs::write(path, text).map_err(|error| failure(path, &format!(" {error}")))
    }

    /// One or two lines.
    pub(super) fn summary(&self) -> String {
        let Self { total, people, .. } = self;
        let mut text = format!("{} of {} predictions were right", total.right, total.asked);
        if total.asked > 0 {
            text += &format!("; those of most people: {}", people.right);
        }
        text += ".\n";
        if let Some(path) = &self.file {
            let right: usize = self.kept.iter().map(|(_, count)| count.right).sum();
            let asked: usize = self.kept.iter().map(|(_, count)| count.asked).sum();
            let (experiments, path) = (self.kept.len(), one_line(&path.to_string_lossy()));
            text += &format!("In {path}: {right} of {asked}, in {experiments} experiments.\n");
        }
        text
    }
}

fn failure(path: &OsStr, why: &str) -> CliError {
    CliError::run(format!("{}:{why}", one_line(&path.to_string_lossy())))
}

/// A line for each experiment: its name, right, asked. An error is `LINE: what was expected`.
fn parse(text: &str) -> Result<SmallMap<String, Count>, String> {
    let mut kept = SmallMap::default();
    for (at, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let count = match &words[..] {
            [_, right, asked] => right.parse::<u32>().ok().zip(asked.parse::<u32>().ok()),
            _ => None,
        };
        match count {
            Some((right, asked)) if right <= asked => {
                let (right, asked) = (right.try_into().unwrap_or(0), asked.try_into().unwrap_or(0));
                kept.insert(words[0].to_owned(), Count { right, asked });
            }
            _ => return Err(format!("{}: expected EXPERIMENT RIGHT ASKED", at + 1)),
        }
    }
    Ok(kept)
}
