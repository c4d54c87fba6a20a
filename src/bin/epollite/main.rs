//! The program `epollite`: parses the command line, runs the command, and maps its result to an
//! exit code.
//!
//! From here to the system call: `echo::run` binds sockets and builds workers, `Worker::run_loop`
//! is the loop, then `StreamServer::run_rounds`, `Reactor::wait_events`, and `linux/epoll.rs`.
//! Netcat's path is shorter: `nc::run`, its loop in `nc/stream.rs`, and `Reactor::next`.

#![warn(clippy::unwrap_used)]

mod args;
mod audit;
mod check;
mod doctor;
mod echo;
mod exit;
mod instrument;
mod listen;
mod models;
mod nc;
mod operation;
mod output;
mod scenario;
mod signals;
mod sim;
mod small_map;
mod study;

use std::process::ExitCode;

use args::Command;
use exit::CliError;
use output::log;

fn main() -> ExitCode {
    let result = args::parse(std::env::args_os().skip(1)).and_then(run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::err_last(&format!("epollite: {}\n", failure.line));
            ExitCode::from(failure.code)
        }
    }
}

fn run(command: Command) -> Result<(), CliError> {
    let server = if let Command::Echo(options) = &command { Some(options) } else { None };
    let has_children = server.is_some_and(|options| options.model.has_children());
    signals::prepare(server.is_some(), has_children);
    match command {
        Command::Help(text) => log::write_result(text),
        Command::Version => {
            log::write_result(concat!("epollite ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        Command::Echo(options) => echo::run(&options),
        Command::Nc(options) => nc::run(&options),
        Command::Sim(options) => sim::run(&options),
        Command::Study(options) => study::run(&options),
        Command::Audit(target) => audit::run(target),
        Command::Doctor(options) => doctor::run(options),
        Command::Check(target) => check::run(&target),
    }
}
