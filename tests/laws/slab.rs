//! The laws of `Slab`, beside a map that never forgets a name.
//!
//! Plain functions over a plan, for proptest (`tests/laws.rs`) and the fuzzer alike: they know
//! neither. Each panics with the name of the law that was broken.

use std::collections::{HashMap, HashSet};

use epollite::{Full, Slab, Token};

/// Slots retire after four generations: with 32 bits no plan would ever see it.
const GENERATION_MAX: u32 = 3;

/// Inserts, removes, looks up and changes as `plan` says, one operation for every two bytes, and
/// asks after each whether the slab and a map agree. Its first byte says how many may be there.
///
/// # Panics
/// When a law is broken, with its name.
pub fn agrees_with_a_map(plan: &[u8]) {
    let Some((len_max, plan)) = plan.split_first() else {
        return;
    };
    let len_max = u32::from(len_max % 9);
    let mut world = World {
        slab: Slab::with_generations(len_max, GENERATION_MAX),
        living: HashMap::new(),
        ever: Vec::new(),
        len_max,
    };
    for (number, step) in (0..).zip(plan.chunks_exact(2)) {
        world.step(number, step[0], step[1]);
        world.agree();
    }
}

struct World {
    slab: Slab<u32>,
    living: HashMap<Token, u32>,
    /// Every name ever given, the dead ones too.
    ever: Vec<Token>,
    len_max: u32,
}

impl World {
    fn step(&mut self, number: u32, operation: u8, which: u8) {
        let token = match self.ever.len() {
            0 => Token::new(u32::from(which), 0),
            len => self.ever[usize::from(which) % len],
        };
        match operation % 8 {
            0..=3 => self.insert(number),
            4 | 5 => assert_eq!(
                self.slab.remove(token),
                self.living.remove(&token),
                "law: remove takes whom the token names, and nobody else: {token}"
            ),
            6 => {
                let (ours, theirs) = (self.slab.get_mut(token), self.living.get_mut(&token));
                assert_eq!(ours, theirs, "law: get_mut finds the living: {token}");
                if let (Some(ours), Some(theirs)) = (ours, theirs) {
                    (*ours, *theirs) = (number, number);
                }
            }
            _ => {
                let stranger = Token::new(u32::from(which), u32::from(operation) >> 3);
                let known = self.living.get(&stranger);
                assert_eq!(
                    self.slab.get(stranger),
                    known,
                    "law: a token that was made up names whom it happens to name: {stranger}"
                );
            }
        }
    }

    fn insert(&mut self, value: u32) {
        let full = self.slab.len() == self.len_max;
        match self.slab.insert(value) {
            Err(refused) => {
                assert!(full, "law: refused only when full");
                assert_eq!(refused, Full(value), "law: refused is handed back");
            }
            Ok(token) => {
                assert!(!full, "law: never more than its bound");
                assert!(!self.ever.contains(&token), "law: a token is never given twice: {token}");
                assert!(
                    token.generation() <= GENERATION_MAX,
                    "law: a slot that has spent its generations retires: {token}"
                );
                self.ever.push(token);
                self.living.insert(token, value);
            }
        }
    }

    fn agree(&self) {
        let slab = &self.slab;
        for token in &self.ever {
            assert_eq!(
                slab.get(*token),
                self.living.get(token),
                "law: the living are found, a stale token names nobody: {token}"
            );
        }
        assert_eq!(slab.len() as usize, self.living.len(), "law: len counts the living");
        assert_eq!(slab.is_empty(), self.living.is_empty(), "law: empty is len 0");
        assert_eq!(slab.len_max(), self.len_max, "law: the bound stays");
        let walked: HashSet<Token> =
            (0..slab.slots()).filter_map(|slot| slab.token_at(slot)).collect();
        let living: HashSet<Token> = self.living.keys().copied().collect();
        assert_eq!(walked, living, "law: a walk over the slots meets all the living");
        let spent = self.ever.iter().filter(|token| {
            token.generation() == GENERATION_MAX && !self.living.contains_key(token)
        });
        assert_eq!(
            slab.retired() as usize,
            spent.count(),
            "law: retired counts the slots that are spent"
        );
        assert!(
            slab.slots() <= self.len_max + slab.retired(),
            "law: no new slot while an old one is free"
        );
    }
}
