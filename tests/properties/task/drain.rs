//! Final phase of an executor scenario: clients finish sending, read all remaining data and
//! disconnect; then the invariants are checked.

use core::time::Duration;

use epollite::executor::JoinHandle;
use epollite::kernel::Syscall;
use epollite::sim::Sim;
use epollite::{Errno, Fd, Kernel, Received};

use super::{Client, Scenario};

/// Rounds without progress after which a client counts as stuck: as many as interruptions and a
/// paused listener may cost.
const FRUITLESS_MAX: u32 = 16;

impl Scenario {
    /// Runs until nothing more happens. All clients read, and send nothing more.
    fn settle(&mut self) {
        let (mut fruitless, mut rounds) = (0, 0);
        while fruitless < FRUITLESS_MAX {
            rounds += 1;
            assert!(rounds < 20_000, "invariant: a scenario terminates");
            let state = |scenario: &Self| {
                let handle = scenario.executor.handle();
                let finished = scenario.calls.iter().filter(|call| call.is_finished()).count();
                (scenario.echoed.get(), handle.task_count(), handle.fd_count(), finished)
            };
            let before = state(self);
            self.run_once();
            self.sim.advance(Duration::from_millis(50));
            let mut progress = false;
            for index in 0..self.clients.len() {
                if !self.clients[index].sent_fin {
                    self.clients[index].half_close(&mut self.sim);
                }
                while self.recv(index, 4_096) {
                    progress = true;
                }
            }
            progress |= state(self) != before;
            fruitless = if progress { 0 } else { fruitless + 1 };
        }
    }

    /// All clients read all remaining data and disconnect; a later client is served; then the
    /// invariants are checked.
    pub(super) fn drain_and_check(&mut self) {
        self.settle();
        let lasts = self.faults.is_some_and(|faults| faults.is_persistent());
        let aborted =
            self.executor.handle().with_kernel(|kernel| kernel.hook.errors(Syscall::Accept4));
        let mut lost = 0;
        for Client { sent, received, got_eof, error, .. } in &self.clients {
            lost += u64::from(error.is_some() || !got_eof || received != sent);
        }
        for call in self.calls.drain(..) {
            assert!(
                call.is_finished() || self.faults.is_some(),
                "invariant: no client waits forever"
            );
            let received = self.callers.block_on(async {
                // A task still waiting after a fault has no result.
                if call.is_finished() { call.await } else { Ok(Ok(())) }
            });
            lost += u64::from(matches!(received, Ok(Ok(Err(_)))));
        }
        let excused = self.cancelled + aborted;
        assert!(
            lost <= excused || self.faults.is_some(),
            "invariant: all clients are served to EOF, but {lost} were not, {excused} excused"
        );
        while !self.clients.is_empty() {
            self.disconnect(0, false);
        }
        self.settle();
        if !lasts {
            self.serve_one_more();
            let handle = self.executor.handle();
            let remaining = (handle.task_count(), handle.fd_count());
            assert_eq!(
                remaining,
                (1, 1),
                "invariant: closed connections are removed, and the listener remains"
            );
        }
    }

    /// Whatever happened before: a new client is served.
    fn serve_one_more(&mut self) {
        // The kernel may abort one connection, even two; and the fault may fire only now.
        for _ in 0..8 {
            self.arrive();
            for _ in 0..FRUITLESS_MAX {
                if self.clients[0].sent == 0 {
                    self.clients[0].send(&mut self.sim, 100);
                }
                self.run_once();
                self.sim.advance(Duration::from_millis(50));
            }
            self.settle();
            let Client { sent, received, got_eof, .. } = self.clients[0];
            self.disconnect(0, false);
            self.settle();
            if sent > 0 && sent == received && got_eof {
                return;
            }
        }
        panic!("invariant: service resumes");
    }

    /// The simulation panics if a descriptor is left open when its processes end.
    pub(super) fn end(mut self) -> bool {
        let handle = self.executor.handle();
        let has_fired = handle.with_kernel(|kernel| kernel.kernel.hook.has_fired());
        drop(self.executor);
        assert_eq!(
            (handle.task_count(), handle.fd_count()),
            (0, 0),
            "invariant: all tasks and descriptors are dropped"
        );
        assert!(
            self.connections.borrow().iter().all(JoinHandle::is_finished),
            "invariant: all join handles are finished"
        );
        for client in self.clients.drain(..) {
            // A connected client receives EOF or an error; it is not left waiting.
            let received = drain(&mut self.sim, &client.socket);
            assert!(received != Some(Received::WouldBlock), "invariant: no client waits forever");
            let _ = self.sim.close(client.socket);
        }
        has_fired
    }
}

/// Reads to the end, and returns how it ended; `None` when the connection broke or was never
/// established.
fn drain(sim: &mut Sim, socket: &Fd) -> Option<Received> {
    for _ in 0..10_000 {
        match sim.recv(socket, &mut [0; 4_096]) {
            Ok(0) => return Some(Received::Eof),
            Err(Errno::EAGAIN) if sim.getpeername(socket).is_ok() => {
                return Some(Received::WouldBlock);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
    panic!("invariant: data in flight is bounded")
}
