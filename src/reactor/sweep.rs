//! `Sweep`: several waits that count as one.
//!
//! Knows numbers of events, and no event.

use crate::instant::Instant;

/// Consecutive waits that may return stale events only before the reactor sleeps in between. A few
/// stale events are ordinary: a batch holds them whenever one handler closes another's descriptor.
pub(super) const STALE_WAITS_MAX: u32 = 8;

/// Events after which a sweep whose batches are all full counts as complete, besides two for each
/// registration, although stale events may hide some. More than any process has descriptors:
/// reached only with very many stale registrations.
const SWEEP_EVENTS_MAX: usize = 1 << 16;

/// Several waits that together report everything that was ready at one time.
///
/// The kernel's ready list is a queue: an entry that was reported and is still ready goes to the
/// end. So after as many events as there are registrations, each of them has been reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    pub(super) since: Instant,
    /// Registrations when it began: whatever was ready then is among that many live entries of the
    /// list, and the waker, which is not counted; later entries come after them.
    places: usize,
    /// Events of live registrations.
    live: usize,
    events: usize,
    /// Waits that returned stale events only.
    stale_waits: u32,
}

impl Sweep {
    pub(super) const fn new(since: Instant, places: usize) -> Self {
        Self { since, places, live: 0, events: 0, stale_waits: 0 }
    }

    /// After a wait that returned `events`, of which `live` were not stale; `None` when it is
    /// complete.
    pub(super) fn continued(mut self, live: usize, events: usize) -> Option<Self> {
        self.live += live;
        self.events += events;
        self.stale_waits += u32::from(live == 0);
        let is_complete = self.live > self.places
            || self.stale_waits > STALE_WAITS_MAX
            || self.events > 2 * self.places + SWEEP_EVENTS_MAX;
        if is_complete { None } else { Some(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wait that completes a sweep whose waits are all alike.
    fn completed_by(places: usize, live: usize, events: usize) -> u32 {
        let mut sweep = Sweep::new(Instant::ZERO, places);
        for wait in 1.. {
            match sweep.continued(live, events) {
                Some(continued) => sweep = continued,
                None => return wait,
            }
        }
        unreachable!("every sweep ends")
    }

    #[test]
    fn a_sweep_ends_when_every_place_was_reported_or_too_much_was_stale() {
        assert_eq!(completed_by(10, 5, 5), 3, "more live events than places");
        assert_eq!(completed_by(10, 11, 11), 1);
        assert_eq!(completed_by(10, 0, 5), STALE_WAITS_MAX + 1, "stale events only");
        // Two for each place, and 65,536.
        assert_eq!(completed_by(1_000, 1, 67_536), 2);
        assert_eq!(completed_by(1_000, 1, 67_537), 1);
    }
}
