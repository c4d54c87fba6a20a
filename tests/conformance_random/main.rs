//! Random programs on both kernels: the property is in `sim_vs_linux/mod.rs`, the plans are here.

pub mod sim_vs_linux;

use std::time::Instant;

use sim_vs_linux::{any_program_sees_the_same, difference};

/// Programs per run of the suite; `SIM_PROGRAMS` sets another number, `SIM_SEED` other plans.
const PROGRAMS: u64 = 4_000;
const PLAN_BYTES: usize = 160;

#[test]
fn any_program_sees_the_same_on_the_model() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let programs = number("SIM_PROGRAMS").unwrap_or(PROGRAMS);
    let first = number("SIM_SEED").unwrap_or(0);
    let began = Instant::now();
    for seed in first..first + programs {
        let plan = plan(seed);
        if difference(&plan).is_some() {
            println!("seed {seed}");
            any_program_sees_the_same(&shrunk(plan));
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{programs} programs, {:.0} a second", programs as f64 / seconds);
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
            if difference(&shorter).is_some() {
                plan = shorter;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    plan
}
