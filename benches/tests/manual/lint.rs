//! What other programs say about the pages and the scripts.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::{COMMANDS, pages, root, scripts};

/// Runs a program in the root of the repository; returns whether it succeeded and everything that
/// it printed.
fn run(program: &str, args: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; `make tools` installs it"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        // A program that does not read its input is no failure here.
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output()
    });
    let output = output.expect("the output of a child can be read");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn mandoc_and_groff_have_no_complaint_about_the_pages() {
    let mut complaints = String::new();
    for (name, page) in pages() {
        for (program, args) in [
            ("mandoc", &["-Tlint", "-Wwarning"][..]),
            ("groff", &["-man", "-ww", "-z", "-Tutf8"][..]),
        ] {
            let (_, text) = run(program, args, &page);
            complaints.extend(text.lines().map(|line| format!("{name}: {line}\n")));
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
}

#[test]
fn a_page_fits_a_terminal_of_80_columns() {
    let mut wide = Vec::new();
    for (name, page) in pages() {
        let (is_ok, text) = run("mandoc", &["-Tutf8", "-Owidth=80"], &page);
        assert!(is_ok, "{name}: {text}");
        // Overstrikes make letters bold in a terminal.
        let columns = |line: &str| line.chars().count() - 2 * line.matches('\u{8}').count();
        wide.extend(text.lines().filter(|line| columns(line) > 80).map(|l| format!("{name}: {l}")));
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

#[test]
fn every_option_of_a_command_is_on_its_page() {
    for (name, text) in COMMANDS {
        let page = &pages()[&format!("docs/man/epollite-{name}.1")];
        let page = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
        for word in text.split([' ', ',', '\n', '[', ']', '=']) {
            if word.starts_with("--") && word.len() > 2 {
                assert!(page.contains(word.trim_end_matches(['.', ';', ':'])), "{name}: {word}");
            }
        }
    }
}

#[test]
fn every_function_of_the_header_is_on_a_page() {
    let header = fs::read_to_string(root().join("include/epollite.h")).expect("the header");
    let lines: Vec<String> = header.lines().map(str::to_owned).collect();
    let functions = crate::header::functions(&lines);
    assert!(functions.len() > 40, "{functions:?}");
    let pages = pages();
    for function in functions {
        let documented = pages.values().any(|page| {
            page.contains(&format!("\\fB{function}()")) || page.contains(&format!(", {function}()"))
        });
        assert!(documented, "{function}: no page describes it");
    }
}

/// What the script of a program completes for a line, in bash.
fn completed_by_bash(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let script = format!(
        "source docs/completions/{program}; compopt() {{ :; }}; COMP_WORDS=({line}); \
         [ -n \"{last}\" ] || COMP_WORDS+=(''); COMP_CWORD={at}; \
         _{function} {program} \"{last}\" {previous}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        program = words[0],
        function = words[0].replace('-', "__"),
        last = words[words.len() - 1],
        at = words.len() - 1,
        previous = words[words.len() - 2],
    );
    let (is_ok, text) = run("bash", &["-c", &script], "");
    assert!(is_ok, "{line}: {text}");
    text.lines().map(str::to_owned).collect()
}

/// What the line becomes by the tab key, in zsh at a terminal of its own: zpty(1) of zshmodules.
fn completed_by_zsh(line: &str) -> String {
    let script = format!(
        "zmodload zsh/zpty; zpty z zsh -f -i; zpty -w z 'PS1=; fpath=(docs/completions $fpath); \
         autoload -Uz compinit; compinit -u -D; bindkey \"^I\" complete-word; \
         show() {{ print -r -- \"[[$BUFFER]]\" }}; zle -N show; bindkey \"^X\" show; \
         print IS-\"\"READY'; while zpty -r z text; do [[ $text == *IS-READY* ]] && break; done; \
         zpty -w -n z $'{line}\\t\\x18'; while zpty -r z text; do \
         [[ $text == *']]'* ]] && {{ print -r -- \"$text\"; break }}; done; zpty -d z"
    );
    let (is_ok, text) = run("timeout", &["60", "zsh", "-f", "-c", &script], "");
    assert!(is_ok, "{line}: {text}");
    let (_, shown) = text.rsplit_once("[[").unwrap_or_else(|| panic!("{line}: {text}"));
    shown.split("]]").next().unwrap_or_default().trim_end().to_owned()
}

#[test]
fn bash_completes_options_values_and_experiments() {
    let complete = completed_by_bash;
    assert_eq!(complete("epollite ec"), ["echo"]);
    assert_eq!(complete("epollite echo --mo"), ["--model"]);
    assert_eq!(complete("epollite echo --trigger e"), ["edge"]);
    assert_eq!(complete("epollite nc --ch"), ["--chat"]);
    assert_eq!(complete("epollite study edge-resi"), ["edge-residue"]);
    assert_eq!(complete("epollite-bench exam"), ["examine"]);
    assert_eq!(complete("epollite-bench examine --jun"), ["--junit"]);
    assert_eq!(complete("epollite-bench examine --ag"), ["--again"]);
}

#[test]
fn zsh_completes_commands_and_options() {
    for (line, completed) in [
        ("epollite ec", "epollite echo"),
        ("epollite echo --trig", "epollite echo --trigger="),
        ("epollite-bench exam", "epollite-bench examine"),
        ("epollite-bench examine --jun", "epollite-bench examine --junit="),
    ] {
        assert_eq!(completed_by_zsh(line), completed);
    }
}

#[test]
fn zsh_and_fish_accept_their_scripts() {
    for path in scripts().keys() {
        let shell = match path {
            _ if path.ends_with(".fish") => "fish",
            _ if path.contains("/_") => "zsh",
            _ => "bash",
        };
        let (is_ok, text) = run(shell, &["-n", path], "");
        assert!(is_ok && text.is_empty(), "{path}: {text}");
    }
    for (program, line, completed) in [
        ("epollite", "epollite echo --tri", "--trigger\t"),
        ("epollite-bench", "epollite-bench exam", "examine\t"),
        ("epollite-bench", "epollite-bench examine --jun", "--junit\t"),
    ] {
        let ask = format!("source docs/completions/{program}.fish; complete -C '{line}'");
        let (is_ok, text) = run("fish", &["--no-config", "-c", &ask], "");
        assert!(is_ok && text.starts_with(completed), "{line}: {text}");
    }
}

#[test]
fn the_values_that_are_completed_are_those_of_the_help_text() {
    for (command, option, values) in crate::completions::VALUES {
        let (_, text) = COMMANDS.iter().find(|(name, _)| *name == command).expect("a command");
        for value in values.iter().filter(|value| !value.ends_with(['s', 'm'])) {
            assert!(text.contains(value), "{command} --{option} {value}");
        }
    }
}
