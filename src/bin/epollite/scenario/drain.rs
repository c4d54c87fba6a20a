//! Final phase of a scenario: clients read what is echoed, finish sending, read all remaining data
//! and disconnect; then the invariants are checked.

use std::time::Duration;

use epollite::server::stream::Outcome;

use super::client::Client;
use super::config::{ScenarioReport, Violation};
use super::run::{IDLE_ROUNDS_MAX, Scenario, progress};
use super::server::ServerUnderTest;

impl<S: ServerUnderTest> Scenario<'_, S> {
    /// Drains and closes all clients, checks the invariants, and shuts the server down.
    pub(super) fn drain_and_check(&mut self) -> Result<ScenarioReport, Violation> {
        // A server that has missed an event is not woken up as long as no client half-closes and
        // there is no idle timeout.
        if self.config.idle.is_none() {
            self.run_until_idle(false)?;
            for client in &mut self.clients {
                client.send(&mut self.sim, 1);
            }
            self.run_until_idle(false)?;
            self.check_echoed()?;
        }
        self.run_until_idle(true)?;
        self.run_server_until_it_waits()?;
        self.check_ended()?;
        self.close_clients();
        self.check_still_serving()?;
        self.shut_down_server()
    }

    /// Everything sent is echoed, and the server waits. Clients in the accept queue wait too: those
    /// that are served have not half-closed.
    fn check_echoed(&mut self) -> Result<(), Violation> {
        self.run_server_until_it_waits()?;
        if self.config.faults.is_some() {
            return Ok(());
        }
        let connected = || self.clients.iter().filter(|client| client.is_connected());
        let mut queued = connected().count().saturating_sub(self.server.connections() as usize);
        for &Client { id, sent, received, sent_fin, .. } in connected() {
            if received == sent && !sent_fin {
                continue;
            }
            if received == 0 && queued > 0 {
                queued -= 1;
                continue;
            }
            return Err(self.violation(format!(
                "no client waits forever, but client {id} sent {sent} bytes{}, received {received} \
                 back, and got no EOF",
                if sent_fin { " and a FIN" } else { "" }
            )));
        }
        Ok(())
    }

    /// Every client got all its bytes and EOF, whether it was served or waited in the queue.
    fn check_ended(&self) -> Result<(), Violation> {
        let has_faults = self.config.faults.is_some();
        // The kernel may abort a connection before it is accepted; the server may abort none.
        let mut aborted = self.server.stats().aborted;
        for &Client { id, sent, received, got_eof, error, .. } in &self.clients {
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
        Ok(())
    }

    /// Runs until nothing changes. All clients read, and half-close if they shall `finish`.
    fn run_until_idle(&mut self, finish: bool) -> Result<(), Violation> {
        let mut idle_rounds = 0;
        while idle_rounds < IDLE_ROUNDS_MAX {
            let mut is_idle = true;
            let before = progress(&self.server.stats());
            self.run_server()?;
            // Pauses of accepting end by time, too.
            self.sim.advance(Duration::from_millis(50));
            for index in 0..self.clients.len() {
                if finish && !self.clients[index].sent_fin {
                    self.clients[index].half_close(&mut self.sim);
                }
                while self.client_read(index, 4096)? {
                    is_idle = false;
                }
            }
            is_idle &= before == progress(&self.server.stats());
            idle_rounds = if is_idle { idle_rounds + 1 } else { 0 };
        }
        Ok(())
    }

    /// Whatever happened before: a new client is served. (Unless a fault is persistent.)
    fn check_still_serving(&mut self) -> Result<(), Violation> {
        /// The kernel may abort one connection, even two; and the scenario's one fault may hit this
        /// very client.
        const ATTEMPTS: u32 = 8;

        self.run_until_idle(true)?;
        if self.config.has_persistent_fault() {
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
                    self.clients[0].send(&mut self.sim, 100);
                }
                self.sim.advance(Duration::from_millis(50));
            }
            self.run_until_idle(true)?;
            let Client { sent, received, got_eof, .. } = self.clients[0];
            self.close_clients();
            self.run_until_idle(true)?;
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
        if remaining > 0 && !self.config.has_persistent_fault() {
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
