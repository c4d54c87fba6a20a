//! Properties of the executor on the simulated kernel: clients use an echo server of tasks,
//! some of them tasks themselves; tasks are cancelled at arbitrary points; and the kernel returns
//! anything a kernel may.

mod drain;
mod peers;

use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use epollite::executor::{Executor, ExecutorConfig, JoinHandle};
use epollite::instrument::{CallCounter, FaultInjector, FaultPlan};
use epollite::kernel::{Resource, Rlimit, Syscall};
use epollite::server::{PortSharing, bind_stream};
use epollite::sim::{Entropy, Probabilities, Sim, SimConfig};
use epollite::{Addr, Errno, Instant, Kernel};
use peers::{converse, serve};

use crate::scenario::client::Client;
use crate::scenario::server::KernelUnderTest;

/// The budget and the buffer size of one task: small, so that every limit is reached.
const CALLS_MAX: u32 = 5;
const BUFFER_BYTES: usize = 32;

/// Runs the scenario of `plan`, two bytes per step; the first is the configuration.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn check_invariants(plan: &[u8]) {
    run_plan(plan, None);
}

/// The same with one system call of the server failing, once or persistently.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn check_invariants_under_faults(plan: &[u8]) {
    let [which, errno, at, plan @ ..] = plan else { return };
    let call = Syscall::ALL[usize::from(*which) % Syscall::ALL.len()];
    let errnos = call.errnos();
    let Some(&errno) = errnos.get(usize::from(errno >> 1) % errnos.len().max(1)) else { return };
    let lasts = which & 0x80 != 0;
    let faults = if lasts { FaultPlan::persistent } else { FaultPlan::once };
    run_plan(plan, Some(faults(u64::from(*at), errno).for_syscall(call)));
}

/// Either of the two, selected by the first byte: for the fuzzer and its corpus.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn check_invariants_either_way(plan: &[u8]) {
    match plan.split_first() {
        Some((first, rest)) if first % 2 == 1 => check_invariants_under_faults(rest),
        Some((_, rest)) => check_invariants(rest),
        None => {}
    }
}

/// Runs a scenario; returns whether the fault fired.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn run_plan(plan: &[u8], faults: Option<FaultPlan>) -> bool {
    let (&first, plan) = plan.split_first().unwrap_or((&0, &[]));
    let (chance, plan) = plan.split_at(plan.len() / 3);
    let mut scenario = match Scenario::new(first, Entropy::from_bytes(chance.into()), faults) {
        Ok(scenario) => scenario,
        // Without a listener there is no scenario; but nothing may stay open, or the simulation
        // complains.
        Err(_) => {
            assert!(faults.is_some(), "invariant: a new simulation has free resources");
            return true;
        }
    };
    for step in plan.chunks_exact(2) {
        scenario.step(step[0], usize::from(step[1]));
    }
    // Some scenarios end in the middle: all tasks are dropped at once.
    if first & 0x30 != 0x30 {
        scenario.drain_and_check();
    }
    scenario.end()
}

/// The result of a client that is a task, if it was not cancelled.
type ClientFuture = JoinHandle<Result<(), Errno>>;

struct Scenario {
    sim: Sim,
    executor: Executor<KernelUnderTest>,
    connections: Rc<RefCell<Vec<JoinHandle<()>>>>,
    /// Bytes echoed by all connections: a scenario in which it grows makes progress.
    echoed: Rc<Cell<usize>>,
    callers: Executor<Sim>,
    calls: Vec<ClientFuture>,
    addr: Addr,
    clients: Vec<Client>,
    client_count: u64,
    /// Connections that were cancelled: their clients may have received only a part.
    cancelled: u64,
    faults: Option<FaultPlan>,
}

