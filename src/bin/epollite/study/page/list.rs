//! The list of experiments.

use crate::output::columns::{COLUMNS, columns};

/// The experiments by section, place, name and question.
pub(crate) fn list(rows: &[(&str, usize, &str, &str)]) -> String {
    let mut page = String::from("Experiments, in the order of a course:\n");
    let mut last = "";
    for (section, at, name, question) in rows {
        if *section != last {
            page += &format!("\n{section}\n");
            last = section;
        }
        let number = format!("{at:>3}");
        page += &columns(&[(&number, 5), (name, 26), (question, COLUMNS - 31)]);
    }
    page + "\n'epollite study NAME' runs one, 'epollite study --all' all of them, and\n\
            'epollite study --predict NAME' asks first.\n"
}
