//! Properties of `Slab`, compared with a map that never forgets a token.
//!
//! Plain functions over a plan, used by proptest (`tests/properties/main.rs`) and by the fuzzer;
//! they depend on neither. Each panics with the name of the violated invariant.

use std::collections::{HashMap, HashSet};

use epollite::Token;
use epollite::collections::{Slab, SlabFull};

/// Slots retire after four generations: with 32 bits no plan would ever reach that.
const GENERATION_MAX: u32 = 3;

/// Inserts, removes, looks up and changes as `plan` directs, one operation per two bytes, and
/// checks after each that the slab and a map agree. Its first byte is the capacity.
///
/// # Panics
/// When an invariant is violated, with its name.
pub fn agrees_with_a_map(plan: &[u8]) {
    let Some((len_max, plan)) = plan.split_first() else {
        return;
    };
    let len_max = u32::from(len_max % 9);
    let mut harness = Harness {
        slab: Slab::with_max_generation(len_max, GENERATION_MAX),
        live: HashMap::new(),
        ever: Vec::new(),
        len_max,
    };
    for (number, step) in (0..).zip(plan.chunks_exact(2)) {
        harness.step(number, step[0], step[1]);
        harness.agree();
    }
}

struct Harness {
    slab: Slab<u32>,
    live: HashMap<Token, u32>,
    /// Every token ever returned, including stale ones.
    ever: Vec<Token>,
    len_max: u32,
}

impl Harness {
    fn step(&mut self, number: u32, operation: u8, which: u8) {
        let token = match self.ever.len() {
            0 => Token::new(u32::from(which), 0),
            len => self.ever[usize::from(which) % len],
        };
        match operation % 8 {
            0..=3 => self.insert(number),
            4 | 5 => assert_eq!(
                self.slab.remove(token),
                self.live.remove(&token),
                "invariant: remove removes the token's entry and no other: {token}"
            ),
            6 => {
                let (ours, theirs) = (self.slab.get_mut(token), self.live.get_mut(&token));
                assert_eq!(ours, theirs, "invariant: get_mut finds live entries: {token}");
                if let (Some(ours), Some(theirs)) = (ours, theirs) {
                    (*ours, *theirs) = (number, number);
                }
            }
            _ => {
                let made_up = Token::new(u32::from(which), u32::from(operation) >> 3);
                let known = self.live.get(&made_up);
                assert_eq!(
                    self.slab.get(made_up),
                    known,
                    "invariant: a made-up token resolves to an entry with that number: {made_up}"
                );
            }
        }
    }

    fn insert(&mut self, value: u32) {
        let full = self.slab.len() == self.len_max;
        match self.slab.insert(value) {
            Err(refused) => {
                assert!(full, "invariant: refused only when full");
                assert_eq!(refused, SlabFull(value), "invariant: a refused value is returned");
            }
            Ok(token) => {
                assert!(!full, "invariant: never more than its capacity");
                assert!(!self.ever.contains(&token), "invariant: a token is never reused: {token}");
                assert!(
                    token.generation() <= GENERATION_MAX,
                    "invariant: a slot without generations left retires: {token}"
                );
                self.ever.push(token);
                self.live.insert(token, value);
            }
        }
    }

    fn agree(&self) {
        let slab = &self.slab;
        for token in &self.ever {
            assert_eq!(
                slab.get(*token),
                self.live.get(token),
                "invariant: live entries are found, a stale token resolves to none: {token}"
            );
        }
        assert_eq!(
            slab.len() as usize,
            self.live.len(),
            "invariant: len is the number of live entries"
        );
        assert_eq!(slab.is_empty(), self.live.is_empty(), "invariant: is_empty is len == 0");
        assert_eq!(slab.len_max(), self.len_max, "invariant: the capacity is constant");
        let iterated: HashSet<Token> =
            (0..slab.slot_count()).filter_map(|slot| slab.token_at(slot)).collect();
        let live: HashSet<Token> = self.live.keys().copied().collect();
        assert_eq!(iterated, live, "invariant: iteration over the slots yields all live entries");
        let spent = self
            .ever
            .iter()
            .filter(|token| token.generation() == GENERATION_MAX && !self.live.contains_key(token));
        assert_eq!(
            slab.retired() as usize,
            spent.count(),
            "invariant: retired is the number of exhausted slots"
        );
        assert!(
            slab.slot_count() <= self.len_max + slab.retired(),
            "invariant: no new slot while an old one is free"
        );
    }
}
