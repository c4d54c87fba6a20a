//! The units under `contrib/systemd`.

use std::fs;
use std::process::Command;

use crate::support::program::{PROGRAM, Program};
use crate::support::scratch::Scratch;

const SERVICE: &str = include_str!("../../../contrib/systemd/epollite.service");
const SOCKET: &str = include_str!("../../../contrib/systemd/epollite.socket");

/// Where `make install` puts the program.
const INSTALLED: &str = "/usr/local/bin/epollite";

#[test]
fn the_command_of_the_service_is_one_of_the_program() {
    let line = SERVICE.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let arguments: Vec<&str> = line.split(' ').skip(1).collect();
    assert!(line.starts_with(INSTALLED), "{line}");
    // It is understood, and then lacks the sockets.
    let ending = Program::run(&arguments);
    let error = ending.expect_code(69).single_error_line();
    assert!(error.contains("LISTEN_PID is not set"), "{error}");
}

/// Where systemd is not installed, nothing can be asked.
#[test]
fn systemd_accepts_the_units() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        eprintln!("no systemd-analyze here: the units are not verified");
        return;
    };
    assert!(version.status.success(), "{version:?}");
    let scratch = Scratch::new();
    let service = scratch.file("epollite.service");
    let socket = scratch.file("epollite.socket");
    fs::write(&service, SERVICE.replace(INSTALLED, PROGRAM)).unwrap();
    fs::write(&socket, SOCKET).unwrap();
    let mut verify = Command::new("systemd-analyze");
    let verified = verify.args(["verify", "--man=no", &socket, &service]).output().unwrap();
    let stderr = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !stderr.contains("epollite"), "{stderr}");
}
