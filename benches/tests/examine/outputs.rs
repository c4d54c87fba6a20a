//! The table, the list, JSON, JUnit XML, the page, signals and exit codes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use epollite_bench::examine::{Examination, Outcome, Status, markdown};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Kind, bench, command_of, finish};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_table_fits_80_columns_and_names_the_failure() {
    let mut command = bench();
    command.args(["examine", "--only", "content,udp", "--timeout", "2s", "--start"]);
    command.arg(command_of("swallows-nul", Kind::Tcp));
    let output = finish(command);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let is_wide = |line: &&str| line.chars().count() > 80 && !line.contains('/');
    assert_eq!(out.lines().find(is_wide), None, "{out}");
    for part in
        ["bytes/content-nul ", "FAIL", "right: NUL bytes come back", "RFC 862", "7 right, 2 wrong"]
    {
        assert!(out.contains(part), "'{part}' is not in: {out}");
    }
}

#[test]
fn the_list_says_what_is_right_and_why() {
    let mut command = bench();
    command.args(["examine", "--list"]);
    let out = text(&finish(command).stdout);
    let is_wide = |line: &&str| line.chars().count() > 80;
    assert_eq!(out.lines().find(is_wide), None, "80 columns hold it all");
    let names = out.lines().filter(|line| !line.starts_with(' ')).count();
    assert!(names >= 120, "{names} cases");
    let cases = entries(&out);
    assert_eq!(cases.len(), names, "each has a name, what is right, and why");
    let unfounded: Vec<_> = cases.iter().filter(|case| !begins_with_a_source(&case[2])).collect();
    assert!(unfounded.is_empty(), "no document says so: {unfounded:#?}");
    // Each is understood without the others, and says what no other says.
    let rights: BTreeSet<&str> = cases.iter().map(|case| case[1].as_str()).collect();
    assert_eq!(rights.len(), names, "two cases say the same");
    let needs_another = |right: &&&str| {
        [" too", "so do", "so does", "so is", "so are", "nor ", "such "].iter().any(|word| {
            right.starts_with(word.trim_end()) || word.starts_with(' ') && right.ends_with(word)
        })
    };
    let dependent: Vec<&&str> =
        rights.iter().filter(|right| needs_another(right) && !right.contains("one that")).collect();
    assert!(dependent.is_empty(), "{dependent:#?}");
}

/// The cases of the list: name, what is right, why. A line that was folded goes on two columns
/// further right.
fn entries(list: &str) -> Vec<Vec<String>> {
    let mut cases: Vec<Vec<String>> = Vec::new();
    for line in list.lines() {
        let text = line.trim_start();
        match (line.len() - text.len(), cases.last_mut()) {
            (0, _) => cases.push(vec![text.to_owned()]),
            (4, Some(case)) => case.push(text.to_owned()),
            (_, Some(case)) => *case.last_mut().unwrap() += &format!(" {text}"),
            (_, None) => {}
        }
    }
    assert!(cases.iter().all(|case| case.len() == 3), "{cases:#?}");
    cases
}

/// Whether it names a document: an RFC, or a page of the manual with its section.
fn begins_with_a_source(why: &str) -> bool {
    let (first, rest) = why.split_once(' ').unwrap_or_default();
    let is_page = first.trim_end_matches([':', ',']).strip_suffix(')').is_some_and(|page| {
        let (name, section) = page.split_once('(').unwrap_or_default();
        !name.is_empty() && section.len() == 1 && section.chars().all(|it| it.is_ascii_digit())
    });
    is_page || first == "RFC" && rest.starts_with(|it: char| it.is_ascii_digit())
}

