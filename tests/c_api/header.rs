//! `include/epollite.h` is clean in every dialect, and says what the Rust functions are.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::{WARNINGS, expect_success, root};

/// A function: the type of its result, and those of its arguments, as C writes them.
type Signature = (String, Vec<String>);

#[test]
fn the_header_is_clean_in_every_dialect() {
    let folder = tempfile("dialects");
    let source = folder.join("include.c");
    fs::write(&source, "#include <epollite.h>\n#include <epollite.h>\nint unused;\n").unwrap();
    for (compilers, language, dialects) in
        [(["gcc", "clang"], "c", ["c99", "c17"]), (["g++", "clang++"], "c++", ["c++11", "c++20"])]
    {
        for compiler in compilers {
            for dialect in dialects {
                let mut cc = Command::new(compiler);
                cc.args(["-x", language, &format!("-std={dialect}"), "-fsyntax-only", "-Iinclude"]);
                expect_success(cc.args(WARNINGS).arg(&source).current_dir(root()));
            }
        }
    }
}

#[test]
fn the_header_declares_what_is_exported() {
    let (declared, exported) = (declared(), exported());
    assert!(exported.len() >= 40, "only {} functions were found", exported.len());
    for (name, signature) in &exported {
        assert_eq!(declared.get(name), Some(signature), "{name} in epollite.h, and in src/capi");
    }
    assert_eq!(declared.len(), exported.len(), "no function is declared that does not exist");
}

#[test]
fn every_function_is_documented() {
    let header = header();
    let mut has_comment = false;
    for line in header.lines() {
        let is_declaration = line.contains(" epl_") || line.contains("*epl_");
        if line.ends_with("*/") {
            has_comment = true;
        } else if line.is_empty() {
            has_comment = false;
        } else if is_declaration && line.contains('(') && !line.starts_with([' ', '#', '/', '*']) {
            assert!(has_comment, "without a comment: {line}");
        }
    }
}

#[test]
fn the_version_is_the_packages() {
    let numbers = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse::<u32>().unwrap());
    let version = numbers.fold(0, |version, part| version * 1_000 + part);
    assert!(header().contains(&format!("#define EPL_VERSION {version}\n")));
}

