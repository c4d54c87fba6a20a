//! **coroutine**: one thread, and straight-line code for each client: receive, send, again.
//!
//! What it teaches: the code of `blocking` can serve all clients at once. See `echo_loop`: the same
//! two calls in the same loop, as if there were one client. Only where a call would block is there
//! an `.await`, which suspends the task; the reactor then continues a task whose descriptor is
//! ready. This is concurrency without threads: no task is preempted, so nothing is locked.
//!
//! What it costs: an echo is three calls as with `epoll-edge`, plus some hundreds of instructions
//! for finding the task and resuming it: a percent or two. Memory is what the code keeps across an
//! `.await`, some hundred bytes per client; a thread keeps a stack.
//!
//! Where it breaks: a task that computes for a second, or makes a blocking call, delays all others,
//! since it cannot be preempted. And each function on the way to an `.await` must be `async` too.
//! The library's `task` explains what a coroutine is, and how this (stackless) kind differs from
//! one with its own stack.

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use epollite::collections::RecvBuffer;
use epollite::executor::{
    DatagramSocket, Direction, Elapsed, Executor, ExecutorConfig, Listener, PooledBuf, Stream,
};
use epollite::kernel::{ReceivedDatagram, Shutdown, recv_datagram};
use epollite::reactor::RETRY_DELAY;
use epollite::server::datagram::Disposition;
use epollite::server::stream::{CloseReason, LINGER_TIMEOUT};
use epollite::{Addr, Errno, Fd, Kernel};

use super::context::{BUFFER_BYTES, WorkerContext};
use super::fd_list::ServerLimits;
use super::send_queue::{POLLS_PER_TIMEOUT, SendQueue};
use super::server_state::{ServerState, signal_loop};
use super::sockets::{AcceptError, FailureStreak};
use crate::echo::client_log;
use crate::echo::stats::StatsSnapshot;
use crate::exit::{CliError, failed, syscall_failure};
use crate::instrument::InstrumentedKernel;
use crate::listen::BoundSocket;

/// Bytes read at once, and so the most that is buffered for one client: as many as the reactor's
/// own server reads. Borrowed from the pool only while it holds data, so an idle client has none.
const POOL_BUFFER_BYTES: NonZeroUsize =
    const { NonZeroUsize::new(256 << 10).expect("it is not zero") };

/// Datagrams answered after shutdown has begun: they may have arrived before it.
const DRAINED_MAX: u32 = 64;

/// Serves until a signal ends it.
pub(super) fn run<K: InstrumentedKernel>(
    mut context: WorkerContext<K>,
    signals: Fd,
    bounds: Vec<BoundSocket>,
    limits: ServerLimits,
) -> Result<StatsSnapshot, CliError> {
    // From here on the calls are made by the executor's reactor.
    let unused = context.kernel.fresh();
    let kernel = std::mem::replace(&mut context.kernel, unused);
    let config = ExecutorConfig { buffer_bytes: POOL_BUFFER_BYTES, ..ExecutorConfig::default() };
    let mut executor = Executor::with_config(kernel, config).map_err(failed("epoll_create1"))?;
    let handle = executor.handle();
    let state = ServerState::new(context, handle.clone(), limits);
    let refused = |errno| syscall_failure("epoll_ctl", errno);
    for bound in bounds {
        if bound.transport == "udp" {
            let name = handle.with_kernel(|kernel| kernel.getsockname(&bound.fd));
            let is_wildcard =
                name.is_ok_and(|name| name.ip().is_some_and(|ip| ip.is_unspecified()));
            state.ports.borrow_mut().extend(name.ok().and_then(|name| name.port()));
            let socket = handle.datagram(bound.fd).map_err(refused)?;
            handle.spawn(datagram_loop(Rc::clone(&state), socket, is_wildcard));
        } else {
            let listener = handle.listener(bound.fd).map_err(refused)?;
            handle.spawn(accept_loop(Rc::clone(&state), listener));
        }
        state.files.borrow_mut().extend(bound.file);
    }
    let signals = handle.async_fd(signals).map_err(refused)?;
    handle.spawn(signal_loop(Rc::clone(&state), signals));
    // The signal task never ends; when it is the only one left, all clients are served.
    while handle.task_count() > 1 && !state.drain_expired() {
        executor.run_once(state.drain_deadline.get()).map_err(failed("epoll_wait"))?;
        state.drain_trace();
    }
    // Remaining tasks are dropped, which closes their sockets.
    drop(executor);
    state.drain_trace();
    match state.failed.get().filter(|_| !state.is_shutting_down()) {
        Some(errno) => Err(syscall_failure("accept4", errno)),
        None => Ok(state.snapshot()),
    }
}