#[test]
fn json_junit_and_the_page_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut command = bench();
    command.args(["examine", "-q", "--only", "bytes/content,ipv6", "--timeout", "2s", "--start"]);
    command.arg(command_of("strips-cr", Kind::Tcp)).arg("--json").arg(path("r.json"));
    command.arg("--junit").arg(path("r.xml")).arg("--markdown").arg(path("r.md"));
    assert_eq!(finish(command).status.code(), Some(1));
    let found = Examination::read(&path("r.json")).unwrap();
    let [right, wrong, skipped] =
        [Status::Ok, Status::Failed, Status::Skipped].map(|it| found.servers[0].count(it));
    assert_eq!((right, wrong, skipped), (8, 1, 1));
    let xml = std::fs::read_to_string(path("r.xml")).unwrap();
    let xml = roxmltree::Document::parse(&xml).unwrap();
    let suite = xml.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
    let counts = ["tests", "failures", "skipped"].map(|name| suite.attribute(name));
    assert_eq!(counts, [Some("10"), Some("1"), Some("1")]);
    let failed = suite.descendants().filter(|node| node.has_tag_name("failure")).count();
    assert_eq!(failed, 1);
    let page = std::fs::read_to_string(path("r.md")).unwrap();
    assert!(page.contains("**bytes/content-crlf**") && page.contains("| TCP | 8 | 1 | 1 |"));
    // Results are read back, and fail again.
    let mut command = bench();
    command.args(["examine", "--from"]).arg(path("r.json")).arg("--markdown").arg(path("2.md"));
    assert_eq!(finish(command).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(path("2.md")).unwrap(), page);
}

/// The server is wrong once; a server that is always wrong is told without a count.
#[test]
fn a_failure_that_does_not_repeat_is_told_as_such() {
    for (wrong, count) in [("drops-last-byte-once", " (in 1 of 3 runs)"), ("drops-last-byte", "")] {
        let mut command = bench();
        command.args(["examine", "--only", "bytes/1023", "--timeout", "2s", "--again", "2"]);
        command.arg("--start").arg(command_of(wrong, Kind::Tcp));
        let output = finish(command);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        // The table folds its lines.
        let out = text(&output.stdout);
        let words = out.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = format!("1 are lost{count} right:");
        assert!(words.contains(&expected), "{wrong}: {out}");
    }
}

/// `make peers` makes both; `make peers-page` the page from the data.
#[test]
fn the_page_of_the_peers_is_that_of_its_data() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let found = Examination::read(&docs.join("peers/examine.json")).unwrap();
    let page = std::fs::read_to_string(docs.join("peers.md")).unwrap();
    assert!(page == markdown(&found), "`make peers-page` makes it again");
    assert!(found.servers.len() >= 20, "all peers: {}", found.servers.len());
    // No input that ended the software of others is told.
    let is_told = |case: &&Outcome| case.server_lost;
    let told: Vec<&Outcome> =
        found.servers.iter().flat_map(|it| &it.cases).filter(is_told).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn bad_arguments_are_usage_errors_of_one_line() {
    for (arguments, why) in [
        (&["examine"][..], "give an address, --unix, --start or --servers"),
        (&["examine", "--start", "true"], "needs {port}"),
        (&["examine", "--start", "'true {port}"], "unterminated quote"),
        (&["examine", "nonsense"], "is not ADDRESS:PORT"),
        (&["examine", "127.0.0.1:9", "--only", "no-such-case"], "no case has such a name"),
        (&["examine", "--servers", "no-such-server"], "unknown server"),
        (&["examine", "--from", "/nonexistent.json"], "cannot read"),
    ] {
        let mut command = bench();
        command.args(arguments);
        let output = finish(command);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        let err = text(&output.stderr);
        assert!(err.contains(why) && err.lines().count() == 1, "{arguments:?}: {err}");
    }
}

#[test]
fn without_a_server_the_exit_code_is_69() {
    // Bound and not listening: the port is not given to another process.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut command = bench();
    command.args(["examine", &address.to_string()]);
    let output = finish(command);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(text(&output.stderr).contains("cannot connect"), "{output:?}");
}

#[test]
fn a_signal_ends_it_and_its_server() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epollite-bench"));
    command.args(["examine", "--only", "bytes/1,silent-for-2-s", "--start"]);
    command.arg(command_of("right", Kind::Tcp)).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut bench = command.spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(bench.id()).unwrap());
    // The first result: the server runs.
    let mut lines = BufReader::new(bench.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains(" ok ")).unwrap().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let servers: Vec<i32> = children.split_whitespace().map(|it| it.parse().unwrap()).collect();
    assert_eq!(servers.len(), 1, "{children}");
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(130));
    let deadline = Instant::now() + Duration::from_secs(30);
    while kill(Pid::from_raw(servers[0]), None).is_ok() {
        assert!(Instant::now() < deadline, "the server has not ended");
        std::thread::sleep(Duration::from_millis(5));
    }
}
