//! Measures echo servers. Modules and what they depend on:
//!
//! ```text
//!   main, cli      arguments, dispatch to subcommands
//!   compare, models, session   which servers, which cases, in which order
//!   table          tables for the terminal                        reads the record
//!   conclusion     the conclusion of a run, a few sentences       reads the record
//!   report         a page and its plots from records              reads the record
//!   schema         the record: the results of a run, as data      pure data
//!   interleave     runs slices of several servers in turn         uses load_process, server
//!   load_sweep     open loop: rising rates, to the knee           uses interleave
//!   idle_memory    memory per idle connection                     uses load_process, server
//!   analysis       from interleaved runs to the record            pure arithmetic
//!   load_process   a load in a child process                      uses load
//!   load           keeps a server busy, checks every byte         knows sockets, not processes
//!   server         starts, pins, pauses and stops a process       knows processes, not echo
//!   process_usage  CPU time and memory of processes               reads /proc
//!   syscalls       counts their system calls, by perf
//!   atomic_file    writes a file as a whole
//!   command        runs a program, and returns its output
//!   servers        the known servers, and how each is built       uses peers/, the C baseline
//!   host           the machine a run ran on
//!   exit           exit codes
//!   output         standard output and the record file
//!   progress       progress bars
//!   interrupt      whether a termination signal was received
//!   stats          from slices to ratios and intervals            pure arithmetic
//!   examine        a conformance suite for any echo server
//!   attacks        what a polite client notices while others attack
//!   soak           hours of mixed load, and whether what it uses stays flat
//!   instructions   counts a server's instructions, by callgrind
//!   scale          what an event and a connection cost as they grow   uses kernels of its own
//!   case           a load: connections, depth, size               pure data
//!   redact         removes paths of this machine from a record    pure
//!   rank_file      the result of one rank as a file               uses types of load
//!   merge          adds the results of several ranks              pure arithmetic
//!   units          parses and formats times, sizes, rates
//! ```
//!
//! On a shared machine the same work costs up to 1.6 times more CPU from one half-minute to the
//! next. The design follows from that: results are ratios between slices taken within a fraction of
//! a second of each other, and next to them is always the ratio of the reference to a second copy
//! of itself (A/A), which is what the same run shows where there is no difference.

mod alignment;
mod analysis;
mod atomic_file;
pub mod attacks;
pub mod case;
pub mod cli;
mod command;
mod compare;
pub mod conclusion;
pub mod examine;
mod exit;
mod host;
mod idle_memory;
pub mod instructions;
mod interleave;
mod interrupt;
pub mod load;
mod load_process;
mod load_sweep;
pub mod merge;
mod models;
mod output;
pub mod process_usage;
mod progress;
pub mod rank_file;
mod redact;
pub mod report;
pub mod scale;
pub mod schema;
pub mod server;
pub mod servers;
mod session;
pub mod soak;
pub mod stats;
mod syscalls;
pub mod table;
pub mod units;
