//! SIGHUP: files are opened again, and a service manager is told.

use core::time::Duration;
use std::fs;
use std::os::unix::net::UnixDatagram;

use crate::support::client::{is_served, uninterrupted};
use crate::support::procfs::we_are_root;
use crate::support::program::{Program, command};
use crate::support::scratch::Scratch;
use crate::support::wait::{TIMEOUT, until};

const MODELS: [&str; 8] = [
    "epoll-edge",
    "blocking",
    "thread",
    "nonblocking",
    "select",
    "poll",
    "coroutine",
    "epoll-oneshot",
];

#[test]
fn files_that_were_moved_away_are_opened_again() {
    for model in MODELS {
        let scratch = Scratch::new();
        let (path, old) = (scratch.file("trace"), scratch.file("trace.1"));
        let trace = format!("--trace={path}");
        let server = Program::serving(&["--tcp", "127.0.0.1:0", "--model", model, &trace]);
        is_served(&server.tcp());
        until("the first client to be traced", || {
            fs::read_to_string(&path).unwrap().contains("probe")
        });
        fs::rename(&path, &old).unwrap();
        server.signal("HUP");
        server.stderr.line_with("reloaded: 1 files opened again");
        is_served(&server.tcp());
        until("the second client to be traced", || {
            fs::read_to_string(&path).unwrap().contains("probe")
        });
        // Without a move the file is continued.
        server.signal("HUP");
        until("the next reload", || server.stderr.count_with("reloaded: ") == 2);
        server.stop().expect_code(0);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("probe") && text.ends_with('\n'), "{model}: {text}");
        assert!(fs::read_to_string(&old).unwrap().ends_with('\n'), "{model}: whole lines");
    }
}

#[test]
fn a_file_that_cannot_be_opened_stays_and_the_server_serves() {
    let scratch = Scratch::new();
    let (path, old) = (scratch.file("explain"), scratch.file("explain.1"));
    let explain = format!("--explain={path}");
    let server = Program::serving(&["--tcp", "127.0.0.1:0", &explain]);
    fs::rename(&path, &old).unwrap();
    fs::create_dir(&path).unwrap();
    server.signal("HUP");
    server.stderr.line_with("--explain: not opened again: Is a directory");
    server.stderr.line_with("reloaded: 0 files opened again");
    is_served(&server.tcp());
    server.stop().expect_code(0);
    assert!(fs::read_to_string(&old).unwrap().contains("accepted"), "the old file goes on");
}

#[test]
fn a_service_manager_is_told_and_the_server_goes_on() {
    for model in MODELS.into_iter().chain(["process", "prefork", "reuseport"]) {
        let scratch = Scratch::new();
        let name = scratch.file("notify");
        let manager = UnixDatagram::bind(&name).unwrap();
        manager.set_read_timeout(Some(TIMEOUT)).unwrap();
        let message = || {
            let mut bytes = [0; 256];
            let len = uninterrupted(|| manager.recv(&mut bytes)).expect("a message");
            String::from_utf8(bytes[..len].to_vec()).unwrap()
        };
        let mut line = command(&[] as &[&str], &["echo", "--tcp", "127.0.0.1:0", "--model", model]);
        line.env("NOTIFY_SOCKET", &name);
        let server = Program::start_piped(line);
        assert_eq!(message(), "READY=1\n");
        server.stdout.line_with("listening on tcp");
        let mut earlier = 0;
        for _ in 0..2 {
            server.signal("HUP");
            let text = message();
            let micros = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&text);
            let micros: u64 = micros.trim_end().parse().expect(&text);
            let is_now = earlier < micros && micros < uptime_micros();
            assert!(is_now, "{model}: {text} after {earlier}");
            assert_eq!(message(), "READY=1\n");
            earlier = micros;
        }
        is_served(&server.tcp());
        server.stop().expect_code(0);
        assert_eq!(message(), "STOPPING=1\n");
    }
}

/// The time since the start of the machine, rounded up: the clock that systemd compares with is
/// this one, or it stands still while the machine is suspended.
fn uptime_micros() -> u64 {
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    Duration::from_secs_f64(seconds + 0.02).as_micros().try_into().unwrap()
}

#[test]
fn without_a_file_and_a_manager_it_ends_the_server() {
    for model in MODELS.into_iter().chain(["process", "prefork", "reuseport"]) {
        let mut server = Program::serving(&["--tcp", "127.0.0.1:0", "--model", model]);
        server.signal("HUP");
        server.end().expect_code(0);
    }
}

/// A user that may not write there keeps the file that is open.
#[test]
fn a_user_without_permission_keeps_its_file() {
    if !we_are_root() {
        eprintln!("not root: no other user can be become");
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.file("trace");
    let trace = format!("--trace={path}");
    let server = Program::serving(&["--tcp", "127.0.0.1:0", "--user", "65534:65534", &trace]);
    server.signal("HUP");
    server.stderr.line_with("--trace: not opened again: Permission denied");
    is_served(&server.tcp());
    server.stop().expect_code(0);
    assert!(fs::read_to_string(&path).unwrap().contains("probe"), "it goes on with the old one");
}
