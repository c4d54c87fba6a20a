//! A child process: waiting for output lines, its exit, and killing it reliably.

use core::mem;
use core::time::Duration;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::time::Instant;
use std::{fs, thread};

use super::wait::{TIMEOUT, eventually};

/// A child that is killed, by its own pid, when dropped.
pub(crate) struct Process {
    /// The command line, for failure messages.
    command: String,
    child: Child,
    stdin: Option<ChildStdin>,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

/// Exit status and the complete output.
#[derive(Debug)]
pub(crate) struct Output {
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

/// A command in which the termination signals have their default action. Tests that are run in the
/// background of a script, or under nohup(1), inherit them as ignored, and so would their children.
pub(crate) fn with_default_signals(program: &str) -> Command {
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
    /// Starts `command` with all three streams piped, except those in `given`.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        Self::start_as_is(command)
    }

    /// Starts `command` with the streams already set; collects the piped ones.
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
    pub(crate) fn write_stdin(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the child's stdin is still open");
        stdin.write_all(bytes).expect("the child reads its input");
    }

    /// Takes its standard input, to write from another thread or to close it.
    pub(crate) fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("the child's stdin is still open")
    }

    /// Sends a signal by its name, as known to `kill -s`.
    pub(crate) fn signal(&self, name: &str) {
        self.signals(&format!("kill -s {name} $0"));
    }

    /// Runs a shell line that signals this process as `$0`: the shell's builtin `kill` sends
    /// thousands per second.
    pub(crate) fn signals(&self, line: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-c", line, &self.pid().to_string()]);
        let ending = Self::start(shell).end();
        assert!(ending.status.success(), "`{line}` failed: {}", ending.stderr);
    }

    /// Stops and continues it (SIGSTOP, SIGCONT) the given number of times, checking each time that
    /// it did stop: a SIGCONT before the stop takes effect interrupts nothing. A process that has
    /// exited counts as stopped.
    pub(crate) fn stop_and_continue(&self, times: u32) {
        self.signals(&format!(
            "for i in $(seq {times}); do kill -s STOP $0; \
             while read -r _ _ state _ </proc/$0/stat; do \
             case $state in T|Z|X) break;; esac; done; \
             kill -s CONT $0; done"
        ));
    }

    /// Waits until it exits by itself.
    pub(crate) fn end(&mut self) -> Output {
        drop(self.stdin.take());
        let status = eventually("the process to end by itself", || self.ended());
        Output { status, stdout: self.stdout.to_the_end(), stderr: self.stderr.to_the_end() }
    }

    /// Its exit status, if it has exited.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("waitpid on our own child")
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
        // `Child` knows whether it has been reaped, so this cannot hit an unrelated process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    /// The exit code; none if it was killed by a signal.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Fails unless it exited by itself with `code`.
    #[track_caller]
    pub(crate) fn expect_code(&self, code: i32) -> &Self {
        assert!(
            self.code() == Some(code),
            "invariant: exit code {code}; got {:?} (signal {:?})\nstdout: {}\nstderr: {}",
            self.code(),
            self.status.signal(),
            self.stdout,
            self.stderr
        );
        self
    }

    /// The single error line on stderr.
    #[track_caller]
    pub(crate) fn single_error_line(&self) -> &str {
        let complaint = self.stderr.strip_suffix('\n').unwrap_or(&self.stderr);
        assert!(
            complaint.starts_with("epollite: ") && complaint.lines().count() == 1,
            "invariant: an error is one line that begins with the program's name; got {complaint:?}"
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

    /// Waits until `find` matches the lines so far.
    pub(crate) fn wait_for<T>(&self, what: &str, find: impl Fn(&[String]) -> Option<T>) -> T {
        let start = Instant::now();
        let mut collected = self.lock();
        loop {
            if let Some(found) = find(&collected.lines) {
                return found;
            }
            if collected.closed || start.elapsed() > TIMEOUT {
                let lines = mem::take(&mut collected.lines);
                drop(collected);
                panic!("timed out waiting for {what}; output {lines:#?}");
            }
            let wait = self.shared.1.wait_timeout(collected, Duration::from_secs(1));
            collected = wait.expect("no collector panics").0;
        }
    }

    /// Waits for a line that contains `part`, and returns it.
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

    /// All output until the stream is closed.
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
