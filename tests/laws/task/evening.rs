//! The evening of a day of tasks: everybody says his last, hears what he is owed, and goes home;
//! and it is counted whether that came true.

use core::time::Duration;

use epollite::sim::Sim;
use epollite::task::JoinHandle;
use epollite::{Call, Errno, Fd, Kernel, Received};

use super::{Client, Day};

/// Rounds without any progress after which somebody waits in vain: as many as interruptions and
/// a paused listener may cost.
const FRUITLESS_MAX: u32 = 16;

impl Day {
    /// Until nothing happens any more. Everybody listens now, and has said his last.
    fn settle(&mut self) {
        let (mut fruitless, mut rounds) = (0, 0);
        while fruitless < FRUITLESS_MAX {
            rounds += 1;
            assert!(rounds < 20_000, "law: a day ends");
            let state = |day: &Self| {
                let handle = day.tasks.handle();
                let over = day.calls.iter().filter(|call| call.is_over()).count();
                (day.echoed.get(), handle.tasks(), handle.descriptors(), over)
            };
            let before = state(self);
            self.turn();
            self.sim.advance(Duration::from_millis(50));
            let mut progress = false;
            for who in 0..self.clients.len() {
                if !self.clients[who].has_ended {
                    self.say_the_last(who);
                }
                while self.listen(who, 4_096) {
                    progress = true;
                }
            }
            progress |= state(self) != before;
            fruitless = if progress { 0 } else { fruitless + 1 };
        }
    }

    /// Everybody hears what he is owed and goes home; who comes then is served; and it is
    /// counted whether that came true.
    pub(super) fn evening(&mut self) {
        self.settle();
        let lasts = self.faults.is_some_and(|faults| faults.lasts());
        let aborted = self.tasks.handle().kernel(|kernel| kernel.tap.errors(Call::Accept4));
        let mut lost = 0;
        for Client { said, heard, was_ended, broken, .. } in &self.clients {
            lost += u64::from(broken.is_some() || !was_ended || heard != said);
        }
        for call in self.calls.drain(..) {
            assert!(call.is_over() || self.faults.is_some(), "law: nobody waits for ever");
            let heard = self.callers.block_on(async {
                // Of one who still waits, a fault's victim, nothing is to be heard.
                if call.is_over() { call.await } else { Ok(Ok(())) }
            });
            lost += u64::from(matches!(heard, Ok(Ok(Err(_)))));
        }
        let excused = self.cancelled + aborted;
        assert!(
            lost <= excused || self.faults.is_some(),
            "law: everybody is served to the end, but {lost} were not, and {excused} are excused"
        );
        while !self.clients.is_empty() {
            self.leave(0, false);
        }
        self.settle();
        if !lasts {
            self.serve_one_more();
            let handle = self.tasks.handle();
            let left = (handle.tasks(), handle.descriptors());
            assert_eq!(left, (1, 1), "law: who has left is forgotten, and the door is there");
        }
    }

    /// Whatever the day was like: who comes now is served.
    fn serve_one_more(&mut self) {
        // The kernel may abort one connection, even two; and the fault may have waited for this.
        for _ in 0..8 {
            self.arrive();
            for _ in 0..FRUITLESS_MAX {
                if self.clients[0].said == 0 {
                    self.say(0, 100);
                }
                self.turn();
                self.sim.advance(Duration::from_millis(50));
            }
            self.settle();
            let Client { said, heard, was_ended, .. } = self.clients[0];
            self.leave(0, false);
            self.settle();
            if said > 0 && said == heard && was_ended {
                return;
            }
        }
        panic!("law: service resumes");
    }

    /// The world says if a descriptor is left open, when its processes end.
    pub(super) fn end(mut self) -> bool {
        let handle = self.tasks.handle();
        let has_struck = handle.kernel(|kernel| kernel.kernel.tap.has_struck());
        drop(self.tasks);
        assert_eq!((handle.tasks(), handle.descriptors()), (0, 0), "law: everything falls");
        assert!(self.guests.borrow().iter().all(JoinHandle::is_over), "law: everybody is told");
        for client in self.clients.drain(..) {
            // Who had connected hears an end, or that it broke; it is not left waiting.
            let heard = drain(&mut self.sim, &client.socket);
            assert!(heard != Some(Received::Nothing), "law: nobody waits for ever");
            let _ = self.sim.close(client.socket);
        }
        has_struck
    }
}

/// Reads to the end, and says what that was; `None` when the connection broke or never was.
fn drain(sim: &mut Sim, socket: &Fd) -> Option<Received> {
    for _ in 0..10_000 {
        match sim.recv(socket, &mut [0; 4_096]) {
            Ok(0) => return Some(Received::End),
            Err(Errno::EAGAIN) if sim.getpeername(socket).is_ok() => {
                return Some(Received::Nothing);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
    panic!("law: what is on its way is bounded")
}
