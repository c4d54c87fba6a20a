//! `epollite-bench`: the command line of the library beside it. Here is only who is asked.

use std::process::ExitCode;

fn main() -> ExitCode {
    epollite_bench::cli::main()
}
