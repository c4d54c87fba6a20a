//! Servers given by `--extra`: selection by name, every transport; and one-line messages for
//! servers that are not installed.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use epollite_bench::case::{self, Case};
use epollite_bench::schema::Status;
use epollite_bench::servers::{Builder, select};

use super::{Harness, error_lines, names};

/// The commands of the reference for each transport, used as those of a user's server.
fn own_server() -> [String; 3] {
    let mut builder = Builder::new(None).expect("a place");
    let entry = &select(&["C edge".to_owned()], &[]).expect("it is known")[0];
    let built = builder.build(entry).expect("there is a compiler");
    ["ping", "udp", "unix"].map(|name| {
        let case = Case::find(case::all(), name).expect("a known case");
        built.command(&case).expect("it has all transports").to_owned()
    })
}

#[test]
fn an_extra_server_is_selected_by_name_and_runs_on_every_transport() {
    let harness = Harness::new();
    let [tcp, udp, unix] = own_server();
    let extras = [format!("mine={tcp}"), format!("mine=udp:{udp}"), format!("mine={unix}")];
    let mut command = harness.command(&["--servers", "mine", "--cases", "ping,udp,unix"]);
    command.args(extras.iter().flat_map(|extra| ["--extra", extra]));
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let record = harness.record();
    assert_eq!(names(&record), ["C edge", "A/A", "mine"]);
    for case in &record.cases {
        let mine = &case.results[2];
        assert_eq!((mine.status, &mine.why), (Status::Complete, &None), "{}", case.load.name);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("conclusion\n  Against C edge, mine") || text.contains("of mine"),
        "{text}"
    );
    let is_wide = |line: &&str| line.chars().count() > 80;
    assert_eq!(text.lines().find(is_wide), None, "80 columns hold it all");
    assert!(text.contains("calls/msg: not counted: --no-syscalls"), "{text}");
    // Local paths are not recorded.
    let written = std::fs::read_to_string(harness.json()).expect("the record");
    for folder in [env!("CARGO_MANIFEST_DIR"), &*harness.folder.path().to_string_lossy()] {
        assert!(!written.contains(folder), "{folder} is in the record");
    }
}

#[test]
fn a_missing_extra_command_is_skipped_without_failure() {
    let harness = Harness::new();
    let [tcp, ..] = own_server();
    let extra = format!("mine={tcp}");
    let output = harness.run(&["--cases", "udp,unix", "--rounds", "1", "--extra", &extra]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let whys: Vec<String> = harness
        .record()
        .cases
        .iter()
        .map(|case| case.results[2].why.clone().expect("it was skipped"))
        .collect();
    assert!(whys[0].starts_with("--extra has no command for UDP: add NAME='udp:"), "{whys:?}");
    assert!(whys[1].starts_with("--extra has no command for Unix sockets: add NAME='"), "{whys:?}");
}

/// Puts a script with this name and content first on the PATH.
fn with_program(harness: &Harness, name: &str, what: &str, arguments: &[&str]) -> Command {
    let program: PathBuf = harness.folder.path().join(name);
    std::fs::write(&program, format!("#!/bin/sh\n{what}\n")).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("allowed");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = harness.command(arguments);
    command.env("PATH", format!("{}:{path}", harness.folder.path().display()));
    command
}

#[test]
fn a_missing_tool_is_one_line_without_compiler_output() {
    let harness = Harness::new();
    // Fails on libuv's header with a compiler's message.
    let compiler = "case \"$*\" in *-E*) echo 'uv.c:1:10: fatal error: uv.h' >&2; exit 1;; esac\n\
                    exec cc \"$@\"";
    let arguments = ["--servers", "libuv", "--cases", "ping", "--rounds", "1"];
    let mut command = with_program(&harness, "fake-cc", compiler, &arguments);
    let output = command.env("CC", "fake-cc").output().expect("it runs");
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let why = "libuv is not installed: apt-get install libuv1-dev";
    assert_eq!(error_lines(&output), [format!("epollite-bench: libuv: {why}")]);
    assert_eq!(harness.record().absent[0].why, why);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains(&format!("not available: libuv: {why}")), "{shown}");

    let interpreter = "echo 'Traceback (most recent call last):' >&2; exit 1";
    let arguments = ["--servers", "asyncio", "--cases", "ping", "--rounds", "1"];
    let output =
        with_program(&harness, "python3", interpreter, &arguments).output().expect("it runs");
    let why = "python3 is not installed: apt-get install python3";
    assert_eq!(error_lines(&output), [format!("epollite-bench: asyncio: {why}")]);
}

#[test]
fn the_list_shows_what_is_not_installed() {
    let harness = Harness::new();
    let output = with_program(&harness, "node", "exit 1", &["--list"]).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, node) = text.split_once("  node          a stream piped into itself\n").expect("node");
    let line = node.lines().next().expect("a line below it").trim();
    assert_eq!(line, "- node is not installed: apt-get install nodejs", "{text}");
    let (_, c) = text.split_once("  C edge        ").expect("C edge");
    let below = c.lines().nth(1).expect("a line below it");
    assert!(below.starts_with("  C level"), "an installed server has no such line: {text}");
    let is_wide = |line: &&str| line.chars().count() > 80;
    assert_eq!(text.lines().find(is_wide), None, "80 columns hold it all");
}

/// The paths of the record and of the temporary folder may contain any bytes.
#[test]
fn a_record_path_may_be_invalid_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let harness = Harness::new();
    let folder = harness.folder.path().join(OsStr::from_bytes(b"f\xff"));
    std::fs::create_dir(&folder).expect("any bytes");
    let path = folder.join("run.json");
    let template = harness.command(&["--cases", "unix", "--rounds", "1", "--json", "x"]);
    let mut command = Command::new(template.get_program());
    let path_for = |word| if word == OsStr::new("x") { path.as_os_str() } else { word };
    command.args(template.get_args().map(path_for)).env("TMPDIR", &folder);
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(path.exists());
}

/// A server that answers short messages at full speed, and swallows a byte of a longer one.
const SWALLOWS_A_BYTE: &str = "
import socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(1 << 20):
            self.request.sendall(data[:-1] if len(data) == 1023 else data)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(('127.0.0.1', int(sys.argv[1])), Echo).serve_forever()
";

#[test]
fn a_server_that_gets_its_bytes_wrong_is_marked() {
    let harness = Harness::new();
    let script = harness.folder.path().join("server.py");
    std::fs::write(&script, SWALLOWS_A_BYTE).unwrap();
    let extra = format!("mine=python3 {} {{port}}", script.display());
    let arguments = ["--cases", "ping", "--servers", "C edge", "--extra", &extra];
    let output = harness.run(&arguments);
    assert_eq!(output.status.code(), Some(0), "it is measured all the same: {output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = harness.record().servers;
    let wrong = |name: &str| &found.iter().find(|server| server.name == name).unwrap().wrong;
    assert_eq!(wrong("C edge"), &[], "{text}");
    assert_eq!(wrong("A/A"), &[], "{text}");
    let cases: Vec<&str> = wrong("mine").iter().map(|wrong| wrong.case.as_str()).collect();
    assert_eq!(cases, ["bytes/1023"], "{text}");
    let (cases, servers) = text.split_once("the servers").unwrap();
    assert!(cases.contains("\nmine !") && servers.contains("\nmine !"), "both tables: {text}");
    assert!(text.contains("! mine: bytes/1023: the stream ended after 1022 of 1023"), "{text}");
    let page = epollite_bench::report::html(&[harness.record()]).unwrap();
    assert!(page.contains("mine: bytes/1023: the stream ended after 1022"), "the page says it");
}
