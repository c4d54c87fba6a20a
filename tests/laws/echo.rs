//! The laws of `Echo`: what goes out is a prefix of what came in, under every split of both and
//! every order of what can happen.
//!
//! Plain functions over a plan, for proptest (`tests/laws.rs`) and the fuzzer alike: they know
//! neither. Each panics with the name of the law that was broken.

use epollite::echo::{Echo, State, Want};

/// Lives a conversation as `plan` says: what it wants is done, so much of it as the next byte
/// allows, and now and then something happens unasked. Its first byte is the bound.
///
/// # Panics
/// When a law is broken, with its name.
pub fn echoes_a_prefix(plan: &[u8]) {
    let Some((owed_max, plan)) = plan.split_first() else {
        return;
    };
    let mut world = World::new(usize::from(owed_max % 32) + 1);
    for step in plan.chunks_exact(2) {
        match step[0] {
            // Rarely, so that a conversation gets somewhere before.
            0..=3 => world.end(),
            4..=7 => world.stop(),
            8 => world.give_up(Echo::failed),
            9 => world.give_up(Echo::expired),
            how_much => world.obey(how_much, step[1]),
        }
        world.agree();
    }
    world.finish();
}

struct World {
    echo: Echo,
    owed_max: usize,
    /// All that the peer has sent us while it was to be echoed.
    received: Vec<u8>,
    /// All that we have sent the peer.
    sent: Vec<u8>,
    next: u8,
    ended: bool,
    stopped: bool,
    shut: bool,
    broken: bool,
}

impl World {
    fn new(owed_max: usize) -> Self {
        Self {
            echo: Echo::new(),
            owed_max,
            received: Vec::new(),
            sent: Vec::new(),
            next: 0,
            ended: false,
            stopped: false,
            shut: false,
            broken: false,
        }
    }

    /// Does what it wants, up to `how_much` bytes of it; of what was read, up to `at_once` go
    /// straight back.
    fn obey(&mut self, how_much: u8, at_once: u8) {
        let how_much = usize::from(how_much) % self.owed_max + 1;
        match self.echo.want() {
            Want::Read => {
                let bytes = self.hear(how_much);
                let sent = usize::from(at_once) % (bytes.len() + 1);
                let taken = self.echo.received(&bytes, sent, self.owed_max);
                assert_eq!(taken, Ok(()), "law: who reads when wanted is never refused");
                self.received.extend_from_slice(&bytes);
                self.sent.extend_from_slice(&bytes[..sent]);
            }
            Want::Write => {
                let owed = self.echo.owed();
                let count = how_much.min(owed.len());
                self.sent.extend_from_slice(&owed[..count]);
                self.echo.paid(count);
            }
            Want::Shutdown => {
                self.echo.shut();
                self.shut = true;
            }
            Want::Discard => {
                let bytes = self.hear(how_much);
                let taken = self.echo.received(&bytes, 0, self.owed_max);
                assert_eq!(taken, Ok(()), "law: what is thrown away is never too much");
            }
            Want::Close => {}
        }
    }

    /// Bytes of the peer, who has not ended.
    fn hear(&mut self, len: usize) -> Vec<u8> {
        assert!(!self.ended, "law: nothing is read after the end");
        (0..len)
            .map(|_| {
                self.next = self.next.wrapping_add(1);
                self.next
            })
            .collect()
    }

    fn end(&mut self) {
        self.echo.ended();
        self.ended = true;
    }

    fn stop(&mut self) {
        self.stopped |= self.echo.state() == State::Open;
        self.echo.stop();
    }

    fn give_up(&mut self, how: impl FnOnce(&mut Echo)) {
        how(&mut self.echo);
        self.broken = true;
        assert!(self.echo.owed().is_empty(), "law: given up is forgotten");
    }

    fn agree(&self) {
        let (echo, owed) = (&self.echo, self.echo.owed());
        assert!(self.received.starts_with(&self.sent), "law: output is a prefix of input");
        assert!(owed.len() <= self.owed_max, "law: what is owed is bounded");
        if !self.broken {
            let rest = &self.received[self.sent.len()..];
            assert_eq!(owed, rest, "law: owed is exactly what is not sent yet");
        }
        let nothing = owed.is_empty();
        let wanted = match echo.want() {
            Want::Close => nothing && (self.broken || self.ended),
            Want::Write => !nothing && !self.broken,
            Want::Read => nothing && !self.broken && !self.ended && !self.stopped,
            Want::Shutdown => nothing && self.stopped && !self.ended && !self.shut,
            Want::Discard => nothing && self.stopped && !self.ended && self.shut,
        };
        assert!(wanted, "law: {:?} is not what {:?} should want", echo.want(), echo.state());
    }

    /// The peer ends at last, and everything is taken: now all of it must have come back.
    fn finish(mut self) {
        self.end();
        self.agree();
        // Each turn pays at least one byte.
        for _ in 0..self.owed_max {
            self.obey(0, 0);
            self.agree();
        }
        let want = self.echo.want();
        assert_eq!(want, Want::Close, "law: a conversation comes to its end");
        assert_eq!(self.echo.state(), State::Over, "law: and knows it");
        assert!(self.broken || self.sent == self.received, "law: output equals input at the end");
    }
}
