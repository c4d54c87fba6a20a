//! The tutorial, executed: every command on its pages is run, and its output is compared with the
//! page, in both languages.
//!
//! A block of kind `console` is one shell session: `$ ` begins a command, the lines after it are
//! its output. `COMMAND &` is a job, whose first line is waited for; `kill %1` stops it and shows
//! the rest. The ports 7777 to 7779 stand for free ones. What differs from run to run (ports chosen
//! by the kernel, processes, times) is shown as `…`, and so is the rest of an abbreviated output.
//!
//! `make update-expected` writes the real output into the pages: review the diff.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::support::process::{Process, with_default_signals};
use crate::support::program::PROGRAM;
use crate::support::scratch::Scratch;

const PAGES: [&str; 2] = ["docs/tutorial.md", "docs/tutorial.zh-CN.md"];

/// The ports used on the pages.
const PORTS: [&str; 3] = ["7777", "7778", "7779"];

/// A foreground command that takes longer counts as hung.
const SECONDS_MAX: &str = "30";

#[test]
fn every_tutorial_session_matches() {
    let page = fs::read_to_string(PAGES[0]).unwrap();
    let sessions = sessions(&page);
    assert!(sessions.len() >= 10, "only {} sessions were found", sessions.len());
    let played: Vec<String> = sessions.iter().map(|session| play(session)).collect();
    if std::env::var_os("BLESS").is_some() {
        for name in PAGES {
            let mut text = fs::read_to_string(name).unwrap();
            for (session, played) in sessions.iter().zip(&played) {
                text = text.replace(&block(session), &block(played));
            }
            fs::write(name, text).unwrap();
        }
        return;
    }
    for (session, played) in sessions.iter().zip(&played) {
        assert!(
            session == played,
            "the page shows\n\n{session}\nand the real output is\n\n{played}"
        );
    }
}

#[test]
fn both_languages_show_the_same() {
    let [english, chinese] = PAGES.map(|page| sessions(&fs::read_to_string(page).unwrap()));
    assert_eq!(english, chinese, "both pages show the same sessions");
}

fn block(session: &str) -> String {
    format!("```console\n{session}```\n")
}

fn sessions(page: &str) -> Vec<String> {
    let blocks = page.split("```console\n").skip(1);
    blocks.map(|rest| rest.split("```\n").next().unwrap().to_owned()).collect()
}

/// The session with the real output of its commands.
fn play(session: &str) -> String {
    let scratch = Scratch::new();
    let ports = free_ports();
    let mut jobs: Vec<(Process, usize)> = Vec::new();
    let mut played = String::new();
    for (at, line) in session.lines().enumerate() {
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let is_left_open = session.lines().nth(at + 1) == Some("…");
        let real = real_ports(&with_default(command), &ports);
        let printed = match (real.strip_suffix(" &"), real.strip_prefix("kill %")) {
            (Some(job), _) => {
                let process = Process::start(shell(&format!("exec {job}"), &scratch));
                let first = process.stdout.wait_for("a job to be ready", |lines| {
                    lines.first().map(|line| vec![line.clone()])
                });
                jobs.push((process, 1));
                first
            }
            (_, Some(number)) => {
                let (job, shown) = &mut jobs[number.parse::<usize>().unwrap() - 1];
                job.signal("TERM");
                let ending = job.end();
                ending.stdout.lines().skip(*shown).map(str::to_owned).collect()
            }
            _ => {
                let output = shell(&format!("timeout {SECONDS_MAX} {real}"), &scratch).output();
                let output = output.unwrap();
                assert_ne!(output.status.code(), Some(124), "timed out: {command}");
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                text.lines().map(str::to_owned).collect()
            }
        };
        played += &format!("$ {command}\n");
        if is_left_open {
            played += "…\n";
            continue;
        }
        for line in printed {
            played += &steady(&page_ports(&line, &ports));
            played.push('\n');
        }
    }
    played
}

/// The test may have inherited descriptors, from `make` for example; the numbers on the page are
/// those of a shell with only the standard three.
const CLOSE_INHERITED: &str =
    "for fd in /proc/self/fd/*; do fd=${fd##*/}; ((fd < 3)) || eval \"exec $fd>&-\"; done";

/// A shell line in a directory of its own, with the program in PATH, and both streams merged.
fn shell(line: &str, scratch: &Scratch) -> Command {
    let folder = Path::new(PROGRAM).parent().unwrap();
    let mut bash = with_default_signals("bash");
    bash.args(["-c", &format!("{CLOSE_INHERITED}; exec 2>&1; {line}")]).current_dir(scratch.path());
    let path = std::env::var("PATH").unwrap();
    bash.env("PATH", format!("{}:{path}", folder.display()));
    bash
}

/// Three consecutive ports, as on the page.
fn free_ports() -> [String; 3] {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let others = [port.checked_add(1), port.checked_add(2)]
            .map(|port| port.and_then(|port| TcpListener::bind(("127.0.0.1", port)).ok()));
        if others.iter().all(Option::is_some) {
            return [port, port + 1, port + 2].map(|port| port.to_string());
        }
    }
}

/// The default port: it may not be free here.
fn with_default(command: &str) -> String {
    if command.contains("--tcp") || command.contains("--udp") {
        return command.to_owned();
    }
    command.replace("epollite echo", "epollite echo --tcp 127.0.0.1:7777")
}

fn real_ports(text: &str, ports: &[String; 3]) -> String {
    PORTS.iter().zip(ports).fold(text.to_owned(), |text, (page, real)| text.replace(page, real))
}

fn page_ports(text: &str, ports: &[String; 3]) -> String {
    PORTS.iter().zip(ports).fold(text.to_owned(), |text, (page, real)| text.replace(real, page))
}

/// A line without what differs from run to run: a five-digit port, a time.
fn steady(line: &str) -> String {
    let mut steady = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[at..].find(|c: char| !c.is_ascii_digit() && c != '.');
        let (before, number) = (&rest[..at], &rest[at..end.map_or(rest.len(), |end| at + end)]);
        steady += before;
        let is_behind = |ends: &[&str]| ends.iter().any(|end| steady.ends_with(end));
        let is_port = number.len() == 5 && is_behind(&[":", "htons(", " on 127.0.0.1 "]);
        let is_process = is_behind(&["[process ", "clone(SIGCHLD) = ", "WNOHANG, NULL) = "]);
        let is_time = is_behind(&["<"]) && number.contains('.');
        steady += if is_port || is_process || is_time { "…" } else { number };
        rest = &rest[at + number.len()..];
    }
    steady + rest
}
