//! The evening: everybody says his last, hears what he is owed, and goes home; and it is
//! counted whether that came true.

use std::time::Duration;

use epollite::server::stream::Turn;

use super::life::{Client, Day, FRUITLESS_MAX};
use super::weather::{Broken, Report};

impl Day<'_> {
    /// Everybody who is still here ends, hears, and goes home; then the server does.
    pub(super) fn evening(&mut self) -> Result<Report, Broken> {
        self.settle()?;
        let excused = self.weather.faults.is_some();
        // The kernel may abort a connection before it is accepted; nobody else is thrown out.
        let mut aborted = self.server.stats().aborted;
        for at in 0..self.clients.len() {
            let Client { id, said, heard, was_ended, broken, .. } = self.clients[at];
            if excused {
                continue;
            }
            // For its silence: whether that was so is checked when it is told.
            if self.weather.idle.is_some() && (was_ended || broken.is_some()) {
                continue;
            }
            let is_lost = broken.is_some() || (was_ended && said > 0);
            if is_lost && heard == 0 && aborted > 0 {
                aborted -= 1;
                continue;
            }
            if let Some(errno) = broken {
                return Err(self.broken(format!(
                    "nobody is thrown out, but client {id}, who said {said} bytes and heard {heard}, \
                     met {errno} (the server last gave up for {:?})",
                    self.gave_up
                )));
            }
            if heard != said || !was_ended {
                return Err(self.broken(format!(
                    "nobody waits for ever, but client {id} said {said} bytes, heard {heard} back, \
                     and was {} the end",
                    if was_ended { "told" } else { "not told" }
                )));
            }
        }
        while !self.clients.is_empty() {
            self.leave(0, false);
        }
        self.serve_one_more()?;
        self.go_home()
    }

    /// Until nothing happens any more. Everybody listens now, and half-closes.
    fn settle(&mut self) -> Result<(), Broken> {
        let mut fruitless = 0;
        while fruitless < FRUITLESS_MAX {
            let mut progress = false;
            let before = (self.server.stats(), self.server.connections());
            self.turn()?;
            // Pauses end by time, too.
            self.sim.advance(Duration::from_millis(50));
            for who in 0..self.clients.len() {
                if !self.clients[who].has_ended {
                    self.end(who);
                }
                while self.listen(who, 4096)? {
                    progress = true;
                    if self.clients[who].was_ended || self.clients[who].broken.is_some() {
                        break;
                    }
                }
            }
            let after = (self.server.stats(), self.server.connections());
            progress |= (before.0.bytes_in, before.0.bytes_out, before.0.closed, before.1)
                != (after.0.bytes_in, after.0.bytes_out, after.0.closed, after.1);
            fruitless = if progress { 0 } else { fruitless + 1 };
        }
        Ok(())
    }

    /// Whatever the day was like: who comes now is served. (A fault that lasts excuses.)
    fn serve_one_more(&mut self) -> Result<(), Broken> {
        /// The kernel may abort one connection, even two; and the one fault of the day may
        /// have waited for this very client.
        const TRIES: u32 = 8;

        self.settle()?;
        if self.weather.faults.is_some_and(|faults| faults.lasts()) {
            return Ok(());
        }
        let mut last = (0, 0);
        for _ in 0..TRIES {
            self.arrive();
            if self.clients.is_empty() {
                continue;
            }
            for _ in 0..FRUITLESS_MAX {
                self.turn()?;
                if self.clients[0].said == 0 {
                    self.say(0, 100);
                }
                self.sim.advance(Duration::from_millis(50));
            }
            self.settle()?;
            let Client { said, heard, was_ended, .. } = self.clients[0];
            self.leave(0, false);
            self.settle()?;
            // It reads late here, which may be too late for the server's idle time.
            let is_served = match self.weather.idle {
                None => said == heard && was_ended,
                Some(_) => heard > 0,
            };
            if said > 0 && is_served {
                return Ok(());
            }
            last = (said, heard);
        }
        let (said, heard) = last;
        Err(self.broken(format!(
            "service resumes, but the last of {TRIES} said {said} bytes and heard {heard} back"
        )))
    }

    fn go_home(&mut self) -> Result<Report, Broken> {
        let left = self.server.connections();
        let lasts = self.weather.faults.is_some_and(|faults| faults.lasts());
        if left > 0 && !lasts {
            return Err(self.broken(format!("who left is forgotten, but {left} are still known")));
        }
        self.server.stop();
        for _ in 0..FRUITLESS_MAX {
            if self.turn()? == Turn::Over {
                let calls = self.server.kernel().tap.total();
                let faults = self.server.kernel().kernel.tap.struck();
                let stats = self.server.stats();
                return Ok(Report { steps: self.step, stats, calls, faults });
            }
            self.sim.advance(Duration::from_millis(500));
        }
        Err(self.broken("the server leaves within its drain time, but it did not"))
    }
}
