//! Files and experiments without an end, and resources that are missing.

use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::{Duration, Instant};

use epollite::kernel::{Devices as _, IoctlRequest};
use epollite::study::Environment;
use epollite::{Fd, Kernel as _, Linux};

use super::run_file;
use crate::support::program::{Program, descriptors};
use crate::support::scratch::Scratch;
use crate::support::wait::until;

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

/// Every later wait would last its whole time, and nothing would be learnt of the kernel.
#[test]
fn without_descriptors_the_run_ends_at_once_with_one_line() {
    for arguments in [&["study", "--all"][..], &["study", "round-robin"]] {
        let begin = Instant::now();
        let output = Program::start_under(&descriptors("-n 6"), arguments).end();
        output.expect_code(1);
        let line = output.single_error_line();
        assert!(line.ends_with(": EMFILE: too many open files in the process"), "{line}");
        assert_eq!(output.stdout, "", "invariant: nothing is known of the kernel");
        let wait = Duration::from_millis(Environment::WAIT_MILLIS.into());
        assert!(begin.elapsed() < wait, "invariant: nothing is waited for: {:?}", begin.elapsed());
    }
}

/// The writer writes when there is a reader, and closes.
#[test]
fn an_experiment_may_come_through_a_fifo() {
    let scratch = Scratch::new();
    let path = scratch.file("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut reader = Program::start(&["study", "run", &path]);
    let text = fs::read_to_string("src/study/experiments/edge-late.txt").unwrap();
    let mut writer = fs::File::options().write(true).open(&path).unwrap();
    let (first, rest) = text.split_at(text.len() / 2);
    let pipe = Fd::from(OwnedFd::from(writer.try_clone().unwrap()));
    writer.write_all(first.as_bytes()).unwrap();
    // The reader has the first part, and no end.
    let is_read = || Linux.ioctl(&pipe, IoctlRequest::InQueue, 0) == Ok(0);
    until("the first part to be read", is_read);
    writer.write_all(rest.as_bytes()).unwrap();
    drop(writer);
    Linux.close(pipe).unwrap();
    let output = reader.end();
    output.expect_code(0);
    assert!(output.stdout.contains("your kernel: as expected"), "{output:?}");
}
