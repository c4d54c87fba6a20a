//! The server models of the tutorials, one file each, all serving the same echo.
//!
//! Read them in this order: `blocking`, `process`, `thread`, `nonblocking`, `select`, `poll`; then the
//! library's own `server::stream`, which is what `--model epoll-edge` and its siblings run. What
//! the blocking ones share is `straight` and `porter`; what the others share, everything but the
//! waiting, is `crowd` and `guest`. `prefork` and `reuseport` run the library's server in several
//! processes; whoever has children has a `family`. `coroutine` is `blocking` again, for all at
//! once, on the library's tasks; what those share is `lodge`. `sys` is the one
//! file of the program that says `unsafe`.

mod blocking;
mod coroutine;
mod crowd;
mod family;
mod guest;
mod ledger;
mod lodge;
mod nonblocking;
mod patience;
mod poll;
mod porter;
mod prefork;
mod process;
mod reuseport;
mod select;
mod sockets;
mod stage;
mod start;
mod straight;
mod sys;
mod thread;

pub(crate) use ledger::Account;
pub(crate) use start::run;
pub(crate) use sys::{
    Disposition, OPEN_NONBLOCKING, is_ignored, set_disposition, shared_words, standard_stream,
    unblock_signals, waitpid,
};
