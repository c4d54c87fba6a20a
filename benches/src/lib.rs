//! Measuring echo servers: pieces, each of which minds its own business.
//!
//! ```text
//!   main, cli   arguments, order of events, what is printed
//!   contest     interleaves slices of several servers          knows load and server
//!   report      the table and the JSON                         knows contest and paired
//!   load        keeps a server busy, checks every byte         knows sockets, not processes
//!   server      starts, pins, bills and stops a process        knows processes, not echo
//!   twin        the C yardstick, compiled on the spot
//!   paired      from slices to ratios, intervals, verdicts     pure arithmetic
//!   case        what is asked: connections, depth, size        pure data
//!   record      one rank's result as a file                    knows load's words
//!   merge       several ranks' results as one                  pure arithmetic
//!   hgrm        a distribution as HdrHistogram's tools plot it
//!   units       times, sizes, rates as people write them
//! ```
//!
//! The same work costs a shared machine up to 1.6 times more CPU from one half-minute to the next.
//! Everything here is built around that: findings are ratios between slices taken within a fraction
//! of a second of each other, and next to them stands always the ratio of the yardstick to its own
//! copy, which is what the same run makes of no difference at all.

pub mod case;
pub mod cli;
pub mod contest;
pub mod hgrm;
pub mod load;
pub mod merge;
pub mod paired;
pub mod record;
pub mod report;
pub mod server;
pub mod twin;
pub mod units;