impl Scenario {
    fn new(first: u8, chance: Entropy, faults: Option<FaultPlan>) -> Result<Self, Errno> {
        let probabilities =
            if first & 1 == 0 { Probabilities::default() } else { Probabilities::MODERATE };
        let bytes = if first & 2 == 0 { 256 } else { 3_000 };
        let (receive_buffer_bytes, send_buffer_bytes) = (bytes, bytes);
        let sim_config = SimConfig {
            entropy: chance,
            probabilities,
            receive_buffer_bytes,
            send_buffer_bytes,
            ..SimConfig::default()
        };
        let sim = Sim::new(sim_config);
        let mut process = sim.new_process();
        // The standard streams, the epoll, the listener, and eight connections, or two.
        let most = if first & 4 == 0 { 13 } else { 7 };
        process.prlimit(Resource::Nofile, Some(Rlimit { soft: most, hard: most }))?;
        let never = FaultPlan::once(u64::MAX, Errno::EIO);
        let kernel = CallCounter::new(FaultInjector::new(process, faults.unwrap_or(never)));
        let config = ExecutorConfig {
            budget: CALLS_MAX.try_into().expect("it is not zero"),
            buffer_bytes: BUFFER_BYTES.try_into().expect("it is not zero"),
            ..ExecutorConfig::default()
        };
        let executor = Executor::with_config(kernel, config)?;
        let callers =
            Executor::with_kernel(sim.new_process()).expect("a new process has free descriptors");
        let wanted = if first & 8 == 0 { "127.0.0.1:7777" } else { "unix:@scenario" };
        let wanted: Addr = wanted.parse().expect("the address is valid");
        let handle = executor.handle();
        let bound =
            handle.with_kernel(|kernel| bind_stream(kernel, &wanted, PortSharing::Exclusive));
        let (listener, addr) = bound.map_err(|error| error.errno)?;
        let connections: Rc<RefCell<Vec<JoinHandle<()>>>> = Rc::default();
        let echoed: Rc<Cell<usize>> = Rc::default();
        let (listener, keeps, counts) =
            (handle.listener(listener)?, Rc::clone(&connections), Rc::clone(&echoed));
        drop(handle.clone().spawn(serve(handle, listener, keeps, counts)));
        let (calls, clients) = (Vec::new(), Vec::new());
        let (client_count, cancelled) = (0, 0);
        Ok(Self {
            sim,
            executor,
            connections,
            echoed,
            callers,
            calls,
            addr,
            clients,
            client_count,
            cancelled,
            faults,
        })
    }

    fn step(&mut self, what: u8, much: usize) {
        match what % 32 {
            0..=9 => self.run_once(),
            10..=12 if self.clients.len() < 12 => self.arrive(),
            13 if self.calls.len() < 6 => self.call(much as u64 * 5),
            14..=18 => self.with(much, |scenario, index| {
                scenario.clients[index].send(&mut scenario.sim, much % 150 + 1);
            }),
            19..=25 => self.with(much, |scenario, index| _ = scenario.recv(index, much % 150 + 1)),
            26 => self.with(much, |scenario, index| {
                scenario.clients[index].half_close(&mut scenario.sim);
            }),
            27 => self.with(much, |scenario, index| scenario.disconnect(index, true)),
            28 => self.with(much, |scenario, index| scenario.disconnect(index, false)),
            29 => self.cancel(much),
            30 => {
                if let Some(call) = self.calls.get(much % self.calls.len().max(1)) {
                    call.cancel();
                }
            }
            _ => self.sim.advance(Duration::from_millis(much as u64)),
        }
    }

    fn with(&mut self, much: usize, act: impl FnOnce(&mut Self, usize)) {
        if !self.clients.is_empty() {
            let index = much % self.clients.len();
            act(self, index);
        }
    }

    /// One non-blocking iteration of both executors. Returns whether any task was polled.
    fn run_once(&mut self) {
        let handle = self.executor.handle();
        let made = || handle.with_kernel(|kernel| kernel.hook.total());
        let (before, task_count) = (made(), u64::from(handle.task_count()));
        match self.executor.run_once(Some(Instant::ZERO)) {
            Ok(polled) => assert!(
                polled as u64 <= 2 * task_count + 64,
                "invariant: each task is polled once per iteration"
            ),
            Err(errno) => {
                let lasts = self.faults.is_some_and(|faults| faults.is_persistent());
                assert!(lasts, "invariant: no errno stops the executor, but {errno} did");
            }
        }
        let calls = made() - before;
        // A wait that is interrupted repeatedly; and for each task the calls it may make, each
        // interrupted up to its retry limit, and the cost of closing.
        let bound = 1_100 + (task_count + 64) * (u64::from(CALLS_MAX) * 16 + 8);
        assert!(
            calls <= bound,
            "invariant: the work of one iteration is bounded, but one made {calls} calls"
        );
        self.callers.run_once(Some(Instant::ZERO)).expect("invariant: no errno stops the executor");
    }

    fn arrive(&mut self) {
        if let Some(client) = Client::connect(&mut self.sim, &self.addr, self.client_count + 1) {
            self.client_count += 1;
            self.clients.push(client);
        }
    }

    /// A client that is a task: one half sends its bytes, the other receives.
    fn call(&mut self, bytes: u64) {
        self.client_count += 1;
        let (handle, addr, index) = (self.callers.handle(), self.addr, self.client_count);
        self.calls.push(self.callers.handle().spawn(converse(handle, addr, index, bytes)));
    }

    /// Returns whether anything arrived.
    fn recv(&mut self, index: usize, bytes: usize) -> bool {
        let received = self.clients[index].recv(&mut self.sim, bytes);
        received.unwrap_or_else(|invariant| panic!("invariant: {invariant}"))
    }

    fn disconnect(&mut self, index: usize, with_reset: bool) {
        self.clients.swap_remove(index).close(&mut self.sim, with_reset);
    }

    fn cancel(&mut self, which: usize) {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| !connection.is_finished());
        if !connections.is_empty() {
            let which = which % connections.len();
            connections.swap_remove(which).cancel();
            self.cancelled += 1;
        }
    }
}
