//! The program under test: starting it, waiting until it listens, signals, statistics.

use core::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::process::Command;

use super::json::Json;
use super::process::{Output, Process, with_default_signals};
use super::wait::until;

/// The program as built for this test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_epollite");

/// A shell line that sets the soft and hard descriptor limits and executes the program.
pub(crate) fn descriptors(limit: &str) -> [String; 3] {
    let line = format!("ulimit {limit}; exec \"$0\" \"$@\"");
    ["sh".to_owned(), "-c".to_owned(), line]
}

/// A running `epollite`.
pub(crate) struct Program {
    process: Process,
}

impl Program {
    /// Starts it with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_under(&[] as &[&str], arguments)
    }

    /// Starts it under `wrapper`, a command that executes its arguments.
    pub(crate) fn start_under(wrapper: &[impl AsRef<str>], arguments: &[&str]) -> Self {
        Self { process: Process::start(command(wrapper, arguments)) }
    }

    /// A server with the streams of a command made by [`command`].
    pub(crate) fn start_as_is(command: Command) -> Self {
        Self { process: Process::start_as_is(command) }
    }

    /// The same with all streams piped.
    pub(crate) fn start_piped(command: Command) -> Self {
        Self { process: Process::start(command) }
    }

    /// Runs it until it exits.
    pub(crate) fn run(arguments: &[&str]) -> Output {
        Self::start(arguments).end()
    }

    /// Runs `echo` with these arguments and waits until all listeners have been reported.
    pub(crate) fn serving(arguments: &[&str]) -> Self {
        Self::serving_under(&[] as &[&str], arguments)
    }

    /// The same under a wrapper.
    pub(crate) fn serving_under(wrapper: &[impl AsRef<str>], arguments: &[&str]) -> Self {
        let echo = [&["echo"], arguments].concat();
        let program = Self::start_under(wrapper, &echo);
        let is_listener = |argument: &&&str| ["--tcp", "--udp", "--unix"].contains(argument);
        let listeners = arguments.iter().filter(is_listener).count();
        program.stdout.wait_for("every listener to be ready", |lines| {
            let ready = lines.iter().filter(|line| listening(line).is_some()).count();
            (ready >= listeners.max(1)).then_some(())
        });
        program
    }

    /// One TCP listener on an ephemeral port, with machine-readable statistics.
    pub(crate) fn on_tcp(trigger: &str) -> Self {
        Self::serving(&["--tcp", "127.0.0.1:0", "--trigger", trigger, "--log-format", "json"])
    }

    /// Waits until `path` is served, for servers that cannot or will not report it.
    pub(crate) fn until_it_serves(&mut self, path: &str) {
        until("the path to be served", || {
            if self.ended().is_some() {
                panic!("it ended instead of serving: {:?}", self.end());
            }
            UnixStream::connect(path).is_ok()
        });
    }

    /// The reported listen addresses of `transport`.
    pub(crate) fn addresses(&self, transport: &str) -> Vec<String> {
        let is_ours = |line: &String| match listening(line) {
            Some((name, address)) if name == transport => Some(address),
            _ => None,
        };
        self.stdout
            .wait_for("the lines so far", |lines| Some(lines.iter().filter_map(is_ours).collect()))
    }

    /// The first TCP address.
    pub(crate) fn tcp(&self) -> String {
        self.addresses("tcp").remove(0)
    }

    /// The first UDP address.
    pub(crate) fn udp(&self) -> String {
        self.addresses("udp").remove(0)
    }

    /// Requests statistics and returns the JSON line: needs `--log-format json`.
    pub(crate) fn statistics(&self) -> Json {
        const EVENT: &str = "\"event\":\"statistics\"";
        let before = self.stdout.count_with(EVENT);
        self.signal("USR1");
        let line = self.stdout.wait_for("statistics", |lines| {
            let mut answers = lines.iter().filter(|line| line.contains(EVENT));
            answers.nth(before).cloned()
        });
        Json::parse(&line)
    }

    /// Sends SIGTERM and waits for the exit.
    pub(crate) fn stop(mut self) -> Output {
        self.signal("TERM");
        self.end()
    }
}

impl From<Program> for Process {
    fn from(program: Program) -> Self {
        program.process
    }
}

impl Deref for Program {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The command line of the program, under `wrapper` if there is one.
pub(crate) fn command(wrapper: &[impl AsRef<str>], arguments: &[&str]) -> Command {
    let mut words = wrapper.iter().map(AsRef::as_ref).chain([PROGRAM]);
    let mut command =
        with_default_signals(words.next().expect("the program itself is always there"));
    command.args(words).args(arguments);
    command
}

/// Transport and address of a line that reports a listener, as text or as JSON.
fn listening(line: &str) -> Option<(String, String)> {
    if let Some(rest) = line.strip_prefix("listening on ") {
        let (transport, address) = rest.split_once(' ')?;
        return Some((transport.to_owned(), address.to_owned()));
    }
    if !line.contains("\"event\":\"listening\"") {
        return None;
    }
    let json = Json::parse(line);
    Some((json.text("transport"), json.text("address")))
}
