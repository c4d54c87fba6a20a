//! One case, several servers, slice by slice in turn. It knows the order of things and collects
//! samples; what they mean is for `paired` to say.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::case::Case;
use crate::load::{Length, Load, Target};
use crate::paired::Sample;
use crate::server::Server;

/// A pause after each slice before the bill is read: a server that has answered still has to find
/// out that nothing more has come, and to go to sleep. That belongs to its own bill, and must not
/// be in the way of the next.
const SETTLE: Duration = Duration::from_millis(1);

/// How one case went for all servers.
#[derive(Debug)]
pub struct Outcome {
    /// What was asked.
    pub case: Case,
    /// Per server, in the order they were given: one sample a round.
    pub samples: Vec<Vec<Sample>>,
    /// Per server: the share of a core it used while it was *not* asked anything. Servers share a
    /// core, so one that is busy while idle spoils the others' figures.
    pub idle_share: Vec<f64>,
    /// How long the whole case took.
    pub wall: Duration,
}

/// One server with its load, and its bills.
struct Entrant<'a> {
    server: &'a mut Server,
    load: Load,
    samples: Vec<Sample>,
    /// Its CPU clock, and ours, when its last slice was over.
    left_at: (Duration, Instant),
    idle_cpu: Duration,
    idle_wall: Duration,
}

/// Runs `rounds` rounds, in each of them one slice of every server, after one round that does not
/// count: new connections still have windows to open, and programs pages to touch.
///
/// # Errors
/// When a server stops serving, or echoes something else than what it was sent.
pub fn run(case: Case, servers: &mut [Server], rounds: usize, slice: Duration) -> Result<Outcome> {
    let start = Instant::now();
    let mut entrants = Vec::with_capacity(servers.len());
    for server in servers {
        let load = Load::open(&case.config(Target::Tcp(server.address().into())))
            .map_err(|failure| server.explain(failure))?;
        let left_at = (server.cpu()?, Instant::now());
        let (samples, zero) = (Vec::with_capacity(rounds + 1), Duration::ZERO);
        entrants.push(Entrant { server, load, samples, left_at, idle_cpu: zero, idle_wall: zero });
    }
    for round in 0..=rounds {
        for index in order(round, entrants.len()) {
            entrants[index].slice(slice)?;
        }
    }
    Ok(Outcome {
        case,
        idle_share: entrants.iter().map(Entrant::idle_share).collect(),
        samples: entrants.into_iter().map(|entrant| entrant.samples[1..].to_vec()).collect(),
        wall: start.elapsed(),
    })
}

/// Who comes when in a round. Everyone is first, second and last equally often, and every other
/// round goes backwards, so that nobody always follows the same neighbour and inherits its caches.
fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| {
        let turn = if round.is_multiple_of(2) { turn } else { count - 1 - turn };
        (turn + round / 2) % count
    })
}

impl Entrant<'_> {
    fn slice(&mut self, length: Duration) -> Result<()> {
        let (cpu, now) = (self.server.cpu()?, Instant::now());
        if !self.samples.is_empty() {
            self.idle_cpu += cpu.saturating_sub(self.left_at.0);
            self.idle_wall += now - self.left_at.1;
        }
        let slice = self
            .load
            .slice(Length::For(length), &mut ())
            .map_err(|failure| self.server.explain(failure))?;
        thread::sleep(SETTLE);
        self.left_at = (self.server.cpu()?, Instant::now());
        self.samples.push(Sample {
            messages: slice.messages,
            elapsed: slice.elapsed,
            cpu: self.left_at.0.saturating_sub(cpu),
        });
        Ok(())
    }

    fn idle_share(&self) -> f64 {
        self.idle_cpu.as_secs_f64() / self.idle_wall.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_has_every_turn_equally_often() {
        let rounds = 24;
        for count in [2, 3, 4] {
            let mut turns = vec![vec![0; count]; count];
            for round in 0..rounds {
                let order: Vec<usize> = order(round, count).collect();
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..count).collect::<Vec<_>>(), "a round is everyone once");
                order.iter().enumerate().for_each(|(turn, &who)| turns[who][turn] += 1);
            }
            let fair = rounds / count;
            assert!(turns.iter().flatten().all(|&times| times == fair), "{count}: {turns:?}");
        }
        assert_eq!(order(0, 3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(order(1, 3).collect::<Vec<_>>(), [2, 1, 0]);
        assert_eq!(order(2, 3).collect::<Vec<_>>(), [1, 2, 0]);
    }
}
