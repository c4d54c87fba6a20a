//! Random programs on both kernels: the property is in `sim_vs_linux/mod.rs`, the plans are here.

pub mod sim_vs_linux;

use std::time::Instant;

use sim_vs_linux::{Verdict, any_program_sees_the_same, compare};

/// Programs per run of the suite; `SIM_PROGRAMS` sets another number, `SIM_SEED` other plans.
const PROGRAMS: u64 = 4_000;
const PLAN_BYTES: usize = 160;

#[test]
fn any_program_sees_the_same_on_the_model() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let programs = number("SIM_PROGRAMS").unwrap_or(PROGRAMS);
    let first = number("SIM_SEED").unwrap_or(0);
    let began = Instant::now();
    let mut too_slow = 0;
    for seed in first..first + programs {
        let plan = plan(seed);
        match compare(&plan) {
            Verdict::Same => {}
            Verdict::TooSlow => too_slow += 1,
            Verdict::Different(_) => {
                println!("seed {seed}");
                any_program_sees_the_same(&shrunk(plan));
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = programs as f64 / seconds;
    println!("{programs} programs, {too_slow} too slow to be judged, {rate:.0} a second");
}

/// The bytes generated from `seed`.
fn plan(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[2]
    };
    (0..PLAN_BYTES).map(|_| byte()).collect()
}

/// A plan that still fails, from which no piece can be removed.
fn shrunk(mut plan: Vec<u8>) -> Vec<u8> {
    let mut piece = plan.len();
    while piece > 0 {
        let mut at = 0;
        while at < plan.len() {
            let mut shorter = plan.clone();
            shorter.drain(at..(at + piece).min(plan.len()));
            if matches!(compare(&shorter), Verdict::Different(_)) {
                plan = shorter;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    plan
}
