//! The server models of the tutorials, one file each, all serving the same echo.
//!
//! Read them in this order: `blocking`, `process`, `thread`, `nonblocking`, `select`, `poll`; then
//! the library's own `server::stream`, which is what `--model epoll-edge`, `epoll-level` and
//! `epoll-oneshot` run. `blocking`, `thread` and `process` share `blocking_connection`, the first
//! two also `signal_thread`. `nonblocking`, `select` and `poll` share everything but the wait:
//! `fd_list` and `connection`. `prefork` and `reuseport` run the library's server in several
//! processes; every model that forks uses `children`. `coroutine` is the code of `blocking` for all
//! clients at once, on the library's tasks; its tasks share `server_state`. `sys` is the one file
//! of the program that contains `unsafe`.

mod blocking;
mod blocking_connection;
mod children;
mod client;
mod context;
mod coroutine;
mod fd_list;
mod launch;
mod nonblocking;
mod poll;
mod prefork;
mod process;
mod reuseport;
mod select;
mod send_queue;
mod server_state;
mod shared_stats;
mod signal_thread;
mod sockets;
mod supervision;
mod sys;
mod thread;

pub(crate) use launch::run;
pub(crate) use shared_stats::CounterWriter;
pub(crate) use sys::{
    Disposition, ModelSyscalls, OPEN_NONBLOCKING, SocketState, adopt_descriptor, effective_uid,
    has_no_stdout, is_file_watched, is_ignored, mmap_shared, set_busy_poll_params, set_disposition,
    set_udp_segment_bytes, socket_state, standard_stream, unblock_signals, wait_writable,
};
