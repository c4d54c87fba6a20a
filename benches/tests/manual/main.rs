//! The man pages and the completion scripts that `make install` installs.
//!
//! They are generated from what the programs print with `--help`, from the arguments of
//! `epollite-bench`, and from `include/epollite.h`. The files in the repository must be what is
//! generated; `BLESS=1` writes them.

mod bench;
mod completions;
mod header;
mod help;
mod install;
mod lint;
mod page;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap_complete::Shell;

/// The help texts of the program, as it is compiled.
#[path = "../../../src/bin/epollite/args/help.rs"]
mod texts;

/// The subcommands and the text that `--help` prints for each.
const COMMANDS: [(&str, &str); 6] = [
    ("echo", texts::ECHO),
    ("nc", texts::NC),
    ("sim", texts::SIM),
    ("study", texts::STUDY),
    ("audit", texts::AUDIT),
    ("doctor", texts::DOCTOR),
];

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every man page by its path in the repository.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let names: Vec<String> = COMMANDS.iter().map(|(name, _)| format!("epollite-{name}")).collect();
    let others = |name: &str| {
        let mut all = vec!["epollite".to_owned(), "epollite-bench".to_owned()];
        all.extend(names.iter().cloned());
        all.retain(|other| other != name);
        all
    };
    for (name, text) in COMMANDS.iter().copied().chain([("", texts::MAIN)]) {
        let name = if name.is_empty() { "epollite".into() } else { format!("epollite-{name}") };
        let page = page::command(&name, &help::parse(text), &others(&name));
        pages.insert(format!("docs/man/{name}.1"), page);
    }
    for (name, page) in bench::pages().into_iter().chain(header::pages()) {
        pages.insert(format!("docs/man/{name}"), page);
    }
    pages
}

/// Every completion script by its path in the repository.
fn scripts() -> BTreeMap<String, String> {
    let mut scripts = BTreeMap::new();
    for mut command in [completions::epollite(), bench::command()] {
        let name = command.get_name().to_owned();
        let files = [
            (Shell::Bash, name.clone()),
            (Shell::Zsh, format!("_{name}")),
            (Shell::Fish, format!("{name}.fish")),
        ];
        for (shell, file) in files {
            let script = if name == "epollite-bench" {
                epollite_bench::cli::completions(shell)
            } else {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut command, &name, &mut script);
                String::from_utf8(script).expect("a script is text")
            };
            scripts.insert(format!("docs/completions/{file}"), completions::tidy(&script));
        }
    }
    scripts
}

/// Compares the files of `folder` with `expected`, or writes them.
fn compare(folder: &str, expected: &BTreeMap<String, String>) {
    let here = root().join(folder);
    let bless = std::env::var_os("BLESS").is_some();
    if bless {
        fs::create_dir_all(&here).expect("the folder can be created");
    }
    let mut stale = Vec::new();
    for (path, text) in expected {
        let file = root().join(path);
        if bless {
            fs::write(&file, text).expect("the page can be written");
        } else if fs::read_to_string(&file).ok().as_deref() != Some(text) {
            stale.push(path.clone());
        }
    }
    for entry in fs::read_dir(&here).expect("the folder exists").flatten() {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if !expected.contains_key(&path) {
            stale.push(format!("{path} (generated no more: remove it)"));
        }
    }
    assert!(stale.is_empty(), "stale; run `make update-expected`:\n{}", stale.join("\n"));
}

#[test]
fn the_man_pages_are_those_of_the_help_texts_and_the_header() {
    compare("docs/man", &pages());
}

#[test]
fn the_completions_are_those_of_the_help_texts() {
    compare("docs/completions", &scripts());
}
