//! `instructions` as a program: two counts agree, growth fails, and an unavailable tool is one
//! line. The server is the C baseline, which builds quickly.

mod deadline;

use std::path::PathBuf;
use std::process::{Command, Output};

use epollite_bench::instructions::Baseline;

#[test]
fn two_counts_agree_and_growth_fails() {
    let harness = Harness::new();
    let output = harness.run(&["--bless"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let first = harness.baseline();
    assert_eq!(first.figures.len(), 2, "{first:?}");

    // Unchanged: no output, and the figures agree to half a per cent on a machine that runs other
    // tests.
    assert_eq!(harness.check_against(|_| {}), (Some(0), vec![]));
    let output = harness.run(&["--bless"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for (one, two) in first.figures.iter().zip(harness.baseline().figures) {
        let ratio = two.instructions / one.instructions;
        assert!((0.995..=1.005).contains(&ratio), "{one:?}, {two:?}");
    }

    let (code, lines) = harness.check_against(|it| it.figures[1].instructions *= 0.9);
    assert_eq!((code, lines.len()), (Some(1), 1), "one line per regression: {lines:#?}");
    assert!(
        lines[0].contains("busy64, C edge: it was ") && lines[0].contains(", +11."),
        "{lines:?}"
    );

    let (code, lines) = harness.check_against(|it| it.figures[0].instructions *= 1.1);
    assert_eq!((code, lines.len()), (Some(0), 1), "a decrease is no failure: {lines:?}");
    assert!(lines[0].contains("the baseline may be updated"), "{lines:?}");

    let (code, lines) = harness.check_against(|it| drop(it.figures.remove(0)));
    assert_eq!(
        (code, lines.len()),
        (Some(1), 1),
        "a figure missing from the baseline fails: {lines:?}"
    );
    assert!(lines[0].contains("ping, C edge: ") && lines[0].contains("not in the baseline"));

    // With another compiler a regression is only a warning.
    let (code, lines) = harness.check_against(|it| {
        it.tools[0].1 = "rustc 1.0.0".to_owned();
        it.figures[1].instructions *= 0.9;
    });
    assert_eq!((code, lines.len()), (Some(0), 2), "{lines:?}");
    assert!(lines[0].contains("was counted with rustc rustc 1.0.0, this run with "), "{lines:?}");
    assert!(lines[1].starts_with("epollite-bench: warning: busy64, C edge"), "{lines:?}");
}

#[test]
fn an_invalid_baseline_is_one_line_and_2() {
    let harness = Harness::new();
    let output = harness.run(&[]);
    assert_eq!((output.status.code(), harness.lines(&output).len()), (Some(2), 1), "{output:?}");
    assert!(harness.lines(&output)[0].contains("cannot read the baseline"), "{output:?}");
    std::fs::write(harness.path(), "ping many C edge\n").expect("written");
    let output = harness.run(&[]);
    assert_eq!((output.status.code(), harness.lines(&output).len()), (Some(2), 1), "{output:?}");
    assert!(harness.lines(&output)[0].contains("line 1 is not a figure"), "{output:?}");
}

#[test]
fn an_unavailable_tool_is_one_line_and_69() {
    let harness = Harness::new();
    std::fs::write(harness.path(), "").expect("written");
    let output = harness.command(&[]).env("PATH", harness.folder.path()).output().expect("it runs");
    assert_eq!((output.status.code(), harness.lines(&output).len()), (Some(69), 1), "{output:?}");
    assert!(harness.lines(&output)[0].contains("valgrind is not available"), "{output:?}");

    let mut command = harness.command(&[]);
    let output = command.args(["--program", "/bin/false", "--servers", "epoll-edge"]).output();
    let output = output.expect("it runs");
    assert_eq!((output.status.code(), harness.lines(&output).len()), (Some(69), 1), "{output:?}");
    assert!(
        harness.lines(&output)[0].contains("epoll-edge: it ended: exit status: 1"),
        "{output:?}"
    );
}

struct Harness {
    folder: tempfile::TempDir,
}

impl Harness {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("instructions.txt")
    }

    fn baseline(&self) -> Baseline {
        Baseline::read(&self.path()).expect("a baseline")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = deadline::program();
        command.args(["instructions", "--cases", "ping,busy64"]).args(arguments);
        command.arg("--baseline").arg(self.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).args(["--servers", "C edge"]).output().expect("it runs")
    }

    /// Exit code and messages with a modified baseline.
    fn check_against(&self, change: impl FnOnce(&mut Baseline)) -> (Option<i32>, Vec<String>) {
        let kept = self.baseline();
        let mut changed = kept.clone();
        change(&mut changed);
        changed.write(&self.path()).expect("written");
        let output = self.run(&[]);
        kept.write(&self.path()).expect("written");
        (output.status.code(), self.lines(&output))
    }

    /// The messages of the program itself.
    fn lines(&self, output: &Output) -> Vec<String> {
        let text = String::from_utf8_lossy(&output.stderr);
        let ours = text.lines().filter(|line| line.starts_with("epollite-bench: "));
        ours.map(str::to_owned).collect()
    }
}
