//! A child process: its output as lines to wait for, its end, and its certain death.

use core::mem;
use core::time::Duration;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::time::Instant;
use std::{fs, thread};

use super::wait::{PATIENCE, eventually};

/// A child that is killed, by its own pid, when the test is done with it.
pub(crate) struct Process {
    /// What was started, to be told when a test fails.
    command: String,
    child: Child,
    stdin: Option<ChildStdin>,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

/// How a process ended, and all it said.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The lines of one stream so far, collected by a thread.
#[derive(Clone)]
pub(crate) struct Lines {
    shared: Arc<(Mutex<Collected>, Condvar)>,
}

#[derive(Default)]
struct Collected {
    lines: Vec<String>,
    closed: bool,
}

/// A command that hears the signals by which a process is ended. Whoever runs the tests in the
/// background of a script, or by nohup(1), hands them down as ignored.
pub(crate) fn hearing(program: &str) -> Command {
    static ARE_IGNORED: LazyLock<bool> = LazyLock::new(|| {
        let status = fs::read_to_string("/proc/self/status").expect("proc is mounted");
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = u64::from_str_radix(ignored.expect("a line of it").trim(), 16).unwrap();
        // HUP, INT, QUIT and TERM are 1, 2, 3 and 15; the lowest bit is signal 1.
        ignored & 0x4007 != 0
    });
    if !*ARE_IGNORED {
        return Command::new(program);
    }
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP,INT,QUIT,TERM", program]);
    command
}

impl Process {
    /// Starts `command` with all three streams piped, but for those in `given`.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        Self::start_as_is(command)
    }

    /// Starts `command` with the streams it has been given; collects those that are piped.
    pub(crate) fn start_as_is(mut command: Command) -> Self {
        super::deadline::arm();
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self {
            command: format!("{command:?}"),
            stdin: child.stdin.take(),
            stdout: Lines::collect(child.stdout.take()),
            stderr: Lines::collect(child.stderr.take()),
            child,
        }
    }

    /// Writes to its standard input.
    pub(crate) fn tell(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the child's input is still ours");
        stdin.write_all(bytes).expect("the child reads its input");
    }

    /// Takes its standard input, to write from another thread or to close.
    pub(crate) fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("the child's input is still ours")
    }

    /// Sends a signal by its name, as `kill -s` knows it.
    pub(crate) fn signal(&self, name: &str) {
        self.signals(&format!("kill -s {name} $0"));
    }

    /// Runs a line of shell that signals this process as `$0`: the shell's own `kill` sends
    /// thousands a second.
    pub(crate) fn signals(&self, line: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-c", line, &self.pid().to_string()]);
        let ending = Self::start(shell).end();
        assert!(ending.status.success(), "`{line}` failed: {}", ending.stderr);
    }

    /// Stops it and lets it go on, so many times, and looks each time that it has stood still: a
    /// stop that is taken back before it was noticed interrupts nothing. Whoever has ended
    /// meanwhile stands still for ever.
    pub(crate) fn stop_and_go(&self, times: u32) {
        self.signals(&format!(
            "for i in $(seq {times}); do kill -s STOP $0; \
             while read -r _ _ state _ </proc/$0/stat; do \
             case $state in T|Z|X) break;; esac; done; \
             kill -s CONT $0; done"
        ));
    }

    /// Waits until it has ended by itself.
    pub(crate) fn end(&mut self) -> Ending {
        drop(self.stdin.take());
        let status = eventually("the process to end by itself", || self.ended());
        Ending { status, stdout: self.stdout.to_the_end(), stderr: self.stderr.to_the_end() }
    }

    /// Its status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child is ours")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("process {} was {}", self.pid(), self.command);
        }
        // `Child` knows whether it has been reaped, so this cannot hit a stranger.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ending {
    /// The exit code; a death by signal has none.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Fails unless it ended by itself with `code`.
    #[track_caller]
    pub(crate) fn expect_code(&self, code: i32) -> &Self {
        assert!(
            self.code() == Some(code),
            "law: exit code {code}; got {:?} (signal {:?})\nstdout: {}\nstderr: {}",
            self.code(),
            self.status.signal(),
            self.stdout,
            self.stderr
        );
        self
    }

    /// The one line it complained with.
    #[track_caller]
    pub(crate) fn one_complaint(&self) -> &str {
        let complaint = self.stderr.strip_suffix('\n').unwrap_or(&self.stderr);
        assert!(
            complaint.starts_with("epollite: ") && complaint.lines().count() == 1,
            "law: an error is one line that begins with the program's name; got {complaint:?}"
        );
        complaint
    }
}

impl Lines {
    fn collect(stream: Option<impl Read + Send + 'static>) -> Self {
        let lines = Self { shared: Arc::default() };
        let Some(stream) = stream else {
            lines.lock().closed = true;
            return lines;
        };
        let filled = lines.clone();
        thread::spawn(move || filled.fill(BufReader::new(stream)));
        lines
    }

    fn fill(&self, mut stream: impl BufRead) {
        let mut line = Vec::new();
        while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line);
            self.lock().lines.push(text.trim_end_matches('\n').to_owned());
            self.shared.1.notify_all();
            line.clear();
        }
        self.lock().closed = true;
        self.shared.1.notify_all();
    }

    /// Waits until `find` finds what it looks for among the lines so far.
    pub(crate) fn wait_for<T>(&self, what: &str, find: impl Fn(&[String]) -> Option<T>) -> T {
        let start = Instant::now();
        let mut collected = self.lock();
        loop {
            if let Some(found) = find(&collected.lines) {
                return found;
            }
            if collected.closed || start.elapsed() > PATIENCE {
                let said = mem::take(&mut collected.lines);
                drop(collected);
                panic!("waited in vain for {what}; it said {said:#?}");
            }
            let wait = self.shared.1.wait_timeout(collected, Duration::from_secs(1));
            collected = wait.expect("no collector panics").0;
        }
    }

    /// Waits for a line that contains `part`, and gives it.
    pub(crate) fn line_with(&self, part: &str) -> String {
        self.wait_for(&format!("a line with {part:?}"), |lines| {
            lines.iter().find(|line| line.contains(part)).cloned()
        })
    }

    /// How many lines so far contain `part`.
    pub(crate) fn count_with(&self, part: &str) -> usize {
        let collected = self.lock();
        let with = collected.lines.iter().filter(|line| line.contains(part));
        with.count()
    }

    /// All that was said until the stream closed.
    fn to_the_end(&self) -> String {
        eventually("the stream to close", || self.lock().closed.then_some(()));
        let collected = self.lock();
        let ended = collected.lines.iter().flat_map(|line| [line, "\n"]);
        ended.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.shared.0.lock().expect("no collector panics")
    }
}
