//! Limits of the whole machine. Only in a VM of `tests/kernels`, which sets `DISPOSABLE`: other
//! programs have these limits during a test too.

mod memory_cgroup;
mod settings;

fn is_disposable() -> bool {
    let is_disposable = std::env::var_os("DISPOSABLE").is_some();
    if !is_disposable {
        println!("skipped: not in a VM of tests/kernels");
    }
    is_disposable
}
