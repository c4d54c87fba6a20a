//! `epl_echo`: the echo server for streams. Knows no reactor of C's.

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use super::address;
use super::boundary::{allocated, destroy, done, shared, slice_mut, status, store, text};
use super::reactor::{EDGE, deadline_after, trigger_of};
use super::text::VERSION;
use super::wake::Wake;
use crate::collections::RecvBuffer;
use crate::errno::Errno;
use crate::event::{Interest, Trigger};
use crate::kernel::{Kernel, SocketType};
use crate::linux::Linux;
use crate::server::stream::{IDLE_TIMEOUT_MAX, Outcome, StreamConfig, StreamServer};
use crate::server::{PortSharing, create_socket};

/// `epl_echo` of the header. Other threads reach what stops it while one uses the rest.
#[derive(Debug)]
pub(super) struct EchoHandle {
    wake: Wake,
    is_stopped: AtomicBool,
    core: UnsafeCell<EchoCore>,
}

struct EchoCore {
    server: StreamServer<Linux, ()>,
    is_draining: bool,
    /// Stopped, and the last connection has closed: there is nothing to wait for any more.
    is_drained: bool,
}

impl core::fmt::Debug for EchoCore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EchoCore").field("is_draining", &self.is_draining).finish_non_exhaustive()
    }
}

/// `struct epl_echo_options` of the header.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct EplEchoOptions {
    trigger: u32,
    connections_max: u32,
    buffer_bytes: u64,
    /// 0 is never.
    idle_timeout_ns: u64,
    drain_timeout_ns: u64,
}

impl EplEchoOptions {
    fn defaults() -> Self {
        let config = StreamConfig::default();
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            trigger: EDGE,
            connections_max: config.connections_max,
            buffer_bytes: u64::try_from(config.buffer_bytes).unwrap_or(u64::MAX),
            idle_timeout_ns: config.idle_timeout.map_or(0, nanos),
            drain_timeout_ns: nanos(config.drain_timeout),
        }
    }
}

/// `struct epl_echo_stats` of the header.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct EplEchoStats {
    connections: u64,
    accepted: u64,
    closed: u64,
    reset: u64,
    timed_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    messages: u64,
}

/// Runs `call` with the server of `handle`; `EINVAL` for a null pointer.
///
/// # Safety
/// `handle` is null or a server that is not freed yet, and no other thread uses it at the same
/// time, except to stop it.
unsafe fn with<R>(
    handle: *const EchoHandle,
    call: impl FnOnce(&EchoHandle, &mut EchoCore) -> Result<R, Errno>,
) -> Result<R, Errno> {
    // SAFETY: as the caller has promised.
    let handle = unsafe { shared(handle) }?;
    // SAFETY: only one thread is here, as the caller has promised, and `call` calls no function of
    // C that could come back.
    let core = unsafe { &mut *handle.core.get() };
    call(handle, core)
}

/// Sets every option to its default. `bytes` and `version` are the header's: options of another
/// header may be smaller than what is written.
///
/// # Safety
/// `options` is null, or `bytes` bytes may be written there.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_echo_options_defaults(
    options: *mut EplEchoOptions,
    bytes: usize,
    version: c_int,
) -> c_int {
    let set = || {
        if version != VERSION || bytes != size_of::<EplEchoOptions>() {
            return Err(Errno::ELIBBAD);
        }
        // SAFETY: as the caller has promised.
        unsafe { store(options, EplEchoOptions::defaults()) }
    };
    done(set())
}

/// Creates a server without listeners. `version` is the header's.
///
/// # Safety
/// `out` is null or may be written to; `options` is null or points to options.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_echo_create(
    out: *mut *mut EchoHandle,
    options: *const EplEchoOptions,
    version: c_int,
) -> c_int {
    let create = || {
        if version != VERSION {
            return Err(Errno::ELIBBAD);
        }
        // SAFETY: null, or writable, as the caller has promised.
        unsafe { store(out, null_mut()) }?;
        let options = match options.is_null() {
            true => EplEchoOptions::defaults(),
            // SAFETY: not null, so that it points to options, as the caller has promised.
            false => *unsafe { shared(options) }?,
        };
        let config = config(&options)?;
        let buf = RecvBuffer::try_new(config.buffer_bytes.min(config.budget_bytes));
        let buf = buf.map_err(|_| Errno::ENOMEM)?;
        let mut server = StreamServer::with_buffer(Linux, config, buf)?;
        let eventfd = Linux.eventfd(0)?;
        let number = eventfd.raw();
        server.register(eventfd, Interest::READABLE, Trigger::Edge, ())?;
        let wake = Wake::new();
        wake.enable(number);
        let core = UnsafeCell::new(EchoCore { server, is_draining: false, is_drained: false });
        let handle = allocated(EchoHandle { wake, is_stopped: AtomicBool::new(false), core })?;
        // SAFETY: not null, as the first store has shown, and writable.
        unsafe { store(out, handle) }
    };
    done(create())
}

/// Closes every connection and listener, and frees the server.
///
/// # Safety
/// `handle` is null, or a server that no thread uses now or later.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_echo_free(handle: *mut EchoHandle) {
    if !handle.is_null() {
        // SAFETY: not null, and allocated by the function above.
        unsafe { destroy(handle, false) };
    }
}

