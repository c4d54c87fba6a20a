//! `epollite-bench`: the command line of the library beside it. It only calls
//! [`epollite_bench::cli::main`].

use std::process::ExitCode;

fn main() -> ExitCode {
    epollite_bench::cli::main()
}
