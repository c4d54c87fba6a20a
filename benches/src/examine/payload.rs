//! The bytes of a case: they depend on their position, so that loss, repetition and exchange show.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Bytes of a seed: the same on every run.
pub(crate) fn payload(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

/// What distinguishes what came from what was sent, as a sentence, if anything does.
pub(crate) fn difference(sent: &[u8], got: &[u8]) -> Option<String> {
    let at = sent.iter().zip(got).position(|(sent, got)| sent != got);
    match at {
        Some(at) => Some(format!(
            "byte {at} came back as 0x{:02x} and was sent as 0x{:02x}",
            got[at], sent[at]
        )),
        None if sent.len() != got.len() => {
            Some(format!("{} bytes came back, and {} were sent", got.len(), sent.len()))
        }
        None => None,
    }
}
