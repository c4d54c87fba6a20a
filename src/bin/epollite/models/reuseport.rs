//! **reuseport**: the processes of `prefork`, each with a listener of its own on the same port.
//!
//! What it teaches: `SO_REUSEPORT`. Several sockets of one user may be bound to one port; each has
//! a queue, and the kernel selects the queue when the connection arrives, before any process wakes.
//! There is no thundering herd and no shared listener. `--reuseport-select` sets how the kernel
//! selects:
//!
//! * `hash`: the kernel's default, by addresses and ports: even, given many connections.
//! * `cpu`: by a program of three instructions (classic BPF) that we attach: the processor on
//!   which the packet came in, modulo the workers. With a worker bound to each processor, a
//!   connection never changes processors. (Over loopback it is the client's.)
//! * `random`: by another such program: a random number for each connection.
//!
//! On exit, and on SIGUSR1, it prints the number of connections per worker.
//!
//! What it costs: nothing per connection.
//!
//! Where it breaks: the selection is made early and is final. Connections in the queue of a busy
//! worker wait while other workers are idle. When a worker dies, its queue is reset: clients that
//! had connected but had not been accepted see a reset. The kernel then selects among the remaining
//! sockets; the indexes returned by a program shift, because the last socket takes the place of
//! the removed one.

use epollite::Fd;

use super::context::WorkerContext;
use super::sys::ModelSyscalls as _;
use crate::echo::model::Steer;
use crate::exit::{CliError, failed};
use crate::instrument::InstrumentedKernel;

/// Attaches the program that selects among the `count` sockets of this socket's port, unless the
/// kernel's default is to be used. One program for the whole group.
pub(super) fn steer<K: InstrumentedKernel>(
    context: &mut WorkerContext<K>,
    socket: &Fd,
    steer: Steer,
    count: u32,
) -> Result<(), CliError> {
    context.kernel.attach_reuseport_cbpf(socket, steer, count).map_err(failed("setsockopt"))
}
