//! Experiments: every built-in one on Linux and on the model, what the notation rejects, and that a
//! wrong rule or a wrong expectation is found.

#![cfg(feature = "std")]

mod built_in;
mod notation;
mod runner;
mod wrong_devices;
mod wrong_kernel;

/// The program's own way of running an experiment.
#[path = "../../src/bin/epollite/study/kernels.rs"]
#[expect(dead_code, reason = "reports of several kernels are compared by the program only")]
mod kernels;

#[path = "../../src/bin/epollite/study/actors.rs"]
mod actors;

#[path = "../../src/bin/epollite/small_map.rs"]
mod small_map;

/// Experiments on the real kernel run one after the other: a fork copies every descriptor of this
/// process, and the limit of descriptors is the whole process'.
pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
