//! Arguments: help, version, and one line for each mistake.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::process::{Output, Process};
use crate::support::program::{Program, command};

const FLAGS: [&str; 19] = [
    "--tcp",
    "--udp",
    "--unix",
    "--trigger",
    "--threads",
    "--max-connections",
    "--idle-timeout",
    "--drain-timeout",
    "--spin",
    "--bulk",
    "--read-budget",
    "--log-format",
    "--verbose",
    "--quiet",
    "--check",
    "--help",
    "--trace",
    "--explain",
    "--recorder",
];

/// The mistake, and a word that the error message must contain.
const MISTAKES: [(&[&str], &str); 74] = [
    (&["echo", "--frobnicate"], "--frobnicate"),
    (&["echo", "-x"], "-x"),
    (&["echo", "stray"], "stray"),
    (&["echo", ""], "''"),
    (&["shout"], "shout"),
    (&["--frobnicate"], "--frobnicate"),
    (&["echo", "--tcp"], "--tcp"),
    (&["echo", "--tcp", "127.0.0.1"], "127.0.0.1"),
    (&["echo", "--tcp", "127.0.0.1:"], "127.0.0.1:"),
    (&["echo", "--tcp", "127.0.0.1:65536"], "127.0.0.1:65536"),
    (&["echo", "--tcp", "127.0.0.1:-1"], "127.0.0.1:-1"),
    (&["echo", "--tcp", "127.0.0.1:+80"], "127.0.0.1:+80"),
    (&["echo", "--tcp", "[::1:80"], "[::1:80"),
    (&["echo", "--tcp", "::1:80:"], "::1:80:"),
    (&["echo", "--udp", "127.0.0.1:port"], "127.0.0.1:port"),
    (&["echo", "--udp"], "--udp"),
    (&["echo", "--unix"], "--unix"),
    (&["echo", "--unix", ""], "--unix"),
    (&["echo", "--trigger"], "--trigger"),
    (&["echo", "--trigger", "sideways"], "sideways"),
    (&["echo", "--trigger", "Edge "], "Edge "),
    (&["echo", "--threads", "0"], "0"),
    (&["echo", "--threads", "-1"], "-1"),
    (&["echo", "--threads", "many"], "many"),
    (&["echo", "--threads", "99999999999999999999"], "99999999999999999999"),
    (&["echo", "--max-connections", "0"], "0"),
    (&["echo", "--max-connections", "2.5"], "2.5"),
    (&["echo", "--idle-timeout", "5parsecs"], "5parsecs"),
    (&["echo", "--idle-timeout", "s"], "s"),
    (&["echo", "--idle-timeout", "-5s"], "-5s"),
    (&["echo", "--idle-timeout", "99999999999999999999h"], "99999999999999999999h"),
    (&["echo", "--idle-timeout", "18446744073709551615h"], "18446744073709551615h"),
    (&["echo", "--idle-timeout", "1000h"], "1000h"),
    (&["echo", "--drain-timeout", "soon"], "soon"),
    (&["echo", "--spin", "on"], "'on' is not auto, off or a time up to 10ms"),
    (&["echo", "--spin", "11ms"], "'11ms' is more than 10ms"),
    (&["echo", "--bulk", "on"], "'on' is not splice, copy or auto"),
    (&["echo", "--bulk", "auto", "--model", "poll"], "--model poll does not support --bulk"),
    (&["echo", "--bulk", "auto", "--model", "prefork"], "--model prefork does not support --bulk"),
    (&["echo", "--spin", "auto", "--model", "poll"], "--model poll does not support --spin"),
    (&["echo", "--spin", "auto", "--model", "prefork"], "--model prefork does not support --spin"),
    (&["echo", "--drain-timeout", ""], "--drain-timeout"),
    (&["echo", "--read-budget", "0"], "0"),
    (&["echo", "--read-budget", "3XB"], "3XB"),
    (&["echo", "--read-budget", "-1"], "-1"),
    (&["echo", "--read-budget", "99999999999GiB"], "99999999999GiB"),
    (&["echo", "--log-format", "xml"], "xml"),
    (&["echo", "--log-format"], "--log-format"),
    (&["echo", "--check"], "--check"),
    (&["echo", "--check", "nowhere"], "nowhere"),
    (&["study", "--frobnicate"], "--frobnicate"),
    (&["study", "--on", "bsd", "nested"], "'bsd' is not sim, linux or both"),
    (&["study", "--on", "sim", "list"], "--on"),
    (&["study", "--all", "nested"], "nested"),
    (&["study", "nested", "round-robin"], "round-robin"),
    (&["study", "list", "edge", "pipe"], "pipe"),
    (&["study", "show"], "show"),
    (&["study", "run"], "run"),
    (&["echo", "--trace="], "--trace: the name of the file is missing"),
    (&["echo", "--trace=perfetto:"], "--trace: the name of the file is missing"),
    (&["echo", "--explain="], "--explain: the name of the file is missing"),
    (&["echo", "--recorder="], "--recorder: the name of the file is missing"),
    (&["echo", "--explain", "--model", "poll"], "--model poll does not support --explain"),
    (&["echo", "--recorder", "--model", "prefork"], "--model prefork does not support --recorder"),
    (&["nc", "--trace=", "localhost", "1"], "--trace: the name of the file is missing"),
    (&["audit"], "no process"),
    (&["audit", "0"], "'0' is not a process ID or 'self'"),
    (&["audit", "-1"], "-1"),
    (&["audit", "99999999999"], "'99999999999' is not a process ID or 'self'"),
    (&["audit", "init"], "'init' is not a process ID or 'self'"),
    (&["audit", "self", "1"], "unexpected argument '1'"),
    (&["audit", "--frobnicate"], "--frobnicate"),
    (&["doctor", "now"], "unexpected argument 'now'"),
    (&["doctor", "--jsno"], "--json"),
];

