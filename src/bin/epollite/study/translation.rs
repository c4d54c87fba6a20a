//! The texts of an experiment in Chinese: a file for each experiment, beside the pages.
//!
//! Knows the form of the file; what it translates is given by the caller. A text without a
//! translation stays in English.

use std::io::ErrorKind;
use std::path::Path;

use epollite::study::{Experiment, ExperimentStep};

use super::file::read_text;
use crate::exit::CliError;
use crate::output::columns::one_line;
use crate::small_map::SmallMap;

/// The language of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Language {
    English,
    Chinese,
}

/// Translated texts of one experiment, by the English ones.
#[derive(Clone, Default, Debug)]
pub(super) struct Translation {
    texts: SmallMap<String, String>,
}

/// Fields that are translated as a whole.
const FIELDS: [&str; 3] = ["question", "people", "lesson"];

impl Translation {
    /// Reads `FOLDER/zh/NAME.txt`: `question:`, `people:` and `lesson:`, each continued in lines
    /// that begin with a space, and `note: ENGLISH = CHINESE` for every note. No file is no
    /// translation.
    pub(super) fn read(folder: &Path, name: &str, english: &Experiment) -> Result<Self, CliError> {
        let path = folder.join("zh").join(format!("{name}.txt"));
        match read_text(&path) {
            Ok(text) => Self::parse(&text, english).map_err(|why| {
                CliError::run(format!("{}:{why}", one_line(&path.to_string_lossy())))
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => {
                Err(CliError::run(format!("{}: {error}", one_line(&path.to_string_lossy()))))
            }
        }
    }

    /// An error is `LINE: what was expected`.
    fn parse(text: &str, english: &Experiment) -> Result<Self, String> {
        let originals = [&english.question, &english.people, &english.lesson];
        let mut texts = SmallMap::default();
        let mut current: Option<String> = None;
        for (at, line) in text.lines().enumerate() {
            let fail = |what: &str| format!("{}: expected {what}", at + 1);
            if line.trim().is_empty() {
                current = None;
                continue;
            }
            if let (true, Some(key)) = (line.starts_with(' '), &current) {
                // Chinese has no space between two lines.
                let text: &mut String = texts.or_default(key.clone());
                text.push_str(line.trim());
                continue;
            }
            let (field, value) = line.split_once(':').ok_or_else(|| fail("FIELD: TEXT"))?;
            let (key, value) = match FIELDS.iter().position(|known| *known == field) {
                Some(at) => (originals[at].clone(), value.trim()),
                None if field == "note" => {
                    let pair = value.split_once(" = ");
                    let (note, value) = pair.ok_or_else(|| fail("note: ENGLISH = CHINESE"))?;
                    let is_it = |step: &ExperimentStep| step.note == note.trim();
                    if !english.steps.iter().any(is_it) {
                        return Err(fail("a note of the experiment"));
                    }
                    (note.trim().to_owned(), value.trim())
                }
                None => return Err(fail("question:, people:, lesson: or note:")),
            };
            texts.insert(key.clone(), value.to_owned());
            current = Some(key);
        }
        Ok(Self { texts })
    }

    /// The text in Chinese, if there is one.
    pub(super) fn get(&self, english: &str) -> Option<&str> {
        self.texts.get(english).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// How many texts of an experiment it lacks.
    pub(super) fn missing(&self, english: &Experiment) -> usize {
        let notes = english.steps.iter().map(|step| &step.note).filter(|note| !note.is_empty());
        let texts = [&english.question, &english.people, &english.lesson].into_iter().chain(notes);
        texts.filter(|text| self.get(text).is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::*;

    #[test]
    fn a_file_has_a_text_for_each_field_and_note() {
        let english = Script::find("edge-residue").unwrap().experiment;
        let file = "question: 问题\n第二行\n".replace("\n第", "\n 第");
        let text = format!("{file}note: four bytes are left = 还剩四个字节\n");
        let translation = Translation::parse(&text, &english).unwrap();
        assert_eq!(translation.get(&english.question), Some("问题第二行"));
        assert_eq!(translation.get("four bytes are left"), Some("还剩四个字节"));
        assert_eq!(translation.get(&english.lesson), None);
        // People, the lesson and the other note.
        assert_eq!(translation.missing(&english), 3);
        for (text, why) in [
            ("question 问题", "1: expected FIELD: TEXT"),
            ("\nnote: 问题", "2: expected note: ENGLISH = CHINESE"),
            ("note: no such note = 问题", "1: expected a note of the experiment"),
            ("wiring: s0", "1: expected question:, people:, lesson: or note:"),
        ] {
            assert_eq!(Translation::parse(text, &english).unwrap_err(), why);
        }
    }
}