/// Accepts connections from one listener and spawns a task for each.
async fn accept_loop<K: InstrumentedKernel>(state: Rc<ServerState<K>>, mut listener: Listener<K>) {
    state.register_listener_waker().await;
    loop {
        state.wait_for_capacity().await;
        let accepted = state.or_shutdown(listener.accept_once()).await;
        match accepted {
            Some(Ok((client, peer))) => {
                state.accept_succeeded();
                spawn_client(&state, client, peer);
            }
            Some(Err(errno)) => match state.accept_failed(errno) {
                // After a run of aborted clients other tasks must run too.
                AcceptError::Aborted => state.handle.yield_now().await,
                AcceptError::ListenerFailed => return state.failed.set(Some(errno)),
                AcceptError::Paused => _ = state.or_shutdown(listener.backoff()).await,
            },
            None => break,
        }
    }
    // Accept what is already in the backlog; then the listener is dropped, which closes it.
    let mut failure_streak = FailureStreak::default();
    while let Some(accepted) = state.now_or_never(listener.accept_once()).await {
        match accepted {
            Ok((client, peer)) => spawn_client(&state, client, peer),
            Err(errno) if errno.is_transient_accept_error() && !failure_streak.record() => {}
            Err(_) => break,
        }
    }
}

/// Spawns one client's task. A block, not an `async fn`: that would keep its arguments twice, as
/// passed and as used.
fn spawn_client<K: InstrumentedKernel>(
    state: &Rc<ServerState<K>>,
    mut client: Stream<K>,
    peer: Addr,
) {
    let (number, name) = state.connection_opened(&peer);
    let name = state.log.is_verbose.then(|| Box::new((name, 0)));
    let mut task = ClientTask { shared: Rc::clone(state), number, name };
    state.handle.spawn(async move {
        task.shared.register_waker(task.number).await;
        let why = echo_loop(&mut task, &mut client).await.unwrap_or_else(CloseReason::Error);
        // Closed before the listeners are woken for the free capacity.
        drop(client);
        let (name, bytes) = task.name.as_deref().map_or(("", 0), |(name, bytes)| (name, *bytes));
        task.shared.connection_closed(task.number, name, bytes, why);
    });
}

/// State of one connected client.
struct ClientTask<K: InstrumentedKernel> {
    shared: Rc<ServerState<K>>,
    number: u64,
    /// Its name and the bytes received from it; only if logging is verbose.
    name: Option<Box<(String, u64)>>,
}

async fn echo_loop<K: InstrumentedKernel>(
    task: &mut ClientTask<K>,
    client: &mut Stream<K>,
) -> Result<CloseReason, Errno> {
    let idle = task.shared.limits.idle;
    loop {
        let state = &task.shared;
        let received = match idle {
            None => Some(state.or_shutdown(client.recv_pooled()).await),
            // Boxed, so that clients without an idle timeout reserve no space for it.
            Some(idle) => Box::pin(recv_with_timeout(state, client, idle)).await,
        };
        match received {
            Some(Some(bytes)) => match bytes? {
                Some(bytes) => {
                    task.count_bytes(bytes.len());
                    match idle {
                        None => client.write_all(&bytes).await?,
                        Some(idle) => {
                            let all = send_with_timeout(&task.shared, client, &bytes, idle);
                            // The peer reads nothing: an orderly close is impossible.
                            let Some(sent) = Box::pin(all).await else {
                                return Ok(CloseReason::IdleTimeout);
                            };
                            sent?;
                        }
                    }
                    task.shared.context().stats.bytes_out += bytes.len() as u64;
                }
                None => return Ok(CloseReason::PeerClosed),
            },
            // Boxed too: it runs once, but its space would be reserved all the time.
            Some(None) => return Box::pin(drain_client(task, client)).await,
            None => {
                Box::pin(close_gracefully(&task.shared, client)).await?;
                return Ok(CloseReason::IdleTimeout);
            }
        }
    }
}

/// The next bytes of a client, or `Some(None)` on shutdown; `None` when it has sent nothing and
/// taken nothing of its send queue for `idle`.
async fn recv_with_timeout<K: InstrumentedKernel>(
    state: &ServerState<K>,
    client: &mut Stream<K>,
    idle: Duration,
) -> Option<Option<Result<Option<PooledBuf>, Errno>>> {
    let (mut queue, mut span) = (SendQueue::default(), idle);
    loop {
        let next = state.or_shutdown(client.recv_pooled());
        if let Ok(received) = state.handle.timeout(span, next).await {
            return Some(received);
        }
        if queue.is_stuck(unsent_bytes(client), POLLS_PER_TIMEOUT) {
            return None;
        }
        span = SendQueue::pause(idle);
    }
}

/// Sends all of `bytes`; `None` when the client has taken nothing for `idle`.
async fn send_with_timeout<K: InstrumentedKernel>(
    state: &ServerState<K>,
    client: &mut Stream<K>,
    bytes: &[u8],
    idle: Duration,
) -> Option<Result<(), Errno>> {
    let mut rest = bytes;
    let mut queue = SendQueue::default();
    while !rest.is_empty() {
        match state.handle.timeout(SendQueue::pause(idle), client.send(rest)).await {
            Ok(Ok(count)) => {
                rest = &rest[count..];
                queue = SendQueue::default();
            }
            Ok(Err(errno)) => return Some(Err(errno)),
            Err(Elapsed)
                if queue.is_stuck(unsent_bytes(client) + rest.len(), POLLS_PER_TIMEOUT) =>
            {
                return None;
            }
            Err(Elapsed) => {}
        }
    }
    Some(Ok(()))
}