#[test]
fn help_lists_every_flag_and_examples() {
    for asked in [&["echo", "--help"], &["echo", "-h"]] {
        let help = Program::run(asked);
        help.expect_code(0);
        assert!(help.stderr.is_empty(), "invariant: requested help goes to stdout");
        for flag in FLAGS {
            assert!(help.stdout.contains(flag), "invariant: help names {flag}");
        }
        for short in ["-v", "-q"] {
            assert!(help.stdout.contains(short), "invariant: help names {short}");
        }
        let is_example = |line: &&str| line.trim_start().starts_with("epollite echo --");
        let examples = help.stdout.lines().filter(is_example).count();
        assert!(examples >= 2, "invariant: help shows how it is used; got {examples} examples");
    }
}

#[test]
fn help_is_accepted_in_any_position() {
    let late = Program::run(&["echo", "--tcp", "127.0.0.1:0", "--help"]);
    late.expect_code(0);
    assert!(late.stdout.contains("--trigger"), "invariant: --help works after other arguments");
}

#[test]
fn main_help_lists_the_commands() {
    for asked in ["--help", "-h"] {
        let help = Program::run(&[asked]);
        help.expect_code(0);
        assert!(help.stdout.contains("epollite echo"), "invariant: help names the command");
        assert!(help.stderr.is_empty(), "invariant: requested help goes to stdout");
    }
}

#[test]
fn the_version_is_one_line_of_name_and_number() {
    for asked in ["--version", "-V"] {
        let version = Program::run(&[asked]);
        version.expect_code(0);
        let expected = concat!("epollite ", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(version.stdout, expected, "invariant: name, number, nothing else");
    }
}

#[test]
fn a_usage_error_is_one_line_that_quotes_it_and_exit_2() {
    for (arguments, named) in MISTAKES {
        is_a_usage_error(arguments, &Program::run(arguments), named);
    }
}

#[test]
fn a_value_after_an_equals_sign_is_parsed_the_same() {
    let arguments = ["echo", "--trigger=sideways"];
    is_a_usage_error(&arguments, &Program::run(&arguments), "sideways");
}

#[test]
fn a_path_too_long_for_a_socket_is_rejected_not_truncated() {
    let path = format!("/tmp/{}", "x".repeat(104));
    let arguments = ["echo", "--unix", &path];
    let ending = Program::run(&arguments);
    assert!(
        [Some(2), Some(69)].contains(&ending.code()),
        "invariant: a path of 109 bytes fits no socket; got {ending:?}"
    );
    ending.single_error_line();
}

#[test]
fn a_non_utf8_argument_is_a_usage_error_not_a_panic() {
    for before in [&["echo"][..], &["echo", "--tcp"], &["echo", "--trigger"], &[]] {
        let mut program = command(&[] as &[&str], before);
        program.arg(OsStr::from_bytes(b"\xFF\xFE"));
        let ending = Process::start(program).end();
        is_a_usage_error(before, &ending, "");
    }
}

#[test]
fn a_newline_in_an_argument_is_escaped_in_the_error() {
    let arguments = ["echo", "--trigger", "one\ntwo\x1b[31m"];
    let ending = Program::run(&arguments);
    is_a_usage_error(&arguments, &ending, "one");
    assert!(
        !ending.stderr.contains('\x1b'),
        "invariant: an argument cannot inject terminal escapes"
    );
}

#[track_caller]
fn is_a_usage_error(arguments: &[&str], ending: &Output, named: &str) {
    ending.expect_code(2);
    let complaint = ending.single_error_line();
    assert!(complaint.contains(named), "invariant: {arguments:?} is named; got {complaint:?}");
    assert!(
        complaint.contains("try 'epollite") && complaint.ends_with("--help'"),
        "invariant: {arguments:?} is pointed to --help; got {complaint:?}"
    );
    assert!(ending.stdout.is_empty(), "invariant: an error writes nothing to stdout");
}
