//! The program: idle and drain timeouts while the clocks are strange.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::UPTIME_SECONDS;

/// A timeout that passes in a test.
const SHORT: Duration = Duration::from_millis(300);
const SHORT_TEXT: &str = "300ms";

/// A timeout that does not. The longest that is accepted: 2^31 milliseconds, and 2^64 seconds less
/// what a number with a fraction cannot tell apart.
const IDLE_MAX: &str = "2147483.648s";
const DRAIN_MAX: &str = "18446744073709549568s";

/// Bounds every wait.
const DEADLINE: Duration = Duration::from_secs(60);

/// A command that executes another one on a machine that is up for long; `None`, with a message,
/// where there are no time namespaces.
pub(crate) fn time_namespace() -> Option<Vec<String>> {
    let seconds = UPTIME_SECONDS.to_string();
    let unshare = ["unshare", "--time", "--monotonic", &seconds, "--boottime", &seconds, "--fork"];
    let unshare = unshare.map(str::to_owned).to_vec();
    let is_permitted =
        Command::new(&unshare[0]).args(&unshare[1..]).arg("true").stderr(Stdio::null()).status();
    if !is_permitted.is_ok_and(|status| status.success()) {
        println!("skipped: time namespaces are not available here");
        return None;
    }
    // The program ends with unshare.
    Some([unshare, vec!["--kill-child".to_owned()]].concat())
}

/// A command that executes another one with a wall clock that jumps.
fn wall_clock() -> Vec<String> {
    let library: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wall.so");
    let library = library.to_str().expect("a path of text").to_owned();
    // Tests run at the same time: the file appears as a whole.
    let new = format!("{library}.{}.{:?}", std::process::id(), std::thread::current().id());
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", &new, "tests/clock/wall.c"])
        .status()
        .expect("cc is installed");
    assert!(compiled.success());
    std::fs::rename(&new, &library).expect("the folder is writable");
    vec!["env".to_owned(), format!("LD_PRELOAD={library}")]
}

/// A server, killed when dropped.
struct Server {
    child: Child,
    address: String,
    /// Open as long as it runs, and not read: log lines are dropped when writing would block.
    _stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Server {
    fn start(wrapper: &[String], options: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_epollite");
        let mut child = Command::new(&wrapper[0])
            .args(&wrapper[1..])
            .args([program, "echo", "--tcp", "127.0.0.1:0", "--log-format", "json", "-v"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", wrapper[0]));
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("a line");
        let (_, rest) = line.split_once("\"address\":\"").unwrap_or_else(|| panic!("{line}"));
        let address = rest.split('"').next().expect("a string ends").to_owned();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        Self { child, address, _stdout: stdout, stderr }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("setsockopt");
        stream
    }

    /// SIGTERM to the program, which may be the child of its wrapper.
    fn terminate(&self) {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let child = children.unwrap_or_default().trim().to_owned();
        let target = if child.is_empty() { pid.to_string() } else { child };
        let status = Command::new("kill").args(["-s", "TERM", &target]).status().expect("kill");
        assert!(status.success());
    }

    /// Its exit code, and what it has written to standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        while self.child.try_wait().expect("waitpid").is_none() {
            assert!(start.elapsed() < DEADLINE, "it ends");
            std::thread::sleep(Duration::from_millis(3));
        }
        let code = self.child.wait().expect("waitpid").code();
        let mut text = String::new();
        self.stderr.read_to_string(&mut text).expect("text");
        (code, text)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn echo(stream: &mut TcpStream, bytes: &[u8]) {
    let mut back = vec![0; bytes.len()];
    stream.write_all(bytes).expect("it reads");
    stream.read_exact(&mut back).expect("invariant: the connection is open");
    assert_eq!(back, bytes);
}

/// A connection that stays silent is closed, and not before its time.
fn idle_timeout_is_never_early(wrapper: &[String]) {
    let server = Server::start(wrapper, &["--idle-timeout", SHORT_TEXT]);
    for _ in 0..3 {
        let mut client = server.connect();
        echo(&mut client, b"first");
        // The server has received before this, but not before the echo was sent.
        let sent = Instant::now();
        echo(&mut client, b"last");
        let end = client.read(&mut [0; 16]);
        assert!(matches!(end, Ok(0)), "invariant: the idle timeout ends it; got {end:?}");
        let idle = sent.elapsed();
        assert!(idle >= SHORT, "invariant: never early; closed after {idle:?}");
    }
    server.terminate();
    assert_eq!(server.end().0, Some(0));
}

/// The longest timeouts are accepted, and are not over at once.
fn longest_timeouts_are_not_over(wrapper: &[String]) {
    let longest = ["--idle-timeout", IDLE_MAX, "--drain-timeout", DRAIN_MAX];
    let server = Server::start(wrapper, &longest);
    let mut client = server.connect();
    for _ in 0..20 {
        echo(&mut client, b"again");
    }
    client.set_read_timeout(Some(SHORT)).expect("setsockopt");
    let silence = client.read(&mut [0; 16]).map_err(|error| error.kind());
    assert_eq!(silence, Err(ErrorKind::WouldBlock), "invariant: it stays open");
    echo(&mut client, b"still here");
    server.terminate();
    client.set_read_timeout(Some(DEADLINE)).expect("setsockopt");
    assert!(matches!(client.read(&mut [0; 16]), Ok(0)), "invariant: an orderly end");
    drop(client);
    assert_eq!(server.end().0, Some(0));
}

/// A client that does not read is waited for as long as the drain timeout says.
fn drain_timeout_is_never_early(wrapper: &[String]) {
    let server = Server::start(wrapper, &["--drain-timeout", SHORT_TEXT]);
    let mut client = server.connect();
    client.set_write_timeout(Some(SHORT)).expect("setsockopt");
    // Until nothing more fits: the server has something to flush.
    while client.write(&[0; 1 << 16]).is_ok() {}
    let start = Instant::now();
    server.terminate();
    let (code, text) = server.end();
    let drained = start.elapsed();
    assert!(code.is_some(), "it ends by itself: {text}");
    assert!(drained >= SHORT, "invariant: never early; ended after {drained:?}: {text}");
}

#[test]
fn timeouts_do_not_depend_on_the_wall_clock() {
    let wrapper = wall_clock();
    idle_timeout_is_never_early(&wrapper);
    longest_timeouts_are_not_over(&wrapper);
    drain_timeout_is_never_early(&wrapper);
    let server = Server::start(&wrapper, &[]);
    server.terminate();
    let (_, text) = server.end();
    assert!(text.starts_with("wall clock jumps\n"), "the library was loaded; {text}");
}

#[test]
fn timeouts_are_right_on_a_machine_that_is_up_for_136_years() {
    let Some(wrapper) = time_namespace() else { return };
    idle_timeout_is_never_early(&wrapper);
    longest_timeouts_are_not_over(&wrapper);
    drain_timeout_is_never_early(&wrapper);
}

/// Longer ones are rejected.
#[test]
fn the_longest_idle_timeout_is_the_one_of_the_library() {
    assert_eq!(Duration::from_secs_f64(2_147_483.648), epollite::server::stream::IDLE_TIMEOUT_MAX);
    let output = Command::new(env!("CARGO_BIN_EXE_epollite"))
        .args(["echo", "--idle-timeout", "2147483.649s"])
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
