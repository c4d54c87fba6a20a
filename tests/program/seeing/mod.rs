//! What shows a server from inside and from outside: `audit`, `doctor`, `--explain`, `--recorder`,
//! and traces for ui.perfetto.dev.

mod audit;
mod doctor;
mod explain;
mod perfetto;
