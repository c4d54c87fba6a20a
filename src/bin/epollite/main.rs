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
mod sim;
mod tell;
mod units;
mod worker;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let result = args::parse(std::env::args_os().skip(1)).and_then(|command| match command {
        Command::Help(text) => {
            log::out(text);
            Ok(())
        }
        Command::Version => {
            log::out(concat!("epollite ", env!("CARGO_PKG_VERSION"), "\n"));
            Ok(())
        }
        Command::Echo(options) => echo::run(&options),
        Command::Nc(options) => nc::run(&options),
        Command::Sim(options) => sim::run(&options),
        Command::Check(target) => check::run(&target),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::err(&format!("epollite: {}\n", failure.line));
            ExitCode::from(failure.code)
        }
    }
}
