//! `--predict`: what is asked, what counts as right, and the score.

use std::fs;

use super::fits_a_terminal;
use crate::support::process::Output;
use crate::support::program::Program;
use crate::support::scratch::Scratch;

/// Runs `study --predict` with this input.
fn predict(arguments: &[&str], input: &str) -> Output {
    let mut program = Program::start(&[&["study", "--predict"], arguments].concat());
    program.write_stdin(input.as_bytes());
    let output = program.end();
    fits_a_terminal(&output);
    output
}

#[test]
fn answers_are_right_or_wrong_and_counted() {
    for (input, right) in [
        ("nothing\ns0 IN\n", 2),
        ("NOTHING\nEPOLLIN\n", 2),
        ("0\ns0 epollin\n", 2),
        ("s0 IN\ns0 IN\n", 1),
        ("s0 IN\nnothing\n", 0),
        ("EAGAIN\n1\n5\nEAGAIN\n", 0),
    ] {
        let output = predict(&["edge-residue"], input);
        output.expect_code(0);
        let score = format!("\nedge-residue: {right} of 2\n");
        assert!(output.stdout.contains(&score), "invariant: {input:?}: {score}; got {output:?}");
        let total = format!("{right} of 2 predictions were right; those of most people: 0.\n");
        let end = total + "Next:     epollite study edge-eof-hidden\n";
        assert!(output.stdout.ends_with(&end), "invariant: {end}; got {output:?}");
        assert!(output.stdout.contains("Lesson:"), "{output:?}");
    }
}

#[test]
fn a_result_is_not_shown_before_it_is_asked_for() {
    let mut program = Program::start(&["study", "--predict", "edge-merged"]);
    program.stdout.line_with(" 7 wait e0");
    let seen = |part: &str| program.stdout.count_with(part);
    assert_eq!((seen("send c0 \"b\""), seen("recv s0 9")), (1, 0), "invariant: up to the question");
    assert_eq!(seen("Lesson:"), 0, "invariant: the lesson is last");
    program.write_stdin(b"nothing\n");
    program.stdout.line_with("Right. Most people expect: s0 IN");
    program.end().expect_code(0);
}

#[test]
fn a_letter_chooses_one_of_the_answers() {
    let asked = predict(&["edge-merged"], "");
    let choice = |result: &str| {
        let line = asked.stdout.lines().find(|line| line.trim().ends_with(&format!(") {result}")));
        line.unwrap_or_else(|| panic!("{result} is a choice: {asked:?}")).trim()[..1].to_owned()
    };
    for (letter, is_right) in [(choice("nothing"), true), (choice("s0 IN"), false)] {
        for letter in [letter.clone(), letter.to_uppercase(), format!("{letter})")] {
            let output = predict(&["edge-merged"], &format!("{letter}\n"));
            let score = format!("{} of 1 predictions", u8::from(is_right));
            assert!(output.stdout.contains(&score), "invariant: {letter}: {score}; got {output:?}");
        }
    }
}

#[test]
fn what_is_no_result_may_be_typed_again() {
    let output = predict(&["edge-merged"], "frobnicate\n\nnothing\n");
    output.expect_code(0);
    assert!(output.stdout.contains("'frobnicate' is no result; type a letter"), "{output:?}");
    assert!(output.stdout.contains("1 of 1 predictions were right"), "{output:?}");
    // Three times, and it counts as wrong: the input may be endless.
    let output = predict(&["edge-merged"], "x\nx\nx\nnothing\n");
    assert!(output.stdout.contains("0 of 1 predictions were right"), "{output:?}");
}

#[test]
fn the_end_of_the_input_ends_it_with_the_score_so_far() {
    let output = predict(&["edge-residue", "edge-merged"], "nothing\n");
    output.expect_code(0);
    assert!(output.stdout.contains("The input has ended."), "{output:?}");
    assert!(output.stdout.ends_with("1 of 1 predictions were right; those of most people: 0.\n"));
    assert!(!output.stdout.contains("edge-merged"), "invariant: it does not go on: {output:?}");
    let output = predict(&["--all"], "");
    output.expect_code(0);
    assert!(output.stdout.ends_with("0 of 0 predictions were right.\n"), "{output:?}");
}

#[test]
fn several_experiments_are_one_score() {
    let output = predict(&["edge-merged", "ctl-errors"], "nothing\nENOENT\nok\n");
    output.expect_code(0);
    assert!(output.stdout.contains("2 of 3 predictions were right"), "{output:?}");
}

#[test]
fn endless_input_ends_with_the_course() {
    let answers = "nothing\n".repeat(2_000);
    let output = predict(&["--all", "--on", "sim"], &answers);
    output.expect_code(0);
    let total = output.stdout.lines().last().unwrap().to_owned();
    assert!(total.contains("predictions were right"), "{total}");
    let asked: usize = total.split(' ').nth(2).unwrap().parse().unwrap();
    assert!(asked > 66, "invariant: every experiment asks: {total}");
}

#[test]
fn the_score_is_kept_in_a_file_that_the_user_names() {
    let scratch = Scratch::new();
    let path = scratch.file("score");
    let output = predict(&["--score", &path, "edge-merged"], "nothing\n");
    output.expect_code(0);
    assert!(output.stdout.contains(": 1 of 1, in 1 experiments."), "{output:?}");
    let output = predict(&["--score", &path, "edge-residue"], "s0 IN\ns0 IN\n");
    assert!(output.stdout.contains(": 2 of 3, in 2 experiments."), "{output:?}");
    // Done again, the last score counts.
    predict(&["--score", &path, "edge-merged"], "s0 IN\n").expect_code(0);
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept.ends_with("\nedge-merged 0 1\nedge-residue 1 2\n"), "{kept}");
}

#[test]
fn a_file_that_is_no_score_is_not_overwritten() {
    let scratch = Scratch::new();
    let path = scratch.file("notes");
    for text in ["# notes\nbuy milk\n", "edge-merged 2 1\n", "edge-merged one 1\n"] {
        fs::write(&path, text).unwrap();
        let output = predict(&["--score", &path, "edge-merged"], "");
        output.expect_code(1);
        assert!(output.single_error_line().contains("expected EXPERIMENT RIGHT ASKED"));
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "invariant: it is left as it was");
    }
    for path in ["/nonexistent/score", "/"] {
        let output = predict(&["--score", path, "edge-merged"], "");
        output.expect_code(1);
        assert!(output.single_error_line().contains(path), "{output:?}");
        assert!(output.stdout.is_empty(), "invariant: nothing is asked before: {output:?}");
    }
}
