//! Files and experiments without an end, and resources that are missing.

use std::fs;

use super::run_file;
use crate::support::program::Program;
use crate::support::scratch::Scratch;

#[test]
fn a_file_without_end_is_one_line() {
    for (arguments, code) in [
        (&["study", "run", "/dev/zero"][..], 2),
        (&["study", "--predict", "edge-late", "--score", "/dev/zero"], 1),
    ] {
        let output = Program::run(arguments);
        output.expect_code(code);
        let line = output.single_error_line();
        assert!(line.contains("/dev/zero: is longer than 64 KiB"), "{line}");
        assert_eq!(output.stdout, "");
    }
}

#[test]
fn a_device_without_end_is_drained_in_part() {
    let (output, _) = run_file("open f0 \"/dev/zero\"\ndrain f0 = 268435456", "linux");
    output.expect_code(0);
}

/// Its number may have been given to an unrelated process.
#[test]
fn a_child_that_has_been_reaped_gets_no_signal() {
    let steps = "fork p1\nkill p1 KILL\nkill p1 STOP\nreap p1\nkill p1 KILL = ESRCH\n\
                 pidfd f0 p1 = ESRCH";
    let (output, _) = run_file(steps, "linux");
    output.expect_code(0);
    assert!(output.stdout.contains("your kernel: as expected"), "{output:?}");
}

#[test]
fn without_a_descriptor_to_look_for_a_thread_it_is_not_waited_for() {
    let (output, _) = run_file("epoll e0\nnofile 0\n@w1 wait e0 = EMFILE\nnofile", "linux");
    output.expect_code(0);
    assert!(output.stdout.contains("your kernel: as expected"), "{output:?}");
}

#[test]
fn a_score_out_of_range_is_refused_and_kept() {
    let scratch = Scratch::new();
    let path = scratch.file("score");
    let text = "a 18446744073709551615 18446744073709551615\nb 1 1\n";
    fs::write(&path, text).unwrap();
    let output = Program::run(&["study", "--predict", "edge-late", "--score", &path]);
    output.expect_code(1);
    assert!(output.single_error_line().ends_with(":1: expected EXPERIMENT RIGHT ASKED"));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

/// It would be sent to this program itself.
#[test]
fn a_child_that_could_not_be_forked_gets_no_signal() {
    let steps = "epoll e0\nnofile 0\nfork p1 = EMFILE\nnofile\n@p1 wait e0 = ESRCH\n\
                 kill p1 STOP = ESRCH\nkill p1 KILL = ESRCH";
    let (output, _) = run_file(steps, "linux");
    output.expect_code(0);
    assert!(output.stdout.contains("your kernel: as expected"), "{output:?}");
}
