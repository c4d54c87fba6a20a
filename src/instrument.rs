//! Kernels around a kernel: one that records its calls, one that counts them, one that lets them
//! fail, one that watches how they are used.
//!
//! Each knows the [`Kernel`](crate::Kernel) trait only, so they compose over any kernel and over
//! each other.

mod call_counter;
mod fault_injector;
mod lint;
mod tracer;

pub use call_counter::{CallCounter, CallCounts};
pub use fault_injector::{FaultInjector, FaultPlan};
pub use lint::{Lint, Linted, Lints};
pub use tracer::{
    Argument, Bytes, MessageParts, MsgHdr, RecordSink, ReturnValue, SyscallRecord, Tracer,
};
