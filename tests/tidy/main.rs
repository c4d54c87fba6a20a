//! Rules of the source tree: layers, the one place for `unsafe`, module docs, lengths, man pages,
//! words.
//!
//! Each message says what to do. The table of layers is that of ARCHITECTURE.md, and is compared.

mod cycles;
mod package;

use std::fs;
use std::path::{Path, PathBuf};

/// Every module of the library and its layer. Uses go down only; within layers 0 and 1 a module
/// may use those listed before it, on layer 3 none.
const LAYERS: [(u8, &[&str]); 7] = [
    (0, &["assertions", "errno", "token", "event", "instant", "net"]),
    (1, &["collections", "echo", "audit"]),
    (2, &["kernel"]),
    (3, &["linux", "sim", "instrument"]),
    (4, &["reactor"]),
    (5, &["server", "executor", "study"]),
    (6, &["capi"]),
];

/// Where `unsafe` and `libc::` may appear.
const UNSAFE: [&str; 4] = [
    "src/linux",
    "src/capi",
    "src/bin/epollite/models/sys.rs",
    "src/bin/epollite/operation/sys.rs",
];

/// Lines of code a file may have. A file is one type's implementation, and a bound that is too low
/// cuts types into pieces.
const CODE_LINES_MAX: usize = 500;

