//! The page of `epollite doctor`, as text of 80 columns and as JSON.

use std::fs;

use super::features::Feature;
use super::limits::Limit;
use crate::output::columns::labelled;
use crate::output::json::{array, json_string, object, optional};

/// The columns of name and state; the rest is text.
const NAME: usize = 32;
const STATE: usize = 12;

pub(super) fn text(features: &[Feature], limits: &[Limit]) -> String {
    let mut page = format!("Linux {}\n\n", release());
    for feature in features {
        let Feature { name, since, is_needed, without, state } = feature;
        let (state, text) = match state {
            Ok(()) if since.is_empty() => ("yes".to_owned(), String::new()),
            Ok(()) => ("yes".to_owned(), format!("since {since}")),
            Err(errno) => {
                let need = if *is_needed { "needed: " } else { "without it: " };
                (format!("no: {errno:?}"), format!("{need}{without}"))
            }
        };
        page += &row(name, &state, &text);
    }
    page += "\nLimits\n";
    for Limit { name, value, what, advice } in limits {
        let advice =
            advice.as_ref().map_or_else(String::new, |how| format!("; low, raise it: {how}"));
        let value = value.as_deref().unwrap_or("not here");
        page += &row(name, value, &format!("{what}{advice}"));
    }
    page
}

/// A name, its state or value, and a text; a long value has a line of its own.
fn row(name: &str, state: &str, text: &str) -> String {
    let label = format!("{name:NAME$}{state:STATE$}");
    if label.chars().count() <= NAME + STATE && !state.ends_with(' ') && state.len() < STATE {
        return labelled(&label, text);
    }
    let first = format!("{}\n", label.trim_end());
    first + &labelled(&" ".repeat(NAME + STATE), text)
}

/// The kernel's release, as of uname(2).
fn release() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    if release.is_empty() { "of unknown version".into() } else { release.to_owned() }
}

pub(super) fn json(features: &[Feature], limits: &[Limit]) -> String {
    let features = features.iter().map(|Feature { name, since, is_needed, without, state }| {
        let errno = state.err().map(|errno| format!("{errno:?}"));
        object(&[
            ("name", json_string(name)),
            ("has", state.is_ok().to_string()),
            ("errno", optional(errno.as_deref())),
            ("since", optional(Some(*since).filter(|since| !since.is_empty()))),
            ("needed", is_needed.to_string()),
            ("without", json_string(without)),
        ])
    });
    let limits = limits.iter().map(|Limit { name, value, what, advice }| {
        object(&[
            ("name", json_string(name)),
            ("value", optional(value.as_deref())),
            ("limits", json_string(what)),
            ("raise", optional(advice.as_deref())),
        ])
    });
    object(&[
        ("kernel", json_string(&release())),
        ("features", array(features)),
        ("limits", array(limits)),
    ]) + "\n"
}
