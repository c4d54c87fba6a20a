//! The program under test: started, ready, signalled, asked for its statistics.

use core::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::process::Command;

use super::json::Json;
use super::process::{Ending, Process, hearing};
use super::wait::until;

/// The program as it was built for this test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_epollite");

/// A shell line that becomes the program under a limit of descriptors, soft and hard.
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

    /// Starts it by `wrapper`, a command that becomes the command it is given.
    pub(crate) fn start_under(wrapper: &[impl AsRef<str>], arguments: &[&str]) -> Self {
        Self { process: Process::start(command(wrapper, arguments)) }
    }

    /// A server with the streams of a command made by [`command`].
    pub(crate) fn start_as_is(command: Command) -> Self {
        Self { process: Process::start_as_is(command) }
    }

    /// Runs it to its end.
    pub(crate) fn run(arguments: &[&str]) -> Ending {
        Self::start(arguments).end()
    }

    /// `echo` with these arguments, ready: all its listeners have said so.
    pub(crate) fn serving(arguments: &[&str]) -> Self {
        Self::serving_under(&[] as &[&str], arguments)
    }

    /// The same by a wrapper.
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

    /// One TCP listener on a port of the kernel's choice, with statistics that can be read.
    pub(crate) fn on_tcp(trigger: &str) -> Self {
        Self::serving(&["--tcp", "127.0.0.1:0", "--trigger", trigger, "--log", "json"])
    }

    /// Waits until `path` is served: for those that cannot or will not say so.
    pub(crate) fn until_it_serves(&mut self, path: &str) {
        until("the path to be served", || {
            if self.ended().is_some() {
                panic!("it ended instead of serving: {:?}", self.end());
            }
            UnixStream::connect(path).is_ok()
        });
    }

    /// The addresses it said it listens on, with `transport`.
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

    /// Asks for statistics and gives the answer, a line of JSON: needs `--log json`.
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

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(mut self) -> Ending {
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

/// The command line of the program, by `wrapper` if there is one.
pub(crate) fn command(wrapper: &[impl AsRef<str>], arguments: &[&str]) -> Command {
    let mut words = wrapper.iter().map(AsRef::as_ref).chain([PROGRAM]);
    let mut command = hearing(words.next().expect("there is at least the program"));
    command.args(words).args(arguments);
    command
}

/// Transport and address of a line that says a listener is ready, as text or as JSON.
fn listening(line: &str) -> Option<(String, String)> {
    if let Some(rest) = line.strip_prefix("listening on ") {
        let (transport, address) = rest.split_once(' ')?;
        return Some((transport.to_owned(), address.to_owned()));
    }
    if !line.contains("\"event\":\"listening\"") {
        return None;
    }
    let said = Json::parse(line);
    Some((said.text("transport"), said.text("address")))
}