/// Listens on an address, and writes the one that it got.
///
/// # Safety
/// As [`with`]; `address` is null or a text that ends with a zero byte; `bound` is null, or
/// `bound_bytes` bytes may be written there.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_echo_listen(
    handle: *mut EchoHandle,
    address: *const c_char,
    bound: *mut c_char,
    bound_bytes: usize,
) -> c_int {
    let listen = |handle: &EchoHandle, core: &mut EchoCore| {
        if handle.is_stopped.load(Ordering::Acquire) {
            return Err(Errno::ESHUTDOWN);
        }
        // SAFETY: as the caller has promised.
        let addr = address::parse(unsafe { text(address) }?)?;
        let listening =
            create_socket(&mut Linux, &addr, SocketType::Stream, PortSharing::Exclusive, true);
        let (listener, addr) = listening.map_err(|error| error.errno)?;
        core.server.add_listener(listener)?;
        if !bound.is_null() {
            // SAFETY: as the caller has promised.
            address::write(unsafe { slice_mut(bound.cast::<u8>(), bound_bytes) }?, &addr)?;
        }
        Ok(())
    };
    // SAFETY: as the caller has promised.
    done(unsafe { with(handle, listen) })
}

/// Serves until it is stopped and the last connection has closed.
///
/// # Safety
/// As [`with`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_echo_run(handle: *mut EchoHandle) -> c_int {
    let run = |handle: &EchoHandle, core: &mut EchoCore| loop {
        core.begin_drain_if_stopped(handle);
        if core.is_drained {
            return Ok(());
        }
        match core.server.run_rounds()? {
            Outcome::Drained => core.is_drained = true,
            Outcome::User(_) => handle.wake.acknowledge(),
            Outcome::TimedOut | Outcome::Handled => {}
        }
    };
    // SAFETY: as the caller has promised.
    done(unsafe { with(handle, run) })
}

/// Serves what is ready, waiting for it as long as `timeout_ns`; 1 while the server runs, 0 when it
/// was stopped and the last connection has closed.
///
/// # Safety
/// As [`with`].
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_echo_run_once(handle: *mut EchoHandle, timeout_ns: i64) -> c_int {
    let run = |handle: &EchoHandle, core: &mut EchoCore| {
        let deadline = deadline_after(timeout_ns)?;
        core.begin_drain_if_stopped(handle);
        if core.is_drained {
            return Ok(0);
        }
        match core.server.run_once(deadline)? {
            Outcome::Drained => {
                core.is_drained = true;
                return Ok(0);
            }
            Outcome::User(_) => handle.wake.acknowledge(),
            Outcome::TimedOut | Outcome::Handled => {}
        }
        core.begin_drain_if_stopped(handle);
        Ok(1)
    };
    // SAFETY: as the caller has promised.
    status(unsafe { with(handle, run) })
}

/// Stops a server, from any thread or signal handler.
///
/// # Safety
/// `handle` is null, or a server that is not freed before this returns.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_echo_stop(handle: *const EchoHandle) -> c_int {
    // SAFETY: as the caller has promised; only atomics are touched.
    let stopped = unsafe { shared(handle) }.and_then(|handle| {
        handle.is_stopped.store(true, Ordering::Release);
        handle.wake.wake()
    });
    done(stopped)
}

/// Reads the counters.
///
/// # Safety
/// As [`with`]; `stats` is null or may be written to.
#[unsafe(no_mangle)]
unsafe extern "C" fn epl_echo_read_stats(
    handle: *mut EchoHandle,
    stats: *mut EplEchoStats,
) -> c_int {
    let read = |_: &EchoHandle, core: &mut EchoCore| {
        let now = core.server.stats();
        let value = EplEchoStats {
            connections: core.server.connections().into(),
            accepted: now.accepted,
            closed: now.closed,
            reset: now.reset,
            timed_out: now.timed_out,
            bytes_in: now.bytes_in,
            bytes_out: now.bytes_out,
            messages: now.echoes,
        };
        // SAFETY: as the caller has promised.
        unsafe { store(stats, value) }
    };
    // SAFETY: as the caller has promised.
    done(unsafe { with(handle, read) })
}

impl EchoCore {
    fn begin_drain_if_stopped(&mut self, handle: &EchoHandle) {
        if !self.is_draining && handle.is_stopped.load(Ordering::Acquire) {
            self.is_draining = true;
            self.server.begin_shutdown();
        }
    }
}

/// What the options say; `EINVAL` for what does not exist or is out of range.
fn config(options: &EplEchoOptions) -> Result<StreamConfig, Errno> {
    let buffer_bytes = usize::try_from(options.buffer_bytes).map_err(|_| Errno::EINVAL)?;
    let idle_timeout = Duration::from_nanos(options.idle_timeout_ns);
    let is_in_range = (1..=BUFFER_BYTES_MAX).contains(&buffer_bytes)
        && idle_timeout <= IDLE_TIMEOUT_MAX
        && options.connections_max > 0;
    if !is_in_range {
        return Err(Errno::EINVAL);
    }
    Ok(StreamConfig {
        trigger: trigger_of(options.trigger)?,
        connections_max: options.connections_max,
        buffer_bytes,
        idle_timeout: Some(idle_timeout).filter(|time| !time.is_zero()),
        drain_timeout: Duration::from_nanos(options.drain_timeout_ns),
        ..StreamConfig::default()
    })
}

/// A larger receive buffer brings nothing, and might not fit into the address space.
const BUFFER_BYTES_MAX: usize = 1 << 30;
