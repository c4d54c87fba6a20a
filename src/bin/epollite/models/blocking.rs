//! **blocking**: one thread, one client at a time, and every call blocks.
//!
//! What it teaches: the calls of a server in their order, and nothing else: socket, bind, listen;
//! accept, recv, send, close; accept again. Read it first.
//!
//! What it costs: two system calls per echo, the minimum; and all other clients wait. A second
//! client connects at once, because the kernel queues the connection in the listen backlog, and may
//! even send; it is served after the first client disconnects.
//!
//! Where it breaks: one silent client stops the server. So does a client that never reads: send(2)
//! waits for buffer space that never becomes free. No connection is accepted until it returns, and
//! once the backlog is full the kernel drops further connection attempts silently.
//!
//! At shutdown the signal thread accepts what is queued while this one is stuck
//! (`signal_thread.rs`): skip that at a first reading.

use std::sync::Arc;

use epollite::collections::RecvBuffer;
use epollite::kernel::close_quietly;
use epollite::reactor::RETRY_DELAY;
use epollite::{Errno, Fd};

use super::context::{BUFFER_BYTES, WorkerContext};
use super::signal_thread::ConnectionRegistry;
use super::sockets::{self, AcceptError, Acceptor};
use super::sys::ModelSyscalls as _;

use crate::echo::stats::StatsSnapshot;
use crate::exit::{CliError, failed, syscall_failure};
use crate::instrument::InstrumentedKernel;

/// Serves a listener until the signal thread interrupts it, and then what is in its backlog.
pub(super) fn run<K: InstrumentedKernel>(
    registry: &Arc<ConnectionRegistry>,
    mut context: WorkerContext<K>,
    listener: Fd,
) -> Result<StatsSnapshot, CliError> {
    let mut buf = RecvBuffer::new(BUFFER_BYTES);
    let mut acceptor = Acceptor::default();
    context.kernel.set_blocking(&listener).map_err(failed("ioctl"))?;
    let listener = registry.lend(listener);
    let mut number = 0;
    loop {
        context.flush_stats();
        // The signal that interrupts accept4(2) may come before the call: then it comes again.
        if registry.is_shutting_down() {
            break;
        }
        match context.kernel.accept4(&listener) {
            Ok((socket, peer)) => {
                acceptor.succeeded();
                number += 1;
                let registration = registry.register(&mut context.kernel, socket);
                context.serve(registration, &peer, number, &mut buf);
            }
            Err(errno) if errno.is_interrupted() || registry.is_shutting_down() => {}
            Err(errno @ (Errno::EINVAL | Errno::EBADF)) => {
                return Err(syscall_failure("accept4", errno));
            }
            Err(errno) => match acceptor.failed(&mut context, errno) {
                AcceptError::Aborted => {}
                AcceptError::ListenerFailed => return Err(syscall_failure("accept4", errno)),
                AcceptError::Paused => std::thread::sleep(RETRY_DELAY),
            },
        }
    }
    registry.stopped_accepting();
    let (listener, mut clients) = registry.take_back(listener);
    // Served when the listener is closed, and not one by one before: the queue of a busy server
    // would not become empty in that time.
    if let Some(listener) = listener {
        sockets::drain_backlog(&mut context, listener, |_, socket, peer| {
            clients.push((socket, peer));
            !registry.is_expired()
        });
    }
    let register = |(socket, peer)| (registry.register(&mut context.kernel, socket), peer);
    let queued: Vec<_> = clients.into_iter().map(register).collect();
    for (mut registration, peer) in queued {
        if !registry.is_expired() {
            number += 1;
            context.serve(registration, &peer, number, &mut buf);
        } else if let Some(socket) = registration.release() {
            close_quietly(&mut context.kernel, socket);
        }
    }
    context.flush_stats();
    Ok(registry.counters.sum())
}

/// The same for datagrams, where serving one client at a time costs nothing: each datagram is one
/// call to receive and one to send, and there is no connection.
pub(super) fn run_datagrams<K: InstrumentedKernel>(
    registry: &Arc<ConnectionRegistry>,
    mut context: WorkerContext<K>,
    socket: &Fd,
) -> Result<StatsSnapshot, CliError> {
    let mut buf = RecvBuffer::new(BUFFER_BYTES);
    context.kernel.set_blocking(socket).map_err(failed("ioctl"))?;
    let name = context.kernel.getsockname(socket).map_err(failed("getsockname"))?;
    let own: Vec<u16> = name.port().into_iter().collect();
    let mut failure_streak = sockets::FailureStreak::default();
    while !registry.is_shutting_down() {
        context.flush_stats();
        // An error here belongs to an earlier reply: it is counted and dropped. Many in a row have
        // another cause.
        if context.echo_datagram(socket, &own, &mut buf) {
            failure_streak.reset();
        } else if failure_streak.record() {
            std::thread::sleep(RETRY_DELAY);
        }
    }
    registry.stopped_accepting();
    context.flush_stats();
    Ok(registry.counters.sum())
}
