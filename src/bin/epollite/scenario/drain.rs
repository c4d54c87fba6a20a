//! Final phase of a scenario: clients finish sending, read all remaining data and disconnect; then
//! the invariants are checked.

use std::time::Duration;

use epollite::server::stream::Outcome;

use super::config::{ScenarioReport, Violation};
use super::run::{Client, IDLE_ROUNDS_MAX, Scenario};

impl Scenario<'_> {
    /// Drains and closes all clients, checks the invariants, and shuts the server down.
    pub(super) fn drain_and_check(&mut self) -> Result<ScenarioReport, Violation> {
        self.run_until_idle()?;
        let has_faults = self.config.faults.is_some();
        // The kernel may abort a connection before it is accepted; the server may abort none.
        let mut aborted = self.server.stats().aborted;
        for index in 0..self.clients.len() {
            let Client { id, sent, received, got_eof, error, .. } = self.clients[index];
            if has_faults {
                continue;
            }
            // Closed for idleness: whether rightly so is checked when the client receives EOF.
            if self.config.idle.is_some() && (got_eof || error.is_some()) {
                continue;
            }
            let is_lost = error.is_some() || (got_eof && sent > 0);
            if is_lost && received == 0 && aborted > 0 {
                aborted -= 1;
                continue;
            }
            if let Some(errno) = error {
                return Err(self.violation(format!(
                    "no client is disconnected, but client {id}, which sent {sent} bytes and \
                     received {received}, got {errno} (the server's last reason was {:?})",
                    self.last_close_error
                )));
            }
            if received != sent || !got_eof {
                return Err(self.violation(format!(
                    "no client waits forever, but client {id} sent {sent} bytes, received \
                     {received} back, and got {} EOF",
                    if got_eof { "an" } else { "no" }
                )));
            }
        }
        while !self.clients.is_empty() {
            self.client_close(0, false);
        }
        self.check_still_serving()?;
        self.shut_down_server()
    }

    /// Runs until nothing changes. All clients read and half-close.
    fn run_until_idle(&mut self) -> Result<(), Violation> {
        let mut idle_rounds = 0;
        while idle_rounds < IDLE_ROUNDS_MAX {
            let mut progress = false;
            let before = (self.server.stats(), self.server.connections());
            self.run_server()?;
            // Pauses of accepting end by time, too.
            self.sim.advance(Duration::from_millis(50));
            for index in 0..self.clients.len() {
                if !self.clients[index].sent_fin {
                    self.client_half_close(index);
                }
                while self.client_read(index, 4096)? {
                    progress = true;
                    if self.clients[index].got_eof || self.clients[index].error.is_some() {
                        break;
                    }
                }
            }
            let after = (self.server.stats(), self.server.connections());
            progress |= (before.0.bytes_in, before.0.bytes_out, before.0.closed, before.1)
                != (after.0.bytes_in, after.0.bytes_out, after.0.closed, after.1);
            idle_rounds = if progress { 0 } else { idle_rounds + 1 };
        }
        Ok(())
    }

    /// Whatever happened before: a new client is served. (Unless a fault is persistent.)
    fn check_still_serving(&mut self) -> Result<(), Violation> {
        /// The kernel may abort one connection, even two; and the scenario's one fault may hit this
        /// very client.
        const ATTEMPTS: u32 = 8;

        self.run_until_idle()?;
        if self.config.faults.is_some_and(|faults| faults.is_persistent()) {
            return Ok(());
        }
        let mut last = (0, 0);
        for _ in 0..ATTEMPTS {
            self.connect_client();
            if self.clients.is_empty() {
                continue;
            }
            for _ in 0..IDLE_ROUNDS_MAX {
                self.run_server()?;
                if self.clients[0].sent == 0 {
                    self.client_send(0, 100);
                }
                self.sim.advance(Duration::from_millis(50));
            }
            self.run_until_idle()?;
            let Client { sent, received, got_eof, .. } = self.clients[0];
            self.client_close(0, false);
            self.run_until_idle()?;
            // The client reads late here, possibly after the server's idle timeout.
            let is_served = match self.config.idle {
                None => sent == received && got_eof,
                Some(_) => received > 0,
            };
            if sent > 0 && is_served {
                return Ok(());
            }
            last = (sent, received);
        }
        let (sent, received) = last;
        Err(self.violation(format!(
            "service resumes, but the last of {ATTEMPTS} sent {sent} bytes and received {received} \
             back"
        )))
    }

    fn shut_down_server(&mut self) -> Result<ScenarioReport, Violation> {
        let remaining = self.server.connections();
        let is_persistent = self.config.faults.is_some_and(|faults| faults.is_persistent());
        if remaining > 0 && !is_persistent {
            return Err(
                self.violation(format!("closed connections are removed, but {remaining} remain"))
            );
        }
        self.server.begin_shutdown();
        for _ in 0..IDLE_ROUNDS_MAX {
            if self.run_server()? == Outcome::Drained {
                let calls = self.server.kernel().hook.total();
                let faults = self.server.kernel().kernel.hook.fired();
                let stats = self.server.stats();
                return Ok(ScenarioReport { steps: self.step, stats, calls, faults });
            }
            self.sim.advance(Duration::from_millis(500));
        }
        Err(self.violation("the server shuts down within its drain timeout, but it did not"))
    }
}
