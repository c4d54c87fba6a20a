//! A worker answers `--metrics`: the requests of its reactor's loop, with the sums of all threads.

use epollite::event::Ready;
use epollite::kernel::close_quietly;
use epollite::{Errno, Fd, Interest, Token, Trigger};

use super::{UserSource, Worker, user_source};
use crate::echo::stats::StatsSnapshot;
use crate::instrument::InstrumentedKernel;
use crate::operation::scrape::{SCRAPES_MAX, Scrape, Step, TIMEOUT};

impl<K: InstrumentedKernel> Worker<K> {
    /// Adds the listener of `--metrics`. Edge-triggered: one that cannot be accepted, for lack of
    /// descriptors, must not be reported in every wait.
    pub(crate) fn open_metrics(&mut self, socket: Fd) -> Result<(), Errno> {
        let source = Box::new(UserSource::Metrics);
        let token = self.server.register(socket, Interest::READABLE, Trigger::Edge, source)?;
        self.metrics = Some(token);
        Ok(())
    }

    /// Accepts requests. Those that are too many are closed.
    pub(super) fn on_metrics(&mut self, listener: Token) {
        for _ in 0..SCRAPES_MAX {
            let Some((_, mut io)) = self.server.get_mut(listener) else { return };
            let Ok(Some((socket, _))) = io.accept() else { return };
            if self.scrapes.len() >= SCRAPES_MAX {
                close_quietly(self.server.kernel(), socket);
                continue;
            }
            let source = Box::new(UserSource::Scrape(Scrape::default()));
            let result = self.server.register(socket, Interest::READABLE, Trigger::Level, source);
            let Ok(token) = result else { return };
            self.scrapes.push(token);
            let deadline = self.server.kernel().now() + TIMEOUT;
            if let Some((_, mut io)) = self.server.get_mut(token) {
                io.set_deadline(deadline);
            }
        }
        if let Some((_, mut io)) = self.server.get_mut(listener) {
            io.requeue(Ready::READABLE);
        }
    }

    pub(super) fn on_scrape(&mut self, token: Token) {
        let Some((UserSource::Scrape(scrape), mut io)) = user_source(&mut self.server, token)
        else {
            return;
        };
        match scrape.on_ready(&mut io) {
            Step::Wait => {}
            Step::Collect => {
                self.coordinator.request_scrape(self.index);
                self.apply_requests();
            }
            Step::Close => _ = self.end_scrape(token),
        }
    }

    /// Answers the requests that wait for these figures.
    pub(super) fn answer_scrapes(&mut self, sum: &StatsSnapshot) {
        for token in self.scrapes.clone() {
            if let Some((UserSource::Scrape(scrape), mut io)) = user_source(&mut self.server, token)
                && scrape.answer(sum, &mut io) == Step::Close
            {
                self.end_scrape(token);
            }
        }
    }

    /// Closes a request: it is over, or takes too long. Returns whether it was one.
    pub(super) fn end_scrape(&mut self, token: Token) -> bool {
        let is_scrape = self.scrapes.contains(&token);
        if is_scrape && let Some((socket, _)) = self.server.deregister(token) {
            close_quietly(self.server.kernel(), socket);
        }
        self.scrapes.retain(|&other| other != token);
        is_scrape
    }

    /// The listener is another server's from here on; requests that have begun are answered.
    pub(super) fn close_metrics(&mut self) {
        let token = self.metrics.take();
        if let Some((socket, _)) = token.and_then(|token| self.server.deregister(token)) {
            close_quietly(self.server.kernel(), socket);
        }
    }
}