#[test]
fn imports_go_down_only() {
    let mut broken = Vec::new();
    for file in library() {
        let text = code(&file);
        let me = module(&file);
        if me == "lib" {
            continue;
        }
        for used in used_modules(&text) {
            if used != me && !may_use(&me, &used) {
                broken.push(format!("{}: `{me}` uses `{used}`", file.display()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "uses go down only (see LAYERS): move the code, or pass a value up\n{}",
        broken.join("\n")
    );
}

#[test]
fn every_module_has_a_layer() {
    for file in library() {
        let me = module(&file);
        assert!(
            me == "lib" || place(&me).is_some(),
            "{}: give `{me}` a layer in tests/tidy/main.rs and ARCHITECTURE.md",
            file.display()
        );
    }
}

#[test]
fn the_map_shows_the_same_layers() {
    let map = fs::read_to_string("ARCHITECTURE.md").unwrap();
    for (layer, modules) in LAYERS {
        let line = map.lines().find(|line| line.starts_with(&format!(" {layer}  "))).unwrap();
        for module in modules {
            assert!(line.contains(module), "ARCHITECTURE.md: layer {layer} lacks `{module}`");
        }
    }
}

#[test]
fn unsafe_is_confined_to_linux() {
    for file in rust("src") {
        let name = file.to_str().unwrap();
        let is_its_place = UNSAFE.iter().any(|place| name.starts_with(place));
        for (at, line) in code(&file).lines().enumerate() {
            let says = line.contains("unsafe ") && !line.contains("unsafe_code");
            assert!(
                is_its_place || !(says || line.contains("libc::")),
                "{name}:{}: unsafe code and libc belong into src/linux (or src/capi, a sys.rs)",
                at + 1
            );
        }
    }
}

#[test]
fn every_file_has_a_module_doc() {
    for file in all_rust() {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("//! "),
            "{}: begin with `//! ` and a sentence: what it is, what it does not know",
            file.display()
        );
    }
}

#[test]
fn a_file_is_one_idea() {
    for file in all_rust() {
        let lines = code(&file).lines().filter(|line| !line.trim().is_empty()).count();
        assert!(
            lines <= CODE_LINES_MAX,
            "{}: {lines} lines of code; over {CODE_LINES_MAX} there are two ideas in it",
            file.display()
        );
    }
}

#[test]
fn every_method_of_kernel_names_its_man_page() {
    let text = fs::read_to_string("src/kernel/kernel.rs").unwrap();
    let body = text.split_once("pub trait Kernel {").unwrap().1;
    let mut doc = String::new();
    let mut methods = 0;
    for line in body.lines().map(str::trim) {
        if line.starts_with("///") {
            doc.push_str(line);
        } else if let Some(method) = line.strip_prefix("fn ") {
            assert!(doc.contains("/// Man page: "), "fn {method}: name its man page");
            assert!(doc.contains("Cost: "), "fn {method}: say what it costs");
            doc.clear();
            methods += 1;
        }
    }
    assert!(methods > 30, "the trait was not found where it should be");
}

/// What cannot be called from outside is no `pub fn`: the lint `unreachable_pub` sees to it.
#[test]
fn every_public_function_documents_its_cost() {
    let mut functions = 0;
    for file in library() {
        let text = fs::read_to_string(&file).unwrap();
        let mut doc = String::new();
        for line in text.lines().map(str::trim) {
            if line.starts_with("///") {
                doc.push_str(line);
            } else if let Some(function) = public_function(line) {
                assert!(
                    doc.contains("Cost: "),
                    "{}: fn {function}: say what it costs, in a line with `Cost:`",
                    file.display()
                );
                functions += 1;
                doc.clear();
            } else if !line.starts_with("#[") {
                doc.clear();
            }
        }
    }
    assert!(functions > 200, "public functions look different now: {functions} were found");
}

#[test]
fn no_todo_or_fixme() {
    const MARKS: [&str; 6] = ["FIXME", "TODO", "XXX", "todo!", "unimplemented!", "#[ignore"];
    for file in all_rust() {
        if file.ends_with("tests/tidy/main.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for mark in MARKS {
            assert!(!text.contains(mark), "{}: says {mark}: do it now", file.display());
        }
    }
}

#[test]
fn every_property_is_fuzzed_too() {
    let properties = fs::read_to_string("tests/properties/main.rs").unwrap();
    let names: Vec<&str> = properties
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert!(names.len() >= 10, "tests/properties/main.rs lists its properties as `pub mod`");
    let manifest = fs::read_to_string("fuzz/Cargo.toml").unwrap();
    let makefile = fs::read_to_string("Makefile").unwrap();
    let targets = makefile.lines().find(|line| line.starts_with("FUZZ ")).unwrap();
    for name in names {
        let target = fs::read_to_string(format!("fuzz/fuzz_targets/{name}.rs")).unwrap_or_default();
        let is_mounted = ["", "/mod"]
            .iter()
            .any(|end| target.contains(&format!("\"../../tests/properties/{name}{end}.rs\"")));
        assert!(
            is_mounted
                && manifest.contains(&format!("name = \"{name}\""))
                && targets.split_whitespace().any(|target| target == name)
                && fs::read_dir(format!("fuzz/corpus/{name}")).is_ok_and(|seeds| seeds.count() > 0),
            "property {name}: give it a target in fuzz/fuzz_targets, fuzz/Cargo.toml and FUZZ of \
             the Makefile, and seeds in fuzz/corpus"
        );
    }
}

/// Words of a vocabulary that a reader of mio, libuv and the man pages does not share, and the term
/// to use instead. Held in the files of [`PLAIN`].
const BANNED: [(&str, &str); 50] = [
    ("affair", "part, task"),
    ("anew", "again"),
    ("anybody", "any client, any task"),
    ("bell", "waker"),
    ("bells", "wakers"),
    ("crowd", "many clients"),
    ("dawn", "setup"),
    ("deed", "action"),
    ("deeds", "actions"),
    ("dice", "choices"),
    ("door", "listener"),
    ("doors", "listeners"),
    ("evening", "drain"),
    ("everybody", "all clients, all tasks"),
    ("floors", "layers"),
    ("for ever", "forever"),
    ("foreign", "user, nonlocal"),
    ("guest", "connection, VM"),
    ("guests", "connections, VMs"),
    ("heard", "received"),
    ("hears", "receives, is notified of"),
    ("heir", "successor"),
    ("herself", "the object"),
    ("himself", "the object"),
    ("his", "its"),
    ("house", "crate, registry"),
    ("law", "invariant, property"),
    ("laws", "invariants, properties"),
    ("lest", "so that ... not"),
    ("lodge", "server state"),
    ("meanwhile", "during, in between"),
    ("mute", "silent"),
    ("nobody", "no client, no task, nothing"),
    ("of ours", "the server's, the library's"),
    ("owed", "buffered, pending"),
    ("owes", "has pending bytes"),
    ("patiently", "with retries"),
    ("porter", "signal thread"),
    ("rung", "woken"),
    ("seat", "admission, its ID"),
    ("sign of life", "heartbeat"),
    ("signs of life", "heartbeats"),
    ("somebody", "a client, a task"),
    ("tapped", "hooked"),
    ("twin", "duplicate, reference server"),
    ("waist", "the Kernel trait"),
    ("weather", "configuration"),
    ("who", "a noun: the client that"),
    ("whoever", "a caller that"),
    ("whom", "the object"),
];

/// Everything that is written by hand: held to [`BANNED`] and [`COLUMNS_MAX`].
const PLAIN: [&str; 18] = [
    ".cargo",
    ".ci",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.toml",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "benches",
    "contrib",
    "docs",
    "examples",
    "findings",
    "fuzz",
    "include",
    "src",
    "tests",
];

/// This file names the banned words.
const NOT_PLAIN: [&str; 1] = ["tests/tidy/main.rs"];

#[test]
fn no_banned_word() {
    let mut found = Vec::new();
    for file in plain() {
        let name = file.to_str().unwrap();
        for (word, term) in BANNED.iter().filter(|(word, _)| says(name, word)) {
            found.push(format!("{name}: {word} in its name: {term}"));
        }
        for (at, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            // The table of renamed things gives their old names.
            if name == "CHANGELOG.md" && line.starts_with('|') {
                continue;
            }
            for (word, term) in BANNED.iter().filter(|(word, _)| says(line, word)) {
                found.push(format!("{name}:{}: {word}: {term}", at + 1));
            }
        }
    }
    assert!(found.is_empty(), "use the field's term:\n{}", found.join("\n"));
}

/// Columns of a line, for two files beside each other on one screen: also the `max_width` of
/// rustfmt, which breaks code, but neither comments nor strings.
const COLUMNS_MAX: usize = 100;

#[test]
fn lines_have_at_most_100_columns() {
    let mut wide = Vec::new();
    for file in plain() {
        let name = file.to_str().unwrap();
        let end = file.extension().and_then(|end| end.to_str()).unwrap_or_default();
        // A rule or a list of the Makefile and of a manifest has its own ways of being continued.
        // The page of the benchmarks is generated, a paragraph a line.
        if !["md", "py", "rs", "sh"].contains(&end) || name == "docs/bench.md" {
            continue;
        }
        let mut is_fenced = false;
        for (at, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            is_fenced ^= end == "md" && line.starts_with("```");
            let is_wide = line.chars().count() > COLUMNS_MAX;
            if is_wide && !is_fenced && !cannot_be_broken(line, end) {
                wide.push(format!("{name}:{}", at + 1));
            }
        }
    }
    assert!(wide.is_empty(), "break lines after {COLUMNS_MAX} columns:\n{}", wide.join("\n"));
}

/// A row of a Markdown table is one line; a word has no place to break it, and a link may be one;
/// and a string literal on a line of its own is one text, which is searched for as a whole. (What
/// stands in a fenced block is output, and is compared with what was printed.)
fn cannot_be_broken(line: &str, end: &str) -> bool {
    let line = line.trim();
    let is_row = end == "md" && line.starts_with('|');
    let is_literal = end == "rs" && line.starts_with('"') && !line.ends_with('\\');
    is_row || is_literal || !line.trim_start_matches(['-', '/', '#', '!', ' ']).contains(' ')
}

/// Whether `line` has `word`, as a whole word or words, or as a part of a name in snake case.
fn says(line: &str, word: &str) -> bool {
    let line = line.to_lowercase().replace('_', " ");
    line.match_indices(word).any(|(at, _)| {
        let is_letter = |c: char| c.is_alphanumeric();
        !line[..at].ends_with(is_letter) && !line[at + word.len()..].starts_with(is_letter)
    })
}

#[test]
fn a_banned_word_is_found_in_text_and_in_names() {
    assert!(says("The Door is open", "door") && says("fn shut_door(door: Fd)", "door"));
    assert!(says("fn no_copy_of_ours()", "of ours"));
    assert!(!says("indoors", "door") && !says("the closest", "lest"));
}

/// The rest of the line behind `pub fn`, when there is one.
fn public_function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ")?;
    let rest = rest.strip_prefix("const ").unwrap_or(rest);
    rest.strip_prefix("async ").unwrap_or(rest).strip_prefix("fn ")
}

fn may_use(user: &str, used: &str) -> bool {
    let (Some((high, at)), Some((low, before))) = (place(user), place(used)) else { return false };
    high > low || (high == low && high < 2 && at > before)
}

fn place(module: &str) -> Option<(u8, usize)> {
    LAYERS.iter().find_map(|(layer, modules)| {
        modules.iter().position(|&name| name == module).map(|at| (*layer, at))
    })
}

/// The top-level module a file of the library belongs to.
fn module(file: &Path) -> String {
    let below = file.strip_prefix("src").unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules named as `crate::module`, or by a type that lib.rs gives out at the root.
fn used_modules(text: &str) -> Vec<String> {
    assert!(!text.contains("crate::{"), "name modules one by one, so that layers can be checked");
    let names = text.split("crate::").skip(1);
    let name = |rest: &str| {
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
    };
    names.map(name).filter(|name| !name.is_empty()).map(|name| module_of(&name)).collect()
}

fn module_of(name: &str) -> String {
    if name.starts_with(char::is_lowercase) {
        return name.to_owned();
    }
    let lib = fs::read_to_string("src/lib.rs").unwrap();
    let given = re_exports(&lib).into_iter().find(|list| list.contains(name));
    given.and_then(|list| list.split("::").next()).unwrap_or(name).to_owned()
}

/// What stands between each `pub use` of lib.rs and its semicolon.
fn re_exports(lib: &str) -> Vec<&str> {
    lib.split("\npub use ").skip(1).filter_map(|rest| rest.split(';').next()).collect()
}

fn library() -> Vec<PathBuf> {
    rust("src").into_iter().filter(|file| !file.starts_with("src/bin")).collect()
}

fn all_rust() -> Vec<PathBuf> {
    ["src", "tests", "examples", "benches", "fuzz"].into_iter().flat_map(rust).collect()
}

/// Every text file of [`PLAIN`], without built files, seeds of the fuzzer, data and lock files.
fn plain() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut places: Vec<PathBuf> = PLAIN.iter().map(PathBuf::from).collect();
    while let Some(place) = places.pop() {
        if place.is_dir() {
            let is_made = ["target", "corpus", "artifacts", "scratch", "coverage", "bench"]
                .iter()
                .any(|made| place.ends_with(made));
            let entries = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path());
            places.extend(entries.filter(|_| !is_made));
            continue;
        }
        assert!(place.exists(), "{}: nothing is there", place.display());
        let end = place.extension().and_then(|end| end.to_str()).unwrap_or_default();
        let is_text = matches!(
            end,
            "" | "md" | "py" | "rs" | "service" | "sh" | "socket" | "suppressions" | "toml"
        );
        if is_text && !NOT_PLAIN.iter().any(|name| place.ends_with(name)) {
            files.push(place);
        }
    }
    assert!(files.len() > 200, "the files are elsewhere now: {} were found", files.len());
    files
}

/// Every Rust file below `folder`, built ones left out.
fn rust(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// A file without its comments and without its tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("\n#[cfg(test)]\n").next().unwrap().to_owned();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}