#[test]
fn constants_and_layouts_are_the_same() {
    let rust = rust_sources();
    let header = header();
    for (c, in_rust) in [
        ("EPL_LEVEL", "LEVEL"),
        ("EPL_EDGE", "EDGE"),
        ("EPL_ONESHOT", "ONESHOT"),
        ("EPL_EDGE_ONESHOT", "EDGE_ONESHOT"),
        ("EPL_EXCLUSIVE", "EXCLUSIVE"),
        ("EPL_EXCLUSIVE_EDGE", "EXCLUSIVE_EDGE"),
        ("EPL_IO", "KIND_IO"),
        ("EPL_TIMER", "KIND_TIMER"),
        ("EPL_WOKEN", "KIND_WOKEN"),
        ("EPL_REUSE_PORT", "REUSE_PORT"),
    ] {
        let value = header
            .lines()
            .filter_map(|line| line.strip_prefix("#define "))
            .find_map(|line| line.strip_prefix(c)?.strip_prefix(' '))
            .and_then(|value| value.split_whitespace().next())
            .unwrap_or_else(|| panic!("{c} is not in the header"))
            .trim_end_matches('u');
        let line = format!("const {in_rust}: u32 = {value};");
        assert!(rust.contains(&line), "{c} is {value} in the header");
    }
    for (c, in_rust) in [
        ("epl_event", "EplEvent"),
        ("epl_echo_options", "EplEchoOptions"),
        ("epl_echo_stats", "EplEchoStats"),
    ] {
        let of = |text: &str, start: &str| -> Vec<String> {
            let body = text.split(start).nth(1).unwrap_or_else(|| panic!("no {start}"));
            let body = body.split('}').next().unwrap();
            let code = body.lines().map(|line| line.split(['/', ';', ',']).next().unwrap().trim());
            code.filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        let in_c: Vec<String> = of(&header, &format!("typedef struct {c} {{"))
            .iter()
            .map(|field| {
                let (kind, name) = field.rsplit_once([' ', '*']).unwrap();
                let is_pointer = field.contains('*');
                format!("{name}: {}{}", kind.trim(), if is_pointer { " *" } else { "" })
            })
            .collect();
        let in_rust: Vec<String> = of(&rust, &format!("pub(super) struct {in_rust} {{"))
            .iter()
            .map(|field| {
                let (name, kind) = field.split_once(": ").unwrap();
                format!("{name}: {}", c_type(kind))
            })
            .collect();
        assert_eq!(in_c, in_rust, "the fields of {c}");
    }
}

/// With each macro in one line.
fn header() -> String {
    fs::read_to_string(root().join("include/epollite.h")).unwrap().replace("\\\n", "")
}

fn rust_sources() -> String {
    let folder = fs::read_dir(root().join("src/capi")).unwrap();
    folder.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

/// The functions that the header declares.
fn declared() -> BTreeMap<String, Signature> {
    let header = header();
    let is_code = |line: &&str| {
        !line.starts_with(['#', '/']) && !line.starts_with(" *") && !line.starts_with("extern")
    };
    let code = header.lines().filter(is_code).collect::<Vec<_>>().join(" ");
    let mut functions = BTreeMap::new();
    for declaration in code.split(';') {
        let Some((head, rest)) = declaration.split_once('(') else { continue };
        let Some((kind, name)) = split_type(head) else { continue };
        let arguments = rest.trim_end().trim_end_matches(')');
        let kinds = arguments.split(',').filter_map(|argument| {
            if argument.trim() == "void" {
                None
            } else {
                split_type(argument).map(|(kind, _)| kind)
            }
        });
        functions.insert(name, (kind, kinds.collect()));
    }
    functions
}

/// `const char *text` is the type `const char *` and the name `text`.
fn split_type(text: &str) -> Option<(String, String)> {
    let text = text.trim();
    let at = text.rfind(|c: char| !c.is_alphanumeric() && c != '_')?;
    let (kind, name) = (text[..=at].trim(), text[at + 1..].trim());
    let kind = kind.rsplit('}').next().unwrap_or(kind).trim();
    Some((kind.to_owned(), name.to_owned()))
}

/// The functions of `src/capi`.
fn exported() -> BTreeMap<String, Signature> {
    let sources = rust_sources();
    let mut functions = BTreeMap::new();
    for after in sources.split("extern \"C\" fn ").skip(1) {
        let (name, rest) = after.split_once('(').unwrap();
        let (arguments, rest) = rest.split_once(')').unwrap();
        let result = rest.split('{').next().unwrap().trim();
        let result = result.strip_prefix("->").map_or("void".to_owned(), |it| c_type(it.trim()));
        let arguments = arguments.split(',').filter_map(|argument| argument.split_once(": "));
        let kinds = arguments.map(|(_, kind)| c_type(kind.trim()));
        functions.insert(name.to_owned(), (result, kinds.collect()));
    }
    functions
}

/// A type of Rust as C writes it.
fn c_type(kind: &str) -> String {
    if let Some(inner) = kind.strip_prefix("*mut ") {
        let inner = c_type(inner);
        return format!("{inner}{}*", if inner.ends_with('*') { "" } else { " " });
    }
    if let Some(inner) = kind.strip_prefix("*const ") {
        return format!("const {} *", c_type(inner));
    }
    let name = match kind {
        "c_int" => "int",
        "c_char" => "char",
        "c_void" => "void",
        "u32" => "uint32_t",
        "u64" => "uint64_t",
        "i64" => "int64_t",
        "usize" => "size_t",
        "isize" => "ssize_t",
        "Handle" => "epl_reactor",
        "EchoHandle" => "epl_echo",
        "EplEvent" => "epl_event",
        "EplEchoOptions" => "epl_echo_options",
        "EplEchoStats" => "epl_echo_stats",
        other => panic!("no type of C for {other}"),
    };
    name.to_owned()
}

fn tempfile(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("epollite-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}
