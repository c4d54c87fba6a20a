//! Shared by the nc tests: our process, external tools, and unused ports.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use crate::support::process::{Process, with_default_signals};
use crate::support::program::{PROGRAM, Program};
use crate::support::tool::tool;

pub(crate) const HOST: &str = "127.0.0.1";

/// Our nc, with these arguments.
pub(crate) fn ours(arguments: &[&str]) -> Program {
    Program::start(&[&["nc"], arguments].concat())
}

/// The same, with streams set by the caller.
pub(crate) fn our_command(arguments: &[&str]) -> Command {
    let mut command = with_default_signals(PROGRAM);
    command.arg("nc").args(arguments);
    command
}

/// Our listener on an ephemeral port, which it prints.
pub(crate) fn our_listener(flags: &[&str]) -> (Program, String) {
    let listener = ours(&[&["-lv"], flags, &[HOST, "0"]].concat());
    let port = printed_port(&listener);
    (listener, port)
}

/// The port printed by a listener.
pub(crate) fn printed_port(listener: &Process) -> String {
    listener.stderr.wait_for("the port", |lines| {
        let line = lines.iter().find(|line| line.contains(" on 127.0.0.1 "))?;
        line.rsplit(' ').next().map(str::to_owned)
    })
}

/// An external tool, with these arguments.
pub(crate) fn theirs(name: &str, arguments: &[&str]) -> Process {
    let mut command = tool(name);
    command.args(arguments);
    Process::start(command)
}

/// OpenBSD's nc as a listener on an ephemeral port. With `-n` it prints numeric addresses, and the
/// port.
pub(crate) fn their_listener(flags: &[&str]) -> (Process, String) {
    let listener = theirs("nc", &[&["-lvn"], flags, &[HOST, "0"]].concat());
    let port = printed_port(&listener);
    (listener, port)
}

/// A TCP port without a listener: it was bound here a moment ago.
pub(crate) fn closed_port() -> String {
    let listener = TcpListener::bind((HOST, 0)).unwrap();
    listener.local_addr().unwrap().port().to_string()
}

/// The same for UDP.
pub(crate) fn closed_udp_port() -> String {
    let socket = UdpSocket::bind((HOST, 0)).unwrap();
    socket.local_addr().unwrap().port().to_string()
}
