//! The table of the models, docs/models.md: the result of each test of the suite for each model.
//!
//! `BLESS=1 cargo test --test program models::table` writes the results; otherwise they must match
//! the page.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::suite::{COLUMNS, Cell, Model};

/// Every row.
const ROWS: [Model; 16] = [
    &["blocking"],
    &["process"],
    &["thread"],
    &["nonblocking"],
    &["select"],
    &["poll"],
    &["coroutine"],
    &["epoll-level"],
    &["epoll-edge"],
    &["epoll-oneshot"],
    &["prefork", "--accept", "all"],
    &["prefork", "--accept", "exclusive"],
    &["prefork", "--accept", "round-robin"],
    &["reuseport", "--reuseport-select", "hash"],
    &["reuseport", "--reuseport-select", "cpu"],
    &["reuseport", "--reuseport-select", "random"],
];

const PAGE: &str = "docs/models.md";

/// Where the table is on the page.
const MARKS: [&str; 2] =
    ["<!-- seen by: cargo test --test program models::table -->\n", "<!-- end -->\n"];

#[test]
fn every_model_matches_the_table() {
    let mut table = String::from("| `--model` |");
    COLUMNS.iter().for_each(|(head, _)| table += &format!(" {head} |"));
    table += "\n|---|";
    table += &"---|".repeat(COLUMNS.len());
    table += "\n";
    let mut failed = Vec::new();
    for row in ROWS {
        table += &format!("| `{}` |", row.join(" "));
        for (head, word) in row_of(row) {
            table += &format!(" {} |", word.unwrap_or("FAILED"));
            if word.is_none() {
                failed.push(format!("{} in {head}", row.join(" ")));
            }
        }
        table += "\n";
    }
    assert!(
        failed.is_empty(),
        "invariant: every model passes the suite; failed: {failed:?}\n{table}"
    );
    compare(&table);
}

/// The model's result in each column. Three at a time: the tests wait more than they work.
fn row_of(model: Model) -> Vec<(&'static str, Option<Cell>)> {
    let run = |(head, test): super::suite::Column| {
        (head, catch_unwind(AssertUnwindSafe(|| test(model))).ok())
    };
    thread::scope(|scope| {
        let mut words = Vec::new();
        for pair in COLUMNS.chunks(3) {
            let running: Vec<_> =
                pair.iter().map(|&column| scope.spawn(move || run(column))).collect();
            words.extend(running.into_iter().map(|column| column.join().unwrap()));
        }
        words
    })
}

fn compare(table: &str) {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(MARKS[0]).expect("the page has the mark");
    let (shown, after) = rest.split_once(MARKS[1]).expect("the mark has an end mark");
    if std::env::var_os("BLESS").is_some() {
        fs::write(PAGE, format!("{before}{}{table}{}{after}", MARKS[0], MARKS[1])).unwrap();
        return;
    }
    assert!(
        shown == table,
        "{PAGE} shows something else\n--- the page\n{shown}\n--- seen\n{table}"
    );
}
