//! Measures echo servers. Modules and what they depend on:
//!
//! ```text
//!   main, cli   arguments, order of events, what is printed
//!   compare, models, session   who is compared, with what, when
//!   table       the tables for people                          knows the record
//!   conclusion  what it comes to, in a few sentences           knows the record
//!   report      a page and its plots from records              knows the record
//!   result      the record: what a run found, as data          pure data
//!   contest     interleaves slices of several servers          knows worker and server
//!   knee        the open loop: rising rates, until too much    knows contest
//!   weigh       memory with silent connections                 knows worker and server
//!   verdicts    from what a contest brought to the record      pure arithmetic
//!   worker      a load in a process of its own                 knows load
//!   load        keeps a server busy, checks every byte         knows sockets, not processes
//!   server      starts, pins, pauses and stops a process       knows processes, not echo
//!   meter       bills processes: CPU, memory                   knows /proc
//!   syscalls    counts their system calls, by perf
//!   roster      who there is, and how each is built            knows peers and the C yardstick
//!   machine     what it ran on
//!   outlet      where what was found goes
//!   progress    what is shown while one waits
//!   interrupt   whether somebody has asked for the end
//!   paired      from slices to ratios, intervals, verdicts     pure arithmetic
//!   instructions   counts a server's instructions, by callgrind
//!   case        what is asked: connections, depth, size        pure data
//!   redact      what a record does not tell others         pure
//!   record      one rank's result as a file                    knows load's words
//!   merge       several ranks' results as one                  pure arithmetic
//!   hgrm        a distribution as HdrHistogram's tools plot it
//!   units       times, sizes, rates as people write them
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
