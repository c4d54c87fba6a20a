//! What the tests of nc share: ours and others' as processes, and ports nobody has.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use crate::support::process::{Process, hearing};
use crate::support::program::{PROGRAM, Program};
use crate::support::tool::tool;

pub(crate) const HOST: &str = "127.0.0.1";

/// Ours, with these arguments.
pub(crate) fn ours(arguments: &[&str]) -> Program {
    Program::start(&[&["nc"], arguments].concat())
}

/// The same, to be given streams by hand.
pub(crate) fn our_command(arguments: &[&str]) -> Command {
    let mut command = hearing(PROGRAM);
    command.arg("nc").args(arguments);
    command
}

/// A listener of ours on a port of the kernel's choice, which it tells.
pub(crate) fn our_listener(flags: &[&str]) -> (Program, String) {
    let listener = ours(&[&["-lv"], flags, &[HOST, "0"]].concat());
    let port = told_port(&listener);
    (listener, port)
}

/// The port that a listener says it listens on.
pub(crate) fn told_port(listener: &Process) -> String {
    listener.stderr.wait_for("the port", |lines| {
        let line = lines.iter().find(|line| line.contains(" on 127.0.0.1 "))?;
        line.rsplit(' ').next().map(str::to_owned)
    })
}

/// A tool of others', with these arguments.
pub(crate) fn theirs(name: &str, arguments: &[&str]) -> Process {
    let mut command = tool(name);
    command.args(arguments);
    Process::start(command)
}

/// OpenBSD's nc as a listener on a port of the kernel's choice. It is asked for its addresses as
/// numbers, and tells the port.
pub(crate) fn their_listener(flags: &[&str]) -> (Process, String) {
    let listener = theirs("nc", &[&["-lvn"], flags, &[HOST, "0"]].concat());
    let port = told_port(&listener);
    (listener, port)
}

/// A TCP port on which nobody listens: it was ours a moment ago.
pub(crate) fn closed_port() -> String {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    listener.local_addr().unwrap().port().to_string()
}

/// The same for UDP.
pub(crate) fn closed_udp_port() -> String {
    let socket = UdpSocket::bind((HOST, 0)).unwrap();
    socket.local_addr().unwrap().port().to_string()
}
