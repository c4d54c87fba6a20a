//! The pages show what really runs: each marked block is compared with its source.
//!
//! A mark is an HTML comment on the line before a fenced block: `<!-- shows: FILE -->` requires the
//! file's content; `<!-- runs: COMMAND -->` requires the output of COMMAND, which is `epollite …`
//! or `cargo run --example NAME -- …`.
//!
//! `make update-expected` builds the examples and writes the real content into the pages: review
//! the diff.

use std::fs;
use std::process::Command;

/// The pages that show something.
const PAGES: [&str; 5] =
    ["README.md", "ARCHITECTURE.md", "docs/cli.md", "docs/tutorial.md", "docs/tutorial.zh-CN.md"];

#[test]
fn every_marked_block_matches_real_output() {
    let mut compared = 0;
    for page in PAGES {
        let mut text = fs::read_to_string(page).unwrap();
        for (mark, block) in marked_blocks(&text.clone()) {
            let real = match mark.split_once(": ") {
                Some(("shows", file)) => fs::read_to_string(file).unwrap(),
                Some(("runs", command)) => run(command),
                _ => panic!("{page}: no such mark: {mark}"),
            };
            if std::env::var_os("BLESS").is_some() {
                let (before, behind) = text.split_once(&format!("<!-- {mark} -->\n")).unwrap();
                let (fence, behind) = behind.split_once('\n').unwrap();
                let behind = behind.strip_prefix(block.as_str()).unwrap();
                let real = real.trim_end();
                text = format!("{before}<!-- {mark} -->\n{fence}\n{real}\n{behind}");
                fs::write(page, &text).unwrap();
                continue;
            }
            assert!(
                block.trim_end() == real.trim_end(),
                "{page} shows something else than {mark}\n--- the page\n{block}\n--- real\n{real}"
            );
            compared += 1;
        }
    }
    assert!(
        compared >= 4 || std::env::var_os("BLESS").is_some(),
        "only {compared} blocks were found: did the marks change?"
    );
}

#[test]
fn commands_on_the_pages_are_targets_of_the_makefile() {
    let makefile = fs::read_to_string("Makefile").unwrap();
    for page in PAGES {
        let text = fs::read_to_string(page).unwrap();
        for target in text.split("`make ").skip(1).filter_map(|rest| rest.split('`').next()) {
            let target = target.split(' ').next().unwrap();
            assert!(
                makefile.contains(&format!("\n{target}:")),
                "{page} says `make {target}`, which is not a target of the Makefile"
            );
        }
    }
}

/// The marks of a page, each with the block after it.
fn marked_blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(mark) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"))
        else {
            continue;
        };
        if !mark.starts_with("shows: ") && !mark.starts_with("runs: ") {
            continue;
        }
        assert!(lines.next().is_some_and(|fence| fence.starts_with("```")), "{mark}: no block");
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push((mark.to_owned(), block.join("\n") + "\n"));
    }
    blocks
}

fn run(command: &str) -> String {
    let mut words = command.split_whitespace();
    let mut process = match words.next() {
        Some("epollite") => Command::new(env!("CARGO_BIN_EXE_epollite")),
        Some("cargo") => {
            let name = words.nth(2).unwrap_or_default();
            // With three descriptors, whatever this test has inherited (make passes some on): the
            // page shows their numbers.
            let mut process = Command::new("sh");
            process.args(["-c", r#"exec "$0" "$@" 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-"#]);
            process.arg(crate::support::example::example(name));
            process.args(words.by_ref().skip_while(|word| *word == "--"));
            process
        }
        _ => panic!("{command}: not a command that a page may show"),
    };
    let output = process.args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
