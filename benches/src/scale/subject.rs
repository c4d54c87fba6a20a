//! What is measured: a stream server with so many connections, and the same system calls without
//! it, which are the kernel's share. Neither knows which kernel it runs on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use epollite::event::EventMask;
use epollite::kernel::{EpollEvent, EpollOp, close_quietly};
use epollite::server::stream::{StreamConfig, StreamServer};
use epollite::{Errno, Fd, Interest, Trigger};

use super::kernels::{Busy, Plan};
use super::{BUSY, MESSAGE};
use crate::process_usage::thread_cpu;

/// Far longer than a run takes: every connection has a deadline, and none passes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Events of a wait and bytes of a receive, as in the library.
const WAIT_EVENTS: usize = 256;
const RECEIVE_BYTES: usize = 256 << 10;
const _: () = assert!(MESSAGE.len() < RECEIVE_BYTES && BUSY <= WAIT_EVENTS as u64);

const IS_OPEN: &str = "it is open until it is dropped";

/// Something that echoes, on a kernel of [`kernels`](super::kernels).
pub(super) trait Subject {
    /// Waits once and echoes the messages that have arrived; repeats that `rounds` times.
    fn serve(&mut self, rounds: u32) -> Result<()>;

    /// The messages echoed so far.
    fn echoes(&self) -> u64;

    /// See [`Busy::SLICE`].
    fn slice_length(&self) -> (u32, u32);

    fn feed(&mut self) -> Result<()>;

    /// Serves a slice; returns the processor time of an event, in nanoseconds. What comes first
    /// does not count: the other subjects have left something else in the caches.
    fn slice(&mut self) -> Result<f64> {
        let (feeds, rounds) = self.slice_length();
        let mut spent = Duration::ZERO;
        for nth in 0..feeds + feeds.div_ceil(10) {
            self.feed()?;
            let (echoes, began) = (self.echoes(), thread_cpu()?);
            self.serve(rounds)?;
            if nth >= feeds.div_ceil(10) {
                spent += thread_cpu()? - began;
            }
            let echoes = self.echoes() - echoes;
            ensure!(echoes == BUSY * u64::from(rounds), "{echoes} echoes in {rounds} rounds");
        }
        let events = BUSY * u64::from(rounds * feeds);
        Ok(spent.as_nanos() as f64 / events as f64)
    }
}

/// The library's server, with its deadlines or without.
#[derive(Debug)]
pub(super) struct Server<K: Busy>(StreamServer<K>);

impl<K: Busy> Server<K> {
    pub(super) fn new(kernel: K, listener: Fd, has_deadlines: bool) -> Result<Self> {
        let config = StreamConfig {
            connections_max: u32::MAX - 1,
            // One by one: memory is looked at after each.
            accepts_max: 1,
            idle_timeout: has_deadlines.then_some(IDLE_TIMEOUT),
            ..StreamConfig::default()
        };
        let mut server = StreamServer::new(kernel, config)?;
        server.add_listener(listener)?;
        Ok(Self(server))
    }

    /// Accepts connections until there are as many as planned; `visit` gets their number each time.
    pub(super) fn accept(mut self, plan: Plan, mut visit: impl FnMut(u64)) -> Result<Self> {
        let mut before = 0;
        while before < plan.connections {
            self.0.run_once(None)?;
            let connections = u64::from(self.0.connections());
            ensure!(connections > before, "only {connections} connections were accepted");
            visit(connections);
            before = connections;
        }
        Ok(self)
    }
}

impl<K: Busy> Subject for Server<K> {
    fn serve(&mut self, rounds: u32) -> Result<()> {
        for _ in 0..rounds {
            self.0.run_once(None)?;
        }
        Ok(())
    }

    fn echoes(&self) -> u64 {
        self.0.stats().echoes
    }

    fn slice_length(&self) -> (u32, u32) {
        K::SLICE
    }

    fn feed(&mut self) -> Result<()> {
        Ok(self.0.kernel().feed()?)
    }
}

/// The calls of the server alone. Data of an event is the index of its descriptor.
#[derive(Debug)]
pub(super) struct Bare<K: Busy> {
    kernel: K,
    epoll: Option<Fd>,
    listener: Option<Fd>,
    connections: Vec<Fd>,
    events: Vec<EpollEvent>,
    buf: Vec<u8>,
    echoes: u64,
}

impl<K: Busy> Bare<K> {
    pub(super) fn new(mut kernel: K, listener: Fd, plan: Plan) -> Result<Self> {
        let epoll = kernel.epoll_create1()?;
        let mask = EventMask::new(
            Interest::READABLE | Interest::READ_CLOSED | Interest::PRIORITY | Interest::WRITABLE,
            Trigger::Edge,
        );
        let mut bare = Self {
            kernel,
            epoll: Some(epoll),
            listener: Some(listener),
            connections: Vec::new(),
            events: vec![EpollEvent::default(); WAIT_EVENTS],
            buf: vec![0; RECEIVE_BYTES],
            echoes: 0,
        };
        for index in 0..plan.connections {
            bare.accept(EpollEvent::new(mask.bits(), index))?;
            // All of them are writable, and are reported once.
            if index % WAIT_EVENTS as u64 == 0 || index + 1 == plan.connections {
                bare.wait(0)?;
            }
        }
        Ok(bare)
    }

    fn accept(&mut self, event: EpollEvent) -> Result<()> {
        let Self { kernel, epoll, listener, connections, .. } = self;
        let (connection, _) = kernel.accept4(listener.as_ref().context(IS_OPEN)?)?;
        let added =
            kernel.epoll_ctl(epoll.as_ref().context(IS_OPEN)?, EpollOp::Add(event), &connection);
        connections.push(connection);
        Ok(added?)
    }

    fn wait(&mut self, timeout_millis: u32) -> Result<usize> {
        let Self { kernel, epoll, events, .. } = self;
        let epoll = epoll.as_ref().context(IS_OPEN)?;
        Ok(kernel.epoll_wait(epoll, events, Some(timeout_millis))?)
    }
}

impl<K: Busy> Subject for Bare<K> {
    fn serve(&mut self, rounds: u32) -> Result<()> {
        for _ in 0..rounds {
            self.kernel.now();
            let count = self.wait(1_000)?;
            let Self { kernel, connections, events, buf, echoes, .. } = self;
            for event in &events[..count] {
                let connection = &connections[usize::try_from(event.data())?];
                match kernel.recv(connection, buf) {
                    Ok(received) => {
                        kernel.send(connection, &buf[..received])?;
                        kernel.now();
                        *echoes += 1;
                    }
                    Err(Errno::EAGAIN) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
        Ok(())
    }

    fn echoes(&self) -> u64 {
        self.echoes
    }

    fn slice_length(&self) -> (u32, u32) {
        K::SLICE
    }

    fn feed(&mut self) -> Result<()> {
        Ok(self.kernel.feed()?)
    }
}

impl<K: Busy> Drop for Bare<K> {
    fn drop(&mut self) {
        let all = self.connections.drain(..).chain(self.listener.take()).chain(self.epoll.take());
        all.for_each(|fd| close_quietly(&mut self.kernel, fd));
    }
}