/// Bytes left in a client's send queue; 0 where the kernel does not report it.
fn unsent_bytes<K: InstrumentedKernel>(client: &mut Stream<K>) -> usize {
    client.async_fd().syscall(Kernel::ioctl_outq).unwrap_or(0)
}

/// Shutdown: echoes the data that has already arrived, then closes.
async fn drain_client<K: InstrumentedKernel>(
    task: &mut ClientTask<K>,
    client: &mut Stream<K>,
) -> Result<CloseReason, Errno> {
    while let Some(bytes) = task.shared.now_or_never(client.recv_pooled()).await {
        let Some(bytes) = bytes? else { return Ok(CloseReason::PeerClosed) };
        task.count_bytes(bytes.len());
        client.write_all(&bytes).await?;
        task.shared.context().stats.bytes_out += bytes.len() as u64;
    }
    close_gracefully(&task.shared, client).await?;
    Ok(CloseReason::PeerClosed)
}

impl<K: InstrumentedKernel> ClientTask<K> {
    fn count_bytes(&mut self, bytes: usize) {
        let mut context = self.shared.context();
        context.stats.bytes_in += bytes as u64;
        context.stats.echoes += 1;
        if let Some(named) = &mut self.name {
            named.1 += bytes as u64;
            client_log::received(&self.shared.log, &named.0, bytes);
        }
    }
}

/// Closes in order: shuts down our direction, and discards further input until the peer's FIN.
/// Closing with unread input would send a reset and destroy the echo in flight.
async fn close_gracefully<K: InstrumentedKernel>(
    state: &ServerState<K>,
    client: &mut Stream<K>,
) -> Result<(), Errno> {
    client.shutdown(Shutdown::Write)?;
    let mut queue = SendQueue::default();
    queue.is_stuck(unsent_bytes(client), 1);
    loop {
        let discard = async { while let Ok(Some(_)) = client.recv_pooled().await {} };
        let ended = Box::pin(state.handle.timeout(LINGER_TIMEOUT, discard)).await;
        // Extended while the peer takes data from the send queue, and one period more.
        if ended.is_ok() || queue.is_stuck(unsent_bytes(client), 1) {
            return Ok(());
        }
    }
}

/// Serves a datagram socket: one task for all senders, since there are no connections.
async fn datagram_loop<K: InstrumentedKernel>(
    state: Rc<ServerState<K>>,
    mut socket: DatagramSocket<K>,
    is_wildcard: bool,
) {
    state.register_listener_waker().await;
    let mut buf = RecvBuffer::new(BUFFER_BYTES);
    let (mut drained, mut failure_streak) = (0, FailureStreak::default());
    loop {
        drained += u32::from(state.is_shutting_down());
        if drained > DRAINED_MAX {
            return;
        }
        // An error here belongs to an earlier reply: it is counted and dropped. Many in a row have
        // another cause.
        let next = receive(&mut socket, &mut buf, is_wildcard);
        let received = match state.or_shutdown(next).await {
            Some(received) => received,
            // Shutdown: datagrams that have already arrived are answered.
            None => match state.now_or_never(receive(&mut socket, &mut buf, is_wildcard)).await {
                Some(received) => received,
                None => return,
            },
        };
        let disposition =
            state.context().count_received(&received, buf.len(), &state.ports.borrow());
        if let (Some(Disposition::Echoed), Ok(message)) = (disposition, &received) {
            let sent = socket.reply(&buf[..message.len_bytes], message).await;
            state.context().count_sent(sent.map(|_| message.len_bytes));
        }
        if disposition.is_some() {
            failure_streak.reset();
        } else if failure_streak.record() {
            state.or_shutdown(state.handle.sleep(RETRY_DELAY)).await;
        }
    }
}

/// The next datagram; with its destination address if the socket is bound to the wildcard.
fn receive<K: InstrumentedKernel>(
    socket: &mut DatagramSocket<K>,
    buf: &mut [u8],
    is_wildcard: bool,
) -> impl Future<Output = Result<ReceivedDatagram, Errno>> {
    socket.async_fd().async_io(Direction::Read, move |kernel, fd| match is_wildcard {
        true => recv_datagram(kernel, fd, buf),
        false => kernel.recvfrom(fd, buf).map(|(len_bytes, from)| ReceivedDatagram {
            len_bytes,
            segment_bytes: 0,
            from,
            packet_info: None,
        }),
    })
}

impl<K: InstrumentedKernel> ServerState<K> {
    /// The output of `future`; `None` if shutdown begins first.
    async fn or_shutdown<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.is_shutting_down() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// The output of `future` if it is ready without waiting. Yields once before, so that the
    /// executor polls for events.
    async fn now_or_never<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.handle.yield_now().await;
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}
