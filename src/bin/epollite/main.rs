//! The program `epollite`: words from the command line to a command, and its end to an exit
//! code.
//!
//! From here to the system call: `echo::run` binds and hires, `Worker::turns` is the loop,
//! `Server::turn`, `Reactor::next`, and `linux/epoll.rs`. Netcat's way is shorter: `nc::run`,
//! its loop in `nc/relay.rs`, and the same `Reactor::next`.

#![warn(clippy::unwrap_used)]

mod args;
mod check;
mod control;
mod day;
mod echo;
mod failure;
mod gate;
mod help;
mod listen;
mod log;
mod meter;
mod model;
mod models;
mod nc;
mod report;
mod signals;
mod sim;
mod sink;
mod tell;
mod units;
mod worker;

use std::process::ExitCode;

use args::Command;
use failure::Failure;

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

fn run(command: Command) -> Result<(), Failure> {
    let server = if let Command::Echo(options) = &command { Some(options) } else { None };
    let has_children = server.is_some_and(|options| options.model.has_children());
    signals::prepare(server.is_some(), has_children);
    match command {
        Command::Help(text) => log::deliver(text),
        Command::Version => log::deliver(concat!("epollite ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Echo(options) => echo::run(&options),
        Command::Nc(options) => nc::run(&options),
        Command::Sim(options) => sim::run(&options),
        Command::Check(target) => check::run(&target),
    }
}
