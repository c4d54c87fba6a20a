//! Kernels around a kernel: one that records its calls, one that counts them, one that lets them
//! fail.
//!
//! Each knows the [`Kernel`](crate::Kernel) trait only, so they compose over any kernel and over
//! each other.

mod call_counter;
mod fault_injector;
mod tracer;

pub use call_counter::{CallCounter, CallCounts};
pub use fault_injector::{FaultInjector, FaultPlan};
pub use tracer::{Argument, Bytes, MsgHdr, ReturnValue, SyscallRecord, Tracer};
