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
//!   servers        the known servers, and how each is built       uses peers/, the C baseline
//!   host           the machine a run ran on
//!   output         standard output and the record file
//!   progress       progress bars
//!   interrupt      whether a termination signal was received
//!   stats          from slices to ratios and intervals            pure arithmetic
//!   instructions   counts a server's instructions, by callgrind
//!   case           a load: connections, depth, size               pure data
//!   redact         removes paths of this machine from a record    pure
//!   rank_file      the result of one rank as a file               uses types of load
//!   merge          adds the results of several ranks              pure arithmetic
//!   hgrm           a distribution in HdrHistogram's text format
//!   units          parses and formats times, sizes, rates
//! ```
//!
//! On a shared machine the same work costs up to 1.6 times more CPU from one half-minute to the
//! next. The design follows from that: results are ratios between slices taken within a fraction of
//! a second of each other, and next to them is always the ratio of the reference to a second copy
//! of itself (A/A), which is what the same run shows where there is no difference.

pub mod analysis;
pub mod case;
pub mod cli;
pub mod compare;
pub mod conclusion;
pub mod hgrm;
pub mod host;
pub mod idle_memory;
pub mod instructions;
pub mod interleave;
pub mod interrupt;
pub mod load;
pub mod load_process;
pub mod load_sweep;
pub mod merge;
pub mod models;
pub mod output;
pub mod process_usage;
mod progress;
pub mod rank_file;
pub mod redact;
pub mod report;
pub mod schema;
pub mod server;
pub mod servers;
pub mod session;
pub mod stats;
pub mod syscalls;
pub mod table;
pub mod units;
